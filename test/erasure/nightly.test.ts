import t from 'tap'
import { enqueueRewrite, lastTime } from '../../src/erasure/nightly.ts'
import { rewriteJob } from '../../src/erasure/rewrite-job.ts'
import { askForRewrite, isRewriteDue } from '../../src/platform/erasure/rewrite-due.ts'
import { listJobs } from '../../src/platform/jobs-view.ts'
import { testJobs } from '../support/jobs.ts'
import { until } from '../support/processes.ts'

const THREE = 3 * 60

t.test('the last time of day is today’s, or yesterday’s', async (t) => {
  const at = (now: string) => lastTime(THREE, new Date(now)).toISOString()
  t.equal(at('2026-03-01T03:00:00.000Z'), '2026-03-01T03:00:00.000Z')
  t.equal(at('2026-03-01T23:59:59.999Z'), '2026-03-01T03:00:00.000Z')
  t.equal(at('2026-03-01T02:59:59.999Z'), '2026-02-28T03:00:00.000Z')
})

t.test('what was erased is made physically gone once, at the next time of day', async (t) => {
  const { jobs, pool, work } = await testJobs(t, [rewriteJob])
  const enqueued = async () => (await listJobs(pool, [rewriteJob], {})).data
  const hour = 60 * 60_000
  const tonight = new Date(lastTime(THREE, new Date(Date.now() + 24 * hour)).getTime() + hour)
  await enqueueRewrite({ jobs, pool }, THREE, tonight)
  t.strictSame(await enqueued(), [], 'nothing was erased')
  await askForRewrite(pool)
  await enqueueRewrite({ jobs, pool }, THREE, new Date(tonight.getTime() - 24 * hour))
  t.strictSame(await enqueued(), [], 'its time has not come')
  for (const _ of ['one worker', 'another']) await enqueueRewrite({ jobs, pool }, THREE, tonight)
  t.equal((await enqueued()).length, 1)
  await work({ services: { pool } })
  const [job] = await until('it is done', async () => {
    const found = await enqueued()
    return found[0]?.state === 'done' && found
  })
  t.ok((job!.result as { tables: number }).tables > 5)
  t.equal(await isRewriteDue(pool), false)
  await enqueueRewrite({ jobs, pool }, THREE, new Date(tonight.getTime() + 24 * hour))
  t.equal((await enqueued()).length, 1, 'nothing was erased since')
})
