import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { noPeople } from '../../src/mailboxes/people.ts'
import { noRules } from '../../src/mailboxes/rules.ts'
import { createLogger } from '../../src/platform/log.ts'
import { run as runWorker } from '../../src/roles/worker.ts'
import { testApi } from '../support/api.ts'
import { messagesIn } from '../support/google/mail-folder.ts'
import { ADDRESS, jobFor, mail, mailboxAtGoogle, syncing } from '../support/sync.ts'

t.setTimeout(240_000)
const api = await testApi(t)
const { store, jobs } = api.services
await jobs.ready()
await api.after(await api.ask('POST', '/v1/contacts', { name: 'Somebody' }), '/v1/contacts')
const none = { listed: 0, stored: 0, known: 0, excluded: 0, failed: 0, pending: 0 }
const start = Date.UTC(2026, 0, 1)
const eventsSince = async (position: Awaited<ReturnType<typeof store.end>>) =>
  (await store.readAll(position, 5_000)).filter(({ type }) => !type.startsWith('$') && type !== 'HeartbeatRecorded')

t.test('everything is listed and stored once, the newest first; what comes, changes and goes later follows', async (t) => {
  const { google, account } = await mailboxAtGoogle(t, { quirks: { largestPage: 50 } })
  // More than a page holds; only those that are mails are of any size to us.
  for (let n = 0; n < 48; n += 1) google.add(ADDRESS, { raw: mail(`chat ${n}`), labelIds: ['CHAT'], internalDate: start + n })
  const ids = Array.from({ length: 40 }, (_, n) => google.add(ADDRESS, { raw: mail(`first ${n}`), internalDate: start + n * 60_000 }).id)
  const { turn, status, ledger, runs } = syncing(api, account)
  t.match(await status(), { ledger: none, progress: { state: 'waiting', secondsLeft: null }, lastError: null })

  t.strictSame(await turn(), { listed: 88, stored: 40, known: 0, excluded: 48, failed: 0 })
  t.match(await status(), {
    ledger: { ...none, listed: 88, stored: 40, excluded: 48 },
    progress: { state: 'up-to-date', secondsLeft: 0 },
  })
  const all = await ledger('&outcome=stored')
  t.strictSame(new Set(all.map(({ messageId }) => messageId)), new Set(ids))
  t.equal(new Set(all.map(({ emailId }) => emailId)).size, 40)
  const asked = google.seen.filter(({ method }) => method === 'messages.get').map(({ messageId }) => messageId)
  t.strictSame(new Set(asked.slice(0, 20)).isSubsetOf(new Set(ids)), true, 'the newest first')

  const before = await store.end()
  const seen = google.seen.length
  const quiet = jobFor()
  await turn(null, { job: quiet })
  t.strictSame((await eventsSince(before)).length, 0, 'no news, no event')
  t.strictSame(
    google.seen.slice(seen).map(({ method }) => method),
    ['history.list'],
  )
  t.equal(quiet.traceless, true)

  const [added, vanished] = [google.add(ADDRESS, { raw: mail('new') }).id, google.add(ADDRESS, { raw: mail('vanishing') }).id]
  const spam = google.add(ADDRESS, { raw: mail('spam'), labelIds: ['SPAM'] }).id
  google.add(ADDRESS, { raw: mail('draft'), labelIds: ['DRAFT'] })
  google.remove(ADDRESS, vanished)
  google.remove(ADDRESS, ids[3]!)
  google.relabel(ADDRESS, ids[4]!, { add: ['STARRED'] })
  t.match(await turn(), { listed: 4, stored: 1, excluded: 3 })
  const rules = (await ledger('&outcome=excluded')).map(({ rule }) => rule)
  t.strictSame(rules.filter((rule) => rule !== 'chat').toSorted(), ['draft', 'spam', 'vanished'])
  t.match(await ledger('&rule=spam'), [{ messageId: spam }])
  const changed = await ledger()
  t.equal(changed.find(({ messageId }) => messageId === ids[3])?.['deleted'], true)
  t.match(changed.find(({ messageId }) => messageId === ids[4])?.['labels'], ['INBOX', 'UNREAD', 'STARRED'])
  t.equal(changed.find(({ messageId }) => messageId === added)?.outcome, 'stored')

  google.relabel(ADDRESS, spam, { remove: ['SPAM'], add: ['INBOX'] })
  t.match(await turn(), { listed: 1, stored: 1 }, 'what was no spam after all')
  t.match((await status()).ledger, { listed: 92, stored: 42, excluded: 50, failed: 0, pending: 0 })
  t.strictSame(
    (await runs()).map(({ kind, state }) => [kind, state]),
    [
      ['increment', 'finished'],
      ['increment', 'finished'],
      ['full', 'finished'],
    ],
  )
})

t.test('a history that is too old makes a new listing, of which only what is new is fetched', async (t) => {
  const { google, account } = await mailboxAtGoogle(t)
  for (let n = 0; n < 20; n += 1) google.add(ADDRESS, { raw: mail(`aged ${n}`) })
  const { turn, status, runs } = syncing(api, account)
  await turn()
  google.add(ADDRESS, { raw: mail('aged new') })
  google.expireHistory(ADDRESS)
  const seen = google.seen.length
  t.match(await turn(), { listed: 21, known: 20, stored: 1 })
  t.equal(google.seen.slice(seen).filter(({ method }) => method === 'messages.get').length, 1)
  t.match((await status()).ledger, { listed: 21, stored: 21, known: 0 }, 'stored is what it was')
  t.strictSame(
    (await runs()).map(({ kind }) => kind),
    ['full', 'full'],
  )
  google.add(ADDRESS, { raw: mail('aged newer') })
  t.match(await turn(), { stored: 1 })
})

t.test('a listing that begins anew because the history is too old takes over what an earlier one had not listed', async (t) => {
  const { google, account } = await mailboxAtGoogle(t, { quirks: { largestPage: 50 } })
  for (let n = 0; n < 60; n += 1) google.add(ADDRESS, { raw: mail(`over ${n}`), labelIds: ['CHAT'], internalDate: start + n })
  const { turn, runs, status } = syncing(api, account)
  const away = new Error('the connection broke off')
  const breaking = {
    ...account,
    list: (asked: { next?: string }) => (asked.next === undefined ? account.list(asked) : Promise.reject(away)),
  }
  await t.rejects(turn(null, { changes: { account: breaking } }), away)
  google.expireHistory(ADDRESS)
  t.match(await turn(), { listed: 60, excluded: 110 })
  t.match(await runs(), [
    { kind: 'full', state: 'finished', counts: { listed: 60 } },
    { kind: 'full', state: 'finished', counts: { listed: 50 } },
  ])
  t.strictSame((await status()).ledger, { ...none, listed: 60, excluded: 60 })
})

t.test('pages that expire are listed anew, and nothing is listed twice', async (t) => {
  const { google, account } = await mailboxAtGoogle(t, { quirks: { repeatedOnPages: 30, largestPage: 50 } })
  for (let n = 0; n < 70; n += 1) google.add(ADDRESS, { raw: mail(`paged ${n}`), labelIds: ['CHAT'], internalDate: start + n })
  google.faults.add({ fault: 'expiredPageToken', method: 'messages.list', times: 2 })
  const { turn, status } = syncing(api, account)
  t.match(await turn(), { listed: 70, excluded: 70 })
  t.strictSame((await status()).ledger, { ...none, listed: 70, excluded: 70 })
})

t.test('one bad message fails by itself, is kept as it came, and is tried again by request', async (t) => {
  const { google, account } = await mailboxAtGoogle(t)
  const hostile = Buffer.from(`Content-Type: multipart/mixed; boundary=b\nSubject: parts\n\n${'--b\n\n'.repeat(3_000)}`)
  const bad = google.add(ADDRESS, { raw: hostile }).id
  for (let n = 0; n < 5; n += 1) google.add(ADDRESS, { raw: mail(`beside ${n}`) })
  const { mailbox, turn, status, ledger } = syncing(api, account)
  t.match(await turn(), { stored: 5, failed: 1 })
  t.match(await ledger('&outcome=failed'), [{ messageId: bad, code: 'too-many-parts', reason: /2,000 parts/, attempts: 1, hasRaw: true }])
  t.strictSame((await status()).ledger, { ...none, listed: 6, stored: 5, failed: 1 })
  await turn({ kind: 'retry', requestedBy: 'key:somebody' })
  const [again] = await ledger('&outcome=failed')
  t.match(again, { attempts: 2 })
  t.ok(Date.parse(again!['retryAt'] as string) - Date.now() > 30 * 60_000, 'with growing pauses')
  const [run] = await syncing(api, account, mailbox).runs()
  t.match(run, { kind: 'retry', actor: 'key:somebody', counts: { listed: 1, failed: 1 } })
})

t.test('a comparison finds what is missing here and gone there, and brings it', async (t) => {
  const { google, account } = await mailboxAtGoogle(t)
  const ids = Array.from({ length: 30 }, (_, n) => google.add(ADDRESS, { raw: mail(`compared ${n}`) }).id)
  const { turn, status, runs, ledger } = syncing(api, account)
  await turn()
  t.match(await turn({ kind: 'reconcile' }), { missing: 0, gone: 0 })
  const hidden = google.add(ADDRESS, { raw: mail('compared hidden') }).id
  google.remove(ADDRESS, ids[7]!)
  // The provider's history does not tell of either.
  const { cursor } = await account.profile()
  const silent = { ...account, changes: async () => ({ added: [], changes: [], cursor }) }
  t.match(await turn({ kind: 'reconcile' }, { changes: { account: silent } }), { missing: 1, gone: 1, stored: 1 })
  t.match((await runs())[0], { kind: 'reconcile', compared: { listed: 30, missing: 1, gone: 1 } })
  t.match((await status()).ledger, { listed: 31, stored: 31 })
  const all = await ledger()
  t.equal(all.find(({ messageId }) => messageId === hidden)?.outcome, 'stored')
  t.equal(all.find(({ messageId }) => messageId === ids[7])?.['deleted'], true)
  t.match(await turn({ kind: 'reconcile' }, { changes: { account: silent } }), { missing: 0, gone: 0 })
})

t.test('from earlier on it is listed again, and what is there is known', async (t) => {
  const { google, account } = await mailboxAtGoogle(t)
  for (let n = 0; n < 20; n += 1) google.add(ADDRESS, { raw: mail(`rewound ${n}`), internalDate: start + n * 86_400_000 })
  const { turn, runs } = syncing(api, account)
  await turn()
  const from = new Date(start + 15 * 86_400_000).toISOString()
  t.match(await turn({ kind: 'rewind', from }), { listed: 5, known: 5 })
  t.match((await runs())[0], { kind: 'rewind', from, counts: { listed: 5, known: 5 } })
})

t.test('rules that change hide what they keep out now, and bring what they no longer do', async (t) => {
  const { google, account } = await mailboxAtGoogle(t)
  google.add(ADDRESS, { raw: mail('of a friend', { from: 'friend@private.example' }) })
  google.add(ADDRESS, { raw: mail('of a client', { from: 'client@work.example' }) })
  google.add(ADDRESS, { raw: mail('of both', { from: 'friend@private.example' }) })
  const { turn, status, ledger } = syncing(api, account)
  await turn()
  const emailOf = async () => Promise.all((await ledger('&outcome=stored')).map(({ emailId }) => api.ask('GET', `/v1/emails/${emailId}`)))
  t.equal((await emailOf()).length, 3)
  const stored = await ledger()
  const rules = { ...noRules, domains: ['private.example'] }
  t.match(await turn({ kind: 'rules' }, { changes: { rules } }), { excluded: 2 })
  t.match((await status()).ledger, { listed: 3, stored: 1, excluded: 2 })
  t.match(await ledger('&rule=domain'), [{ by: 'private.example' }, { by: 'private.example' }])
  for (const { emailId, messageId } of stored) {
    const isKept = (await ledger('&outcome=stored')).some((entry) => entry.messageId === messageId)
    t.equal((await api.ask('GET', `/v1/emails/${emailId}`)).status, isKept ? 200 : 404)
  }
  const seen = google.seen.length
  t.match(await turn({ kind: 'rules' }, { changes: { rules } }), { listed: 0 })
  t.equal(google.seen.slice(seen).filter(({ method }) => method === 'messages.get').length, 0, 'what stays out is not fetched')
  t.match(await turn({ kind: 'rules' }), { stored: 2 })
  t.match((await status()).ledger, { listed: 3, stored: 3, excluded: 0 })
  t.strictSame(
    (await emailOf()).map(({ status }) => status),
    [200, 200, 200],
  )
})

t.test('contacts are made of whom the policy names, once, and archived ones are left alone', async (t) => {
  const { google, account } = await mailboxAtGoogle(t)
  const archived = await api.ask('POST', '/v1/contacts', { name: 'Old Friend', methods: [{ type: 'email', value: 'old@people.example' }] })
  await api.ask('POST', `/v1/contacts/${archived.body.id}/archive`)
  for (const [index, from] of [
    'Ada Amber <ada@people.example>',
    'Old <old@people.example>',
    'Ada Amber <ada@people.example>',
    'no-reply@people.example',
    ADDRESS,
  ].entries())
    google.add(ADDRESS, { raw: mail(`people ${index}`, { from }) })
  const { turn, mailbox } = syncing(api, account, { policy: { ...noPeople, create: 'everyone' } })
  await turn()
  const { body } = await api.ask('GET', '/v1/contacts?archived=any&q=people.example')
  t.strictSame(body.data.map(({ name }: { name: string }) => name).toSorted(), ['Ada Amber', 'Old Friend'])
  t.match((await api.ask('GET', `/v1/contacts/${archived.body.id}`)).body, { archived: true })
  const again = syncing(api, account, { ...mailbox, mailboxId: randomUUID() })
  t.match(await again.turn(), { known: 5, stored: 0 }, 'the same mail by another mailbox')
})

t.test('what a run brought is undone by its id, and no run brings it back', async (t) => {
  t.teardown((await runWorker(api.config, createLogger('silent', 'worker'))).close)
  const { google, account } = await mailboxAtGoogle(t)
  for (const from of ['Eve <eve@undone.example>', 'Eve <eve@undone.example>'])
    google.add(ADDRESS, { raw: mail(`undone ${Math.random()}`, { from }) })
  const { turn } = syncing(api, account, { policy: { ...noPeople, create: 'everyone' } })
  await turn()
  const shown = async () => (await api.ask('GET', '/v1/contacts?archived=any&q=undone.example')).body.data
  const [eve] = await shown()
  const [created] = await api.services.runner.load(`contact-${eve.id}`)
  const { body } = await api.ask('GET', `/v1/events/${created!.id}/causes`)
  t.strictSame(
    body.causes.map(({ type }: { type: string }) => type),
    ['SyncStarted', 'EmailReceived'],
    'the contact follows from the mail, and that from the run',
  )
  t.match((await api.ask('GET', `/v1/contacts/${eve.id}/blame`)).body.data[0].cause, { kind: 'mail' })

  const correlationId = created!.meta.$correlationId
  const undone = await api.ask('POST', '/v1/undo', { correlationId }, { prefer: 'wait=30' })
  t.match(undone, { status: 200, body: { state: 'finished', counts: { undone: 3, conflict: 0, kept: 0 } } })
  await turn({ kind: 'rewind', from: '2020-01-01T00:00:00.000Z' })
  t.match(await shown(), [{ id: eve.id, archived: true }])
  t.equal((await api.after(undone, '/v1/emails?q=undone')).body.data.length, 0)
})

t.test('who said that a message was gone, and it is listed, is not believed', async (t) => {
  const { google, account } = await mailboxAtGoogle(t)
  const { id } = google.add(ADDRESS, { raw: mail('gone, they say') })
  google.faults.add({ fault: 'notFound', method: 'messages.get', times: 1 })
  const { turn, ledger } = syncing(api, account)
  t.match(await turn(), { excluded: 1 })
  t.match(await ledger(), [{ messageId: id, rule: 'vanished', deleted: true }])
  t.match(await turn({ kind: 'reconcile' }), { missing: 1, stored: 1 })
  t.match(await ledger(), [{ messageId: id, outcome: 'stored', deleted: false }])
})

const samples = join(import.meta.dirname, '../../../shared/data/mail')

t.test('the 103 sample mails are all accounted for', { skip: !existsSync(samples) && '../shared/data/mail is not there' }, async (t) => {
  const accounts = [{ address: ADDRESS, messages: messagesIn(samples, Date.now()) }]
  const { google, account } = await mailboxAtGoogle(t, { accounts })
  const { turn, status, ledger } = syncing(api, account)
  await turn()
  const { ledger: counts } = await status()
  t.equal(counts.listed, 103)
  t.equal(counts.pending, 0)
  t.comment(JSON.stringify(counts))
  const entries = await ledger()
  t.strictSame(
    new Set(entries.map(({ messageId }) => messageId)),
    new Set(
      google
        .mailbox(ADDRESS)
        .all()
        .map(({ id }) => id),
    ),
  )
  const mails = entries.filter(({ outcome }) => outcome === 'stored' || outcome === 'known')
  t.equal(new Set(mails.map(({ emailId }) => emailId)).size, counts.stored, 'each mail is there once')
  for (const { outcome, reason, hasRaw } of entries) if (outcome === 'failed') t.ok(reason && hasRaw, `${reason}`)
  t.match(await turn({ kind: 'reconcile' }), { missing: 0, gone: 0 })
})
