import t from 'tap'
import { mailboxIdOf } from '../../src/mailboxes/consent.ts'
import { createApiKeys } from '../../src/platform/api-keys.ts'
import { ended } from '../support/enrichment.ts'
import { ADA, googleApi } from '../support/google-api.ts'
import { finished, upload } from '../support/imports.ts'
import { startOpenAi } from '../support/openai/openai.ts'
import { positionOf, ready, withAsOf } from '../support/past-answers.ts'
import { until } from '../support/processes.ts'
import { mail } from '../support/sync.ts'

t.setTimeout(180_000)
const to = 'Ada <ada@example.com>, Bea <bea@example.org>'
const file = (subject: string) =>
  Buffer.from(
    `From: Grace <grace@example.net>\r\nTo: ${to}\r\nSubject: ${subject}\r\nDate: Mon, 2 Feb 2026 10:00:00 +0000\r\nMessage-ID: <${subject}@example.net>\r\n` +
      'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>the secretword</p>\r\n' +
      '--b\r\nContent-Type: application/pdf; name=plan.pdf\r\nContent-Disposition: attachment; filename=plan.pdf\r\n\r\nbytes\r\n--b--\r\n',
  )
const [closed, shared] = [file('closed'), mail('shared', { to, from: 'Grace <grace@example.net>' })]
const openai = await startOpenAi(t)
const { api, google, connect } = await googleApi(
  t,
  {
    accounts: [
      { address: ADA, messages: [{ raw: closed }, { raw: shared }] },
      { address: 'bea@example.org', messages: [{ raw: shared }] },
    ],
  },
  { worker: true, env: { MAILBOX_SYNC_SECONDS: '600', OPENAI_URL: openai.url, OPENAI_API_KEY: openai.key } },
)
const { vault, pool } = api.services
const [ada, bea] = [ADA, 'bea@example.org'].map((address) => mailboxIdOf(vault.secret('mailboxes'), 'google', address)) as [string, string]
const other = { authorization: `Bearer ${(await createApiKeys(pool, undefined).makeFirst())!}` }
const owner = {}
const grace = (await api.ask('POST', '/v1/contacts', { name: 'Grace', methods: [{ type: 'email', value: 'grace@example.net' }] })).body.id
await connect()
await connect('bea@example.org', other)
await until('both', async () => {
  const { data } = (await api.ask('GET', '/v1/mailboxes')).body
  return data.length === 2 && data.every(({ sync }: { sync: { progress: { state: string } } }) => sync.progress.state === 'up-to-date')
})
const list = async (headers: object, query = '') =>
  (await api.ask('GET', `/v1/emails?limit=50${query}`, undefined, headers as never)).body.data
const id = (await list(owner)).find(({ subject }: { subject: string }) => subject === 'closed').id
const share = async (visibility: string) =>
  api.after(await api.ask('PUT', `/v1/mailboxes/${ada}/visibility`, { visibility }), '/v1/mailboxes')
const raw = async (path: string, headers: Record<string, string>) => {
  const answer = await fetch(api.url + path, { headers: { authorization: 'Bearer a-key-for-tests-0123456789', ...headers } })
  return { status: answer.status, text: await answer.text() }
}

/** Has the contact enriched, by a mailbox's own owner. @returns how it ended, and all that the vendor was sent for it */
async function told() {
  const before = openai.asked().length
  const { body } = await api.ask('POST', `/v1/contacts/${grace}/enrich`, {})
  const { state, code, calls } = await ended(async (id) => (await api.ask('GET', `/v1/contacts/${id}/enrichment`)).body, grace, body.id)
  return { state, code, sent: calls.flatMap(({ sent }) => sent), text: JSON.stringify(openai.asked().slice(before)) }
}

/** Everywhere that a mail can be read: what somebody is shown there, as one text. */
async function everything(headers: Record<string, string>) {
  const one = (await api.ask('GET', `/v1/emails/${id}`, undefined, headers)).body
  const attachment = (await api.ask('GET', `/v1/emails/${id}`)).body.attachments[0].id
  const answers = {
    list: await list(headers),
    ofContact: (await api.ask('GET', `/v1/contacts/${grace}/emails`, undefined, headers)).body.data,
    one,
    threads: (await api.ask('GET', '/v1/threads', undefined, headers)).body.data,
    thread: (await api.ask('GET', `/v1/threads/${id}`, undefined, headers)).body,
    timeline: (await api.ask('GET', `/v1/contacts/${grace}/timeline`, undefined, headers)).body.data,
    journal: (await api.ask('GET', '/v1/events?category=email&limit=1000', undefined, headers)).body.data,
    search: await list(headers, '&q=secretword'),
    subjectSearch: await list(headers, '&q=closed'),
    raw: await raw(`/v1/emails/${id}/raw`, headers),
    html: await raw(`/v1/emails/${id}/html`, headers),
    attachment: await raw(`/v1/emails/${id}/attachments/${attachment}`, headers),
    live: await live(headers),
  }
  return Object.fromEntries(Object.entries(answers).map(([name, answer]) => [name, { answer, text: JSON.stringify(answer) }]))
}

/** The journal from its beginning, as a stream. */
async function live(headers: Record<string, string>): Promise<string> {
  const stop = new AbortController()
  const answer = await fetch(`${api.url}/v1/events?after=0.0&category=email`, {
    headers: { authorization: 'Bearer a-key-for-tests-0123456789', accept: 'text/event-stream', ...headers },
    signal: stop.signal,
  })
  let text = ''
  for await (const chunk of answer.body!) {
    text += Buffer.from(chunk).toString()
    if (text.split('\nevent: Email').length > 2) break
  }
  stop.abort()
  return text
}

t.test('its owner sees all of a mail everywhere, whatever is shared', async (t) => {
  const seen = await everything(owner)
  for (const name of ['list', 'ofContact', 'one', 'threads', 'thread', 'timeline', 'journal', 'search', 'subjectSearch', 'live'])
    t.match(seen[name]!.text, /closed/, name)
  for (const name of ['one', 'journal', 'search', 'raw', 'html', 'live']) t.match(seen[name]!.text, /secretword/, name)
  t.equal((seen['attachment']!.answer as { status: number }).status, 200)
  t.notMatch(seen['list']!.text, /"visibility"/)
})

t.test('others see metadata alone, until it is shared', async (t) => {
  const seen = await everything(other)
  for (const [name, { text }] of Object.entries(seen)) t.notMatch(text, /closed[^@]|secretword|plan\.pdf/, name)
  for (const name of ['list', 'ofContact', 'one', 'thread', 'journal', 'live']) t.match(seen[name]!.text, /grace@example\.net/, name)
  t.match(seen['one']!.answer, { visibility: 'metadata', subject: '', text: '', textOwn: '', hasHtml: false, attachments: [] })
  t.strictSame(seen['search']!.answer, [])
  t.strictSame(seen['subjectSearch']!.answer, [], 'what is not shown is not found')
  for (const name of ['raw', 'html', 'attachment']) {
    t.equal((seen[name]!.answer as { status: number }).status, 403, name)
    t.match(seen[name]!.text, /content-not-shared/)
  }
})

t.test('no vendor is told of mails whose mailbox does not share them, whoever has the contact enriched', async (t) => {
  t.match(await told(), { state: 'failed', code: 'nothing-to-read', sent: [], text: '[]' })
  await share('subject')
  const bySubject = await told()
  t.match(bySubject, { state: 'enriched', sent: ['name', 'mail-subject'], text: /closed/ })
  t.notMatch(bySubject.text, /secretword|plan\.pdf/)
  await share('everything')
  t.match(await told(), { state: 'enriched', sent: ['name', 'mail-subject', 'mail-text'], text: /the secretword/ })
  await share('metadata')
})

t.test('with subjects shared, others see these too', async (t) => {
  await share('subject')
  // A stream learns of it within a second.
  await until('the stream to know', async () => (await live(other)).includes('closed'))
  const seen = await everything(other)
  for (const [name, { text }] of Object.entries(seen)) t.notMatch(text, /secretword|plan\.pdf/, name)
  for (const name of ['list', 'ofContact', 'one', 'threads', 'thread', 'timeline', 'journal', 'live'])
    t.match(seen[name]!.text, /closed\\*"/, name)
  t.match(seen['one']!.answer, { visibility: 'subject', subject: 'closed', text: '', hasHtml: false })
  t.equal((seen['raw']!.answer as { status: number }).status, 403)
})

t.test('a mail of several mailboxes is as visible as the most open one', async (t) => {
  const subjects = async (headers: object) => (await list(headers)).map(({ subject }: { subject: string }) => subject).sort()
  await share('metadata')
  t.strictSame(await subjects(other), ['', 'shared'], 'its own mailbox has it, too')
  const mine = await list(other, '&q=shared')
  t.match(mine, [{ subject: 'shared', highlights: { subject: [{ found: true }] } }])
})

t.test('what was shared once and is no more is not shown by asking for earlier, nor out of what is kept', async (t) => {
  const moment = positionOf(await share('everything'))
  await ready(api, moment)
  const paths = [`/v1/emails/${id}`, '/v1/emails', '/v1/emails?q=secretword', '/v1/threads', `/v1/threads/${id}`].concat(
    ['emails', 'timeline'].map((part) => `/v1/contacts/${grace}/${part}`),
  )
  const asked = paths.flatMap((path) => [path, withAsOf(path, moment)])
  const text = async (path: string, headers: object) => {
    const { status, body } = await api.ask('GET', path, undefined, headers as never)
    t.equal(status, 200, path)
    return JSON.stringify(body)
  }
  // What is asked again is kept.
  for (let round = 0; round < 3; round += 1) for (const path of asked) t.match(await text(path, other), /closed"/, path)
  await share('metadata')
  for (let round = 0; round < 3; round += 1) {
    for (const path of asked) {
      t.match(await text(path, owner), /closed"/, `${path} by its owner`)
      t.notMatch(await text(path, other), /closed[^@]|secretword|plan\.pdf/, `${path} by another`)
    }
  }
})

t.test('a file that is imported opens what is in it', async (t) => {
  const { body } = await upload(api, Buffer.concat([Buffer.from('From x@example.net Mon Feb  2 10:00:00 2026\n'), closed]), [ADA])
  t.match((await finished(api, body.id)).counts, { known: 1 })
  t.match(
    (await list(other, '&q=secretword')).map(({ subject }: { subject: string }) => subject),
    ['closed'],
  )
  t.equal((await raw(`/v1/emails/${id}/raw`, other)).status, 200)
})

t.test('a live reader sees more when more is shared, and each share is an event', async (t) => {
  const stop = new AbortController()
  t.teardown(() => stop.abort())
  const headers = { ...other, accept: 'text/event-stream' }
  const answer = await fetch(`${api.url}/v1/events?type=EmailReceived`, { headers, signal: stop.signal })
  let text = ''
  const reading = (async () => {
    for await (const chunk of answer.body!) text += Buffer.from(chunk).toString()
  })().catch(() => {})
  const comes = async (subject: string) => {
    google.add(ADA, { raw: mail(subject, { from: 'Grace <grace@example.net>', to: 'Ada <ada@example.com>' }) })
    const before = text.split('event: EmailReceived').length
    await api.ask('POST', `/v1/mailboxes/${ada}/sync`)
    await until('the event', () => text.split('event: EmailReceived').length > before && text.endsWith('\n\n'))
  }
  await comes('hidden one')
  t.notMatch(text, /hidden one/)
  await share('everything')
  let number = 0
  await until('an open one', async () => {
    number += 1
    await comes(`open ${number}`)
    return text.includes(`"subject":"open ${number}"`)
  })
  stop.abort()
  await reading
  const { data } = (await api.ask('GET', '/v1/events?type=MailboxVisibilityChanged&limit=100')).body
  t.strictSame(
    data.map(({ actor, data }: { actor: string; data: { visibility: string } }) => [actor, data.visibility]),
    [
      ['key:admin', 'subject'],
      ['key:admin', 'everything'],
      ['key:admin', 'metadata'],
      ['key:admin', 'subject'],
      ['key:admin', 'metadata'],
      ['key:admin', 'everything'],
      ['key:admin', 'metadata'],
      ['key:admin', 'everything'],
    ],
  )
  t.match(await api.ask('PUT', `/v1/mailboxes/${bea}/visibility`, { visibility: 'everything' }), { status: 403 })
})
