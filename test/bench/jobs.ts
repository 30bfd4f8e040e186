/** How many short jobs are enqueued and done a second, and how long one takes from end to end. Prints a table when run alone. */
import { Type } from '@sinclair/typebox'
import { sql } from '../../src/platform/database.ts'
import { defineJob } from '../../src/platform/jobs.ts'
import { newJob, testJobs } from '../support/jobs.ts'
import { until } from '../support/projections.ts'

export type Row = { what: string; measured: string; reference: string }

type Test = Parameters<typeof testJobs>[0]
const COUNT = 20_000
const BATCH = 500

/** `scale` below 1 shortens it. */
export async function measure(t: Test, scale = 1): Promise<Row[]> {
  let ran = 0
  const run = async () => {
    ran += 1
    return undefined
  }
  const schema = Type.Object({ n: Type.Integer() })
  const { pool, enqueue, work } = await testJobs(t, [
    defineJob({ queue: 'ordered', schema, concurrency: 100, run }),
    defineJob({ queue: 'unordered', schema, concurrency: 100, ordered: false, run }),
    defineJob({ queue: 'single', schema, concurrency: 4, run }),
  ])
  const count = Math.round((COUNT * scale) / BATCH) * BATCH
  const rows: Row[] = []
  const rate = (seconds: number) => `${Math.round(count / seconds).toLocaleString('en')}/s`

  const settled = async (queue: string) => {
    const [row] = await pool.rows<{ left: number }>(
      sql.unsafe`select count(*) as left from pgboss.job where name = ${queue} and state <> 'completed'`,
    )
    return row!.left === 0
  }
  for (const [queue, keys] of [
    ['ordered', 1_000],
    ['ordered', 50],
    ['unordered', 1_000],
  ] as const) {
    const enqueued = await seconds(async () => {
      for (let from = 0; from < count; from += BATCH) {
        await enqueue(...Array.from({ length: BATCH }, (_, index) => newJob(queue, `k${(from + index) % keys}`, { n: from + index })))
      }
    })
    rows.push({ what: `enqueue, ${BATCH} a transaction, ${queue}`, measured: rate(enqueued), reference: '' })
    ran = 0
    let worker: Awaited<ReturnType<typeof work>> | undefined
    const worked = await seconds(async () => {
      worker = await work({ pollMs: 2_000, beatMs: 3_000, progressMs: 1_000 })
      await until(() => ran >= count)
      await until(() => settled(queue))
    })
    await worker?.close(1_000)
    if (ran !== count) throw new Error(`${ran} jobs ran instead of ${count}`)
    rows.push({
      what: `${count.toLocaleString('en')} short jobs, ${queue}, ${keys.toLocaleString('en')} keys`,
      measured: rate(worked),
      reference: '1,000/s at least',
    })
  }

  const worker = await work({ pollMs: 2_000 })
  const latencies: number[] = []
  for (let n = 0; n < 100; n += 1) {
    const begun = performance.now()
    ran = 0
    await enqueue(newJob('single', `k${n}`, { n }))
    while (ran === 0) await new Promise((resolve) => setImmediate(resolve))
    latencies.push(performance.now() - begun)
  }
  await worker.close(1_000)
  latencies.sort((a, b) => a - b)
  const at = (part: number) => latencies[Math.floor(latencies.length * part)]!.toFixed(1)
  rows.push({ what: 'one job, from enqueuing to its begin, idle', measured: `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`, reference: '' })
  return rows
}

async function seconds(work: () => Promise<void>): Promise<number> {
  const begun = performance.now()
  await work()
  return (performance.now() - begun) / 1_000
}

if (import.meta.main) {
  const { default: t } = await import('tap')
  t.setTimeout(600_000)
  t.test('jobs', { timeout: 600_000 }, async (t) => {
    console.table(await measure(t, Number(process.argv[2] ?? 1)))
    t.pass('measured')
  })
}
