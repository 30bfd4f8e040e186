import { randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import { openPool, type Pool } from '../../src/platform/database.ts'
import type { JobType, NewJob } from '../../src/platform/jobs.ts'
import { type Jobs, type JobsOptions, openJobs } from '../../src/platform/jobs-queue.ts'
import { findJob } from '../../src/platform/jobs-view.ts'
import { startWorker, type WorkerOptions } from '../../src/platform/jobs-worker.ts'
import { createLogger } from '../../src/platform/log.ts'
import { testDatabase } from './postgres.ts'
import { until } from './projections.ts'

const silent = createLogger(process.env['TEST_LOG'] ?? 'silent', 'test')

// biome-ignore lint/suspicious/noExplicitAny: a list of jobs of any data
export type AnyType = JobType<any>

export const newJob = (queue: string, key: string, data: object = {}, id: string = randomUUID()): NewJob => ({
  id,
  queue,
  key,
  data,
  correlationId: randomUUID(),
  causationId: randomUUID(),
})

/** Queues in a database of the test's own, and as many workers on them as it starts. */
export async function testJobs(t: Test, types: readonly AnyType[], options: Partial<JobsOptions> = {}) {
  const { url } = await testDatabase(t)
  const pool: Pool = openPool(url, silent)
  const jobs: Jobs = openJobs({ url, pool, log: silent, types, ...options })
  const workers: { close(graceMs: number): Promise<void> }[] = []
  t.teardown(async () => {
    for (const worker of workers) await worker.close(0)
    await jobs.close()
    await pool.close()
  })
  await jobs.ready()
  const find = async (id: string) => (await findJob(pool, types, id))!
  return {
    url,
    pool,
    jobs,
    find,
    enqueue: (...added: NewJob[]) => pool.transaction((db) => jobs.enqueue(db, added)),
    async work(changes: Partial<WorkerOptions<unknown>> = {}) {
      const worker = await startWorker({
        jobs,
        log: silent,
        services: null,
        execute: () => Promise.reject(new Error('no commands here')),
        secret: Buffer.from('a secret'),
        pollMs: 20,
        beatMs: 50,
        progressMs: 20,
        ...changes,
      })
      workers.push(worker)
      return worker
    },
    reaches: (id: string, state: string) => until(async () => (await find(id)).state === state),
  }
}
