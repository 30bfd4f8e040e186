/** Random histories, against a model of what EventStoreDB does, in memory and written anew from its rules. */
import { join } from 'node:path'
import { EventStoreDBClient, jsonEvent } from '@eventstore/db-client'
import fc from 'fast-check'
import t from 'tap'
import { type EventStore, startEventStore } from '../../src/eventstore/server.ts'
import { verify } from '../../src/eventstore/verify.ts'
import { all, folder } from './node.ts'

type Expected = 'any' | 'no_stream' | 'stream_exists' | number

type Step =
  | { do: 'append'; stream: string; expected: Expected; ids: number[] }
  | { do: 'together'; appends: { stream: string; ids: number[] }[] }
  | { do: 'delete' | 'tombstone'; stream: string; expected: Exclude<Expected, 'stream_exists'> }
  | { do: 'metadata'; stream: string; maxCount?: number | undefined; truncateBefore?: number | undefined }
  | { do: 'read'; stream: string; backwards: boolean; from: number | 'start' | 'end'; count: number }
  | { do: 'readAll'; backwards: boolean; from: number; count: number }
  | { do: 'restart' }
  | { do: 'compact' }

const streams = fc.constantFrom('alpha', 'beta', 'gamma')
const expected = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom<Expected>('any', 'no_stream', 'stream_exists') },
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 8 }) },
)
const ids = fc.array(fc.integer({ min: 0, max: 25 }), { minLength: 1, maxLength: 4 })
const optional = (max: number) => fc.option(fc.integer({ min: 1, max }), { nil: undefined })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('append' as const), stream: streams, expected, ids }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('together' as const),
      appends: fc.array(fc.record({ stream: streams, ids }), { maxLength: 5 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.oneof({ weight: 7, arbitrary: fc.constant('delete' as const) }, { weight: 1, arbitrary: fc.constant('tombstone' as const) }),
      stream: streams,
      expected: fc.oneof(fc.constantFrom('any' as const, 'no_stream' as const), fc.integer({ min: 0, max: 5 })),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('metadata' as const), stream: streams, maxCount: optional(4), truncateBefore: optional(6) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('read' as const),
      stream: streams,
      backwards: fc.boolean(),
      from: fc.oneof(fc.constantFrom('start' as const, 'end' as const), fc.integer({ min: 0, max: 12 })),
      count: fc.integer({ min: 1, max: 10 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('readAll' as const),
      backwards: fc.boolean(),
      from: fc.nat(40),
      count: fc.integer({ min: 1, max: 40 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'restart' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'compact' as const }) },
)

type Entry = { position: number; stream: string; revision: number; id: number | 'metadata' | 'tombstone' }

/** The model: a list of everything written, and what each stream's metadata says. */
function createModel() {
  let log: Entry[] = []
  let position = 0
  const head = new Map<string, number>()
  const metadata = new Map<string, { maxCount?: number | undefined; before?: number | undefined }>()
  const buried = new Set<string>()
  let recent = new Map<number, { stream: string; revision: number }>()

  const last = (stream: string) => head.get(stream) ?? -1
  const deleted = (stream: string) => metadata.get(stream)?.before === Number.POSITIVE_INFINITY
  const bound = (stream: string) => {
    const { maxCount, before } = metadata.get(stream) ?? {}
    return Math.max(before ?? 0, maxCount === undefined ? 0 : last(stream) - maxCount + 1)
  }

  function write(stream: string, id: Entry['id'], revision = last(stream) + 1): void {
    log.push({ position: ++position, stream, revision, id })
    if (id !== 'tombstone') head.set(stream, revision)
    if (typeof id === 'number') recent.set(id, { stream, revision })
  }

  function setMetadata(stream: string, told: { maxCount?: number | undefined; before?: number | undefined }): void {
    write(`$$${stream}`, 'metadata')
    metadata.set(stream, told)
  }

  // What a fresh log begins with, as on the server.
  setMetadata('$scavenges', {})

  /** The revision answered, or the error. */
  function append(stream: string, asked: Expected, events: number[]): number | string {
    if (buried.has(stream)) return 'stream-deleted'
    if (asked === 'stream_exists' && deleted(stream)) return 'stream-deleted'
    if (asked === 'stream_exists' && last(stream) < 0 && !metadata.has(stream)) return 'wrong-expected-version'
    if (asked === 'any' || asked === 'stream_exists') {
      const known = events.map((id) => recent.get(id)).map((place) => (place?.stream === stream ? place.revision : undefined))
      const unknown = known.indexOf(undefined)
      if (unknown === -1) return known.at(-1)!
      if (unknown > 0) return 'wrong-expected-version'
    } else {
      const after = asked === 'no_stream' ? -1 : asked
      if (after > last(stream)) return 'wrong-expected-version'
      if (after < last(stream)) {
        const there = events.map((id, index) => log.some((e) => e.stream === stream && e.revision === after + 1 + index && e.id === id))
        if (there.every(Boolean)) return after + events.length
        if (there[0] || after !== -1 || !deleted(stream)) return 'wrong-expected-version'
      }
    }
    const again = deleted(stream)
    const from = last(stream) + 1
    for (const id of events) write(stream, id)
    if (again) setMetadata(stream, { ...metadata.get(stream), before: from })
    return last(stream)
  }

  function remove(stream: string, asked: Expected, forGood: boolean): 'done' | string {
    if (buried.has(stream)) return 'stream-deleted'
    const free = asked === 'any' || (asked === 'no_stream' ? last(stream) < 0 || deleted(stream) : asked === last(stream))
    if (!free) return 'wrong-expected-version'
    if (forGood) {
      write(stream, 'tombstone')
      buried.add(stream)
      return 'done'
    }
    if (last(stream) < 0 && !metadata.has(stream)) return 'wrong-expected-version'
    setMetadata(stream, { before: Number.POSITIVE_INFINITY })
    return 'done'
  }

  return {
    append,
    remove,
    log: () => log,
    metadata(stream: string, maxCount?: number, before?: number): 'done' | string {
      if (buried.has(stream)) return 'stream-deleted'
      // Metadata written to a deleted stream shows it again, from its next revision on.
      const again = deleted(stream)
      setMetadata(stream, { maxCount, before })
      if (again) setMetadata(stream, { maxCount, before: last(stream) + 1 })
      return 'done'
    },
    read(stream: string, backwards: boolean, from: number | 'start' | 'end', count: number): number[] | string {
      if (buried.has(stream)) return 'stream-deleted'
      if (last(stream) < 0 || deleted(stream)) return 'stream-not-found'
      if (!backwards && from === 'end') return []
      const start = from === 'start' ? 0 : from === 'end' ? last(stream) : from
      const kept = log.filter((entry) => entry.stream === stream).map(({ revision }) => revision)
      const visible = kept.filter((revision) => revision >= bound(stream))
      const chosen = backwards ? visible.filter((revision) => revision <= start).reverse() : visible.filter((revision) => revision >= start)
      return chosen.slice(0, count)
    },
    compact() {
      log = log.filter(({ stream, revision, id }) => {
        if (id === 'tombstone') return true
        if (buried.has(stream)) return false
        if (stream.startsWith('$$')) return revision === last(stream)
        return revision >= Math.min(bound(stream), last(stream))
      })
    },
    restart() {
      recent = new Map()
      for (const { id, stream, revision } of log) if (typeof id === 'number') recent.set(id, { stream, revision })
    },
  }
}

const uuid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
const written = (numbers: number[]) => numbers.map((n) => jsonEvent({ id: uuid(n), type: 'Happened', data: { n } }))
const wire = (asked: Expected) => (typeof asked === 'number' ? BigInt(asked) : asked)
const errorType = (error: { type?: string; message: string }) => error.type ?? error.message

/** Until its first append is through, the official client may send the ones after it in another order. */
async function connected(url: string): Promise<EventStoreDBClient> {
  const client = EventStoreDBClient.connectionString(url)
  await client.appendToStream('nothing', [])
  return client
}

/** Does a step on the node and on the model, and compares what they say. */
async function check(step: Step, model: ReturnType<typeof createModel>, client: EventStoreDBClient): Promise<[unknown, unknown]> {
  const append = (stream: string, asked: Expected, numbers: number[]) =>
    client
      .appendToStream(stream, written(numbers), { expectedRevision: wire(asked) })
      .then((told) => Number(told.nextExpectedRevision), errorType)
  switch (step.do) {
    case 'append':
      return [await append(step.stream, step.expected, step.ids), model.append(step.stream, step.expected, step.ids)]
    case 'together': {
      const told = await Promise.all(step.appends.map(({ stream, ids }) => append(stream, 'any', ids)))
      return [told, step.appends.map(({ stream, ids }) => model.append(stream, 'any', ids))]
    }
    case 'delete':
    case 'tombstone': {
      const forGood = step.do === 'tombstone'
      const options = { expectedRevision: wire(step.expected) as bigint }
      const asked = forGood ? client.tombstoneStream(step.stream, options) : client.deleteStream(step.stream, options)
      return [await asked.then(() => 'done', errorType), model.remove(step.stream, step.expected, forGood)]
    }
    case 'metadata': {
      const { maxCount, truncateBefore, stream } = step
      const asked = client.setStreamMetadata(stream, { ...(maxCount && { maxCount }), ...(truncateBefore && { truncateBefore }) })
      return [await asked.then(() => 'done', errorType), model.metadata(stream, maxCount, truncateBefore)]
    }
    case 'read': {
      const direction = step.backwards ? 'backwards' : 'forwards'
      const fromRevision = typeof step.from === 'number' ? BigInt(step.from) : step.from
      const read = all(client.readStream(step.stream, { direction, fromRevision, maxCount: step.count }))
      const told = await read.then((events) => events.map(({ event }) => Number(event!.revision)), errorType)
      return [told, model.read(step.stream, step.backwards, step.from, step.count)]
    }
    case 'readAll': {
      const { backwards, from, count } = step
      const place = BigInt(from)
      const direction = backwards ? 'backwards' : 'forwards'
      const read = await all(client.readAll({ direction, fromPosition: { commit: place, prepare: place }, maxCount: count }))
      const log = backwards ? model.log().toReversed() : model.log()
      const wanted = log.filter(({ position }) => (backwards ? position < from : position >= from)).slice(0, count)
      return [read.map(({ event }) => Number(event!.position!.commit)), wanted.map(({ position }) => position)]
    }
    default:
      return [undefined, undefined]
  }
}

t.test('whatever is done, in whatever order, the node says what the model says', async (t) => {
  const place = folder(t)
  let run = 0
  let newest: Promise<void> | undefined
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), (steps) => {
      newest = history(steps, join(place, `${run++}.db`))
      return newest
    }),
    // A busy machine does fewer runs rather than none: 15 s, unless the number is asked for.
    process.env['EVENTSTORE_MODEL_RUNS']
      ? { numRuns: Number(process.env['EVENTSTORE_MODEL_RUNS']) }
      : { numRuns: 200, interruptAfterTimeLimit: 15_000 },
  )
  // Interrupted means that it is not waited for: its files must not go before it is over.
  await newest
})

async function history(steps: readonly Step[], file: string): Promise<void> {
  let store: EventStore = await startEventStore({ file, systemEvents: true })
  let client = await connected(store.url)
  const seen: string[] = []
  const follow = (from: bigint | undefined) => {
    const subscription = client.subscribeToAll(from ? { fromPosition: { commit: from, prepare: from } } : {})
    subscription.on('error', () => {})
    subscription.on('data', ({ event }) => void seen.push(`${event!.position!.commit} ${event!.streamId} ${event!.type}`))
  }
  follow(undefined)
  const model = createModel()
  const everything: string[] = []
  let noted = 0
  try {
    for (const step of steps) {
      const [told, wanted] = await check(step, model, client)
      if (JSON.stringify(told) !== JSON.stringify(wanted)) throw new Error(`${JSON.stringify(step)}: ${told} instead of ${wanted}`)
      for (const { position, stream, id } of model.log().filter((entry) => entry.position > noted)) {
        const type = id === 'metadata' ? '$metadata' : id === 'tombstone' ? '$streamDeleted' : 'Happened'
        everything.push(`${position} ${stream} ${type}`)
        noted = position
      }
      while (seen.length < everything.length) await new Promise((resolve) => setImmediate(resolve))
      if (step.do === 'compact') {
        await store.compact()
        model.compact()
      }
      if (step.do === 'restart') {
        await client.dispose()
        await store.close()
        model.restart()
        store = await startEventStore({ file, systemEvents: true })
        client = await connected(store.url)
        follow(BigInt(noted))
      }
    }
    if (JSON.stringify(seen) !== JSON.stringify(everything)) throw new Error(`The subscription saw ${seen} instead of ${everything}`)
    const { damages } = verify(file)
    if (damages.length > 0) throw new Error(damages[0]!.what)
  } finally {
    await client.dispose()
    await store.close()
  }
}
