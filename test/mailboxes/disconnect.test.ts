import t from 'tap'
import { mailboxIdOf } from '../../src/mailboxes/consent.ts'
import { findJob, listJobs } from '../../src/platform/jobs-view.ts'
import { ADA, googleApi } from '../support/google-api.ts'
import { finished, upload } from '../support/imports.ts'
import { until } from '../support/processes.ts'
import { mail } from '../support/sync.ts'

t.setTimeout(180_000)
const to = 'Ada <ada@example.com>'
const raws = ['alone', 'with bea', 'from a file too', 'unlike any other'].map((subject) => mail(subject, { to }))
const messages = raws.map((raw) => ({ raw }))
const { google, api, connect } = await googleApi(
  t,
  {
    accounts: [
      { address: ADA, aliases: ['countess@example.com'], labels: ['Engines'], messages },
      { address: 'bea@example.org', messages: [{ raw: raws[1]! }] },
    ],
  },
  { worker: true, env: { GMAIL_PUSH_TOPIC: 'projects/smartcrm-test/topics/gmail', MAILBOX_SYNC_SECONDS: '600' } },
)
const { services } = api
const { vault, pool, jobs, blobs, store } = services
const idOf = (address: string) => mailboxIdOf(vault.secret('mailboxes'), 'google', address)
const [ada, bea] = [idOf(ADA), idOf('bea@example.org')]
const shown = async (id: string) => (await api.ask('GET', `/v1/mailboxes/${id}`)).body
const upToDate = (id: string, stored: number) =>
  until(`${stored} mails`, async () => {
    const { sync } = await shown(id)
    return sync?.progress.state === 'up-to-date' && sync.ledger.stored + sync.ledger.known === stored
  })
const subjects = async () =>
  (await api.ask('GET', '/v1/emails?limit=100')).body.data.map(({ subject }: { subject: string }) => subject).sort()
const jobDone = async (queue: string, key: string) =>
  until(`the end of ${queue}`, async () => {
    const { data } = await listJobs(pool, jobs.types, { queue, key })
    return data[0]?.state === 'done' ? data[0] : null
  })

t.test('what is connected is fetched by itself, its labels and aliases are known, and Gmail is asked for notices once', async (t) => {
  t.equal((await connect()).status, 200)
  t.equal((await connect('bea@example.org')).status, 200)
  await upToDate(ada, 4)
  await upToDate(bea, 1)
  const { labels, aliases } = await until('labels', async () => ((await shown(ada)).labels.length > 0 ? shown(ada) : null))
  t.match(
    labels.filter(({ name }: { name: string }) => name === 'Engines'),
    [{ id: 'Label_1' }],
  )
  t.strictSame(aliases, ['countess@example.com'])
  t.ok(google.watchOf(ADA))
  const asked = () => google.seen.filter(({ method, user }) => method === 'watch' && user === ADA).length
  t.equal(asked(), 1)
  const { body } = await api.ask('POST', `/v1/mailboxes/${ada}/sync`)
  await until('the job', async () => (await findJob(pool, jobs.types, body.jobId))?.state === 'done')
  t.equal(asked(), 1)
})

t.test('what other rules would hide and bring is said beforehand, and done afterwards', async (t) => {
  const none = { addresses: [], domains: [], labels: [], ownDomain: false }
  const rules = { ...none, addresses: ['Grace@Example.org'] }
  const put = (rules: object, query = '') => api.ask('PUT', `/v1/mailboxes/${ada}/rules${query}`, rules)
  const by = { rule: 'address', by: 'grace@example.org' }
  const before = await shown(ada)
  t.match((await put(rules, '?dryRun=true')).body, {
    hides: { count: 4, examples: [by, by, by, by] },
    brings: { count: 0, examples: [] },
    isComplete: true,
  })
  t.match((await put({ ...none, labels: ['Label_1'] }, '?dryRun=true')).body, { hides: { count: 0 }, brings: { count: 0 } })
  t.equal((await shown(ada)).revision, before.revision, 'nothing was changed')
  t.equal((await put({ ...rules, domains: ['no domain'] }, '?dryRun=true')).status, 400)
  t.equal((await put(rules, '?dryRun=maybe')).status, 400)
  t.equal((await api.ask('PUT', `/v1/mailboxes/${idOf('no@example.com')}/rules?dryRun=true`, rules)).status, 404)

  t.equal((await put(rules)).status, 200)
  await until('the mails to go', async () => (await subjects()).length === 1)
  t.strictSame(await subjects(), ['with bea'], 'another mailbox has it')
  t.match((await put(none, '?dryRun=true')).body, { hides: { count: 0 }, brings: { count: 4, examples: [by, by, by, by] } })
  t.match((await put({ ...none, domains: ['example.org'] }, '?dryRun=true')).body, { brings: { count: 0 } }, 'another rule keeps them out')
  t.match((await put(rules, '?dryRun=true')).body, { hides: { count: 0 }, brings: { count: 0 } })
  t.equal((await put(none)).status, 200)
  await until('the mails to come back', async () => (await subjects()).length === 4)
  await upToDate(ada, 4)
})

t.test('a push has the mailbox looked at, at once', async (t) => {
  const added = mail('pushed', { to })
  google.add(ADA, { raw: added })
  const token = google.pushToken({ audience: 'http://127.0.0.1:9/v1/hooks/gmail' })
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` }
  const push = JSON.stringify(google.pushBody(ADA, 99_999))
  for (const _ of ['first', 'again'])
    t.equal((await fetch(`${api.url}/v1/hooks/gmail`, { method: 'POST', headers, body: push })).status, 204)
  await upToDate(ada, 5)
  t.ok((await subjects()).includes('pushed'))
})

t.test('consent that was taken back at Google is shown, and Google is left alone until it is given again', async (t) => {
  google.revokeConsent(ADA)
  await api.ask('POST', `/v1/mailboxes/${ada}/sync`)
  await until('the loss', async () => (await shown(ada)).state === 'consent-needed')
  t.match(await shown(ada), { consent: { code: 'invalid_grant' } })
  const before = google.seen.filter(({ user }) => user === ADA).length
  t.match(await api.ask('POST', `/v1/mailboxes/${ada}/sync`), { status: 409, body: { code: 'mailbox-not-connected' } })
  const token = google.pushToken({ audience: 'http://127.0.0.1:9/v1/hooks/gmail' })
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` }
  const body = JSON.stringify(google.pushBody(ADA, 100_000))
  t.equal((await fetch(`${api.url}/v1/hooks/gmail`, { method: 'POST', headers, body })).status, 204)
  t.equal(google.seen.filter(({ user }) => user === ADA).length, before)
  t.equal((await connect()).status, 200)
  await until('the connection', async () => (await shown(ada)).state === 'connected')
  google.add(ADA, { raw: mail('after all', { to }) })
  await api.ask('POST', `/v1/mailboxes/${ada}/sync`)
  await upToDate(ada, 6)
})

t.test('disconnecting gives the consent back, and keeps the mail', async (t) => {
  const { token } = (await vault.tokens.get(bea))!
  const answer = await api.ask('POST', `/v1/mailboxes/${bea}/disconnect`, {})
  t.match(answer, { status: 200, body: { state: 'disconnected' } })
  const { result } = await jobDone('disconnect-mailbox', bea)
  t.match(result, { revoked: true, erased: 0 })
  t.equal(await vault.tokens.get(bea), null)
  await t.rejects(
    services.google!.provider.open(token, (async () => () => {}) as never).profile(),
    { name: 'ConsentNeeded' },
    'it is good for nothing any more',
  )
  t.ok((await subjects()).includes('with bea'))
  t.match(await api.ask('POST', `/v1/mailboxes/${bea}/sync`), { status: 409 })
})

t.test('erasing takes away for good what nothing else brought, and nothing else', async (t) => {
  const file = await upload(api, Buffer.concat([Buffer.from('From x@example.org Mon Feb  2 10:00:00 2026\n'), raws[2]!]), [ADA])
  t.match((await finished(api, file.body.id)).counts, { known: 1 })
  const { body } = await api.ask('GET', '/v1/emails?limit=100')
  const mails = Object.fromEntries(body.data.map(({ subject, id }: { subject: string; id: string }) => [subject, id]))
  const keyOf = async (id: string) => ((await store.readFirst(`email-${id}`))!.metadata as { key: string }).key
  const [gone, kept] = [await keyOf(mails['alone']), await keyOf(mails['from a file too'])]
  t.ok((await Array.fromAsync(blobs.list(gone))).length > 0)
  t.equal((await api.ask('GET', `/v1/emails/${mails['alone']}`)).status, 200)

  await api.ask('POST', `/v1/mailboxes/${ada}/disconnect`, { erase: true })
  const { result } = await jobDone('disconnect-mailbox', ada)
  t.match(result, { revoked: true, erased: 4 })
  await until('the tables', async () => (await subjects()).length === 2)
  t.strictSame(await subjects(), ['from a file too', 'with bea'])
  t.equal((await vault.keys([gone])).get(gone), null)
  t.ok((await vault.keys([kept])).get(kept))
  t.equal((await Array.fromAsync(blobs.list(gone))).length, 0)
  t.ok((await Array.fromAsync(blobs.list(kept))).length > 0)
  const raw = await fetch(`${api.url}/v1/emails/${mails['alone']}/raw`, { headers: { authorization: 'Bearer a-key-for-tests-0123456789' } })
  t.equal(raw.status, 410)
  const [event] = await services.runner.load(`email-${mails['alone']}`)
  t.equal(event!.erased, true)
  t.notMatch(JSON.stringify(event!.data), /alone|grace/i)
  t.match(await api.ask('POST', `/v1/mailboxes/${ada}/disconnect`, { erase: true }), { status: 200, body: { state: 'disconnected' } })
})

t.test('what was erased does not come back with the mailbox', async (t) => {
  t.equal((await connect()).status, 200)
  google.add(ADA, { raw: mail('another time', { to }) })
  await until('the new one', async () => (await subjects()).includes('another time'))
  await until('all', async () => (await shown(ada)).sync?.progress.state === 'up-to-date')
  t.strictSame(await subjects(), ['another time', 'from a file too', 'with bea'])
})
