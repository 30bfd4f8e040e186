import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import t from 'tap'
import { projections } from '../../projections/index.ts'
import { allEvents, eventsByCategory } from '../../schema/events.ts'
import { startEventStore } from '../../src/eventstore/server.ts'
import { auditLog } from '../../src/platform/audit/audit.ts'
import type { Finding } from '../../src/platform/audit/chain.ts'
import { sql } from '../../src/platform/database.ts'
import { openEventStore } from '../../src/platform/event-store.ts'
import { createLogger } from '../../src/platform/log.ts'
import { isWitnessed } from '../../src/platform/witness.ts'
import { run as runWorker } from '../../src/roles/worker.ts'
import { testApi } from '../support/api.ts'
import { type Forged, openForgery } from '../support/forged-log.ts'
import { until } from '../support/processes.ts'
import { randomHistory } from '../support/random-history.ts'

t.setTimeout(180_000)
const log = createLogger(process.env['TEST_LOG'] ?? 'silent', 'test')
const api = await testApi(t)
const { pool, store, codec, vault } = api.services
const worker = await runWorker(api.config, log)
t.teardown(worker.close)
const history = randomHistory(api, 11, { imports: true })
await history.go(120)

/** A contact with a stream that is long enough to be tampered with in its middle. */
const { body: ada } = await api.ask('POST', '/v1/contacts', { name: 'Ada', methods: [{ type: 'email', value: 'ada@forged.example' }] })
for (const name of ['Ada King', 'Ada Lovelace', 'Augusta Ada']) await api.ask('PATCH', `/v1/contacts/${ada.id}`, { name })
await api.ask('POST', `/v1/contacts/${ada.id}/archive`)
await api.ask('POST', `/v1/contacts/${ada.id}/restore`)
const { body: grace } = await api.ask('POST', '/v1/contacts', { name: 'Grace' })
const last = await api.ask('PATCH', `/v1/contacts/${grace.id}`, { name: 'Grace Hopper' })
await api.after(last, '/v1/contacts')
const [adaStream, graceStream] = [`contact-${ada.id}`, `contact-${grace.id}`]
const adaEvents = await store.readStream(adaStream)

/** A text that begins with another letter. */
const otherThan = (text: string) => `${text.startsWith('A') ? 'B' : 'A'}${text.slice(1)}`

/** What is said of a table, whatever version its projection has come to. */
const versions = new Map(
  projections.flatMap(({ tables }) => Object.values(tables).map(({ name }) => [name.replace(/_v\d+$/, ''), name] as const)),
)
const ofNow = (text: string) => text.replaceAll(/\b([a-z_]+)_v\d+\b/g, (_, table: string) => versions.get(table)!)

/** Runs a job, and gives what came of it. */
async function job(path: string, body: object = {}) {
  const begun = await api.ask('POST', path, body)
  t.equal(begun.status, 202)
  const done = await until('the job', async () => {
    const { body } = await api.ask('GET', begun.headers.get('location')!)
    if (body.state === 'failed') throw new Error(JSON.stringify(body.error))
    return body.state === 'done' ? body : null
  })
  return done.result
}

t.test('every damage in the tables is found, and named by table, key and columns; in an intact one under load there is none', async (t) => {
  let isLoaded = true
  const load = (async () => {
    while (isLoaded) await history.go(5)
  })()
  const intact = await job('/v1/admin/verify')
  isLoaded = false
  await load
  t.strictSame(intact.differences, [])
  t.ok(intact.rows > 300, `${intact.rows} rows`)
  const tail = (await store.tail())!
  await api.ask('GET', '/v1/contacts', undefined, { 'smartcrm-after': `${tail.commit}.${tail.prepare}`, prefer: 'wait=20' })

  /** What is done to a table, and what is to be found of it: how many rows of which kind, and which columns. */
  const damages: [string, string, { missing?: number; extra?: number; changed?: number }, string[]?][] = [
    ['contacts_v1', `update read.contacts_v1 set name = name || '.' where contact_id = '${ada.id}'`, { changed: 1 }, ['name']],
    ['contact_methods_v1', `delete from read.contact_methods_v1 where contact_id = '${ada.id}'`, { missing: 1 }],
    [
      'contact_words_v1',
      `insert into read.contact_words_v1 select '${randomUUID()}', field, word from read.contact_words_v1 limit 1`,
      { extra: 1 },
    ],
    [
      'timeline_v1',
      `update read.timeline_v1 set details = '{"name": "?"}' where contact_id = '${ada.id}' and revision = 2`,
      { changed: 1 },
      ['details'],
    ],
    [
      'timeline_methods_v1',
      `update read.timeline_methods_v1 set method_id = '${randomUUID()}' where contact_id = '${ada.id}'`,
      { missing: 1, extra: 1 },
    ],
    [
      'emails_v1',
      `update read.emails_v1 set at = at + interval '1 millisecond', sent = not sent where email_id = (select min(email_id::text)::uuid from read.emails_v1)`,
      { changed: 1 },
      ['sent', 'at'],
    ],
    [
      'email_texts_v1',
      `update read.email_texts_v1 set text = replace(text, 'a', 'e') where email_id = (select min(email_id::text)::uuid from read.emails_v1)`,
      { changed: 1 },
      ['text', 'words'],
    ],
    ['email_attachments_v1', `update read.email_attachments_v1 set size_bytes = size_bytes + 1`, { changed: -1 }, ['sizeBytes']],
    [
      'email_parties_v1',
      `update read.email_parties_v1 set address = address || 'x' where (email_id, address) in (select email_id, address from read.email_parties_v1 limit 1)`,
      { missing: 1, extra: 1 },
    ],
    ['thread_tokens_v1', `truncate read.thread_tokens_v1`, { missing: -1 }],
    [
      'thread_members_v1',
      `update read.thread_members_v1 set thread_id = (select max(thread_id::text)::uuid from read.threads_v1) where email_id = (select min(email_id::text)::uuid from read.thread_members_v1)`,
      { changed: 1 },
      ['threadId'],
    ],
    [
      'threads_v1',
      `update read.threads_v1 set emails = emails + 1 where thread_id = (select min(thread_id::text)::uuid from read.threads_v1)`,
      { changed: 1 },
      ['emails'],
    ],
    ['address_owners_v1', `delete from read.address_owners_v1 where contact_id = '${ada.id}'`, { missing: 1 }],
    ['contact_states_v1', `update read.contact_states_v1 set archived = null where contact_id = '${ada.id}'`, { changed: 1 }, ['archived']],
    [
      'mail_statistics_v1',
      `update read.mail_statistics_v1 set last_email_at = now() where contact_id = '${ada.id}'`,
      { changed: 1 },
      ['lastEmailAt'],
    ],
    [
      'imports_v2',
      `update read.imports_v2 set counts = '{}' where import_id = (select min(import_id::text)::uuid from read.imports_v2)`,
      { changed: 1 },
      ['counts'],
    ],
    [
      'import_results_v2',
      `delete from read.import_results_v2 where (import_id, item) in (select import_id, item from read.import_results_v2 limit 1)`,
      { missing: 1 },
    ],
  ]
  for (const [, statement] of damages) await pool.rows({ ...sql.unsafe``, sql: ofNow(statement) })
  const { differences } = await job('/v1/admin/verify')
  t.equal(differences.length, damages.length)
  for (const [table, , counts, columns] of damages) {
    const found = differences.find((difference: { table: string }) => difference.table === ofNow(table))
    if (!t.ok(found, table)) continue
    for (const kind of ['missing', 'extra', 'changed'] as const)
      t.ok(counts[kind] === -1 ? found[kind] > 0 : found[kind] === (counts[kind] ?? 0), `${table}: ${kind} ${found[kind]}`)
    if (columns) t.strictSame(found.first[0].columns, columns, table)
    t.ok(Object.keys(found.first[0].key).length > 0)
  }
  t.notMatch(JSON.stringify(differences), /people\.example|Ada/, 'and nobody')
  const [left] = await pool.rows<{ count: number }>(sql.unsafe`select count(*) from pg_namespace where nspname ~ '^(proof|trial)_'`)
  t.equal(left!.count, 0)
  t.match(await api.ask('POST', '/v1/admin/verify', { names: ['nothing'] }), { status: 404 })
  t.strictSame(
    (await job('/v1/admin/verify', { names: ['timeline'] })).differences.map(({ table }: { table: string }) => table),
    ['timeline_v1', 'timeline_methods_v1'].map(ofNow),
  )
})

t.test('asked again with the same key it is the same job', async (t) => {
  const headers = { 'idempotency-key': 'once' }
  const ask = (path: string, body: object) => api.ask('POST', path, body, headers)
  const first = await ask('/v1/admin/verify', { names: ['undos'] })
  t.match(await ask('/v1/admin/verify', { names: ['undos'] }), { status: 202, body: { id: first.body.id, queue: 'verify' } })
  t.match(await ask('/v1/admin/verify', {}), { status: 422, body: { code: 'idempotency-key-reused' } })
  const audit = await ask('/v1/admin/audit', {})
  t.match(await ask('/v1/admin/audit', {}), { status: 202, body: { id: audit.body.id, queue: 'audit' } })
  t.not(audit.body.id, first.body.id)
  for (const { body } of [first, audit])
    await until('the job', async () => (await api.ask('GET', `/v1/jobs/${body.id}`)).body.state === 'done')
})

t.test('every damage in the log is found, and named by stream and revision; in an intact one there is none', async (t) => {
  // A heartbeat may be the last of all, and nobody witnesses those.
  const tail = (await store.readAll(null, 100_000)).findLast(isWitnessed)!.position
  await until('the witness', async () => {
    const [row] = await pool.rows<{ there: boolean }>(sql.unsafe`
      select (commit_position, prepare_position) >= (${tail.commit}, ${tail.prepare}) as there from smartcrm.witnessed_stretches
      order by commit_position desc limit 1`)
    return row?.there ? true : null
  })
  const intact = await job('/v1/admin/audit')
  t.match(intact, { findings: [], found: 0, unknown: 0, seal: { position: /\d/, digest: /^[0-9a-f]{64}$/ } })
  t.ok(intact.events > 100 && intact.streams > 50, `${intact.events} events of ${intact.streams} streams`)
  t.strictSame((await job('/v1/admin/audit', { seal: intact.seal })).findings, [])
  t.match((await job('/v1/admin/audit', { seal: { ...intact.seal, digest: '0'.repeat(64) } })).findings, [{ what: /seal/ }])

  const original = join(api.config.dataFolder, 'events.db')
  const copy = join(api.config.dataFolder, 'forged.db')
  const audit = async (forge: (forgery: ReturnType<typeof openForgery>) => void): Promise<readonly Finding[]> => {
    for (const end of ['', '-wal', '-shm', '.end', '.lock', '.address']) rmSync(copy + end, { force: true })
    const source = new DatabaseSync(original, { readOnly: true })
    source.exec(`vacuum into '${copy}'`)
    source.close()
    const forgery = openForgery(copy)
    forge(forgery)
    forgery.close()
    const node = await startEventStore({ file: copy, log })
    const forged = openEventStore(node.url, log)
    try {
      const { findings } = await auditLog({
        pool,
        ...forged,
        decode: codec.decode,
        types: allEvents,
        categories: Object.keys(eventsByCategory).filter((category) => category !== 'heartbeat'),
        seal: intact.seal,
        signal: new AbortController().signal,
        progress: () => {},
      })
      return findings
    } finally {
      await forged.close()
      await node.close()
    }
  }
  t.strictSame(await audit(() => {}), [], 'a copy is as good')

  const otherKey = (await vault.claim()).id
  const at = (number: number) => ({ stream: adaStream, revision: number })
  const withMeta = (event: Forged, metadata: object): Forged => ({ ...event, metadata: { ...event.metadata, ...metadata } })
  type Forge = (forgery: ReturnType<typeof openForgery>) => void
  const edit =
    (revision: number, change: (event: Forged) => Forged): Forge =>
    (forgery) =>
      forgery.put(change(forgery.stream(adaStream)[revision]!))
  const rehashed =
    (revision: number, change: (event: Forged) => Forged): Forge =>
    (forgery) =>
      forgery.put(forgery.rehashed(change(forgery.stream(adaStream)[revision]!)))
  const chained =
    (revision: number, change: (event: Forged) => Forged): Forge =>
    (forgery) =>
      forgery.chained(adaStream, revision, change)
  const head = adaEvents.length - 1
  const damages: [string, Forge, Partial<Finding> & { what: string }][] = [
    [
      'what an event says',
      edit(1, (event) => ({ ...event, data: { ...event.data, sealed: otherThan(String(event.data['sealed'])) } })),
      { ...at(1), what: 'hash does not match' },
    ],
    ['who did it', edit(2, (event) => withMeta(event, { actor: 'key:somebody' })), { ...at(2), what: 'hash does not match' }],
    ['who did it, with its hash', rehashed(2, (event) => withMeta(event, { actor: 'key:somebody' })), { ...at(3), what: 'not chained' }],
    [
      'who did it, with all hashes after it',
      chained(2, (event) => withMeta(event, { actor: 'key:somebody' })),
      { ...at(head), what: 'witnessed' },
    ],
    [
      'when the newest was, with its hash',
      rehashed(head, (event) => withMeta(event, { at: '2001-01-01T00:00:00.000Z' })),
      { ...at(head), what: 'witnessed' },
    ],
    ['the type, with all hashes', chained(4, (event) => ({ ...event, type: 'ContactRestored' })), { ...at(head), what: 'witnessed' }],
    ['the id, with all hashes', chained(2, (event) => ({ ...event, id: randomUUID() })), { ...at(2), what: 'cannot be opened' }],
    [
      'the sealed part, for another’s',
      (forgery) =>
        forgery.chained(adaStream, 1, (event) => ({
          ...event,
          data: { ...event.data, sealed: forgery.stream(adaStream)[2]!.data['sealed'] },
        })),
      { ...at(1), what: 'cannot be opened' },
    ],
    ['the key, for another', chained(1, (event) => withMeta(event, { key: otherKey })), { ...at(1), what: 'cannot be opened' }],
    ['the key, for none', chained(1, (event) => withMeta(event, { key: randomUUID() })), { ...at(1), what: 'no key' }],
    ['the version', chained(1, (event) => withMeta(event, { v: 99 })), { ...at(1), what: 'newer' }],
    ['the form', chained(4, (event) => ({ ...event, data: { contactId: 5 } })), { ...at(4), what: 'schema' }],
    ['a field more', chained(4, (event) => ({ ...event, data: { ...event.data, more: true } })), { ...at(4), what: 'schema' }],
    [
      'metadata taken away',
      edit(4, (event) => ({ ...event, metadata: {} as Forged['metadata'] })),
      { ...at(4), what: 'metadata is not ours' },
    ],
    ['one removed', (forgery) => forgery.remove(forgery.stream(adaStream)[2]!), { ...at(3), what: 'revisions 2 to 2 are missing' }],
    [
      'one removed, and those after it moved up with all hashes',
      (forgery) => {
        const events = forgery.stream(adaStream)
        for (const event of events.slice(2)) forgery.remove(event)
        forgery.database.exec('delete from removed')
        for (const event of events.slice(3)) forgery.put({ ...event, revision: event.revision - 1 })
        forgery.database.prepare('insert into removed (first, last) values (?, ?)').run(events[2]!.position, events[2]!.position)
        forgery.chained(adaStream, 2, (event) => event)
      },
      { ...at(head), what: 'gone from its end' },
    ],
    [
      'the newest of a stream removed',
      (forgery) => forgery.remove(forgery.stream(adaStream).at(-1)!),
      { ...at(head), what: 'gone from its end' },
    ],
    [
      'a whole stream removed',
      (forgery) => {
        for (const event of forgery.stream(graceStream)) forgery.remove(event)
      },
      { stream: graceStream, revision: 0, what: 'gone from its end' },
    ],
    [
      'the end of the log cut off',
      (forgery) => {
        const from = forgery.stream(graceStream).at(-1)!.position
        forgery.database.prepare('delete from events where position >= ?').run(from)
      },
      { stream: graceStream, revision: 1, what: 'gone from its end' },
    ],
    [
      'two of a stream swapped, with their hashes',
      (forgery) => {
        const [, one, two] = forgery.stream(adaStream)
        for (const [to, from] of [
          [one!, two!],
          [two!, one!],
        ] as const)
          forgery.put(forgery.rehashed({ ...from, position: to.position, revision: to.revision }))
      },
      { ...at(1), what: 'cannot be opened|not chained' },
    ],
    [
      'two of different streams swapped in the log',
      (forgery) => {
        const [one, two] = [forgery.stream(adaStream).at(-1)!, forgery.stream(graceStream)[0]!]
        forgery.database.exec(`delete from events where position in (${one.position}, ${two.position})`)
        forgery.put({ ...one, position: two.position })
        forgery.put({ ...two, position: one.position })
      },
      { ...at(head), what: 'was witnessed at' },
    ],
    [
      'when the log took it',
      edit(2, (event) => ({ ...event, createdMs: event.createdMs - 60_000 })),
      { what: 'is not what was witnessed' },
    ],
    [
      'moved to another stream',
      (forgery) => {
        const moved = forgery.stream(adaStream).at(-1)!
        forgery.put(forgery.rehashed({ ...moved, stream: graceStream, revision: 2 }))
      },
      { ...at(head), what: 'gone from its end' },
    ],
    [
      'a foreign event in a stream of ours',
      (forgery) => {
        const [event] = forgery.stream(graceStream)
        forgery.put({
          ...event!,
          id: randomUUID(),
          type: 'Foreign',
          revision: 2,
          position: forgery.end() + 1,
          metadata: {} as Forged['metadata'],
        })
      },
      { stream: graceStream, revision: 2, what: 'no event of SmartCRM' },
    ],
    [
      'a stream told to forget',
      (forgery) => {
        const [event] = forgery.stream(graceStream)
        forgery.put({
          ...event!,
          id: randomUUID(),
          type: '$metadata',
          stream: `$$${graceStream}`,
          revision: 0,
          position: forgery.end() + 1,
          data: { $maxCount: 1 },
        })
      },
      { stream: `$$${graceStream}`, what: 'may hide events' },
    ],
    [
      'a bit flipped',
      (forgery) => forgery.database.exec(`update events set checksum = checksum + 1 where position = ${adaEvents[2]!.position.commit}`),
      { what: 'cannot be read.*position|cannot be read' },
    ],
  ]
  for (const [name, forge, expected] of damages) {
    const findings = await audit(forge)
    const { what, ...place } = expected
    const isFound = findings.some(
      (finding) =>
        new RegExp(what).test(finding.what) && Object.entries(place).every(([field, value]) => finding[field as keyof Finding] === value),
    )
    t.ok(isFound, `${name}: ${JSON.stringify(expected)} in ${JSON.stringify(findings)}`)
  }
})
