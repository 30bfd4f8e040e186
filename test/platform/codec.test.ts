/** Sealing, chaining and versions; and one sample of every event version ever released, in test/corpus/events.json. */
import { randomBytes, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { type TSchema, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import fc from 'fast-check'
import t from 'tap'
import { contactEvents } from '../../schema/contact-events.ts'
import { type AnyEventType, events, type NewEvent, personal } from '../../schema/define.ts'
import { allEvents } from '../../schema/events.ts'
import { type Cause, Corrupt, createCodec, type EncodedEvent, type Head, hashOf, NewerVersion, NO_HEAD } from '../../src/platform/codec.ts'
import type { Metadata, StoredEvent } from '../../src/platform/event.ts'
import { comparePositions, formatPosition, parsePosition } from '../../src/platform/position.ts'
import { Unavailable } from '../../src/platform/refusal.ts'
import { headOf } from '../../src/platform/runner.ts'
import { seal, unseal } from '../../src/platform/sealing.ts'
import { toUuid, uuidv5 } from '../../src/platform/uuid.ts'
import type { SubjectKey, Vault } from '../../src/platform/vault.ts'

const cause: Cause = {
  at: '2026-03-01T09:30:00.000Z',
  actor: 'key:test',
  commandId: randomUUID(),
  request: 'request',
  $correlationId: randomUUID(),
  $causationId: randomUUID(),
}

/** Keys in memory, as the vault would give them; `made` can be destroyed (null) and lost (deleted). */
function keyring() {
  const made = new Map<string, Buffer | null>()
  const vault: Pick<Vault, 'claim' | 'keys'> = {
    async claim(): Promise<SubjectKey> {
      const claimed = { id: randomUUID(), key: randomBytes(32) }
      made.set(claimed.id, claimed.key)
      return claimed
    },
    async keys(ids) {
      const wanted = [...ids]
      if (wanted.some((id) => !made.has(id))) throw new Unavailable('no such key')
      return new Map(wanted.map((id) => [id, made.get(id)!]))
    },
  }
  return { made, vault }
}

/** As the log gives back what was appended after `head`. */
const stored = (encoded: readonly EncodedEvent[], stream: string, head: Head = NO_HEAD): StoredEvent[] =>
  encoded.map(({ id, type, data, metadata }, index) => ({
    id,
    type,
    stream,
    revision: head.revision + 1 + index,
    position: { commit: BigInt(index), prepare: BigInt(index) },
    created: cause.at,
    data: JSON.parse(JSON.stringify(data)),
    metadata: JSON.parse(JSON.stringify(metadata)),
  }))

const stream = `contact-${randomUUID()}`
const contactId = randomUUID()
const { ContactCreated, ContactRenamed, ContactArchived, ContactMethodRemoved } = contactEvents

/** What has broken others: half a pair, NUL, line ends that JSON allows and JavaScript did not, what looks like an escape, a number, a key. */
const nasty = [
  '\ud800 half a pair \0',
  '\udc00\ud800',
  '__proto__',
  'sealed',
  '\u2028\u2029',
  '\ufeff',
  '\\u0041"\\',
  '1e400',
  '-0',
  'e\u0301 \u00e9',
  '\u202e',
  '👩‍👩‍👧',
  '',
]
const anyText = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), fc.constantFrom(...nasty))

/** Any data that fits a schema; only what the declared events use. */
function anyOf(schema: TSchema, text = anyText, everything = false): fc.Arbitrary<unknown> {
  const inner = (schema: TSchema) => anyOf(schema, text, everything)
  if (schema['const'] !== undefined) return fc.constant(schema['const'])
  if (schema['anyOf'] && everything) return inner((schema['anyOf'] as TSchema[]).find(({ type }) => type !== 'null')!)
  if (schema['anyOf']) return fc.oneof(...(schema['anyOf'] as TSchema[]).map(inner))
  if (schema['format'] === 'date-time') return fc.constant(cause.at)
  if (schema['pattern']) return fc.stringMatching(new RegExp(schema['pattern'])).filter((text) => text !== '')
  if (schema['type'] === 'null') return fc.constant(null)
  if (schema['type'] === 'string') return text
  if (schema['type'] === 'array') return fc.array(inner(schema['items'] as TSchema), { minLength: everything ? 1 : 0, maxLength: 4 })
  if (schema['type'] === 'object') {
    const properties = schema['properties'] as Record<string, TSchema>
    return fc.record(Object.fromEntries(Object.entries(properties).map(([name, property]) => [name, inner(property)])), {
      requiredKeys: everything ? Object.keys(properties) : ((schema['required'] ?? []) as string[]),
      noNullPrototype: true,
    })
  }
  if (schema['type'] === 'integer') return fc.integer({ min: schema['minimum'] ?? -1_000 })
  if (schema['type'] === 'number')
    return fc.double({ min: schema['minimum'], max: schema['maximum'], noNaN: true, noDefaultInfinity: true }).map((number) => number + 0)
  if (schema['type'] === 'boolean') return fc.boolean()
  throw new Error(`No data is known for ${JSON.stringify(schema)}`)
}
const anyEvent: fc.Arbitrary<NewEvent> = fc.oneof(
  ...Object.values<AnyEventType>(allEvents).map((type) => anyOf(type.schema).map((data) => ({ type: type.type, data }))),
)

t.test('any event decodes to what it was made of, over several decisions, chained', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(anyEvent, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 4 }), async (decisions) => {
      const codec = createCodec(allEvents, keyring().vault)
      const log: StoredEvent[] = []
      for (const decision of decisions) {
        const head = headOf(await codec.decode(log))
        log.push(...stored(await codec.encode(decision, stream, head, cause), stream, head))
      }
      const decoded = await codec.decode(log)
      const plain = (value: unknown) =>
        JSON.parse(JSON.stringify(value, (_, value) => (typeof value === 'string' ? value.toWellFormed() : value)))
      t.same(
        decoded.map(({ type, data }) => ({ type, data })),
        plain(decisions.flat()),
      )
      t.same(
        decoded.map(({ meta }) => meta.prev),
        [null, ...decoded.map(({ meta }) => meta.hash)].slice(0, -1),
      )
      t.ok(decoded.every(({ known, erased }) => known && !erased))
      t.ok(new Set(decoded.flatMap(({ meta }) => meta.key ?? [])).size <= 1, 'one key a stream')
    }),
    { numRuns: 60 },
  )
})

t.test('what is personal is never in what is stored', async (t) => {
  const personalEvents = Object.values<AnyEventType>(allEvents).filter((type) => type.personal.length > 0)
  t.ok(personalEvents.length > 0)
  const codec = createCodec(allEvents, keyring().vault)
  for (const { type, personal, schema } of personalEvents) {
    const ids = Object.keys(schema.properties).filter((field) => !personal.includes(field))
    const data = JSON.parse(JSON.stringify(fc.sample(anyOf(schema, fc.constant('canary'), true), 1)[0]))
    t.match(JSON.stringify(personal.map((field) => data[field])), /canary/)
    for (const field of ids) data[field] = JSON.parse(JSON.stringify(data[field]).replaceAll('canary', 'open'))
    const [event] = await codec.encode([{ type, data }], stream, NO_HEAD, cause)
    const text = JSON.stringify(event)
    t.notMatch(text, /canary/)
    t.notMatch(Buffer.from((event!.data as { sealed: string }).sealed, 'base64').toString('latin1'), /canary/)
    t.same(Object.keys(event!.data).sort(), [...ids, 'sealed'].sort(), `of ${type} only ids are open`)
  }
})

t.test('any change to a stored event is noticed', async (t) => {
  const { vault } = keyring()
  const codec = createCodec(allEvents, vault)
  const decision = [
    ContactCreated({ contactId, name: 'Ada', methods: [] }),
    ContactArchived({ contactId }),
    ContactRenamed({ contactId, name: 'Grace' }),
  ]
  const log = stored(await codec.encode(decision, stream, NO_HEAD, cause), stream)
  t.equal((await codec.decode(log)).length, 3)
  const { id: otherKey } = await vault.claim()
  // biome-ignore lint/suspicious/noExplicitAny: it is there to be spoiled
  const corrupt = async (what: string, index: number, change: (event: any) => void) => {
    const changed = structuredClone(log)
    change(changed[index])
    await t.rejects(codec.decode(changed), Corrupt, what)
  }
  for (const index of [0, 1, 2]) {
    for (const field of ['type', 'stream', 'id'] as const) await corrupt(field, index, (event) => (event[field] += 'x'))
    await corrupt('another type of ours', index, (event) => (event.type = 'ContactRestored'))
    await corrupt('a type that is not known', index, (event) => (event.type = 'SomethingElse'))
    await corrupt('revision', index, (event) => (event.revision += 1))
    await corrupt('an id inside', index, (event) => (event.data.contactId = randomUUID()))
    await corrupt('one field more', index, (event) => (event.data.more = 1))
    await corrupt('one field less', index, (event) => delete event.data.contactId)
    await corrupt('half a pair', index, (event) => (event.data.more = '\ud800'))
    await corrupt('no data', index, (event) => (event.data = null))
    await corrupt('bytes for data', index, (event) => (event.data = new Uint8Array([1, 2, 3])))
    for (const field of Object.keys(log[index]!.metadata as object)) {
      await corrupt(`metadata ${field}`, index, (event) => (event.metadata[field] = field === 'v' ? 2 : `${event.metadata[field]}x`))
      await corrupt(`metadata without ${field}`, index, (event) => delete event.metadata[field])
    }
    await corrupt('another key', index, (event) => (event.metadata.key = otherKey))
    await corrupt('a key that nobody has', index, (event) => (event.metadata.key = randomUUID()))
    await corrupt('one field of metadata more', index, (event) => (event.metadata.more = 1))
    for (const none of [null, undefined, 'text', 7, [], new Uint8Array([1])])
      await corrupt('no metadata', index, (event) => (event.metadata = none))
  }

  const sealed = Buffer.from((log[0]!.data as { sealed: string }).sealed, 'base64')
  /** As one would who can write to the log and reckon hashes, but has no key. */
  const forged = async (what: string, bytes: Buffer, change: Partial<StoredEvent> = {}) => {
    const event = { ...log[0]!, ...change, data: { ...(log[0]!.data as object), sealed: bytes.toString('base64') } }
    const { hash: _, ...metadata } = event.metadata as Metadata
    await t.rejects(codec.decode([{ ...event, metadata: { ...metadata, hash: hashOf(event, metadata) } }]), Corrupt, what)
  }
  for (let byte = 0; byte < sealed.length; byte += 1) {
    const flipped = Buffer.from(sealed)
    flipped[byte]! ^= 1
    await forged(`sealed byte ${byte}`, flipped)
  }
  await forged('moved to another event', sealed, { id: randomUUID() })
  await forged('moved to another stream', sealed, { stream: `contact-${randomUUID()}` })
  await forged('nothing sealed', Buffer.alloc(0))
  await forged('cut off', sealed.subarray(0, 20))
})

/** Every change of one byte in what the server keeps of an event: as it is sent, data and metadata are JSON. */
t.test('any changed byte of a stored event is noticed, and any other order', async (t) => {
  const parsed = (bytes: Buffer): unknown => {
    try {
      return JSON.parse(bytes.toString('utf8'))
    } catch {
      // What the client gives of what is no JSON.
      return new Uint8Array(bytes)
    }
  }
  const places = ['type', 'stream', 'id', 'revision', 'data', 'metadata'] as const
  let noticed = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyEvent, { minLength: 2, maxLength: 3 }),
      fc.array(fc.record({ index: fc.nat(), place: fc.constantFrom(...places), at: fc.nat(), by: fc.integer({ min: 1, max: 255 }) }), {
        minLength: 30,
        maxLength: 30,
      }),
      async (decision, changes) => {
        const codec = createCodec(allEvents, keyring().vault)
        const log = stored(await codec.encode(decision, stream, NO_HEAD, cause), stream)
        const isNoticed = async (events: readonly StoredEvent[], what: string) => {
          const error = await codec.decode(events).then(
            () => null,
            (error) => error,
          )
          if (!(error instanceof Corrupt)) throw new Error(`${what} was not noticed: ${error}`)
          noticed += 1
        }
        for (const { index, place, at, by } of changes) {
          const event = log[index % log.length]!
          const bytes = Buffer.from(JSON.stringify(event[place]))
          const isText = typeof event[place] === 'string'
          // The quotes of a text are ours, not the server's.
          const offset = isText ? 1 + (at % (bytes.length - 2)) : at % bytes.length
          const changed = Buffer.from(bytes)
          changed[offset]! ^= by
          const value = isText ? changed.subarray(1, -1).toString('latin1') : parsed(changed)
          // Another spelling of the same, such as an escape for its letter.
          if (isDeepStrictEqual(value, event[place])) continue
          const spoiled = log.with(index % log.length, { ...event, [place]: value })
          await isNoticed(spoiled, `${place} byte ${offset} xor ${by} of ${event.type}`)
        }
        const [first, second] = log
        const { data, metadata, type, id } = second!
        await isNoticed([{ ...first!, data, metadata, type, id }], 'one in the place of another')
      },
    ),
    { numRuns: 40 },
  )
  t.ok(noticed > 1_000, `${noticed} changes`)
})

t.test('erased, away and corrupt are told apart', async (t) => {
  const { made, vault } = keyring()
  const codec = createCodec(allEvents, vault)
  const decision = [ContactCreated({ contactId, name: 'Ada', methods: [] }), ContactArchived({ contactId })]
  const log = stored(await codec.encode(decision, stream, NO_HEAD, cause), stream)
  const keyId = (log[0]!.metadata as Metadata).key!
  const key = made.get(keyId)!

  made.set(keyId, null)
  const [created, archived] = await codec.decode(log)
  t.match(created, { erased: true, known: true, data: { contactId } })
  t.notOk('name' in (created!.data as object))
  t.match(archived, { erased: false, data: { contactId } }, 'what has nothing personal is as it was')
  await t.rejects(codec.encode([ContactRenamed({ contactId, name: 'Grace' })], stream, headOf([created!, archived!]), cause), /erased/)
  t.equal((await codec.encode([ContactArchived({ contactId })], stream, headOf([created!]), cause)).length, 1)

  made.delete(keyId)
  await t.rejects(codec.decode(log), Unavailable, 'a key that is not to be had is not an erased one')

  made.set(keyId, randomBytes(32))
  await t.rejects(codec.decode(log), Corrupt, 'nor is a wrong one')
  made.set(keyId, key)
  t.match(await codec.decode(log), [{ data: { name: 'Ada' } }, {}])
})

t.test('versions', async (t) => {
  const name = personal(Type.String())
  const names = personal(Type.Array(Type.String()))
  const toNames = ({ name }: { name: string }) => ({ names: [name] })
  const toCount = ({ names }: { names: string[] }) => ({ names, count: names.length })
  const one = events({ ThingMade: { name } })
  const two = events({ ThingMade: { names } }, { ThingMade: [toNames] })
  const three = events({ ThingMade: { names, count: Type.Integer() } }, { ThingMade: [toNames, toCount] })
  t.strictSame(
    [one, two, three].map(({ ThingMade }) => ThingMade.version),
    [1, 2, 3],
  )
  const { made, vault } = keyring()
  const write = async (types: Record<string, AnyEventType>, data: unknown) =>
    stored(await createCodec(types, vault).encode([{ type: 'ThingMade', data }], stream, NO_HEAD, cause), stream)

  const [first] = await write(one, { name: 'Ada' })
  const [second] = await write(two, { names: ['Ada', 'Grace'] })
  const [third] = await write(three, { names: [], count: 7 })
  const decoded = await createCodec(three, vault).decode([first!, second!, third!])
  t.same(
    decoded.map(({ data }) => data),
    [
      { names: ['Ada'], count: 1 },
      { names: ['Ada', 'Grace'], count: 2 },
      { names: [], count: 7 },
    ],
  )
  t.same(
    decoded.map(({ meta }) => meta.v),
    [1, 2, 3],
    'the metadata says what was written',
  )

  await t.rejects(createCodec(two, vault).decode([third!]), NewerVersion)
  const failing = events({ ThingMade: { names } }, { ThingMade: [() => JSON.parse('')] })
  await t.rejects(createCodec(failing, vault).decode([first!]), { name: 'Corrupt', message: /Event 0 of contact-.*version 2 of version 1/ })
  for (const v of [0, 1.5, '1', null]) {
    const { hash: _, ...metadata } = { ...(first!.metadata as Metadata), v: v as number }
    const event = { ...first!, metadata: { ...metadata, hash: hashOf(first!, metadata) } }
    await t.rejects(createCodec(three, vault).decode([event]), Corrupt, `version ${v}`)
  }

  for (const id of made.keys()) made.set(id, null)
  const erasable = events({ ThingMade: { names, count: Type.Integer() } }, { ThingMade: [toNames, ({ names }) => ({ names, count: 0 })] })
  t.match(
    await createCodec(erasable, vault).decode([first!]),
    [{ erased: true, data: { count: 0, names: undefined } }],
    'of an erased one the upcasters make nothing personal',
  )
})

t.test('what is not ours is passed through as it is', async (t) => {
  const { vault } = keyring()
  const codec = createCodec(allEvents, vault)
  const [ours] = stored(await codec.encode([ContactArchived({ contactId })], stream, NO_HEAD, cause), stream)
  const foreign = (data: unknown, metadata: unknown): StoredEvent => ({ ...ours!, type: 'OrderPlaced', stream: 'order-1', data, metadata })
  const cases = [
    foreign({ n: 1 }, { hash: 'theirs', v: '7' }),
    foreign(new Uint8Array([1]), undefined),
    foreign('text', new Uint8Array([2])),
    foreign(null, null),
  ]
  const decoded = await codec.decode([...cases, ours!])
  for (const [index, event] of cases.entries())
    t.match(decoded[index], { known: false, erased: false, data: event.data, meta: event.metadata ?? {} })
  t.equal(decoded.at(-1)!.known, true)
})

t.test('what does not fit is not written', async (t) => {
  const codec = createCodec(allEvents, keyring().vault)
  const refused = (type: string, data: unknown, why: RegExp) => t.rejects(codec.encode([{ type, data }], stream, NO_HEAD, cause), why)
  await refused('ContactRenamed', { contactId, name: 7 }, /ContactRenamed does not fit/)
  await refused('ContactRenamed', { contactId }, /does not fit/)
  await refused('ContactRenamed', { contactId, name: 'Ada', more: 1 }, /does not fit/)
  await refused('ContactRenamed', { contactId: contactId.toUpperCase(), name: 'Ada' }, /does not fit/)
  await refused('ContactRenamed', { contactId, name: 1n }, /BigInt/)
  await refused('Nothing', {}, /not a declared event/)
})

t.test('a key is claimed only where something is personal, and once for a stream', async (t) => {
  const { made, vault } = keyring()
  const codec = createCodec(allEvents, vault)
  const open = await codec.encode([ContactArchived({ contactId })], stream, NO_HEAD, cause)
  t.equal(made.size, 0)
  const head = headOf(await codec.decode(stored(open, stream)))
  const [renamed, removed] = await codec.encode(
    [ContactRenamed({ contactId, name: 'Ada' }), ContactMethodRemoved({ contactId, methodId: randomUUID() })],
    stream,
    head,
    cause,
  )
  t.equal(made.size, 1)
  t.equal(removed!.metadata.key, renamed!.metadata.key, "it stays the head's key")
  t.equal(renamed!.metadata.prev, open[0]!.metadata.hash)
})

t.test('sealing', async (t) => {
  const key = randomBytes(32)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.string(), (plain, boundTo) => {
      const sealed = seal(key, plain, boundTo)
      if (!unseal(key, sealed, boundTo).equals(plain)) throw new Error('not the same')
      if (seal(key, plain, boundTo).equals(sealed)) throw new Error('the same twice: the IV was used again')
    }),
  )
  const sealed = seal(key, Buffer.from('text'), 'a')
  t.throws(() => unseal(key, sealed, 'b'))
  t.throws(() => unseal(randomBytes(32), sealed, 'a'))
  t.throws(() => unseal(key, sealed.subarray(0, -1), 'a'))
  t.throws(() => unseal(key, sealed.subarray(0, 5), 'a'), /too short/)
})

t.test('ids made of names', async (t) => {
  // RFC 9562, appendix A.4: www.example.com in the DNS namespace.
  t.equal(uuidv5('www.example.com', '6ba7b810-9dad-11d1-80b4-00c04fd430c8'), '2ed6657d-e927-568b-95e1-2665a8aea6a2')
  t.equal(toUuid(Buffer.alloc(16, 0xff), 8), 'ffffffff-ffff-8fff-bfff-ffffffffffff')
})

type Sample = { v: number; event: Omit<StoredEvent, 'position' | 'created'>; data: unknown }
type Corpus = { keys: Record<string, string>; samples: Sample[] }

t.test('every event version ever released can still be read', async (t) => {
  const corpus: Corpus = JSON.parse(readFileSync(new URL('../corpus/events.json', import.meta.url), 'utf8'))
  const keys = new Map(Object.entries(corpus.keys).map(([id, hex]) => [id, Buffer.from(hex, 'hex')]))
  const vault: Pick<Vault, 'claim' | 'keys'> = { claim: () => t.fail('nothing is written') as never, keys: async () => keys }
  const codec = createCodec(allEvents, vault)
  const gone = createCodec(allEvents, { ...vault, keys: async (ids) => new Map([...ids].map((id) => [id, null])) })
  for (const { v, event, data } of corpus.samples) {
    const stored = { ...event, position: { commit: 0n, prepare: 0n }, created: cause.at }
    const [decoded] = await codec.decode([stored])
    t.match(decoded, { known: true, erased: false, meta: { v } }, `${event.type} version ${v}`)
    const today = (allEvents as Record<string, AnyEventType>)[event.type]!
    t.same([...Value.Errors(today.schema, decoded!.data)], [], 'and is what readers are promised today')
    const then = createCodec({ [event.type]: Object.assign(() => t.fail() as never, today, { version: v, upcasters: [] }) }, vault)
    t.same((await then.decode([stored]))[0]!.data, data, 'and says what it said')
    const [erased] = await gone.decode([stored])
    t.match(erased, { erased: today.personal.length > 0, meta: { v } })
    t.same(
      today.personal.filter((field) => Object.hasOwn(erased!.data as object, field)),
      [],
      'and nothing personal when it was erased',
    )
  }
  const have = new Set(corpus.samples.map(({ v, event }) => `${event.type} version ${v}`))
  for (const { type, version } of Object.values<AnyEventType>(allEvents))
    for (let v = 1; v <= version; v += 1)
      t.ok(have.has(`${type} version ${v}`), `${type} version ${v} has a sample (make one with test/corpus/add-samples.ts)`)
})

t.test('positions', async (t) => {
  const half = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n })
  fc.assert(
    fc.property(half, half, half, half, (commit, prepare, otherCommit, otherPrepare) => {
      const [a, b] = [
        { commit, prepare },
        { commit: otherCommit, prepare: otherPrepare },
      ]
      const same = parsePosition(formatPosition(a))
      if (!same || comparePositions(same, a) !== 0) throw new Error('not read as it was written')
      const expected = commit === otherCommit ? prepare - otherPrepare : commit - otherCommit
      if (Math.sign(comparePositions(a, b)) !== (expected > 0n ? 1 : expected < 0n ? -1 : 0)) throw new Error('out of order')
    }),
  )
  for (const text of ['', '1', '1.', '.1', '1.1.1', '-1.1', '1.1 ', '0x1.1', '12345678901234567890.1'])
    t.equal(parsePosition(text), null, text)
})
