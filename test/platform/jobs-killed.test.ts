import { join } from 'node:path'
import t from 'tap'
import { openJobs } from '../../src/platform/jobs-queue.ts'
import { findJob } from '../../src/platform/jobs-view.ts'
import { createLogger } from '../../src/platform/log.ts'
import { makeContacts, quickToNotice } from '../support/job-worker.ts'
import { newJob } from '../support/jobs.ts'
import { startNode, until } from '../support/processes.ts'
import { testServices } from '../support/services.ts'

const program = join(import.meta.dirname, '../support/job-worker.ts')
const STEPS = 60

t.test('a job whose worker is killed is taken up by another, and nothing is done twice', { timeout: 90_000 }, async (t) => {
  const { open, config } = await testServices(t)
  const services = await open()
  const { pool, store, codec } = services
  const types = [makeContacts]
  const jobs = openJobs({ url: config.databaseUrl, pool, log: createLogger('silent', 'test'), types, ...quickToNotice })
  t.teardown(() => jobs.close())
  await jobs.ready()
  const one = newJob('make-contacts', 'k', { steps: STEPS })
  const next = newJob('make-contacts', 'k', { steps: 1 })
  await pool.transaction((db) => jobs.enqueue(db, [one, next]))

  const env = { ...process.env, DATABASE_URL: config.databaseUrl, EVENTSTORE_URL: config.eventStoreUrl, SMARTCRM_DATA: config.dataFolder }
  const first = startNode(t, [program], { env })
  await first.line(/^step 20$/)
  first.child.kill('SIGKILL')
  await first.ended
  const second = startNode(t, [program], { env })
  await second.line(/^up$/)
  await until('the job to be done', async () => (await findJob(pool, types, one.id))!.state === 'done')
  await until('the next one of its key to be done', async () => (await findJob(pool, types, next.id))!.state === 'done')

  const job = (await findJob(pool, types, one.id))!
  t.match(job, { attempts: 2, progress: { done: STEPS, total: STEPS }, result: { made: STEPS } })
  t.ok((job.result!['repeated'] as number) >= 20)
  const events = await codec.decode((await store.readAll(null, 1_000)).filter(({ type }) => type === 'ContactCreated'))
  const own = events.filter(({ meta }) => meta.$causationId === one.causationId)
  t.equal(own.length, STEPS, 'each contact was made once')
  t.ok(own.every(({ meta }) => meta.actor === 'system:worker' && meta.$correlationId === one.correlationId))
  t.match((own[0]!.data as { name: string }).name, /of attempt 1$/, 'what was done first counts')
})
