/** The guarded client, on the real embedded node and through a proxy that cuts, freezes and refuses. */

import { randomUUID } from 'node:crypto'
import { getEventListeners } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startEventStore } from '../../src/eventstore/server.ts'
import type { EncodedEvent } from '../../src/platform/codec.ts'
import type { StoredEvent } from '../../src/platform/event.ts'
import { AppendTooLarge, type EventStore, OutcomeUnknown, openEventStore, WrongExpectedRevision } from '../../src/platform/event-store.ts'
import { createLogger } from '../../src/platform/log.ts'
import { comparePositions } from '../../src/platform/position.ts'
import { Unavailable } from '../../src/platform/refusal.ts'
import { type MisbehavingProxy, misbehavingProxy } from '../support/misbehaving-proxy.ts'
import { until } from '../support/processes.ts'

const log = createLogger('silent', 'test')
const fresh = () => `thing-${randomUUID()}`
const event = (text: number | string = 0): EncodedEvent => ({
  id: randomUUID(),
  type: 'Happened',
  data: { text },
  metadata: { v: 1 } as unknown as EncodedEvent['metadata'],
})
const texts = (events: readonly StoredEvent[]) => events.map(({ data }) => (data as { text: unknown }).text)

type Setting = {
  /** Through the proxy. */
  store: EventStore
  /** Past the proxy: what is really in the log. */
  direct: EventStore
  proxy: MisbehavingProxy
  /** Ends the node and starts it again on the same log, elsewhere; the proxy leads there. */
  restart(): Promise<void>
  /** How many subscriptions the node serves. */
  subscriptions(): Promise<number>
}

async function setUp(t: Test, silenceMs?: number): Promise<Setting> {
  const folder = await mkdtemp(join(tmpdir(), 'smartcrm-test-'))
  const file = join(folder, 'events.db')
  let node = await startEventStore({ file })
  const target = { port: node.port }
  const proxy = await misbehavingProxy(t, target)
  const store = openEventStore(proxy.url, log, { silenceMs })
  let direct = openEventStore(node.url, log)
  t.teardown(async () => {
    await store.close()
    await direct.close()
    await node.close()
    await rm(folder, { recursive: true })
  })
  return {
    store,
    get direct() {
      return direct
    },
    proxy,
    async restart() {
      await direct.close()
      await node.close()
      node = await startEventStore({ file })
      target.port = node.port
      direct = openEventStore(node.url, log)
    },
    async subscriptions() {
      const text = await (await fetch(`http://127.0.0.1:${node.port}/metrics`)).text()
      return Number(/^eventstore_subscriptions\S* (\d+)$/m.exec(text)?.[1])
    },
  }
}

t.test('appending and reading', async (t) => {
  const { store } = await setUp(t)
  const stream = fresh()

  t.same(await store.readStream(stream), [], 'no stream is no events')
  t.equal(await store.readLast(stream), null)
  t.equal(await store.end(), null, 'an empty log has no end')
  const first = await store.append(stream, -1, [event(1), event(2)])
  const second = await store.append(stream, 1, [event(3)])
  t.ok(comparePositions(first!, second!) < 0, 'positions grow')

  const events = await store.readStream(stream)
  t.same(texts(events), [1, 2, 3])
  t.same(
    events.map(({ revision }) => revision),
    [0, 1, 2],
  )
  t.same(events.at(-1)!.position, second)
  t.same(await store.readLast(stream), events.at(-1))
  t.same(await store.end(), second)

  await t.rejects(store.append(stream, -1, [event()]), WrongExpectedRevision, 'the stream is there already')
  await t.rejects(store.append(stream, 1, [event()]), WrongExpectedRevision, 'it has moved on')
  await t.rejects(store.append(stream, 7, [event()]), WrongExpectedRevision, 'it is not there yet')
  await t.rejects(store.append(fresh(), -1, [event('x'.repeat(1_100_000))]), AppendTooLarge)
  t.same(texts(await store.readStream(stream)), [1, 2, 3], 'what was refused is not there')

  t.test('ten at once at one revision: one is taken', async (t) => {
    const results = await Promise.allSettled(Array.from({ length: 10 }, (_, n) => store.append(stream, 2, [event(n)])))
    t.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
    t.ok(results.every((result) => result.status === 'fulfilled' || result.reason instanceof WrongExpectedRevision))
    t.equal((await store.readStream(stream)).length, 4)
  })

  t.test('the whole log is read in pages, each after the last event of the one before', async (t) => {
    for (let n = 0; n < 7; n += 1) await store.append(fresh(), -1, [event(`page ${n}`)])
    const all = await store.readAll(null, 1_000)
    const paged: StoredEvent[] = []
    for (let page = await store.readAll(null, 3); page.length > 0; page = await store.readAll(paged.at(-1)!.position, 3)) {
      t.ok(page.length <= 3)
      paged.push(...page)
    }
    t.same(paged, all)
    t.equal(new Set(paged.map(({ id }) => id)).size, paged.length)
  })

  t.test('a stream that keeps its newest', async (t) => {
    const short = fresh()
    await store.keepNewest(short, 2)
    for (let n = 0; n < 5; n += 1) await store.append(short, n - 1, [event(n)])
    t.same(texts(await store.readStream(short)), [3, 4])
  })
})

t.test('an append whose outcome is unknown', async (t) => {
  const { store, direct, proxy } = await setUp(t)
  await store.append(fresh(), -1, [event()])

  t.test('it was taken: it is tried again with the same ids, and is there once', async (t) => {
    const stream = fresh()
    proxy.freeze('answers')
    const appended = store.append(stream, -1, [event(1), event(2)])
    await until('the append at the server', async () => (await direct.readStream(stream)).length === 2)
    proxy.cut()
    const position = await appended
    const events = await direct.readStream(stream)
    t.same(texts(events), [1, 2])
    t.same(position, events[1]!.position)
  })

  t.test('it was taken and another went on from there: still there once, and told so', async (t) => {
    const stream = fresh()
    proxy.freeze('answers')
    const appended = store.append(stream, -1, [event('mine')])
    await until('the append at the server', async () => (await direct.readStream(stream)).length === 1)
    await direct.append(stream, 0, [event('theirs')])
    proxy.cut()
    t.same(await appended, (await direct.readStream(stream))[0]!.position)
    t.same(texts(await direct.readStream(stream)), ['mine', 'theirs'])
  })

  t.test('it was not taken and another was: a conflict', async (t) => {
    const stream = fresh()
    await store.append(fresh(), -1, [event()])
    proxy.freeze('asks')
    const appended = store.append(stream, -1, [event('mine')])
    appended.catch(() => {})
    await direct.append(stream, -1, [event('theirs')])
    proxy.cut()
    await t.rejects(appended, WrongExpectedRevision)
    t.same(texts(await direct.readStream(stream)), ['theirs'])
  })

  t.test('a connection that is frozen is given up for another, and neither other reads nor appends suffer', async (t) => {
    const stream = fresh()
    const there = fresh()
    await store.append(there, -1, [event('there')])
    const before = proxy.made()
    proxy.freeze()
    const reads = Array.from({ length: 5 }, () => store.readStream(there))
    await Promise.all([store.append(stream, -1, [event(1)]), ...Array.from({ length: 10 }, () => store.append(fresh(), -1, [event()]))])
    t.ok(proxy.made() > before, 'over a new connection')
    t.same(texts(await direct.readStream(stream)), [1])
    proxy.thaw()
    for (const read of reads) t.same(texts(await read), ['there'], 'a read that waits is not taken for one that found nothing')
  })

  t.test('many large ones under way when the connection is cut', async (t) => {
    const streams = Array.from({ length: 40 }, fresh)
    await store.append(fresh(), -1, [event()])
    proxy.freeze('answers')
    const appended = Promise.all(streams.map((stream) => store.append(stream, -1, [event('x'.repeat(100_000))])))
    await until('the first at the server', async () => (await direct.readStream(streams[0]!)).length === 1)
    proxy.cut()
    await appended
    for (const stream of streams) t.equal((await direct.readStream(stream)).length, 1, 'is there once')
  })

  t.test('the network is slow', async (t) => {
    proxy.delay(100)
    const stream = fresh()
    await Promise.all([store.append(stream, -1, [event(1)]), store.append(fresh(), -1, [event(1)])])
    t.same(texts(await store.readStream(stream)), [1])
    proxy.delay(0)
  })
})

t.test('a server that is away', async (t) => {
  const { store, proxy, restart } = await setUp(t)
  const stream = fresh()
  await store.append(stream, -1, [event(1)])
  proxy.refuse(true)
  proxy.cut()
  await t.rejects(store.readStream(stream), Unavailable)
  await t.rejects(store.readLast(stream), Unavailable)
  await t.rejects(store.readAll(null, 10), Unavailable)
  await t.rejects(store.end(), Unavailable)
  await t.rejects(store.keepNewest(stream, 10), Unavailable)
  await t.rejects(store.append(stream, 0, [event(2)], 500), Unavailable)

  t.test('is used again as soon as it is back', async (t) => {
    proxy.refuse(false)
    await store.append(stream, 0, [event(2)])
    t.same(texts(await store.readStream(stream)), [1, 2])
  })

  t.test('an append that began while it was away is carried out', async (t) => {
    proxy.refuse(true)
    proxy.cut()
    const appended = store.append(stream, 1, [event(3)])
    await restart()
    proxy.refuse(false)
    await appended
    t.same(texts(await store.readStream(stream)), [1, 2, 3])
  })

  t.test('a connection that was cut while idle is not noticed by a reader', async (t) => {
    proxy.cut()
    t.same(texts(await store.readStream(stream)), [1, 2, 3])
    proxy.cut()
    t.equal((await store.readAll(null, 10)).length, 3)
  })
})

t.test('a read that is cut in the middle gives everything or fails, never a part', async (t) => {
  const { store, direct, proxy } = await setUp(t)
  const stream = fresh()
  const batch = Array.from({ length: 15 }, () => event('x'.repeat(50_000)))
  for (let n = 0; n < 10; n += 1)
    await direct.append(
      stream,
      n * 15 - 1,
      batch.map((one) => ({ ...one, id: randomUUID() })),
    )
  let cut = 0
  for (let round = 0; round < 8; round += 1) {
    const reading = store.readStream(stream).catch((error: unknown) => error)
    const done = reading.then(() => true)
    for (let slice = 0; slice < 3; slice += 1)
      if (!(await Promise.race([done, new Promise((r) => setTimeout(() => r(false), 8 * round))]))) proxy.cut()
    const result = await reading
    if (Array.isArray(result)) t.equal(result.length, 150)
    else t.ok(result instanceof Unavailable)
    cut += Array.isArray(result) ? 0 : 1
  }
  t.comment(`${cut} of 8 failed`)
})

t.test('closing', async (t) => {
  const { store, proxy, direct } = await setUp(t)
  const stream = fresh()
  await store.append(stream, -1, [event(1)])
  proxy.freeze()
  proxy.freezeNew(true)
  const append = store.append(stream, 0, [event(2)])
  const reads = [store.readStream(stream), store.readAll(null, 10), store.end()]
  for (const pending of [append, ...reads]) pending.catch(() => {})
  await store.close()
  for (const read of reads)
    await t.rejects(read as Promise<unknown>, Unavailable, 'a read that was under way does not pass for an empty one')
  await t.rejects(append, OutcomeUnknown, 'an append may have been taken')
  await t.rejects(store.append(stream, 0, [event(2)]), Unavailable, 'nothing is begun any more')
  await t.rejects(store.readStream(stream), Unavailable)
  proxy.cut()
  await until('no connection left', () => proxy.open() === 0)
  t.same(texts(await direct.readStream(stream)), [1])
})

/** Takes events in until it is left or aborted. */
function follow(store: EventStore, after: StoredEvent['position'] | null = null) {
  const aborter = new AbortController()
  const seen: unknown[] = []
  const ended = (async () => {
    for await (const { data } of store.subscribe({ after, signal: aborter.signal })) seen.push((data as { text: unknown }).text)
  })()
  return {
    seen,
    signal: aborter.signal,
    async stop() {
      aborter.abort()
      await ended
    },
  }
}

t.test('subscribing', async (t) => {
  const setting = await setUp(t)
  const { store, proxy } = setting
  let count = 0
  const appendMore = async (more: number) => {
    for (const end = count + more; count < end; count += 1) await setting.direct.append(fresh(), -1, [event(count)])
  }
  const numbers = () => Array.from({ length: count }, (_, n) => n)
  await appendMore(5)

  t.test('gives what there is and what comes, through cuts and restarts, each once and in order', async (t) => {
    const follower = follow(store)
    const all = () => follower.seen.length >= count
    await until('what is there', all)
    for (let round = 0; round < 5; round += 1) {
      const appending = appendMore(20)
      proxy.cut()
      await appending
      await until('all of them', all)
    }
    await setting.restart()
    await appendMore(20)
    proxy.refuse(true)
    proxy.cut()
    await appendMore(20)
    proxy.refuse(false)
    await until('all of them', all)
    t.same(follower.seen, numbers())
    await follower.stop()
    await until('the end of the call at the server', async () => (await setting.subscriptions()) === 0)
    t.same(getEventListeners(follower.signal, 'abort'), [], 'no listener is left')
  })

  t.test('starts after the position that it is given', async (t) => {
    const [, , third] = await store.readAll(null, 3)
    const follower = follow(store, third!.position)
    await until('all of them', () => follower.seen.length === count - 3)
    t.same(follower.seen, numbers().slice(3))
    await follower.stop()
  })

  t.test('a consumer that is slow gets all of it', async (t) => {
    await appendMore(60)
    const seen: unknown[] = []
    const aborter = new AbortController()
    for await (const { data } of store.subscribe({ after: null, signal: aborter.signal })) {
      seen.push((data as { text: unknown }).text)
      if (seen.length === 10) proxy.cut()
      await new Promise((resolve) => setImmediate(resolve))
      if (seen.length === count) break
    }
    t.same(seen, numbers())
    t.same(getEventListeners(aborter.signal, 'abort'), [])
    await until('the end of the call at the server', async () => (await setting.subscriptions()) === 0)
  })

  t.test('leaving the loop ends the call at the server', async (t) => {
    for await (const _ of store.subscribe({ after: null, signal: new AbortController().signal })) {
      t.equal(await setting.subscriptions(), 1)
      break
    }
    await until('the end of the call at the server', async () => (await setting.subscriptions()) === 0)
  })

  t.test('so does a throw in it', async (t) => {
    const consume = async () => {
      for await (const _ of store.subscribe({ after: null, signal: new AbortController().signal })) throw new Error('mine')
    }
    await t.rejects(consume, { message: 'mine' })
    await until('the end of the call at the server', async () => (await setting.subscriptions()) === 0)
  })

  t.test('an aborted signal ends it while the server is away', async (t) => {
    proxy.refuse(true)
    proxy.cut()
    const follower = follow(store)
    await follower.stop()
    t.same(follower.seen, [])
    proxy.refuse(false)
  })
})

t.test('a subscription that falls silent is subscribed again, over another connection', async (t) => {
  const { store, direct, proxy } = await setUp(t, 300)
  await direct.append(fresh(), -1, [event(0)])
  const follower = follow(store)
  await until('the first', () => follower.seen.length === 1)
  const before = proxy.made()
  proxy.freeze()
  await direct.append(fresh(), -1, [event(1)])
  await until('the second', () => follower.seen.length === 2)
  t.same(follower.seen, [0, 1])
  t.ok(proxy.made() > before)
  await follower.stop()
})

t.test('settings in the address are kept', async (t) => {
  const { proxy } = await setUp(t)
  const store = openEventStore(`${proxy.url}&keepAliveTimeout=12000&connectionName=mine`, log)
  await store.append(fresh(), -1, [event()])
  t.equal((await store.readAll(null, 10)).length, 1)
  await store.close()
})
