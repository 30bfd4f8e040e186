import t from 'tap'
import { projections } from '../../projections/index.ts'
import { findJob } from '../../src/platform/jobs-view.ts'
import { createLogger } from '../../src/platform/log.ts'
import { verifyTables } from '../../src/platform/projections/verify-tables.ts'
import { run as runWorker } from '../../src/roles/worker.ts'
import { adminKey, testApi } from '../support/api.ts'
import { finished, results, upload } from '../support/imports.ts'
import { person } from '../support/keys.ts'
import { until } from '../support/processes.ts'
import { mail } from '../support/sync.ts'
import { unzip } from '../support/unzip.ts'

t.setTimeout(180_000)
const log = createLogger(process.env['TEST_LOG'] ?? 'silent', 'test')
const api = await testApi(t, { log })
const { services } = api
const { runner, pool, jobs, vault, blobs, store } = services
await api.after(await api.ask('POST', '/v1/contacts', { name: 'Somebody' }), '/v1/contacts')
t.teardown((await runWorker(api.config, log)).close)

const ME = 'me@example.com'
const ADA = 'ada.canary@example.com'
const GRACE = 'grace@example.org'
const email = (value: string) => ({ type: 'email', value })
const mbox = (...mails: Buffer[]) =>
  Buffer.concat(mails.flatMap((raw) => [Buffer.from('From x@example.org Mon Feb  2 10:00:00 2026\n'), raw, Buffer.from('\n')]))
const importMails = async (...mails: Buffer[]) => {
  const { body } = await upload(api, mbox(...mails), [ME])
  return { id: body.id, counts: (await finished(api, body.id)).counts }
}
const list = async (query = '') =>
  (await api.ask('GET', `/v1/emails?limit=100${query}`)).body.data as { id: string; subject: string; from: object[]; to: object[] }[]
const bySubject = async (subject: string) => (await list()).find((one) => one.subject === subject)!
const keyOf = async (stream: string) => ((await store.readFirst(stream))!.metadata as { key: string }).key
const done = (jobId: string) =>
  until('the job', async () => {
    const job = await findJob(pool, jobs.types, jobId)
    if (job?.state === 'failed') throw new Error(JSON.stringify(job.error))
    return job?.state === 'done' ? job : null
  })

const from = `Ada Canary <${ADA}>`
const created = await api.ask('POST', '/v1/contacts', {
  name: 'Ada Canary',
  methods: [email(ADA), email('old.canary@example.com'), { type: 'phone', value: '+44 20 7946 0123' }],
})
const ada = created.body.id as string
const old = created.body.methods[1].id
const note = await api.ask('POST', `/v1/contacts/${ada}/notes`, { text: 'Likes canaries.' }, { 'idempotency-key': 'the note' })
await api.ask('DELETE', `/v1/contacts/${ada}/methods/${old}`)
const grace = (await api.ask('POST', '/v1/contacts', { name: 'Grace', methods: [email(GRACE)] })).body.id as string
const csv = Buffer.from(`name,email\nAda Canary,${ADA}\nBea,bea@example.org\n`)
const cards = (await upload(api, csv)).body.id
await finished(api, cards)
await importMails(
  mail('alone', { from, to: ME }),
  mail('written to', { from: ME, to: from }),
  mail('by the old address', { from: 'Ada <old.canary@example.com>', to: ME }),
  mail('with grace', { from, to: `${ME}, Grace <${GRACE}>`, more: `Reply-To: "Ada Canary" <lists@example.net>\r\n` }),
  mail('re: with grace', { from: `Grace <${GRACE}>`, to: `${ME}, ${from}` }),
  mail('of others', { from: `Grace <${GRACE}>`, to: ME }),
  mail('thrown away', { from, to: ME }),
)
await until('the mails', async () => (await list()).length === 7)
const thrownAway = (await bySubject('thrown away')).id
const alone = (await bySubject('alone')).id
await api.after(await api.ask('DELETE', `/v1/emails/${thrownAway}`), '/v1/emails')
const snapshotAt = (await api.ask('GET', '/v1/events?limit=1')).body.data[0].position
const keys = await Promise.all([`contact-${ada}`, `email-${alone}`, `email-${thrownAway}`].map(keyOf))

t.test('who may not see a contact, or not erase, does not', async (t) => {
  const reader = await person(api, { role: 'reader' })
  t.equal((await reader.ask('POST', `/v1/contacts/${ada}/erase`, { reason: 'other' })).status, 403)
  t.match(await api.ask('POST', `/v1/contacts/${thrownAway}/erase`, { reason: 'other' }), {
    status: 404,
    body: { code: 'contact-not-found' },
  })
  t.equal((await api.ask('POST', `/v1/contacts/${ada}/erase`, { reason: 'Ada wants it' })).status, 400, 'a reason is one of a few words')
  t.equal((await api.ask('GET', `/v1/contacts/${ada}/erasure`)).status, 404)
})

t.test('a person is erased: from lists, search, mails, uploads', async (t) => {
  t.ok((await list('&q=canary')).length > 0, 'there is something to be found')
  const asked = await api.ask('POST', `/v1/contacts/${ada}/erase`, { reason: 'requested-by-person' })
  t.match(asked, { status: 202, body: { id: ada, contactId: ada, state: 'confirmed' } })
  t.equal(asked.headers.get('location'), `/v1/jobs/${asked.body.jobId}`)
  const { result } = await done(asked.body.jobId)
  t.match(result, { erased: 4, masked: 2 })

  await until('the tables', async () => (await api.ask('GET', `/v1/contacts/${ada}/erasure`)).status === 200)
  t.equal((await api.ask('GET', `/v1/contacts/${ada}`)).status, 404)
  t.equal((await api.ask('GET', '/v1/contacts?q=canary')).body.data.length, 0)
  t.strictSame((await list()).map(({ subject }) => subject).sort(), ['of others', 're: with grace', 'with grace'])
  t.strictSame(await list('&q=canary'), [], 'neither address nor name is searched')
  t.strictSame(await list(`&address=${ADA}`), [])
  const both = await bySubject('with grace')
  t.strictSame(both.from, [{ erased: true }])
  const whole = (await api.ask('GET', `/v1/emails/${both.id}`)).body
  t.match(whole, { replyTo: [{ address: 'lists@example.net' }], text: /with grace/ })
  t.strictSame(whole.to[1].contact, { id: grace, name: 'Grace' })
  t.notMatch(JSON.stringify([whole, await bySubject('re: with grace')]), /\bada\b|canary/i)
  t.ok(
    (await vault.keys(keys)).values().every((key) => key === null),
    'the keys are destroyed',
  )
  for (const key of keys) t.equal((await Array.fromAsync(blobs.list(key))).length, 0)
  t.equal((await Array.fromAsync(blobs.list(await keyOf(`import-${cards}`)))).length, 0, 'nor is the file there that the person came in')
})

t.test('the receipt tells what was destroyed and what stays', async (t) => {
  const { receipt, emailIds } = (await api.ask('GET', `/v1/contacts/${ada}/erasure`)).body
  t.match(receipt, {
    contactId: ada,
    reason: 'requested-by-person',
    requestedBy: /^key:|^admin/,
    destroyed: { contacts: 1, keys: 5, emails: 4, uploads: 1 },
    suppressed: 2,
    stays: { emails: 2, uploads: [] },
  })
  t.ok(receipt.destroyed.blobs >= 4)
  t.strictSame(emailIds, [(await bySubject('with grace')).id, (await bySubject('re: with grace')).id].sort())
  t.match((await api.ask('GET', `/v1/erasures/${ada}`)).body, { state: 'completed', contactId: ada })
  t.equal((await api.ask('GET', '/v1/erasures?state=completed')).body.data.length, 1)
  const auditor = await person(api, { role: 'auditor' })
  t.equal((await auditor.ask('GET', `/v1/contacts/${ada}/erasure`)).status, 200)
  const trail = (await api.ask('GET', `/v1/audit?resource=contact-${ada}`)).body.data.map(({ type }: { type: string }) => type)
  t.ok(trail.includes('ContactErased'))
})

t.test('every command on it, its past and its history answer 410, also a repeat', async (t) => {
  const gone = { status: 410, body: { code: 'erased' } }
  t.match(await api.ask('PATCH', `/v1/contacts/${ada}`, { name: 'Ada' }), gone)
  t.match(await api.ask('POST', `/v1/contacts/${ada}/notes`, { text: 'Likes canaries.' }, { 'idempotency-key': 'the note' }), gone)
  t.equal(note.status, 201)
  t.match(await api.ask('POST', '/v1/contacts', { id: ada, name: 'Ada' }), gone)
  t.match(await api.ask('GET', `/v1/contacts/${ada}/history`), gone)
  t.match(await api.ask('GET', `/v1/contacts/${ada}/export`), gone)
  const other = await fetch(`${api.url}/v1/contacts/${grace}/export`, { headers: { authorization: `Bearer ${adminKey}` } })
  const files = [...unzip(Buffer.from(await other.arrayBuffer())).keys()]
  t.equal(files.filter((name) => name.endsWith('.eml')).length, 3, 'masked mails are exported with the others')
  t.match(await api.ask('GET', `/v1/contacts/${ada}?asOf=${snapshotAt}`), gone)
  const own = await person(api, { role: 'member', sees: 'own', owner: 'bea' })
  t.equal((await own.ask('PATCH', `/v1/contacts/${ada}`, { name: 'Ada' })).status, 404)
})

t.test('asking again changes nothing', async (t) => {
  const before = await runner.load(`erasure-${ada}`)
  t.match(await api.ask('POST', `/v1/contacts/${ada}/erase`, { reason: 'other', now: true }), { status: 202, body: { state: 'completed' } })
  t.equal((await runner.load(`erasure-${ada}`)).length, before.length)
  t.ok(
    before.some(({ erased }) => erased),
    'what the person was known by while it went on is gone, too',
  )
})

t.test('the address comes back by nothing', async (t) => {
  const suppressed = { status: 409, body: { code: 'address-suppressed' } }
  t.match(await api.ask('POST', '/v1/contacts', { name: 'Ada', methods: [email('Ada.Canary@example.com')] }), suppressed)
  t.match(await api.ask('POST', '/v1/contacts', { name: 'Ada', methods: [email('old.canary@example.com')] }), suppressed)
  t.match(await api.ask('POST', `/v1/contacts/${grace}/methods`, email(ADA)), suppressed)
  t.match(await api.ask('PUT', `/v1/contacts/by-email/${ADA}`, { name: 'Ada' }), suppressed)
  const batch = await api.ask('POST', '/v1/contacts/batch', { inputs: [{ name: 'Ada', methods: [email(ADA)] }] })
  t.match(batch.body.results, [{ outcome: 'failed', problem: { code: 'address-suppressed' } }])
  const { body } = await upload(api, Buffer.from(`name,email\nAda,${ADA}\n`))
  await finished(api, body.id)
  t.match(await results(api, body.id), [{ outcome: 'failed', code: 'address-suppressed' }])
  t.notMatch(JSON.stringify(await results(api, body.id)), /canary/)

  const later = await importMails(
    mail('alone again', { from, to: ME }),
    mail('alone', { from, to: ME }),
    mail('with grace again', { from: `Grace <${GRACE}>`, to: `${ME}, ${from}` }),
  )
  t.match(later.counts, { stored: 1, failed: 2 })
  t.match(await results(api, later.id), [{ code: 'suppressed', hasRaw: false }, { code: 'suppressed' }, { outcome: 'stored' }])
  const masked = await until('the mail', () => bySubject('with grace again'))
  t.strictSame(masked.to[1], { erased: true })
  t.notMatch(JSON.stringify((await runner.load(`email-${masked.id}`))[0]!.data), /ada\.canary/, 'not even the log has it')
})

t.test('the journal, and whoever reads the log, sees neither address nor name', async (t) => {
  const all = await runner.load(`email-${(await bySubject('with grace')).id}`)
  t.strictSame(
    all.map(({ type }) => type),
    ['EmailReceived', 'EmailPartiesMasked'],
  )
  t.notMatch(JSON.stringify(all.map(({ data }) => data)), /\bada\b|canary/i)
  let after = ''
  for (let more = true; more; ) {
    const page = (await api.ask('GET', `/v1/events?limit=1000${after}`)).body
    t.notMatch(JSON.stringify(page.data), /ada\.canary|Ada Canary/i)
    ;({ more } = page)
    after = `&after=${page.nextAfter}`
  }
})

t.test('tables built anew are those that there are, and the chains hold', async (t) => {
  const { differences } = await verifyTables({
    pool,
    source: { readAll: store.readAll, end: store.end, decode: services.codec.decode },
    projections,
    owner: 'a test',
    signal: new AbortController().signal,
    progress: () => {},
  })
  t.strictSame(differences, [])
  const { body } = await api.ask('POST', '/v1/admin/audit', {})
  t.match((await done(body.id)).result, { found: 0 })
})

t.test('lifting lets the address be used again, and leaves what was masked', async (t) => {
  t.match((await api.ask('POST', '/v1/suppressions/lift', { address: 'nobody@example.com' })).body, { lifted: false })
  t.match((await api.ask('POST', '/v1/suppressions/lift', { address: ' Ada.Canary@EXAMPLE.com' })).body, { lifted: true })
  t.match((await api.ask('POST', '/v1/suppressions/lift', { address: ADA })).body, { lifted: false })
  t.equal((await api.ask('POST', '/v1/contacts', { name: 'Ada', methods: [email(ADA)] })).status, 201)
  t.match((await importMails(mail('back again', { from, to: ME }))).counts, { stored: 1 })
  t.match((await until('the mail', () => bySubject('back again'))).from, [{ address: ADA }])
  t.strictSame((await bySubject('with grace')).from, [{ erased: true }])
  const [event] = await runner.load(`email-${(await bySubject('with grace')).id}`)
  t.notMatch(JSON.stringify(event!.data), /canary/i)
})
