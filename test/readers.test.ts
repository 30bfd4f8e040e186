/**
 * Every reader of the log, by its own code: an event of an older version comes upcast to each; what was erased, what cannot be had now and what is
 * corrupt are told apart by each.
 */
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import { type AnyEventType, events, type NewEvent, personal } from '../schema/define.ts'
import { allEvents } from '../schema/events.ts'
import { importEvents } from '../schema/import-events.ts'
import { Id } from '../schema/shared.ts'
import { openConsumer } from '../src/consumer.ts'
import { createContact, updateContact } from '../src/contacts/contact.ts'
import { type Cause, createCodec, NO_HEAD } from '../src/platform/codec.ts'
import { sql } from '../src/platform/database.ts'
import { createLogger } from '../src/platform/log.ts'
import { formatPosition } from '../src/platform/position.ts'
import { reactorJobId } from '../src/platform/reactor.ts'
import { headOf } from '../src/platform/runner.ts'
import { importOnStarted } from '../src/reactors/import-on-started.ts'
import { run as runWorker } from '../src/roles/worker.ts'
import { adminKey, testApi } from './support/api.ts'
import { finished } from './support/imports.ts'
import { until } from './support/processes.ts'
import { recordingLog } from './support/recording-log.ts'
import { request, underClock } from './support/services.ts'

/*
 * As if these two had been released in another form before: version 1 as it was then, and version 2, which is what all of the service declares. Both
 * have in their old form another name for a field without which no reader can do.
 */
const before = {
  ...events({ ContactRenamed: { contactId: Id, fullName: personal(Type.String()) } }),
  ...events({ ImportStarted: { ...importEvents.ImportStarted.schema.properties, importId: Type.Optional(Id), theImport: Id } }),
} as Record<string, AnyEventType>
const today = {
  ...events(
    { ContactRenamed: { contactId: Id, name: personal(Type.String()) } },
    { ContactRenamed: [({ fullName, ...others }) => ({ ...others, name: fullName })] },
  ),
  ...events(
    { ImportStarted: importEvents.ImportStarted.schema.properties },
    { ImportStarted: [({ theImport, ...others }) => ({ ...others, importId: theImport })] },
  ),
}
Object.assign(allEvents, today)

const { log, lines } = recordingLog<{ level: number; msg: string; err?: { message: string } }>('warn')
const api = await testApi(t, { log })
const { store, vault, pool, runner, codec, blobs } = api.services
t.teardown((await runWorker(api.config, createLogger('silent', 'worker'))).close)

const cause = (): Cause => {
  const id = randomUUID()
  return { at: new Date().toISOString(), actor: 'key:test', commandId: id, request: '', $correlationId: id, $causationId: id }
}
/** As the SmartCRM before this one did it. */
async function appendAsBefore(stream: string, type: string, data: object, key = undefined as Parameters<typeof codec.encode>[4]) {
  const head = headOf(await codec.decode(await store.readStream(stream)))
  const encoded = await createCodec(before, vault).encode([{ type, data } as NewEvent], stream, head, cause(), key)
  await store.append(stream, head.revision, encoded)
  return encoded[0]!
}
const create = async (name: string, more: object = {}) => (await api.ask('POST', '/v1/contacts', { name, ...more })).body.id as string
/** A stream of the journal that has come to an event which fits. */
async function live(fits: (text: string) => boolean, after = '0.0'): Promise<string> {
  const leaving = new AbortController()
  const headers = { authorization: `Bearer ${adminKey}`, accept: 'text/event-stream' }
  const answer = await fetch(`${api.url}/v1/events?after=${after}`, { headers, signal: leaving.signal })
  let text = ''
  for await (const part of answer.body!) {
    text += Buffer.from(part).toString()
    if (fits(text)) break
  }
  leaving.abort()
  return text
}

t.test('an event of an older version comes upcast', { timeout: 60_000 }, async (t) => {
  const id = await create('Ada Byron')
  const { metadata } = await appendAsBefore(`contact-${id}`, 'ContactRenamed', { contactId: id, fullName: 'Ada Lovelace' })
  t.equal(metadata.v, 1)

  await t.test('to the fold of a command', async (t) => {
    const same = await runner.execute(updateContact, { name: 'Ada Lovelace' }, { id }, request())
    t.match(same, { made: 0 }, 'that name it has already')
    t.match((await api.ask('PATCH', `/v1/contacts/${id}`, { company: 'Analytical Engines' })).body, { name: 'Ada Lovelace', revision: 2 })
  })
  await t.test('to projections', async (t) => {
    const found = async () => (await api.ask('GET', `/v1/contacts/${id}`)).body
    t.match(await until('the table', async () => ((await found()).revision === 2 ? found() : null)), { name: 'Ada Lovelace' })
  })
  await t.test('to the journal, a page at a time and live', async (t) => {
    const data = { contactId: id, name: 'Ada Lovelace', fullName: undefined }
    const { body } = await api.ask('GET', '/v1/events?type=ContactRenamed')
    t.match(body.data, [{ type: 'ContactRenamed', version: 1, data }])
    const line = /event: ContactRenamed\ndata: (.*)\n/
    const text = await live((text) => line.test(text))
    t.match(JSON.parse(line.exec(text)![1]!), { version: 1, data })
  })
  await t.test('to the history, and to the contact as of then', async (t) => {
    const { body } = await api.ask('GET', `/v1/contacts/${id}/history`)
    t.match(body.data[1], { changes: [{ field: '/name', from: 'Ada Byron', to: 'Ada Lovelace' }], data: { name: 'Ada Lovelace' } })
    t.match((await api.ask('GET', `/v1/contacts/${id}?asOf=${body.data[1].position}`)).body, { name: 'Ada Lovelace', revision: 1 })
  })
  await t.test('to consumers outside', async (t) => {
    const masterKey = await readFile(join(api.config.dataFolder, 'master.key'), 'utf8')
    const { eventStoreUrl, databaseUrl } = api.config
    const consumer = await openConsumer({ eventStoreUrl, keys: { databaseUrl, masterKey } })
    t.teardown(consumer.close)
    for await (const { events } of consumer.batches({ types: ['ContactRenamed'] })) {
      if (events.length === 0) continue
      t.match(events, [{ state: 'open', meta: { v: 1 }, data: { contactId: id, name: 'Ada Lovelace', fullName: undefined } }])
      break
    }
  })
  await t.test('to reactors, and to an import that reads its own stream', async (t) => {
    const importId = randomUUID()
    const key = await vault.claim()
    const upload = await blobs.put(key, Buffer.from('Name,E-mail\nGrace Hopper,grace@example.com\n'))
    const { importId: _, ...started } = { importId, kind: 'csv', sizeBytes: upload.sizeBytes, upload, ownAddresses: [], map: [] }
    const event = await appendAsBefore(`import-${importId}`, 'ImportStarted', { theImport: importId, ...started }, key)
    const jobId = reactorJobId(importOnStarted.name, event.id)
    await until('the job', async () => (await api.ask('GET', `/v1/jobs/${jobId}`)).body.state === 'done')
    t.match(await finished({ ...api, key: adminKey }, importId), { id: importId, counts: { created: 1, failed: 0 }, fault: null })
  })
})

t.test('what was erased is gone, and nothing else is taken for that', { timeout: 60_000 }, async (t) => {
  const address = 'erased@example.com'
  const id = await create('Nobody', { methods: [{ type: 'email', value: address }] })
  await appendAsBefore(`contact-${id}`, 'ContactRenamed', { contactId: id, fullName: 'Somebody' })
  const away = await create('Somewhere')
  const events = (await store.readStream(`contact-${id}`)).concat(await store.readStream(`contact-${away}`))
  const [erasedKey, awayKey] = [events[0]!, events.at(-1)!].map(({ metadata }) => (metadata as { key: string }).key)
  /** As its stream tells: a moment that is still to come is answered like the present one, from the tables. */
  const then = formatPosition(events.at(-1)!.position)
  await until('both in the tables', async () => (await api.ask('GET', `/v1/contacts/${away}`)).status === 200)
  const [kept] = await pool.rows<{ master_key: string; wrapped: Buffer }>(
    sql.unsafe`select master_key, wrapped from vault.keys where id = ${awayKey!}`,
  )
  const wrapped = sql.binary(kept!.wrapped)
  await pool.rows(sql.unsafe`update vault.keys set wrapped = null, destroyed_at = now() where id = ${erasedKey!}`)
  // Keys are remembered: each of these is asked of a process that has not seen them.
  const later = () => testApi(t, { on: api.config, log })

  await t.test('erased: 410, or without what was personal', async (t) => {
    const api = await later()
    t.match(await api.ask('PATCH', `/v1/contacts/${id}`, { name: 'Somebody else' }), { status: 410, body: { code: 'erased' } })
    t.match(await api.ask('GET', `/v1/contacts/${id}?asOf=${then}`), { status: 410, body: { code: 'erased' } })
    t.match(await api.ask('GET', `/v1/contacts/${id}/history`), { status: 410, body: { code: 'erased' } })
    const page = await api.ask('GET', '/v1/events?limit=1000')
    const shown = page.body.data.filter(({ stream }: { stream: string }) => stream === `contact-${id}`)
    t.match(shown, [
      { erased: true, version: 1 },
      { erased: true, version: 1 },
    ])
    for (const { data } of shown) t.strictSame(data, { contactId: id })
    // When the claim is no longer young, what counts is who has the address.
    const { runner } = underClock(api.services, () => new Date(Date.now() + 60_000))
    const heir = { name: 'Heir', methods: [{ type: 'email' as const, value: address }] }
    t.match(await runner.execute(createContact, heir, {}, request()), { made: 1 }, 'the address is nobody’s any more')
  })

  await t.test('a key that cannot be had: 503, and all is well when it can', async (t) => {
    const api = await later()
    await pool.rows(sql.unsafe`delete from vault.keys where id = ${awayKey!}`)
    for (const path of [`/contacts/${away}/history`, `/contacts/${away}?asOf=${then}`, '/events?limit=1000']) {
      const { status, body, headers } = await api.ask('GET', `/v1${path}`)
      t.match({ status, body }, { status: 503, body: { code: 'unavailable' } }, path)
      t.ok(headers.get('retry-after'))
    }
    t.match(await api.ask('PATCH', `/v1/contacts/${away}`, { name: 'Else' }), { status: 503 })
    await pool.rows(sql.unsafe`insert into vault.keys (id, master_key, wrapped) values (${awayKey!}, ${kept!.master_key}, ${wrapped})`)
    t.match(await api.ask('PATCH', `/v1/contacts/${away}`, { name: 'Else' }), { status: 200 })
  })

  await t.test('a damaged key: 500 that names it', async (t) => {
    await pool.rows(sql.unsafe`update vault.keys set wrapped = ${sql.binary(Buffer.alloc(60, 1))} where id = ${awayKey!}`)
    const { status, body } = await (await later()).ask('GET', `/v1/contacts/${away}/history`)
    t.match({ status, body }, { status: 500, body: { code: 'key-damaged', detail: new RegExp(`${awayKey}.*is damaged`) } })
    await pool.rows(sql.unsafe`update vault.keys set wrapped = ${wrapped} where id = ${awayKey!}`)
  })

  await t.test('corrupt: 500, and a log line, that name the event', async (t) => {
    const spoiled = randomUUID()
    const stream = `contact-${spoiled}`
    const [event] = await codec.encode(
      [{ type: 'NoteAdded', data: { contactId: spoiled, noteId: spoiled, text: 'x' } }],
      stream,
      NO_HEAD,
      cause(),
    )
    const position = (await store.end())!
    await store.append(stream, -1, [{ ...event!, type: 'NoteWritten' }])
    const named = new RegExp(`Event 0 of ${stream} \\(NoteWritten\\) is corrupt`)
    const after = `${position.commit}.${position.prepare}`
    lines.length = 0
    for (const [method, path] of [
      ['GET', `/contacts/${spoiled}/history`],
      ['GET', `/events?after=${after}`],
      ['PATCH', `/contacts/${spoiled}`],
    ] as const) {
      const { status, body } = await api.ask(method, `/v1${path}`, method === 'PATCH' ? { name: 'Else' } : undefined)
      t.match({ status, body }, { status: 500, body: { code: 'corrupt-event', detail: named } }, path)
      t.ok(
        lines.some(({ level, err }) => level === 50 && named.test(err?.message ?? '')),
        'and is in the log',
      )
    }
    await live(() => false, after).catch(() => '')
    t.ok(
      lines.some(({ level, err, msg }) => level === 50 && /journal cannot be (shown|followed)/.test(msg) && named.test(err?.message ?? '')),
      'the live journal ends before it',
    )
  })
})
