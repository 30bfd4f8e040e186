import { randomUUID } from 'node:crypto'
import t from 'tap'
import { audit } from '../../projections/audit.ts'
import { createReadRecorder } from '../../src/audit/reads.ts'
import { createLogger } from '../../src/platform/log.ts'
import { Unavailable } from '../../src/platform/refusal.ts'
import { foldInMemory } from '../../src/platform/rows.ts'
import { run as runWorker } from '../../src/roles/worker.ts'
import { type Answer, testApi } from '../support/api.ts'
import { upload } from '../support/imports.ts'
import { type Person, person } from '../support/keys.ts'
import { madeUpMbox, OWN_ADDRESS } from '../support/made-up-mail.ts'
import { positionOf, ready, withAsOf } from '../support/past-answers.ts'
import { until } from '../support/processes.ts'

t.setTimeout(120_000)
const api = await testApi(t)
const { ask, after, services } = api
t.teardown((await runWorker(api.config, createLogger('silent', 'worker'))).close)
const file = Buffer.concat([...madeUpMbox(40)])
const { body: started } = await upload(api, file, [OWN_ADDRESS])
await until('the mails', async () => (await ask('GET', `/v1/imports/${started.id}`)).body.state === 'finished')
const reader = await person(api, { role: 'reader', name: 'Reads mail' })
const mark = await ask('POST', '/v1/contacts', { name: 'Ada' })

/** All of the audit that a filter lets through, page by page. */
const entries = async (filter: string, who: Pick<Person, 'after'> = { after }, limit = 200) => {
  // What was recorded before it is in the log by now.
  const last = await ask('POST', `/v1/contacts/${mark.body.id}/notes`, { text: 'x' })
  const found: Record<string, string>[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: Answer = await who.after(last, `/v1/audit?limit=${limit}&${filter}${cursor && `&cursor=${cursor}`}`)
    if (page.status !== 200) throw new Error(JSON.stringify(page.body))
    found.push(...page.body.data)
    cursor = page.body.nextCursor
  }
  return found
}
const bytes = async (path: string, who: Person, headers: Record<string, string> = {}, method = 'GET') => {
  const response = await fetch(api.url + path, { method, headers: { authorization: `Bearer ${who.key}`, ...headers } })
  await response.arrayBuffer()
  return response
}

t.test('who is shown what a mail says is on record, before he is shown it', async (t) => {
  const { body } = await reader.after(mark, '/v1/emails?limit=200')
  const withFile = (body.data as { id: string; hasAttachments: boolean }[]).find(({ hasAttachments }) => hasAttachments)!
  const { id } = withFile
  t.strictSame(await entries(`actor=${reader.actor}`), [], 'lists are not')
  const email = await reader.ask('GET', `/v1/emails/${id}`)
  t.equal(email.status, 200)
  const attachment = `/v1/emails/${id}/attachments/${email.body.attachments[0].id}`
  const raw = await bytes(`/v1/emails/${id}/raw`, reader)
  t.equal(raw.status, 200)
  t.equal((await bytes(`/v1/emails/${id}/raw`, reader, { range: 'bytes=0-9' })).status, 206)
  t.equal((await bytes(attachment, reader)).status, 200)
  // Nothing is shown by these.
  t.equal((await bytes(`/v1/emails/${id}`, reader, { 'if-none-match': email.headers.get('etag')! })).status, 304)
  t.equal((await bytes(`/v1/emails/${id}/raw`, reader, {}, 'HEAD')).status, 200)
  t.equal((await bytes(`/v1/emails/${randomUUID()}/raw`, reader)).status, 404)
  t.equal((await bytes(`/v1/emails/${id}/raw`, reader, { range: 'bytes=999999999-' })).status, 416)

  const found = await entries(`resource=email-${id}&actor=${reader.actor}`)
  t.strictSame(
    found.map(({ operation }) => operation),
    ['getEmailAttachment', 'getEmailRaw', 'getEmailRaw', 'getEmail'],
  )
  t.match(found[0], { type: 'ReadsRecorded', actor: reader.actor, resource: `email-${id}`, at: String, position: /^\d+\.\d+$/ })
  t.match(await entries(`command=${raw.headers.get('x-request-id')}`), [{ operation: 'getEmailRaw', actor: reader.actor }])
  t.match(await entries(`resource=email-${id}`), [{}, {}, {}, {}, { type: /^Email/, operation: null, actor: 'system:worker' }])
})

t.test('each time that it is shown, whether the answer is made or kept, as of now or as of earlier', async (t) => {
  const again = await person(api, { role: 'reader' })
  const list = await again.ask('GET', '/v1/emails?limit=1')
  const [{ id }] = list.body.data
  const moment = positionOf(list)
  await ready(api, moment)
  const paths = [`/v1/emails/${id}`, withAsOf(`/v1/emails/${id}`, moment)].flatMap((path) => Array.from({ length: 5 }, () => path))
  const answers = await Promise.all(paths.map((path) => again.ask('GET', path)))
  t.ok(answers.every(({ status }) => status === 200))
  t.strictSame(
    (await entries(`actor=${again.actor}`)).map(({ operation, resource }) => `${operation} ${resource}`),
    paths.map(() => `getEmail email-${id}`),
  )
})

t.test('who reads mails in the journal is on record, too', async (t) => {
  const service = await person(api, { role: 'service', name: 'Follows' })
  const page = await service.ask('GET', '/v1/events?category=email&limit=30')
  t.equal(page.body.data.length, 30)
  const found = await entries(`actor=${service.actor}`)
  t.equal(found.length, 30)
  t.strictSame(new Set(found.map(({ resource }) => resource)), new Set(page.body.data.map(({ stream }: { stream: string }) => stream)))
  await service.ask('GET', '/v1/events?category=contact')
  t.equal((await entries(`actor=${service.actor}`)).length, 30, 'but not who reads other things')
  const ended = new AbortController()
  await fetch(`${api.url}/v1/events`, {
    headers: { authorization: `Bearer ${service.key}`, accept: 'text/event-stream' },
    signal: ended.signal,
  })
  ended.abort()
  t.match(await entries(`actor=${service.actor}&resource=events`), [{ operation: 'listEvents' }])
})

t.test('what was done is found by whom, by the command, by what it is about and by when', async (t) => {
  const before = (await entries(''))[0]!
  const member = await person(api, { role: 'member' })
  const made = await member.ask('POST', '/v1/contacts', { name: 'Grace', methods: [{ type: 'url', value: 'x' }] })
  const resource = `contact-${made.body.id}`
  await member.ask('PATCH', `/v1/contacts/${made.body.id}`, { name: 'Grace Hopper', company: 'Navy' })
  const byActor = await entries(`actor=${member.actor}`)
  t.match(byActor, [{ type: 'ContactCompanyChanged' }, { type: 'ContactRenamed' }, { type: 'ContactCreated', resource, operation: null }])
  t.equal(byActor.length, 3)
  t.equal((await entries(`command=${byActor[0]!['commandId']}`)).length, 2)
  t.strictSame(await entries(`resource=${resource}`), byActor)
  t.match(await entries(`resource=key-${member.id}`), [{ type: 'ApiKeyIssued', actor: 'key:admin' }])
  const since = await entries(`from=${before['recordedAt']}`)
  t.ok(since.length < (await entries('')).length)
  t.ok(since.every(({ recordedAt }) => recordedAt! >= before['recordedAt']!))
  const until = await entries(`to=${before['recordedAt']}`)
  t.ok(until.length > 0 && until.every(({ recordedAt }) => recordedAt! < before['recordedAt']!))
  const everything = await entries('', { after }, 200)
  t.ok(since.length + until.length <= everything.length)
  t.notMatch(JSON.stringify(everything), /Grace|Hopper|Navy|Reads mail/, 'nothing of what is said in it')
  t.notOk(everything.some(({ type }) => type === 'HeartbeatRecorded'))
  const inPages = await entries(`to=${before['recordedAt']}`, { after }, 7)
  t.strictSame(inPages, until, 'however it is cut into pages')
  t.equal(new Set(until.map(({ eventId, commandId, resource, at }) => `${eventId} ${commandId} ${resource} ${at}`)).size, until.length)
})

t.test('a wrong filter is refused, and who may not see it sees none', async (t) => {
  for (const filter of ['command=x', 'from=yesterday', 'to=2026', 'limit=0', 'cursor=x', 'actor=%00', 'resource=', 'who=me'])
    t.equal((await ask('GET', `/v1/audit?${filter}`)).status, 400, filter)
  t.equal((await reader.ask('GET', '/v1/audit')).status, 404)
  t.equal((await (await person(api, { role: 'auditor' })).ask('GET', '/v1/audit')).status, 200)
})

t.test('reads that come together are recorded together, and each waits for its own', async (t) => {
  const calls: number[] = []
  let isAway = false
  const recorder = createReadRecorder({
    async execute(_command, body) {
      calls.push((body as { reads: unknown[] }).reads.length)
      await new Promise((resolve) => setImmediate(resolve))
      if (isAway) throw new Unavailable('The event store is away.')
      return {} as never
    },
  })
  const read = (index: number) =>
    recorder.record({ actor: 'key:x', operation: 'getEmail', resource: `email-${index}`, requestId: randomUUID() })
  await Promise.all(Array.from({ length: 1_201 }, (_, index) => read(index)))
  t.strictSame(calls, [1, 500, 500, 200])
  isAway = true
  const failed = await Promise.allSettled([read(1), read(2)])
  t.ok(
    failed.every(({ status }) => status === 'rejected'),
    'and nobody is told that it is recorded when it is not',
  )
  isAway = false
  await read(3)
})

t.test('of an erased event there is still what is around it', async (t) => {
  const [event] = await services.runner.load(`contact-${mark.body.id}`)
  const rows = foldInMemory(audit, [{ ...event!, erased: true, data: { contactId: mark.body.id } }]).rows('auditEntries')
  t.match(rows, [{ type: 'ContactCreated', resource: `contact-${mark.body.id}`, actor: 'key:admin' }])
})

t.test('what cannot be recorded is not shown', async (t) => {
  const { body } = await reader.after(mark, '/v1/emails')
  const { id } = body.data[0]
  t.equal((await reader.ask('GET', `/v1/emails/${id}`)).status, 200)
  await services.store.close()
  const refused = await reader.ask('GET', `/v1/emails/${id}`)
  t.equal(refused.status, 503)
  t.notMatch(JSON.stringify(refused.body), body.data[0].subject)
  t.equal((await reader.ask('GET', '/v1/emails')).status, 200, 'lists are')
})
