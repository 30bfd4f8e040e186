import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { gmail, type gmail_v1 } from '@googleapis/gmail'
import { OAuth2Client } from 'google-auth-library'
import t, { type Test } from 'tap'
import type { NewMessage } from './google/mailbox.ts'
import { type Google, type GoogleOptions, startGoogle, testClient } from './google/server.ts'
import { until } from './processes.ts'

/* The simulated Google is held to Google's own client, and to the fields that this knows. */
const address = 'ada@example.com'
const redirectUri = 'http://127.0.0.1:9/callback'
const scope = 'https://www.googleapis.com/auth/gmail.readonly'
/** In place of a message that is not there: no request for it succeeds. */
const no = { id: 'none', threadId: 'none' }
const minuteMs = 60_000

const mail = (number: number, more = ''): Buffer =>
  Buffer.from(
    `From: Bea <bea@example.org>\r\nTo: ${address}\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= ${number}\r\nMessage-ID: <m${number}@example.org>\r\n${more}Content-Type: text/plain; charset=iso-8859-1\r\n\r\nSch\xf6ne Gr\xfc\xdfe ${number}\r\n`,
    'latin1',
  )
const begin = Date.UTC(2026, 0, 1)
const some = (count: number): NewMessage[] =>
  Array.from({ length: count }, (_, index) => ({ raw: () => mail(index), internalDate: begin + index * minuteMs, thread: `${index % 10}` }))

const endpoints = (url: string) => ({
  oauth2AuthBaseUrl: `${url}/o/oauth2/v2/auth`,
  oauth2TokenUrl: `${url}/token`,
  oauth2RevokeUrl: `${url}/revoke`,
  oauth2FederatedSignonPemCertsUrl: `${url}/oauth2/v1/certs`,
  oauth2FederatedSignonJwkCertsUrl: `${url}/oauth2/v3/certs`,
})
const oauthClient = (url: string) =>
  new OAuth2Client({ clientId: testClient.id, clientSecret: testClient.secret, redirectUri, endpoints: endpoints(url) })

/** Consents as a person does, on the page, where there is one. */
async function consent(client: OAuth2Client, more: { scope?: string; verifier?: string; user?: string } = {}) {
  const verifier = more.verifier ?? randomBytes(32).toString('base64url')
  const page = client.generateAuthUrl({
    access_type: 'offline',
    prompt: 'consent',
    scope: more.scope ?? scope,
    state: 'a state',
    code_challenge_method: 'S256' as never,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    login_hint: more.user ?? address,
  })
  let answer = await fetch(page, { redirect: 'manual' })
  if (answer.status === 200) {
    const html = (await answer.text()).replaceAll('&amp;', '&')
    const fields = [...html.matchAll(/(?:<input type="hidden"|<button) name="([^"]*)" value="([^"]*)"/g)].map(
      ([, name, value]): [string, string] => [name!, value!],
    )
    answer = await fetch(page, { method: 'POST', body: new URLSearchParams(fields), redirect: 'manual' })
  }
  return { verifier, location: new URL(answer.headers.get('location')!) }
}

async function start(t: Test, options: Partial<GoogleOptions> = {}) {
  const google = await startGoogle({
    accounts: [{ address, name: 'Ada', aliases: ['ada@example.net'], labels: ['Work'], messages: some(25) }],
    ...options,
  })
  t.teardown(() => google.close())
  return google
}

/** A client that has consented. */
async function connect({ url }: Google, more: { scope?: string; user?: string } = {}) {
  const client = oauthClient(url)
  const { verifier, location } = await consent(client, more)
  const { tokens } = await client.getToken({ code: location.searchParams.get('code')!, codeVerifier: verifier })
  client.setCredentials(tokens)
  const api = gmail({ version: 'v1', auth: client, rootUrl: url, retry: false, timeout: 2_000 })
  return { client, tokens, users: api.users, me: { userId: 'me' } }
}

/** What a promise fails with, as the client has it. */
const failure = async (promise: Promise<unknown>) => {
  const error = await promise.then(
    () => t.fail('it was to fail'),
    (error) => error,
  )
  return {
    status: error.status ?? error.response?.status,
    code: error.code,
    reason: error.response?.data?.error?.errors?.[0]?.reason,
    error,
  }
}

t.test('a mailbox is connected with PKCE and a state, on a page with a button', async (t) => {
  const google = await start(t)
  const client = oauthClient(google.url)
  const { verifier, location } = await consent(client)
  t.equal(location.origin + location.pathname, redirectUri)
  t.equal(location.searchParams.get('state'), 'a state')
  const code = location.searchParams.get('code')!
  const wrong = await failure(client.getToken({ code, codeVerifier: 'x'.repeat(43) }))
  t.match(wrong.error.response.data, { error: 'invalid_grant' })
  const { tokens } = await client.getToken({ code, codeVerifier: verifier })
  t.match(tokens, { access_token: /^ya29\./, refresh_token: /^1\/\/0/, scope, token_type: 'Bearer' })
  client.setCredentials(tokens)
  t.ok((await client.refreshAccessToken()).credentials.access_token)

  const again = await failure(client.getToken({ code, codeVerifier: verifier }))
  t.match(again.error.response.data, { error: 'invalid_grant' }, 'a code is good once')
  const revoked = await failure(client.refreshAccessToken())
  t.match(revoked.error.response.data, { error: 'invalid_grant' }, 'and one that is used twice takes its tokens back')
})

t.test(
  'without a page, where that is set; who denies is sent back with that; what is not registered is refused on Google’s page',
  async (t) => {
    const google = await start(t, { auto: true })
    const client = oauthClient(google.url)
    t.ok((await consent(client)).location.searchParams.get('code'))
    google.setGrants(address, 'none')
    t.equal((await consent(client)).location.searchParams.get('error'), 'access_denied')
    const answer = await fetch(`${google.url}/o/oauth2/v2/auth?client_id=other&redirect_uri=${redirectUri}&response_type=code&scope=x`)
    t.equal(answer.status, 400)
    t.match(await answer.text(), /invalid_client/)
  },
)

t.test('tokens expire in Google’s time, and consent can be taken back from either side', async (t) => {
  const google = await start(t, { auto: true })
  const { client, users, me } = await connect(google)
  google.clock.advance(3_600)
  client.setCredentials({ access_token: client.credentials.access_token! })
  t.match(await failure(users.getProfile(me)), { status: 401, reason: 'authError' })

  const other = await connect(google)
  await other.client.revokeToken(other.tokens.refresh_token!)
  t.match((await failure(other.client.refreshAccessToken())).error.response.data, { error: 'invalid_grant' })

  const third = await connect(google)
  google.revokeConsent(address)
  t.match(await failure(third.users.getProfile(me)), { status: 401 })
  t.match((await failure(third.client.refreshAccessToken())).error.response.data, { error: 'invalid_grant' })
})

t.test('tokens outlive a Google that is started again with the same secret', async (t) => {
  const first = await start(t, { auto: true, secret: 'same' })
  const { tokens } = await connect(first)
  const second = await start(t, { secret: 'same' })
  const client = oauthClient(second.url)
  client.setCredentials({ refresh_token: tokens.refresh_token! })
  t.ok((await client.getAccessToken()).token)
})

t.test('all messages are listed once, newest first, page by page, and got in every format', async (t) => {
  const google = await start(t, { auto: true })
  const { users, me } = await connect(google)
  const { data: profile } = await users.getProfile(me)
  t.match(profile, { emailAddress: address, messagesTotal: 25, threadsTotal: 10, historyId: /^\d+$/ })

  const listed = await listAll(users, 7)
  const there = google.mailbox(address).all()
  t.strictSame(
    listed.map(({ id }) => id),
    there.map(({ id }) => id),
  )
  const { id } = there[3]!
  const { data: raw } = await users.messages.get({ ...me, id, format: 'raw' })
  t.strictSame(Buffer.from(raw.raw!, 'base64url'), there[3]!.raw())
  t.equal(raw.internalDate, `${there[3]!.internalDate}`)
  t.equal(raw.snippet, 'Schöne Grüße 21')
  t.notOk(raw.payload)
  const { data: full } = await users.messages.get({ ...me, id })
  t.equal(Buffer.from(full.payload!.body!.data!, 'base64url').toString(), 'Schöne Grüße 21\r\n')
  t.ok(full.payload!.headers!.some(({ name, value }) => name === 'Subject' && value === 'Grüße 21'))
  const { data: metadata } = await users.messages.get({ ...me, id, format: 'metadata', metadataHeaders: ['message-id'] })
  t.strictSame(metadata.payload!.headers, [{ name: 'Message-ID', value: '<m21@example.org>' }])
  const { data: minimal } = await users.messages.get({ ...me, id, format: 'minimal', fields: 'id,labelIds' })
  t.strictSame(minimal, { id, labelIds: ['INBOX', 'UNREAD'] })
  const { data: thread } = await users.threads.get({ ...me, id: there[3]!.threadId, format: 'minimal' })
  t.strictSame(
    thread.messages!.map(({ threadId }) => threadId),
    Array(3).fill(there[3]!.threadId),
  )
})

t.test('a listing is narrowed by time and label; spam and trash are asked for', async (t) => {
  const google = await start(t, { auto: true })
  const { users, me } = await connect(google)
  const [newest, second] = google.mailbox(address).all()
  google.relabel(address, newest!.id, { add: ['SPAM'], remove: ['INBOX'] })
  google.relabel(address, second!.id, { add: ['Label_1'] })
  const count = async (query: object) => (await users.messages.list({ ...me, ...query })).data.messages?.length ?? 0
  t.equal(await count({}), 24)
  t.equal(await count({ includeSpamTrash: true }), 25)
  t.equal(await count({ labelIds: ['SPAM'] }), 1)
  t.equal(await count({ q: 'in:spam' }), 1)
  t.equal(await count({ labelIds: ['Label_1', 'INBOX'] }), 1)
  t.equal(await count({ q: `after:${begin / 1000 + 60 * 10}` }), 14)
  t.equal(await count({ q: `before:${begin / 1000 + 60 * 10} -in:chats` }), 10)
  t.equal(await count({ q: 'before:2025/12/31' }), 0)
  t.match(await failure(users.messages.list({ ...me, q: 'from:bea' })), { status: 400 })
})

t.test('history tells what was added, deleted and relabelled, by ids with gaps, and can expire', async (t) => {
  const google = await start(t, { auto: true })
  const { users, me } = await connect(google)
  const { historyId } = (await users.getProfile(me)).data
  const before = await users.history.list({ ...me, startHistoryId: historyId! })
  t.strictSame(before.data, { historyId })

  const [old, gone] = google.mailbox(address).all()
  const added = google.add(address, { raw: mail(100, 'In-Reply-To: <m99@example.org>\r\n') })
  const answer = google.add(address, { raw: mail(101, 'References: <m100@example.org>\r\n') })
  t.equal(answer.threadId, added.threadId, 'an answer finds its thread')
  google.relabel(address, old!.id, { add: ['Label_1'], remove: ['UNREAD', 'STARRED'] })
  google.remove(address, gone!.id)
  const pages = []
  for (let pageToken: string | undefined; ; ) {
    const { data } = await users.history.list({ ...me, startHistoryId: historyId!, maxResults: 2, ...(pageToken && { pageToken }) })
    pages.push(...(data.history ?? []))
    t.equal(data.historyId, `${google.mailbox(address).historyId()}`)
    pageToken = data.nextPageToken ?? undefined
    if (!pageToken) break
  }
  const message = ({ id, threadId }: { id: string; threadId: string }) => ({ id, threadId })
  t.match(pages, [
    { messages: [message(added)], messagesAdded: [{ message: { ...message(added), labelIds: ['INBOX', 'UNREAD'] } }] },
    { messagesAdded: [{ message: message(answer) }] },
    { labelsAdded: [{ message: { ...message(old!), labelIds: ['INBOX', 'Label_1'] }, labelIds: ['Label_1'] }] },
    { labelsRemoved: [{ message: message(old!), labelIds: ['UNREAD'] }] },
    { messages: [message(gone!)], messagesDeleted: [{ message: message(gone!) }] },
  ])
  t.equal(pages.length, 5)
  const ids = pages.map(({ id }) => Number(id))
  t.ok(ids.every((id, index) => id > (ids[index - 1] ?? Number(historyId))))
  t.ok(ids.at(-1)! - ids[0]! > 4, 'not contiguous')
  const deleted = await users.history.list({ ...me, startHistoryId: historyId!, historyTypes: ['messageDeleted'] })
  t.equal(deleted.data.history!.length, 1)
  t.match(await failure(users.history.list({ ...me, startHistoryId: historyId!, historyTypes: ['labelsAdded'] })), { status: 400 })

  google.mailbox(address).setOnlyMessagesShare(1)
  const bare = google.add(address, { raw: mail(102) })
  const { data } = await users.history.list({ ...me, startHistoryId: `${ids.at(-1)}` })
  t.strictSame(data.history, [{ id: `${bare.historyId}`, messages: [message(bare)] }])

  google.clock.advance(8 * 86_400)
  const later = await connect(google)
  t.match(await failure(later.users.history.list({ ...me, startHistoryId: historyId! })), { status: 404, reason: 'notFound' })
  const now = (await later.users.getProfile(me)).data.historyId!
  t.strictSame((await later.users.history.list({ ...me, startHistoryId: now })).data, { historyId: now })
  google.expireHistory(address)
  t.match(await failure(later.users.history.list({ ...me, startHistoryId: now })), { status: 404 })
})

t.test('labels, addresses and attachments', async (t) => {
  const file = Buffer.from('a,b\n1,2\n')
  const raw = Buffer.from(
    `Subject: with a file\nContent-Type: multipart/mixed; boundary=xx\n\n--xx\nContent-Type: text/plain\n\nhello\n--xx\nContent-Type: text/csv\nContent-Disposition: attachment; filename*=utf-8''Gr%C3%B6%C3%9Fe.csv\nContent-Transfer-Encoding: base64\n\n${file.toString('base64')}\n--xx--\n`,
  )
  const google = await start(t, {
    auto: true,
    accounts: [{ address, name: 'Ada', aliases: ['ada@example.net'], labels: ['Work'], messages: [{ raw }] }],
  })
  const { users, me } = await connect(google)
  const { labels } = (await users.labels.list(me)).data
  t.match(
    labels!.find(({ type }) => type === 'user'),
    { id: 'Label_1', name: 'Work' },
  )
  t.ok(labels!.some(({ id }) => id === 'INBOX'))
  const { sendAs } = (await users.settings.sendAs.list(me)).data
  t.strictSame(
    sendAs!.map(({ sendAsEmail, isPrimary }) => [sendAsEmail, isPrimary]),
    [
      [address, true],
      ['ada@example.net', undefined],
    ],
  )
  const [{ id } = no] = google.mailbox(address).all()
  const { payload } = (await users.messages.get({ ...me, id })).data
  t.equal(Buffer.from(payload!.parts![0]!.body!.data!, 'base64url').toString(), 'hello')
  t.match(payload!.parts![1], { partId: '1', filename: 'Größe.csv', mimeType: 'text/csv', body: { size: 8 } })
  const attachment = await users.messages.attachments.get({ ...me, messageId: id, id: payload!.parts![1]!.body!.attachmentId! })
  t.strictSame(Buffer.from(attachment.data.data!, 'base64url'), file)
  t.match(await failure(users.messages.attachments.get({ ...me, messageId: id, id: 'other' })), { status: 400 })
})

t.test('a consent to less than was asked for is not enough', async (t) => {
  const google = await start(t, { auto: true })
  google.setGrants(address, ['https://www.googleapis.com/auth/gmail.metadata'])
  const { users, me } = await connect(google, { scope: `${scope} https://www.googleapis.com/auth/gmail.metadata` })
  const { messages } = (await users.messages.list(me)).data
  t.ok((await users.messages.get({ ...me, id: messages![0]!.id!, format: 'metadata' })).data.payload)
  t.match(await failure(users.messages.get({ ...me, id: messages![0]!.id!, format: 'raw' })), {
    status: 403,
    reason: 'insufficientPermissions',
  })
  t.match(await failure(users.getProfile({ userId: 'bea@example.com' })), { status: 403 })
})

t.test('every fault happens to the requests it is meant for, as often as it is meant to', async (t) => {
  const google = await start(t, { auto: true })
  const { users, me, client } = await connect(google)
  const [{ id } = no, { id: other } = no] = google.mailbox(address).all()
  const get = () => users.messages.get({ ...me, id, format: 'minimal' })
  const once = { method: 'messages.get', times: 1 } as const
  for (const [fault, status, reason] of [
    ['rateLimitExceeded', 403, 'rateLimitExceeded'],
    ['userRateLimitExceeded', 403, 'userRateLimitExceeded'],
    ['insufficientPermissions', 403, 'insufficientPermissions'],
    ['notFound', 404, 'notFound'],
    ['gone', 410, 'deleted'],
    ['tooManyRequests', 429, 'rateLimitExceeded'],
    ['internalError', 500, 'backendError'],
    ['unavailable', 503, 'backendError'],
    ['badGateway', 502, undefined],
  ] as const) {
    google.faults.clear()
    google.faults.add({ ...once, fault, retryAfterSeconds: 7 })
    const failed = await failure(get())
    t.equal(failed.status, status, fault)
    t.equal(failed.reason, reason, fault)
    if (['tooManyRequests', 'unavailable', 'rateLimitExceeded'].includes(fault))
      t.equal(failed.error.response.headers.get('retry-after'), '7')
    t.equal((await get()).status, 200, `${fault} is over`)
  }
  google.faults.clear()
  google.faults.add({ ...once, fault: 'unauthorized' })
  const plain = gmail({
    version: 'v1',
    rootUrl: google.url,
    retry: false,
    headers: { authorization: `Bearer ${client.credentials.access_token}` },
  })
  t.match(await failure(plain.users.messages.get({ ...me, id })), { status: 401, reason: 'authError' })

  google.faults.add({ ...once, fault: 'reset' }, { ...once, fault: 'cut' })
  t.notOk((await failure(get())).status, 'reset')
  t.notOk((await failure(get())).error.response?.data?.id, 'cut')
  t.equal((await get()).status, 200)
  google.faults.add({ ...once, fault: 'hang' })
  t.notOk((await failure(users.messages.get({ ...me, id }, { timeout: 100 }))).status, 'hang')

  google.faults.add({ fault: 'internalError', messageId: other })
  t.equal((await get()).status, 200)
  for (let time = 0; time < 3; time++) t.match(await failure(users.messages.get({ ...me, id: other })), { status: 500 })
  t.match(google.faults.list().at(-1), { hits: 3 })
  t.equal((await users.messages.list(me)).status, 200)

  google.faults.clear()
  google.faults.add({ fault: 'invalidGrant', times: 1 })
  t.match((await failure(client.refreshAccessToken())).error.response.data, { error: 'invalid_grant' })
  t.ok((await client.refreshAccessToken()).credentials)
})

t.test('a share of requests fails by a seed, the same ones each time', async (t) => {
  const google = await start(t, { auto: true })
  const { users, me } = await connect(google)
  const run = async (seed: number) => {
    google.faults.clear()
    google.faults.add({ fault: 'internalError', probability: 0.5, seed })
    const outcomes = []
    for (let time = 0; time < 20; time++) outcomes.push((await users.getProfile(me).catch((error) => error)).status)
    return outcomes
  }
  const first = await run(1)
  t.ok(first.includes(500) && first.includes(200))
  t.strictSame(await run(1), first)
  t.strictNotSame(await run(2), first)
})

t.test('a message vanishes between list and get; pages repeat messages and expire', async (t) => {
  const google = await start(t, { auto: true, quirks: { repeatedOnPages: 2 } })
  const { users, me } = await connect(google)
  const { historyId } = (await users.getProfile(me)).data
  const listed = await listAll(users, 10)
  t.equal(listed.length, 29)
  t.equal(new Set(listed.map(({ id }) => id)).size, 25)

  const id = listed[0]!.id!
  google.faults.add({ fault: 'vanish', messageId: id, times: 1 })
  t.match(await failure(users.messages.get({ ...me, id })), { status: 404, reason: 'notFound' })
  t.match(await failure(users.messages.get({ ...me, id })), { status: 404 })
  t.equal((await users.history.list({ ...me, startHistoryId: historyId! })).data.history![0]!.messagesDeleted![0]!.message!.id, id)

  const { nextPageToken } = (await users.messages.list({ ...me, maxResults: 5 })).data
  const next = { ...me, maxResults: 5, pageToken: nextPageToken! }
  t.equal((await users.messages.list(next)).status, 200)
  google.faults.add({ fault: 'expiredPageToken', times: 1 })
  t.match(await failure(users.messages.list(next)), { status: 400 })
  t.equal((await users.messages.list(next)).status, 200)
  google.expirePageTokens()
  t.match(await failure(users.messages.list(next)), { status: 400 })
  t.match(await failure(users.messages.list({ ...next, pageToken: 'nonsense' })), { status: 400 })
})

t.test('the quota is a window of 60 s of Google’s time, and all use of it is accounted for', async (t) => {
  const google = await start(t, { auto: true, quota: { limit: 100 } })
  const { users, me } = await connect(google)
  const [{ id } = no] = google.mailbox(address).all()
  const get = () => users.messages.get({ ...me, id, format: 'minimal' })
  const began = google.clock.now()
  for (let time = 0; time < 5; time++) t.equal((await get()).status, 200)
  t.match(await failure(get()), { status: 403, reason: 'rateLimitExceeded' })
  t.match(google.quota.account(address), { requests: 6, units: 120, refused: 1, maxUnitsIn60Seconds: 120, byMethod: { 'messages.get': 6 } })
  google.quota.set({ overLimit: 429 })
  const refused = await failure(get())
  t.equal(refused.status, 429)
  const seconds = Number(refused.error.response.headers.get('retry-after'))
  t.ok(seconds > 0 && seconds <= 60)
  google.clock.advance(seconds)
  t.equal((await get()).status, 200)
  const account = google.quota.account(address, began, began + 120_000)
  t.equal(account.units, 160)
  t.ok(Math.abs(account.share - 0.8) < 1e-9)
  t.equal(google.quota.account('somebody@example.com').units, 0)

  google.quota.reset()
  google.quota.set({ limit: 6_000, prices: { 'messages.get': 3_000 } })
  await get()
  await get()
  t.equal((await failure(get())).status, 429)
})

t.test('Google’s clock runs as fast as it is told to, and dates its answers', async (t) => {
  const startAt = Date.UTC(2027, 0, 1)
  const google = await start(t, { auto: true, clock: { startAt, speed: 60 } })
  const { users, me } = await connect(google)
  const answer = await users.getProfile(me)
  t.ok(Date.parse(new Headers(answer.headers as Record<string, string>).get('date')!) >= startAt)
  const before = google.clock.now()
  const beganMs = performance.now()
  await until('a second of Google’s', () => google.clock.now() - before > 1_000)
  const elapsedMs = performance.now() - beganMs
  t.ok(google.clock.now() - before >= elapsedMs * 59)
  google.clock.setSpeed(1)
  t.ok(google.clock.now() > before)
})

t.test('a watch lasts for seven days, and what changes meanwhile is pushed with a token that Google’s client verifies', async (t) => {
  const pushed: { authorization: string; body: string }[] = []
  const receiver = createServer(async (request, response) => {
    pushed.push({ authorization: request.headers.authorization!, body: await text(request) })
    response.writeHead(204).end()
  })
  await once(receiver.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => receiver.close())
  const endpoint = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`
  const google = await start(t, { auto: true, push: { endpoint, audience: 'https://crm.example/hook' } })
  const { client, users, me } = await connect(google)
  google.add(address, { raw: mail(1) })
  const { data } = await users.watch({ ...me, requestBody: { topicName: 'projects/p/topics/t' } })
  t.equal(Number(data.expiration) > google.clock.now() + 6.9 * 86_400_000, true)
  const added = google.add(address, { raw: mail(2) })
  await until('the push', () => google.pushed.length === 1 && pushed[0])
  t.match(google.pushed, [{ status: 204 }])
  const { message } = JSON.parse(pushed[0]!.body)
  t.strictSame(JSON.parse(Buffer.from(message.data, 'base64url').toString()), { emailAddress: address, historyId: added.historyId })
  const idToken = pushed[0]!.authorization.slice('Bearer '.length)
  const audience = 'https://crm.example/hook'
  const ticket = await client.verifyIdToken({ idToken, audience })
  t.match(ticket.getPayload(), { iss: 'https://accounts.google.com', email_verified: true })
  await t.rejects(client.verifyIdToken({ idToken, audience: 'https://other.example' }))
  await t.rejects(client.verifyIdToken({ idToken: `${idToken.slice(0, -6)}AAAAAA`, audience }))
  const old = google.pushToken({ audience, claims: { iat: 1, exp: 2 } })
  await t.rejects(client.verifyIdToken({ idToken: old, audience }), /too late/)
  t.equal((await fetch(`${google.url}/oauth2/v3/certs`)).status, 200)

  t.equal((await users.stop(me)).status, 204)
  google.add(address, { raw: mail(3) })
  t.equal(google.watchOf(address), undefined)
})

t.test('the controls are there over HTTP too', async (t) => {
  const google = await start(t, { auto: true })
  const { users, me } = await connect(google)
  const control = async (method: string, path: string, body?: unknown) => {
    const answer = await fetch(`${google.url}/_control/${path}`, { method, ...(body !== undefined && { body: JSON.stringify(body) }) })
    return { status: answer.status, body: await answer.json() }
  }
  const at = `accounts/${address}`
  const added = (await control('POST', `${at}/messages`, { raw: mail(7).toString('base64url'), labelIds: ['SENT'] })).body as { id: string }
  t.equal((await users.messages.get({ ...me, id: added.id })).data.labelIds![0], 'SENT')
  await control('PATCH', `${at}/messages/${added.id}`, { add: ['STARRED'] })
  t.match((await control('GET', `${at}/messages`)).body, [{ id: added.id, labelIds: ['SENT', 'STARRED'] }])
  await control('DELETE', `${at}/messages/${added.id}`)
  t.match(await failure(users.messages.get({ ...me, id: added.id })), { status: 404 })
  t.equal((await control('POST', 'faults', { fault: 'internalError', times: 1 })).status, 200)
  t.match(await failure(users.getProfile(me)), { status: 500 })
  t.match((await control('GET', 'faults')).body, [{ hits: 1 }])
  t.equal((await control('DELETE', 'faults')).status, 200)
  const { now } = (await control('POST', 'clock', { advanceSeconds: 1000, speed: 60 })).body as { now: number }
  t.ok(now > Date.now() + 990_000)
  t.match((await control('GET', `quota/${address}`)).body, { requests: 3, units: 41 })
  t.match((await control('GET', 'requests')).body, [{ method: 'token', status: 200 }])
  await control('PUT', `${at}/grants`, 'none')
  await control('POST', `${at}/revoke`)
  t.match(await failure(users.getProfile(me)), { status: 401, reason: 'authError' })
  t.match(await control('POST', 'faults', { fault: 'flood' }), { status: 400, body: { error: /no fault flood/ } })
  t.equal((await control('GET', 'other')).status, 400)
})

t.test('no answer has a field that Google’s client does not know', async (t) => {
  const types = readFileSync(join(import.meta.dirname, '../../node_modules/@googleapis/gmail/build/v1.d.ts'), 'utf8')
  const known = new Map(
    [...types.matchAll(/interface Schema\$(\w+) \{([\s\S]*?)\n {4}\}/g)].map(([, name, body]) => [
      name!,
      new Map([...body!.matchAll(/^ {8}(\w+)\??: ([^;]+);/gm)].map(([, field, type]) => [field!, /Schema\$(\w+)/.exec(type!)?.[1]])),
    ]),
  )
  const unknown = (value: unknown, schema: string | undefined, at: string): string[] => {
    if (Array.isArray(value)) return value.flatMap((item) => unknown(item, schema, at))
    if (typeof value !== 'object' || value === null) return []
    const fields = known.get(schema ?? '')
    return Object.entries(value).flatMap(([name, inner]) =>
      fields?.has(name) ? unknown(inner, fields.get(name), `${at}.${name}`) : [`${at}.${name}`],
    )
  }
  const google = await start(t, { auto: true })
  const { users, me } = await connect(google)
  const { historyId } = (await users.getProfile(me)).data
  const [{ id, threadId } = no] = google.mailbox(address).all()
  google.add(address, { raw: mail(1) })
  google.relabel(address, id, { add: ['SPAM'], remove: ['INBOX'] })
  const answers: [string, Promise<{ data: unknown }>][] = [
    ['Profile', users.getProfile(me)],
    ['ListMessagesResponse', users.messages.list(me)],
    ['Message', users.messages.get({ ...me, id })],
    ['Message', users.messages.get({ ...me, id, format: 'raw' })],
    ['Thread', users.threads.get({ ...me, id: threadId })],
    ['ListHistoryResponse', users.history.list({ ...me, startHistoryId: historyId! })],
    ['ListLabelsResponse', users.labels.list(me)],
    ['ListSendAsResponse', users.settings.sendAs.list(me)],
    ['WatchResponse', users.watch({ ...me, requestBody: { topicName: 'projects/p/topics/t' } })],
  ]
  for (const [schema, answer] of answers) t.strictSame(unknown((await answer).data, schema, schema), [])
  t.strictSame(unknown({ history: [{ more: 1 }] }, 'ListHistoryResponse', 'it'), ['it.history.more'], 'and one would be found')
})

async function listAll(users: gmail_v1.Resource$Users, maxResults: number): Promise<gmail_v1.Schema$Message[]> {
  const all: gmail_v1.Schema$Message[] = []
  for (let pageToken: string | undefined; ; ) {
    const { data } = await users.messages.list({ userId: 'me', maxResults, ...(pageToken && { pageToken }) })
    all.push(...(data.messages ?? []))
    pageToken = data.nextPageToken ?? undefined
    if (!pageToken) return all
  }
}
