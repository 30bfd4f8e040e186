import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { allEvents } from '../../schema/events.ts'
import { startEventStore } from '../../src/eventstore/server.ts'
import { createCodec, type EncodedEvent, hashOf } from '../../src/platform/codec.ts'
import type { Metadata } from '../../src/platform/event.ts'
import { type EventStore, openEventStore } from '../../src/platform/event-store.ts'
import { startHeartbeat } from '../../src/platform/heartbeat.ts'
import { createLogger } from '../../src/platform/log.ts'
import { until } from '../support/processes.ts'

const log = createLogger('silent', 'test')
const noKeys = { claim: () => Promise.reject(new Error('a heartbeat has nothing personal')), keys: async () => new Map() }
const codec = createCodec(allEvents, noKeys)

async function setUp(t: Test): Promise<EventStore> {
  const folder = await mkdtemp(join(tmpdir(), 'smartcrm-test-'))
  const node = await startEventStore({ file: join(folder, 'events.db') })
  const store = openEventStore(node.url, log)
  t.teardown(async () => {
    await store.close()
    await node.close()
    await rm(folder, { recursive: true })
  })
  return store
}
const beats = (store: EventStore) => store.readStream('heartbeat')
/** The same store, where the server's clock is wrong by so many seconds. */
const skewed = (store: EventStore, seconds: number): EventStore => ({
  ...store,
  async readLast(stream) {
    const last = await store.readLast(stream)
    return last && { ...last, created: new Date(Date.parse(last.created) + seconds * 1_000).toISOString() }
  },
})

t.test('a beat at once, by however many workers; chained, with nothing personal', async (t) => {
  const store = await setUp(t)
  const hearts = Array.from({ length: 5 }, () => startHeartbeat(store, codec, log))
  t.teardown(() => hearts.map((heart) => heart.close()))
  await until('a beat', async () => (await beats(store)).length > 0)
  const [first] = await codec.decode(await beats(store))
  t.match(first, { type: 'HeartbeatRecorded', known: true, data: {}, meta: { key: null, prev: null, actor: 'system:worker' } })

  // One that starts now finds a young one, and leaves it at that.
  const asked = Promise.withResolvers<void>()
  const late = startHeartbeat({ ...store, readLast: (stream) => store.readLast(stream).finally(asked.resolve) }, codec, log)
  t.teardown(() => late.close())
  await asked.promise
  await new Promise((resolve) => setImmediate(resolve))
  t.equal((await beats(store)).length, 1)
})

t.test('it goes on, however wrong the clock of the server is', async (t) => {
  for (const seconds of [-3_600, 3_600]) {
    const store = await setUp(t)
    startHeartbeat(store, codec, log).close()
    await until('a beat', async () => (await beats(store)).length === 1)
    startHeartbeat(skewed(store, seconds), codec, log).close()
    await until('another', async () => (await beats(store)).length === 2)
    const [first, second] = await codec.decode(await beats(store))
    t.equal(second!.meta.prev, first!.meta.hash)
  }
})

t.test('its stream alone forgets', async (t) => {
  const store = await setUp(t)
  startHeartbeat(store, codec, log).close()
  await until('a beat', async () => (await beats(store)).length === 1)
  const [first] = await beats(store)
  let { hash } = first!.metadata as Metadata
  const more: EncodedEvent[] = []
  for (let revision = 1; revision <= 510; revision += 1) {
    const { hash: _, ...metadata } = { ...(first!.metadata as Metadata), prev: hash }
    const event = { id: randomUUID(), type: 'HeartbeatRecorded', data: {} }
    hash = hashOf({ ...event, stream: 'heartbeat', revision }, metadata)
    more.push({ ...event, metadata: { ...metadata, hash } })
  }
  await store.append('heartbeat', 0, more)
  const kept = await beats(store)
  t.equal(kept.length, 500)
  t.equal(kept[0]!.revision, 11)
  t.equal((await codec.decode(kept)).length, 500, 'and what is left can be read')
})

t.test('a store that is away does not end it', async (t) => {
  const store = await setUp(t)
  let refused = 0
  const away: EventStore = {
    ...store,
    async readLast() {
      refused += 1
      throw new Error('away')
    },
  }
  startHeartbeat(away, codec, log).close()
  await until('the failed beat', () => refused === 1)
  t.same(await beats(store), [])
})
