import {
  type AllStreamSubscription,
  BACKWARDS,
  END,
  ErrorType,
  EventStoreDBClient,
  eventTypeFilter,
  excludeSystemEvents,
  type RecordedEvent as ServerEvent,
  START,
  streamNameFilter,
} from '@eventstore/db-client'
import type { Logger } from 'pino'
import { heartbeatEvents } from '../../schema/heartbeat-events.ts'
import { type AppendCall, createAppendCall } from './append-call.ts'
import type { EncodedEvent } from './codec.ts'
import type { StoredEvent } from './event.ts'
import { comparePositions, type Position } from './position.ts'
import { Unavailable } from './refusal.ts'
import { type Connect, type Followed, type Resubscriptions, type Source, subscription } from './subscription.ts'

/** Somebody else appended to the stream since it was folded. */
export class WrongExpectedRevision extends Error {
  constructor(stream: string, expected: number) {
    super(`${stream} is no longer at revision ${expected}.`)
    this.name = 'WrongExpectedRevision'
  }
}

/** The events of one append are larger than the server takes (1 MiB unless it is set otherwise). */
export class AppendTooLarge extends Error {
  constructor(stream: string, options: ErrorOptions) {
    super(`What is to be appended to ${stream} is larger than the event store takes in one append.`, options)
    this.name = 'AppendTooLarge'
  }
}

/** No answer came in time: the events may be in the log by now, or not. To find out, the same command is sent again with the same Idempotency-Key. */
export class OutcomeUnknown extends Unavailable {
  constructor(stream: string, cause: unknown) {
    super(`The event store did not say in time whether it took the events for ${stream}.`, { cause })
    this.name = 'OutcomeUnknown'
  }
}

/** Every node that was asked said that another one leads: the cluster is electing. None of the events was taken. */
export class NotLeader extends Unavailable {
  constructor(stream: string, cause: unknown) {
    super(`No node of the event store leads just now, so nothing was appended to ${stream}.`, { cause })
    this.name = 'NotLeader'
  }
}

/** The stream of the heartbeat, which whoever follows the log is sent whatever was asked for. */
export const HEARTBEAT_STREAM = 'heartbeat'
const HEARTBEAT = heartbeatEvents.HeartbeatRecorded.type

/** Which events are followed: those of streams whose names begin so, or those of these types. */
export type EventFilter = { readonly streams: readonly string[] } | { readonly types: readonly string[] }

/** The log, without the official client's sharp edges. Nobody else imports that client. */
export type EventStore = {
  /**
   * Appends all of the events, or none, after the given revision (-1: the stream has no event yet).
   * An unknown outcome (a timeout, a lost connection) is resolved: tried again with the same ids and bytes, and on a conflict read back and compared.
   * @param timeoutMs the deadline for all of that, 8 s unless it says
   * @returns the position of the last one; null where the server does not tell
   * @throws WrongExpectedRevision; AppendTooLarge; TypeError for what JSON cannot carry. At the deadline OutcomeUnknown; or NotLeader, or another
   *   Unavailable, where it is sure that nothing was taken
   */
  append(stream: string, expectedRevision: number, events: readonly EncodedEvent[], timeoutMs?: number): Promise<Position | null>
  /** All events of a stream in order, or none when there is no such stream. @throws Unavailable */
  readStream(stream: string): Promise<StoredEvent[]>
  /** The first event of a stream, or null. @throws Unavailable */
  readFirst(stream: string): Promise<StoredEvent | null>
  /** The newest event of a stream, or null. @throws Unavailable */
  readLast(stream: string): Promise<StoredEvent | null>
  /** Up to `limit` events of the whole log after a position (exclusive; null: from the start), the server's own among them. @throws Unavailable */
  readAll(after: Position | null, limit: number): Promise<StoredEvent[]>
  /** The position of the newest event of the whole log; null when there is none. @throws Unavailable */
  end(): Promise<Position | null>
  /** The position of the newest event that is not the server's own, and so of the last that a subscription gives; null when there is none. @throws Unavailable */
  tail(): Promise<Position | null>
  /**
   * Every event but the server's own after a position, for ever: it subscribes again by itself until the signal aborts.
   * @param types only these, and the heartbeat, by which a position moves on where nothing that is asked for happens
   */
  subscribe(options: { after: Position | null; signal: AbortSignal; types?: readonly string[] }): AsyncIterable<StoredEvent>
  /**
   * The same with markers in between, `{ position, event: null }`, each in its place: what a position says was followed has been handed out before it.
   * With a filter there is one for every heartbeat, and others as the server pleases; so the position moves on where nothing that is asked for happens.
   * To be stored, and given as `after` the next time.
   */
  follow(options: { after: Position | null; signal: AbortSignal; filter?: EventFilter }): AsyncIterable<Followed>
  /** How often a subscription of this store had to be made again, by reason; counted up as it happens. */
  readonly resubscriptions: Readonly<Resubscriptions>
  /** Keeps only the newest events of a stream. */
  keepNewest(stream: string, count: number): Promise<void>
  close(): Promise<void>
}

const TRY_MS = 3_000
const TIMEOUT_MS = 8_000
const READ_TRIES = 3
const TAIL_PAGE = 100
/** While no connection can be made, one is tried for all who wait for it, at longest this long after the last try. */
const RECONNECT_MS = 1_000
/** The server sends a checkpoint after so many windows of 32 events. */
const CHECKPOINT_WINDOWS = 32

type Options = {
  /** For how long a subscription may say nothing; more than the heartbeat's interval. */
  readonly silenceMs?: number
  /** How long an append waits for an answer before it tries again over another connection. */
  readonly tryMs?: number
}

/** @param url `esdb://…`; connecting happens on first use, so this never fails for a server that is away */
export function openEventStore(url: string, log: Logger, { silenceMs, tryMs = TRY_MS }: Options = {}): EventStore {
  let opened = 0
  let client = openClient(url, opened)
  let appends: AppendCall = createAppendCall(client)
  let closed = false
  const waiting = new Set<(error: Error) => void>()
  const resubscriptions: Resubscriptions = { ended: 0, failed: 0, silent: 0, tooSlow: 0, wentBack: 0 }

  /** A deadline that holds whatever the client does (finding the leader of a cluster takes its own time); closing ends the wait too. */
  const within = async <T>(ms: number, work: Promise<T>): Promise<T> => {
    const { promise: givenUp, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => reject(new NoAnswer(`no answer within ${Math.round(ms)} ms`)), ms)
    waiting.add(reject)
    try {
      return await Promise.race([work, givenUp])
    } finally {
      clearTimeout(timer)
      waiting.delete(reject)
      work.catch(() => {})
    }
  }

  /**
   * What was asked of this client was not answered in time, so its connection is not to be trusted. It is never disposed of while others use it:
   * that would end their reads as if there were nothing more to read.
   */
  const replace = (used: EventStoreDBClient) => {
    if (used !== client || closed) return
    opened += 1
    appends.retire(TIMEOUT_MS)
    client = openClient(url, opened)
    appends = createAppendCall(client)
    closeChannel(used)
  }

  let misses = 0
  let reconnecting: Promise<unknown> | null = null

  /** The official client connects anew for every call that finds none: with thousands waiting that would be a storm. */
  const backOff = () => {
    if (reconnecting) return
    reconnecting = sleep(Math.random() * Math.min(100 * 2 ** misses, RECONNECT_MS)).then(() => {
      reconnecting = null
    })
    misses += 1
  }

  /** One try, and what it tells of the connection. */
  const ask = async <T>(ms: number, work: (client: EventStoreDBClient) => Promise<T>): Promise<T> => {
    const endsAt = performance.now() + ms
    if (reconnecting) await within(ms, reconnecting)
    if (closed) throw new Error('the event store was closed')
    if (performance.now() >= endsAt) throw new Error('there was no time left')
    const used = client
    try {
      const result = await within(endsAt - performance.now(), work(used))
      misses = 0
      return result
    } catch (error) {
      if (isAnswer(error) || isFull(error)) misses = 0
      else if (isCut(error)) backOff()
      else replace(used)
      throw error
    }
  }

  /** For what may be tried again without harm. A connection that was cut is only noticed by its next use. */
  const call = async <T>(
    what: string,
    work: (client: EventStoreDBClient) => Promise<T>,
    endsAt = performance.now() + TIMEOUT_MS,
  ): Promise<T> => {
    for (let attempt = 1; ; attempt += 1) {
      const used = client
      try {
        return await ask(endsAt - performance.now(), work)
      } catch (cause) {
        const cut = used !== client || isCut(cause)
        const again = cut && !closed && attempt < READ_TRIES && performance.now() < endsAt
        if (!again) throw new Unavailable(`The event store cannot be reached (${what}).`, { cause })
        await sleep(Math.random() * 50 * 2 ** attempt)
      }
    }
  }

  const read = async (events: AsyncIterable<{ event?: ServerEvent | undefined }>): Promise<StoredEvent[]> => {
    const found: StoredEvent[] = []
    try {
      for await (const { event } of events) if (event) found.push(toStored(event))
    } catch (error) {
      if (typeOf(error) === ErrorType.STREAM_NOT_FOUND) return []
      throw error
    }
    return found
  }

  const deadline = TIMEOUT_MS
  const readStream = (stream: string) => call('read', (client) => read(client.readStream(stream, { deadline })))

  /** Whether these very events are what comes after the revision. @returns the position of the last one; undefined: others are there, or none */
  const positionOf = async (stream: string, expectedRevision: number, events: readonly EncodedEvent[], endsAt: number) => {
    const options = { fromRevision: BigInt(expectedRevision + 1), maxCount: events.length, deadline }
    const there = await call('read', (client) => read(client.readStream(stream, options)), endsAt)
    return events.every(({ id }, index) => there[index]?.id === id) ? there.at(-1)!.position : undefined
  }

  const connect = (filter?: EventFilter): Connect => {
    let used = client
    const isAskedFor = matcherOf(filter)
    return {
      open(after) {
        used = client
        return used.subscribeToAll({ fromPosition: after ?? START, filter: serverFilter(filter) }) as unknown as Source
      },
      toFollowed(answer) {
        const { event, marker } = answer as { event?: ServerEvent; marker?: Position }
        if (marker) return { position: marker, event: null }
        if (!event) return null
        const stored = toStored(event)
        return { position: stored.position, event: isAskedFor(stored) ? stored : null }
      },
      isTooSlow: (error) => /too slow/i.test((error as Error).message),
      distrust: () => replace(used),
    }
  }

  return {
    resubscriptions,

    async append(stream, expectedRevision, events, timeoutMs = TIMEOUT_MS) {
      refuseUnstorable(stream, events)
      const endsAt = performance.now() + timeoutMs
      let failure: unknown
      let mayBeTaken = false
      let isSlow = false
      for (let attempt = 0; ; attempt += 1) {
        const left = endsAt - performance.now()
        // A last try with little time left would only make the outcome unknown.
        if (closed || (attempt > 0 && left < timeoutMs / 4)) throw notAppended(stream, mayBeTaken, failure)
        const ms = isSlow ? left : Math.min(tryMs, left)
        let isSent = false
        const onSent = () => {
          isSent = true
        }
        try {
          return await ask(ms, () => appends.append(stream, expectedRevision, events, { deadlineMs: ms, onSent }))
        } catch (error) {
          const type = typeOf(error)
          if (type === ErrorType.WRONG_EXPECTED_VERSION) {
            const isFirstTry = failure === undefined
            const position = isFirstTry ? undefined : await positionOf(stream, expectedRevision, events, endsAt).catch(() => null)
            if (position) return position
            if (position === undefined) throw new WrongExpectedRevision(stream, expectedRevision)
          } else if (type === ErrorType.MAXIMUM_APPEND_SIZE_EXCEEDED) {
            throw new AppendTooLarge(stream, { cause: error })
          } else if (isAnswer(error)) {
            throw error
          } else if (isFull(error)) {
            throw new Unavailable('The event store cannot write: its disk may be full.', { cause: error, retryAfterSeconds: 10 })
          }
          if (failure === undefined) log.warn({ err: error, stream }, 'an append was not answered; trying again with the same ids')
          failure = error
          mayBeTaken ||= isSent && !isRefused(error)
          // Not the connection, then, but the server or the network: to ask it the same again and again would only slow it more.
          isSlow ||= error instanceof NoAnswer
          await sleep(Math.min(Math.random() * Math.min(100 * 2 ** attempt, 1_000), Math.max(0, endsAt - performance.now())))
        }
      }
    },

    readStream,
    async readFirst(stream) {
      const [first] = await call('read', (client) => read(client.readStream(stream, { maxCount: 1, deadline })))
      return first ?? null
    },
    async readLast(stream) {
      const [last] = await call('read', (client) =>
        read(client.readStream(stream, { direction: BACKWARDS, fromRevision: END, maxCount: 1, deadline })),
      )
      return last ?? null
    },
    readAll: (after, limit) =>
      call('read', async (client) => {
        // The server's start is inclusive, ours is not.
        const events = await read(client.readAll({ fromPosition: after ?? START, maxCount: after ? limit + 1 : limit, deadline }))
        return after ? events.filter(({ position }) => comparePositions(position, after) > 0).slice(0, limit) : events
      }),
    end: () =>
      call('read', async (client) => {
        const [last] = await read(client.readAll({ direction: BACKWARDS, fromPosition: END, maxCount: 1, deadline }))
        return last?.position ?? null
      }),
    tail: () =>
      call('read', async (client) => {
        for (let fromPosition: Position | typeof END = END; ; ) {
          const page = await read(client.readAll({ direction: BACKWARDS, fromPosition, maxCount: TAIL_PAGE, deadline }))
          const ours = page.find(({ type }) => !type.startsWith('$'))
          if (ours || page.length < TAIL_PAGE) return ours?.position ?? null
          fromPosition = page.at(-1)!.position
        }
      }),
    subscribe: ({ after, signal, types }) =>
      subscription(connect(types && { types: [...types, HEARTBEAT] }), {
        after,
        signal,
        log,
        counts: resubscriptions,
        pick: ({ event }) => event,
        silenceMs,
      }),
    follow: ({ after, signal, filter }) =>
      subscription(connect(filter), { after, signal, log, counts: resubscriptions, pick: (item) => item, silenceMs }),
    keepNewest: (stream, count) =>
      call('metadata', (client) => client.setStreamMetadata(stream, { maxCount: count }, { deadline }).then(() => {})),
    async close() {
      closed = true
      for (const giveUp of waiting) giveUp(new Error('the event store was closed'))
      await client.dispose()
      closeChannel(client)
    },
  }
}

/** Connections are shared by all clients with the same settings, so that a new client would be given the broken one: hence a setting that differs. */
function openClient(url: string, number: number): EventStoreDBClient {
  const keepAliveTimeout = `keepAliveTimeout=${10_000 + (number % 1_000)}`
  const client = EventStoreDBClient.connectionString(`${url}${url.includes('?') ? '&' : '?'}${keepAliveTimeout}`)
  // What it appends by itself (metadata of a stream) is not to go over its own batch append: see append-call.ts.
  return Object.assign(client, { supports: async () => false })
}

/** Calls that are under way go on, within their deadlines. The client itself never closes its channel. */
function closeChannel(client: EventStoreDBClient): void {
  const { getChannel } = client as unknown as { getChannel(): Promise<{ close(): void }> }
  getChannel().then(
    (channel) => channel.close(),
    () => {},
  )
}

/** BigInt and the like: the official client would wait for ever. */
function refuseUnstorable(stream: string, events: readonly EncodedEvent[]): void {
  for (const { type, data, metadata } of events) {
    try {
      if (data !== undefined && JSON.stringify([data, metadata])) continue
    } catch (cause) {
      throw new TypeError(`${type} for ${stream} cannot be written as JSON.`, { cause })
    }
    throw new TypeError(`${type} for ${stream} has no data.`)
  }
}

function notAppended(stream: string, mayBeTaken: boolean, cause: unknown): Unavailable {
  if (mayBeTaken) return new OutcomeUnknown(stream, cause)
  if (typeOf(cause) === ErrorType.NOT_LEADER) return new NotLeader(stream, cause)
  return new Unavailable('The event store cannot be reached; nothing was appended.', { cause })
}

/**
 * A filter with the heartbeat in it, so that silence is told from nothing happening. A checkpoint takes its place among the events, as a marker: the
 * callback runs ahead of who reads them, and what it throws would stall the subscription without a word.
 */
function serverFilter(filter: EventFilter | undefined) {
  const options = {
    checkpointInterval: CHECKPOINT_WINDOWS,
    checkpointReached: async (subscription: AllStreamSubscription, marker: Position) => void subscription.push({ marker }),
  }
  if (!filter) return excludeSystemEvents(options)
  if ('streams' in filter) return streamNameFilter({ ...options, prefixes: [...filter.streams, HEARTBEAT_STREAM] })
  return eventTypeFilter({ ...options, prefixes: [...filter.types, HEARTBEAT] })
}

/** What the server lets through besides: the heartbeat, and types whose names begin like one that is asked for. */
function matcherOf(filter: EventFilter | undefined): (event: StoredEvent) => boolean {
  if (!filter) return () => true
  if ('streams' in filter) return ({ stream }) => filter.streams.some((prefix) => stream.startsWith(prefix))
  return ({ type }) => filter.types.includes(type)
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const typeOf = (error: unknown): unknown => (error as { type?: unknown })?.type

/** The log refuses writes until it can write again (RESOURCE_EXHAUSTED): none of these events was taken. */
const isFull = (error: unknown): boolean => (error as { code?: unknown })?.code === 8 && /cannot be written/.test((error as Error).message)

/** The server's clear no. Everything else (timeouts, lost connections, an answer that cannot be read) leaves the outcome unknown. */
const isAnswer = (error: unknown): boolean => {
  const answers: unknown[] = [
    ErrorType.WRONG_EXPECTED_VERSION,
    ErrorType.MAXIMUM_APPEND_SIZE_EXCEEDED,
    ErrorType.ACCESS_DENIED,
    ErrorType.INVALID_ARGUMENT,
    ErrorType.STREAM_DELETED,
  ]
  return answers.includes(typeOf(error))
}

class NoAnswer extends Error {}

/** There was no connection, or the node takes no events at all: they did not get as far as the log. */
const isRefused = (error: unknown): boolean =>
  typeOf(error) === ErrorType.NOT_LEADER ||
  (typeOf(error) === ErrorType.UNAVAILABLE && /No connection established|Name resolution failed/.test((error as Error).message))

/** The connection broke, or leads to a node that no longer leads; the client makes another one by itself. */
const isCut = (error: unknown): boolean => {
  const cuts: unknown[] = [ErrorType.UNAVAILABLE, ErrorType.CANCELLED, ErrorType.NOT_LEADER]
  return cuts.includes(typeOf(error))
}

function toStored(event: ServerEvent): StoredEvent {
  const { id, type, streamId, revision, position, created, data, metadata } = event
  return {
    id,
    type,
    stream: streamId,
    revision: Number(revision),
    position: position ?? { commit: 0n, prepare: 0n },
    created: created.toISOString(),
    data,
    metadata,
  }
}
