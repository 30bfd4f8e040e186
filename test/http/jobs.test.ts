import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import { createApp } from '../../src/app.ts'
import { sql } from '../../src/platform/database.ts'
import { defineJob, Failed } from '../../src/platform/jobs.ts'
import { createLogger } from '../../src/platform/log.ts'
import { START } from '../../src/platform/position.ts'
import { type Answer, adminKey } from '../support/api.ts'
import { contractOf } from '../support/contract.ts'
import { newJob, testJobs } from '../support/jobs.ts'
import { testServices } from '../support/services.ts'

const silent = createLogger('silent', 'test')
let isBroken = true
const types = [
  defineJob({
    queue: 'enrich-contact',
    schema: Type.Object({ contactId: Type.String(), address: Type.String() }),
    shown: ['contactId'],
    result: Type.Object({ found: Type.Integer() }),
    retries: 0,
    async run({ contactId }) {
      if (contactId.startsWith('bad') && isBroken) throw new Failed('vendor-away', 'The vendor does not answer.')
      if (contactId.startsWith('bug')) throw new Error('ada@example.com is not what was expected')
      return { found: 2 }
    },
  }),
  defineJob({ queue: 'sync-mailbox', schema: Type.Object({}), ordered: false, run: async () => undefined }),
]

/** The API with queues of the test's own. */
async function api(t: Test) {
  const jobs = await testJobs(t, types)
  const { open } = await testServices(t)
  const services = { ...(await open()), jobs: jobs.jobs }
  const tables = { current: () => START, waitFor: async () => true }
  const { server } = await createApp({ services, tables, checks: {}, adminKey, version: '0.0.0', log: silent })
  const url = await server.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => server.close())
  const contract = contractOf(server.swagger())
  const fetched = (method: string, path: string, headers: Record<string, string> = {}) =>
    fetch(url + path, { method, headers: { authorization: `Bearer ${adminKey}`, ...headers } })
  return {
    ...jobs,
    services,
    url,
    fetched,
    async ask(method: string, path: string, headers?: Record<string, string>): Promise<Answer> {
      const response = await fetched(method, path, headers)
      const text = await response.text()
      const answer = { status: response.status, headers: response.headers, body: text === '' ? null : JSON.parse(text) }
      contract(method, path, answer)
      return answer
    },
  }
}

const enrich = (contactId: string) => newJob('enrich-contact', contactId, { contactId, address: 'ada@example.com' })

t.test('a job shows its state, what came of it, and nothing personal', async (t) => {
  const { ask, enqueue, work, reaches } = await api(t)
  const [one, bug] = [enrich('c1'), enrich('bug')]
  await enqueue(one, bug)
  t.match(await ask('GET', `/v1/jobs/${one.id}`), {
    status: 200,
    body: { id: one.id, queue: 'enrich-contact', key: 'c1', state: 'waiting', attempts: 0, progress: null, result: null, startedAt: null },
  })
  await work()
  await reaches(one.id, 'done')
  await reaches(bug.id, 'failed')
  const { body, headers } = await ask('GET', `/v1/jobs/${one.id}`)
  t.match(body, { state: 'done', attempts: 1, result: { found: 2 }, error: null, finishedAt: /Z$/ })
  t.same(body.data, { contactId: 'c1' })
  t.equal((await ask('GET', `/v1/jobs/${one.id}`, { 'if-none-match': headers.get('etag')! })).status, 304)
  const failed = await ask('GET', `/v1/jobs/${bug.id}`)
  t.match(failed.body.error, { code: 'internal-error', message: /should not have/ })
  t.notMatch(JSON.stringify(failed.body), /\bada\b/)
  t.match(await ask('GET', `/v1/jobs/${one.causationId}`), { status: 404, body: { code: 'job-not-found' } })
  t.match(await ask('GET', '/v1/jobs/1'), { status: 400 })
})

t.test('jobs are listed the newest first, by state, queue and key, a page at a time', async (t) => {
  const { ask, enqueue, work, reaches, jobs } = await api(t)
  const some = Array.from({ length: 30 }, (_, index) => (index % 3 === 2 ? newJob('sync-mailbox', 'm') : enrich(`c${index}`)))
  await enqueue(...some)
  const all = async (path: string) => {
    const ids: string[] = []
    for (let next: string | null = path; next; ) {
      const { status, headers, body }: Answer = await ask('GET', next)
      t.equal(status, 200)
      ids.push(...body.data.map(({ id }: { id: string }) => id))
      t.ok(body.data.length <= 7)
      next = /<(.*)>; rel="next"/.exec(headers.get('link') ?? '')?.[1] ?? null
      t.equal(next !== null, body.nextCursor !== null)
    }
    return ids
  }
  const ids = await all('/v1/jobs?limit=7')
  t.same(new Set(ids), new Set(some.map(({ id }) => id)))
  t.equal(ids.length, 30)
  const ofOne = some.filter(({ queue }) => queue === 'enrich-contact').map(({ id }) => id)
  t.same(await all('/v1/jobs?limit=7&queue=enrich-contact'), ofOne.toReversed())
  t.same(await all('/v1/jobs?limit=7&key=c3'), [some[3]!.id])
  t.same(await all('/v1/jobs?limit=7&queue=none'), [])
  await jobs.cancel(jobs.types[0]!, some[0]!.id)
  t.same(await all('/v1/jobs?limit=7&state=cancelled'), [some[0]!.id])
  await work()
  for (const { id } of some.slice(1)) await reaches(id, 'done')
  t.equal((await all('/v1/jobs?limit=7&state=done&queue=enrich-contact')).length, 19)
  t.same(await all('/v1/jobs?limit=7&state=waiting'), [])
  t.match(await ask('GET', '/v1/jobs?state=asleep&queu=x'), { status: 400, body: { errors: [{}, {}] } })
  t.match(await ask('GET', '/v1/jobs?cursor=nonsense'), { status: 400 })
  t.match(await ask('GET', '/v1/jobs?key=%00'), { status: 400 })
})

t.test('a job that failed for good is retried, by hand, until it is done', async (t) => {
  const { ask, enqueue, work, reaches } = await api(t)
  const [bad, next] = [enrich('bad'), enrich('bad')]
  await enqueue(bad, next)
  await work()
  await reaches(bad.id, 'failed')
  t.match((await ask('GET', `/v1/jobs/${bad.id}`)).body.error, { code: 'vendor-away', message: 'The vendor does not answer.' })
  t.match((await ask('POST', `/v1/jobs/${bad.id}/retry`)).status, 200)
  await reaches(bad.id, 'failed')
  isBroken = false
  t.match((await ask('POST', `/v1/jobs/${bad.id}/retry`)).status, 200)
  await reaches(next.id, 'done')
  t.match((await ask('GET', `/v1/jobs/${bad.id}`)).body, { state: 'done', error: null, result: { found: 2 } })
  t.match(await ask('POST', `/v1/jobs/${bad.id}/retry`), { status: 409, body: { code: 'job-over' } })
  t.match(await ask('POST', `/v1/jobs/${bad.causationId}/retry`), { status: 404 })
})

t.test('a job is cancelled, for good', async (t) => {
  const { ask, enqueue, work, reaches } = await api(t)
  const [one, next] = [enrich('c'), enrich('c')]
  await enqueue(one, next)
  t.match(await ask('POST', `/v1/jobs/${one.id}/cancel`), { status: 200, body: { state: 'cancelled', attempts: 0 } })
  t.match(await ask('POST', `/v1/jobs/${one.id}/cancel`), { status: 200 }, 'again changes nothing')
  t.match(await ask('POST', `/v1/jobs/${one.id}/retry`), { status: 409, body: { code: 'job-over' } })
  await work()
  await reaches(next.id, 'done')
  t.match(await ask('POST', `/v1/jobs/${next.id}/cancel`), { status: 409, body: { code: 'job-over' } })
})

t.test('/metrics counts jobs, with a key only', async (t) => {
  const { url, fetched, enqueue, work, reaches } = await api(t)
  const [one, bug] = [enrich('c'), enrich('bug')]
  await enqueue(one, bug)
  await work()
  await reaches(one.id, 'done')
  await reaches(bug.id, 'failed')
  const response = await fetched('GET', '/metrics')
  t.match(response.headers.get('content-type'), /^text\/plain; version=0\.0\.4/)
  const lines = (await response.text()).split('\n')
  t.ok(lines.includes('smartcrm_jobs{queue="enrich-contact",state="completed"} 1'))
  t.ok(lines.includes('smartcrm_jobs{queue="enrich-contact",state="failed"} 1'))
  t.ok(lines.some((line) => /^smartcrm_jobs_oldest_seconds\{queue="enrich-contact",state="failed"\} [\d.]+$/.test(line)))
  t.ok(lines.some((line) => /^smartcrm_job_duration_seconds\{queue="enrich-contact",quantile="0.95"\} [\d.]+$/.test(line)))
  t.equal((await fetch(`${url}/metrics`)).status, 401)
})

t.test('a read table that is not there yet is 503 with Retry-After', async (t) => {
  const { ask, services } = await api(t)
  await services.pool.rows(sql.unsafe`drop table if exists read.contacts_v3 cascade`)
  const answer = await ask('GET', '/v1/contacts')
  t.match(answer, { status: 503, body: { code: 'unavailable' } })
  t.equal(answer.headers.get('retry-after'), '2')
})
