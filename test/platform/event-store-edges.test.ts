/** The sharp edges of the official client that event-store.ts hides: each with a server that misbehaves so. */

import { randomInt, randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startEventStore } from '../../src/eventstore/server.ts'
import type { EncodedEvent } from '../../src/platform/codec.ts'
import {
  AppendTooLarge,
  type EventFilter,
  type EventStore,
  HEARTBEAT_STREAM,
  NotLeader,
  OutcomeUnknown,
  openEventStore,
  WrongExpectedRevision,
} from '../../src/platform/event-store.ts'
import { createLogger } from '../../src/platform/log.ts'
import { comparePositions, type Position } from '../../src/platform/position.ts'
import { Unavailable } from '../../src/platform/refusal.ts'
import type { Followed } from '../../src/platform/subscription.ts'
import { type AppendFault, checkpointAt, type MisbehavingNode, misbehavingNode } from '../support/misbehaving-node.ts'
import { type MisbehavingProxy, misbehavingProxy } from '../support/misbehaving-proxy.ts'
import { until } from '../support/processes.ts'
import { recordingLog } from '../support/recording-log.ts'
import { createRandom } from '../support/soak/random.ts'

const silent = createLogger('silent', 'test')
const fresh = (category = 'thing') => `${category}-${randomUUID()}`
const event = (text: number | string = 0, type = 'Happened'): EncodedEvent => ({
  id: randomUUID(),
  type,
  data: { text },
  metadata: { v: 1 } as unknown as EncodedEvent['metadata'],
})
const things: EventFilter = { streams: ['thing-'] }
const textOf = ({ event }: Followed) => (event ? (event.data as { text: unknown }).text : null)
const eventsOf = (items: readonly Followed[]) => items.filter(({ event }) => event).map(textOf)

type Setting = {
  /** Through the proxy and the node that misbehaves. */
  readonly store: EventStore
  /** Past both: what is really in the log. */
  readonly direct: EventStore
  readonly proxy: MisbehavingProxy
  readonly node: MisbehavingNode
  /** The embedded node behind it. */
  readonly port: number
  open(options?: { url?: string; silenceMs?: number; tryMs?: number }): EventStore
  /** How many subscriptions the log serves. */
  subscriptions(): Promise<number>
}

async function setUp(t: Test): Promise<Setting> {
  const folder = await mkdtemp(join(tmpdir(), 'smartcrm-test-'))
  const { port, url, close } = await startEventStore({ file: join(folder, 'events.db') })
  const target = { port: 0 }
  const proxy = await misbehavingProxy(t, target)
  const node = await misbehavingNode(t, { port }, proxy.cut)
  target.port = node.port
  const opened: EventStore[] = []
  const open: Setting['open'] = ({ url = proxy.url, silenceMs = 20_000, tryMs = 500 } = {}) => {
    const store = openEventStore(url, silent, { silenceMs, tryMs })
    opened.push(store)
    return store
  }
  t.teardown(async () => {
    for (const store of opened) await store.close()
    await close()
    await rm(folder, { recursive: true })
  })
  const subscriptions = async () => {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    return Number(/^eventstore_subscriptions\S* (\d+)$/m.exec(text)?.[1])
  }
  return { store: open(), direct: open({ url }), proxy, node, port, open, subscriptions }
}

/** Takes in what comes until it is stopped. */
function follow(store: EventStore, options: { after?: Position | null; filter?: EventFilter } = {}) {
  const aborter = new AbortController()
  const items: Followed[] = []
  const ended = (async () => {
    for await (const item of store.follow({ after: null, signal: aborter.signal, ...options })) items.push(item)
  })()
  return {
    items,
    async stop() {
      aborter.abort()
      await ended
    },
  }
}

/** What is asked for in every second place, something else in the others. @returns the positions */
async function appendMixed(store: EventStore, count: number): Promise<Position[]> {
  const positions: Position[] = []
  for (let n = 0; n < count; n += 1) {
    const appended = await store.append(fresh(n % 2 === 0 ? 'thing' : 'other'), -1, [event(n)])
    positions.push(appended!)
  }
  return positions
}

const isRising = (items: readonly Followed[]) =>
  items.every(({ position }, index) => index === 0 || comparePositions(position, items[index - 1]!.position) > 0)

/** An append goes well although the first try went badly, and is in the log once. */
const survives = (fault: AppendFault) => async (t: Test, setting: Setting) => {
  const { store, direct, node } = setting
  const stream = fresh()
  await store.append(stream, -1, [event('before')])
  const events = [event(1), event(2)]
  const { appends } = node.counts
  node.appendFaults.push(fault)
  const position = await store.append(stream, 0, events)
  const there = (await direct.readStream(stream)).slice(1)
  t.same(
    there.map(({ id }) => id),
    events.map(({ id }) => id),
  )
  t.same(position, there.at(-1)!.position)
  t.ok(node.counts.appends >= appends + 2, 'it was tried again')
}

/** An append goes well at once, and so do those after it over the same call. */
const takesAtOnce = (fault: AppendFault) => async (t: Test, setting: Setting) => {
  const { store, direct, node } = setting
  const stream = fresh()
  const { appends } = node.counts
  node.appendFaults.push(fault)
  await store.append(stream, -1, [event(1)])
  await store.append(stream, 0, [event(2)])
  t.equal(node.counts.appends, appends + 2, 'neither was tried again')
  t.equal((await direct.readStream(stream)).length, 2)
}

/** A subscription goes on as if nothing had been when the server does this to it after the third event. */
const resumes = (misbehaves: 'ends' | 'is too slow', reason: 'ended' | 'tooSlow') => async (t: Test, setting: Setting) => {
  const { open, direct, node } = setting
  const store = open()
  await appendMixed(direct, 6)
  let sent = 0
  node.onRead = (answer) => {
    sent += answer.hasEvent() ? 1 : 0
    return sent === 3 && answer.hasEvent() ? misbehaves : [answer]
  }
  const follower = follow(store)
  await until('all of them', () => eventsOf(follower.items).length >= 6)
  t.same(eventsOf(follower.items), [0, 1, 2, 3, 4, 5])
  t.same(store.resubscriptions, { ended: 0, failed: 0, silent: 0, tooSlow: 0, wentBack: 0, [reason]: 1 })
  await follower.stop()
}

const edges: Record<string, (t: Test, setting: Setting) => Promise<void>> = {
  'checkpointReached runs up to 16 events ahead of the consumer': async (t, { store, direct, node }) => {
    const positions = await appendMixed(direct, 80)
    // After each of ours a checkpoint at the place of the foreign event that comes next.
    node.onRead = (answer) => {
      const at = answer.getEvent()?.getEvent()?.getCommitPosition()
      const next = positions.find(({ commit }, n) => n > 0 && String(positions[n - 1]!.commit) === at && commit)
      return next ? [answer, checkpointAt(next.commit)] : [answer]
    }
    const items: Followed[] = []
    for await (const item of store.follow({ after: null, filter: things, signal: new AbortController().signal })) {
      items.push(item)
      // A consumer slower than the server.
      await new Promise((resolve) => setImmediate(resolve))
      if (items.length === positions.length) break
    }
    t.ok(isRising(items), 'each has its place among the others')
    t.same(
      items.map(({ position }) => position),
      positions,
    )
    t.same(
      items.map(textOf),
      positions.map((_, n) => (n % 2 === 0 ? n : null)),
      'a marker comes after what it says was followed',
    )
  },

  'a throw inside it stalls the subscription for ever without an error': async (t, { store, direct, node, subscriptions }) => {
    const positions = await appendMixed(direct, 6)
    node.onRead = (answer) => (answer.hasEvent() ? [answer, checkpointAt(positions[1]!.commit)] : [answer])
    let reached: Position | null = null
    const consume = async () => {
      for await (const { position, event } of store.follow({ after: null, filter: things, signal: new AbortController().signal })) {
        reached = position
        if (!event) throw new Error('mine')
      }
    }
    await t.rejects(consume(), { message: 'mine' })
    t.same(reached, positions[1])
    await until('the end of the call at the server', async () => (await subscriptions()) === 0)
    node.onRead = (answer) => [answer]
    const follower = follow(store, { after: reached, filter: things })
    await until('the rest', () => follower.items.length >= 2)
    t.same(follower.items.map(textOf), [2, 4], 'who throws at a marker goes on from there')
    await follower.stop()
  },

  'a filtered subscription sends its first checkpoint only after a search window, or none': async (t, { store, direct, node }) => {
    node.onRead = (answer) => (answer.hasCheckpoint() ? [] : [answer])
    const byStream = follow(store, { filter: things })
    const byType = follow(store, { filter: { types: ['Happened'] } })
    await direct.append(fresh(), -1, [event(1)])
    await direct.append(fresh('other'), -1, [event(2, 'HappenedTwice')])
    const beat = await direct.append(HEARTBEAT_STREAM, -1, [event(3, 'HeartbeatRecorded')])
    for (const { items } of [byStream, byType])
      await until('a marker at the heartbeat', () => items.at(-1) && comparePositions(items.at(-1)!.position, beat!) === 0)
    t.same(byStream.items.map(textOf), [1, null])
    t.same(byType.items.map(textOf), [1, null, null], 'a type that only begins so is a marker')
    await byStream.stop()
    await byType.stop()
  },

  'break out of for await does not cancel the call': async (t, { store, direct, subscriptions }) => {
    await appendMixed(direct, 2)
    for await (const _ of store.follow({ after: null, signal: new AbortController().signal })) {
      t.equal(await subscriptions(), 1)
      break
    }
    await until('the end of the call at the server', async () => (await subscriptions()) === 0)
  },

  'an append can stay pending for ever: a hung server': survives('hangs'),
  'an append can stay pending for ever: a server that hangs after it took the events': survives('takes and hangs'),
  'an append can stay pending for ever: a clean end of the stream': survives('ends'),
  'an append can stay pending for ever: a clean end after the events were taken': survives('takes and ends'),
  'a server dies in the middle of an append, after it took the events': survives('takes and dies'),

  'a server may write the id of an append in either of two forms': takesAtOnce('takes and says so in the other form'),
  'an answer to an append that nobody waits for': takesAtOnce('takes and says so twice'),

  'a conflict is told from all else, and what is too large': async (t, { store, direct, node }) => {
    const stream = fresh()
    await store.append(stream, -1, [event(1), event(2)])
    const { appends } = node.counts
    await t.rejects(store.append(stream, -1, [event(3)]), WrongExpectedRevision)
    await t.rejects(store.append(stream, 0, [event(3)]), WrongExpectedRevision)
    await t.rejects(store.append(stream, 7, [event(3)]), WrongExpectedRevision)
    await t.rejects(store.append(stream, 1, [event('x'.repeat(2 ** 20))]), AppendTooLarge)
    t.equal(node.counts.appends, appends + 4, 'none was tried again')
    t.equal((await direct.readStream(stream)).length, 2)
  },

  'an append ignores its deadline; the outcome is then unknown': async (t, { store, direct, node, proxy }) => {
    node.appendFaults.push('hangs', 'takes and hangs', 'hangs', 'hangs')
    await t.rejects(store.append(fresh(), -1, [event()], 1_200), OutcomeUnknown)
    node.appendFaults.length = 0
    const stream = fresh()
    proxy.refuse(true)
    proxy.cut()
    const error = await store.append(stream, -1, [event()], 600).catch((error: unknown) => error)
    t.ok(error instanceof Unavailable && !(error instanceof NotLeader))
    proxy.refuse(false)
    t.same(await direct.readStream(stream), [])
  },

  'an unknown outcome, and another has gone on from there: read back and compared': async (t, { store, direct, node }) => {
    const [mine, lost] = [fresh(), fresh()]
    node.appendFaults.push('takes and hangs')
    const appended = store.append(mine, -1, [event('mine')])
    await until('it is in the log', async () => (await direct.readStream(mine)).length === 1)
    await direct.append(mine, 0, [event('theirs')])
    t.same(await appended, (await direct.readStream(mine))[0]!.position)
    node.appendFaults.push('hangs')
    const refused = store.append(lost, -1, [event('mine')])
    await direct.append(lost, -1, [event('theirs')])
    await t.rejects(refused, WrongExpectedRevision)
  },

  'pending appends of all clients in a process share one table': async (t, { node, proxy }) => {
    const target = { port: node.port }
    const other = await misbehavingProxy(t, target)
    const { log, lines } = recordingLog('warn')
    const [cut, whole] = [openEventStore(proxy.url, silent), openEventStore(other.url, log)]
    await Promise.all([cut.append(fresh(), -1, [event()]), whole.append(fresh(), -1, [event()])])
    other.delay(20)
    proxy.freeze('answers')
    const appends = Array.from({ length: 20 }, () => [cut.append(fresh(), -1, [event()]), whole.append(fresh(), -1, [event()])])
    proxy.cut()
    await Promise.all(appends.flat())
    t.same(lines, [], 'those over the other connection went well at once')
    await cut.close()
    await whole.close()
  },

  'BigInt in event data never settles': async (t, { store, direct, node }) => {
    const stream = fresh()
    await store.append(stream, -1, [event('there')])
    const { appends } = node.counts
    const circular: Record<string, unknown> = {}
    circular['self'] = circular
    for (const data of [{ deep: [1n] }, circular]) await t.rejects(store.append(stream, 0, [event(), { ...event(), data }]), TypeError)
    await t.rejects(store.append(stream, 0, [{ ...event(), data: undefined as never }]), TypeError)
    t.equal(node.counts.appends, appends, 'nothing was sent')
    t.equal((await direct.readStream(stream)).length, 1)
  },

  'with throwOnAppendFailure: false the revision that it returns on a conflict is wrong': async (t, { open, proxy, direct }) => {
    const store = open({ url: `${proxy.url}&throwOnAppendFailure=false` })
    const stream = fresh()
    await store.append(stream, -1, [event(1)])
    await t.rejects(store.append(stream, -1, [event(2)]), WrongExpectedRevision, 'a conflict is no success')
    await t.rejects(store.append(stream, 7, [event(2)]), WrongExpectedRevision)
    t.equal((await direct.readStream(stream)).length, 1)
  },

  'it never resubscribes: a clean end': resumes('ends', 'ended'),
  'a real server drops a slow subscriber': resumes('is too slow', 'tooSlow'),

  'it never resubscribes: a connection that breaks': async (t, { open, direct, proxy }) => {
    const store = open()
    const follower = follow(store)
    await direct.append(fresh(), -1, [event(0)])
    await until('the first', () => follower.items.length === 1)
    proxy.cut()
    await direct.append(fresh(), -1, [event(1)])
    await until('the second', () => follower.items.length === 2)
    t.same(eventsOf(follower.items), [0, 1])
    t.ok(store.resubscriptions.failed >= 1)
    await follower.stop()
  },

  'a subscription that says nothing while a heartbeat should have come is dead': async (t, { open, direct, node, proxy }) => {
    const store = open({ silenceMs: 300 })
    let isMute = false
    node.onRead = (answer) => (isMute ? [] : [answer])
    const follower = follow(store, { filter: things })
    await direct.append(fresh(), -1, [event(0)])
    await until('the first', () => follower.items.length === 1)
    const connections = proxy.made()
    isMute = true
    await direct.append(fresh(), -1, [event(1)])
    await until('that it was noticed', () => store.resubscriptions.silent > 0)
    isMute = false
    await until('the second', () => follower.items.length === 2)
    t.same(follower.items.map(textOf), [0, 1])
    t.ok(proxy.made() > connections, 'over another connection')
    await follower.stop()
  },

  'a position that does not increase is refused: a checkpoint': async (t, { open, direct, node }) => {
    const store = open()
    const positions = await appendMixed(direct, 8)
    node.onRead = (answer) => (answer.hasEvent() ? [answer, checkpointAt(positions[0]!.commit)] : [answer])
    const follower = follow(store)
    await until('all of them', () => eventsOf(follower.items).length === 8)
    t.ok(isRising(follower.items))
    t.equal(store.resubscriptions.wentBack, 0, 'nothing is lost by passing over it')
    await follower.stop()
  },

  'a position that does not increase is refused: an event': async (t, { open, direct, node }) => {
    const store = open()
    await appendMixed(direct, 8)
    let sent = 0
    // The server gives one event a wrong position, once. Was it passed over, it would be lost.
    node.onRead = (answer) => {
      const recorded = answer.getEvent()?.getEvent()
      sent += recorded ? 1 : 0
      if (recorded && sent === 5) recorded.setCommitPosition('1')
      return [answer]
    }
    const follower = follow(store)
    await until('all of them', () => eventsOf(follower.items).length >= 8)
    t.same(eventsOf(follower.items), [0, 1, 2, 3, 4, 5, 6, 7])
    t.ok(isRising(follower.items))
    t.equal(store.resubscriptions.wentBack, 1)
    await follower.stop()
  },

  'the position that a subscription starts from is exclusive; readAll has no filter': async (t, { store, direct }) => {
    const positions = await appendMixed(direct, 6)
    const after = positions[2]!
    const follower = follow(store, { after })
    await until('the rest', () => follower.items.length === 3)
    t.same(eventsOf(follower.items), [3, 4, 5])
    await follower.stop()
    t.same(
      (await store.readAll(after, 2)).map(({ position }) => position),
      [positions[3], positions[4]],
      'so is that of a page',
    )
  },

  'a node that does not lead names the one that does': async (t, { store, direct, node, port }) => {
    const stream = fresh()
    const { appends } = node.counts
    node.appendFaults.push({ leader: port })
    const all = Array.from({ length: 10 }, (_, n) => event(n))
    const [first, ...others] = all
    await store.append(stream, -1, [first!])
    await Promise.all(others.map((one) => store.append(fresh(), -1, [one])))
    t.same(
      (await direct.readStream(stream)).map(({ id }) => id),
      [first!.id],
    )
    t.equal(node.counts.appends, appends + 1, 'all that follows goes to the leader')
  },

  'no node leads: said so at the deadline, and nothing was taken': async (t, { open, direct, node }) => {
    // So long that a busy machine does not keep an answer back for all of it: then the outcome would be unknown indeed.
    const store = open({ tryMs: 6_000 })
    const stream = fresh()
    node.appendFaults.push(...Array.from({ length: 5_000 }, () => ({ leader: node.port })))
    await t.rejects(store.append(stream, -1, [event()], 6_000), NotLeader)
    node.appendFaults.length = 0
    t.same(await direct.readStream(stream), [])
  },
}

for (const [edge, body] of Object.entries(edges)) t.test(edge, async (t) => body(t, await setUp(t)))

t.test(
  'whatever is cut and frozen, what was acknowledged is in the log, what was refused is not, and who follows gets each event once',
  async (t) => {
    const seed = Number(process.env['SEED'] ?? randomInt(2 ** 31))
    t.comment(`SEED=${seed}`)
    const { next: random, pick } = createRandom(seed)
    const { direct, open, node, proxy } = await setUp(t)
    const stores = [open(), open(), open()]
    const streams = Array.from({ length: 4 }, () => fresh())
    const follower = follow(open({ silenceMs: 1_000 }), { filter: things })
    const told: { stream: string; revision: number; events: EncodedEvent[]; said: unknown }[] = []
    let isOver = false

    const client = async (store: EventStore) => {
      while (!isOver) {
        const stream = pick(streams)
        const there = await store.readStream(stream).catch(() => null)
        if (!there) continue
        const revision = there.length - 1
        const events = Array.from({ length: 1 + Math.floor(random() * 3) }, () => event())
        const said = await store.append(stream, revision, events, 2_000).catch((error: unknown) => error)
        told.push({ stream, revision, events, said })
      }
    }
    const faults: (() => unknown)[] = [
      () => proxy.cut(),
      () => proxy.freeze('answers'),
      () => proxy.freeze('asks'),
      () => proxy.thaw(),
      () => proxy.refuse(random() < 0.5),
      () => node.appendFaults.push('takes and dies'),
      () => node.appendFaults.push('takes and hangs', 'ends'),
      () => node.appendFaults.push({ leader: node.port }),
    ]
    const clients = stores.flatMap((store) => [client(store), client(store)])
    const aWhile = () => new Promise((resolve) => setTimeout(resolve, random() * 100))
    for (const end = Date.now() + 4_000; Date.now() < end; await aWhile()) {
      pick(faults)()
      await aWhile()
      if (random() < 0.3) continue
      proxy.refuse(false)
      proxy.thaw()
    }
    isOver = true
    proxy.refuse(false)
    proxy.thaw()
    proxy.cut()
    await Promise.all(clients)

    const log = new Map<string, { stream: string; revision: number; position: Position }>()
    for (const stream of streams)
      for (const { id, revision, position } of await direct.readStream(stream)) log.set(id, { stream, revision, position })
    const counts = { acknowledged: 0, refused: 0, unavailable: 0, unknown: 0 }
    const wrong = told.filter(({ stream, revision, events, said }) => {
      const inLog = events.filter(
        ({ id }, index) => log.get(id)?.stream === stream && log.get(id)?.revision === revision + 1 + index,
      ).length
      if (said instanceof OutcomeUnknown) counts.unknown += 1
      else if (said instanceof WrongExpectedRevision) counts.refused += 1
      else if (said instanceof Unavailable) counts.unavailable += 1
      else if (said instanceof Error) return true
      else counts.acknowledged += 1
      if (said instanceof OutcomeUnknown) return inLog !== 0 && inLog !== events.length
      if (said instanceof Error) return inLog !== 0
      return inLog !== events.length || comparePositions(said as Position, log.get(events.at(-1)!.id)!.position) !== 0
    })
    t.same(wrong, [])
    t.comment(counts)
    t.ok(counts.acknowledged > 0)

    await until('all that is in the log', () => follower.items.filter(({ event }) => event).length >= log.size)
    const all = (await direct.readAll(null, 100_000)).filter(({ stream }) => stream.startsWith('thing-'))
    t.same(
      follower.items.flatMap(({ event }) => event?.id ?? []),
      all.map(({ id }) => id),
    )
    t.ok(isRising(follower.items))
    await follower.stop()
  },
)
