import {
  BACKWARDS,
  END,
  ErrorType,
  EventStoreDBClient,
  excludeSystemEvents,
  type JSONType,
  jsonEvent,
  NO_STREAM,
  type RecordedEvent as ServerEvent,
  START,
} from '@eventstore/db-client'
import type { Logger } from 'pino'
import type { EncodedEvent } from './codec.ts'
import type { StoredEvent } from './event.ts'
import { comparePositions, type Position } from './position.ts'
import { Unavailable } from './refusal.ts'
import { type Connect, type Source, subscription } from './subscription.ts'

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

/** The log, without the official client's sharp edges. Nobody else imports that client. */
export type EventStore = {
  /**
   * Appends all of the events, or none, after the given revision (-1: the stream has no event yet).
   * An unknown outcome (a timeout, a lost connection) is resolved: tried again with the same ids and bytes, and on a conflict read back and compared.
   * @returns the position of the last one; null where the server does not tell
   * @throws WrongExpectedRevision; AppendTooLarge; Unavailable when the outcome is still unknown at the deadline
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
  /** Every event but the server's own after a position, for ever: it subscribes again by itself until the signal aborts. */
  subscribe(options: { after: Position | null; signal: AbortSignal }): AsyncIterable<StoredEvent>
  /** Keeps only the newest events of a stream. */
  keepNewest(stream: string, count: number): Promise<void>
  close(): Promise<void>
}

const TRY_MS = 3_000
const TIMEOUT_MS = 8_000
const READ_TRIES = 3
const TAIL_PAGE = 100

/**
 * @param url `esdb://…`; connecting happens on first use, so this never fails for a server that is away
 * @param silenceMs for how long a subscription may say nothing; more than the heartbeat's interval
 */
export function openEventStore(url: string, log: Logger, silenceMs?: number): EventStore {
  let opened = 0
  let client = openClient(url, opened)
  let closed = false
  const waiting = new Set<(error: Error) => void>()

  /** A deadline that holds whatever the client does (finding the leader of a cluster takes its own time); closing ends the wait too. */
  const within = async <T>(ms: number, work: Promise<T>): Promise<T> => {
    const { promise: givenUp, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => reject(new Error(`no answer within ${Math.round(ms)} ms`)), ms)
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
    client = openClient(url, opened)
    closeChannel(used)
  }

  /** For what may be tried again without harm. A connection that was cut is only noticed by its next use. */
  const call = async <T>(what: string, work: (client: EventStoreDBClient) => Promise<T>): Promise<T> => {
    const endsAt = performance.now() + TIMEOUT_MS
    for (let attempt = 1; ; attempt += 1) {
      const used = client
      try {
        if (closed) throw new Error('the event store was closed')
        return await within(endsAt - performance.now(), work(used))
      } catch (cause) {
        const cut = used !== client || isCut(cause)
        if (!cut && !isAnswer(cause)) replace(used)
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

  const appendOnce = async (stream: string, expectedRevision: number, events: readonly EncodedEvent[], timeoutMs: number) => {
    const used = client
    const messages = events.map(({ id, type, data, metadata }) => jsonEvent({ id, type, data: data as JSONType, metadata }))
    try {
      const appended = used.appendToStream(stream, messages, {
        expectedRevision: expectedRevision === -1 ? NO_STREAM : BigInt(expectedRevision),
        deadline: timeoutMs,
      })
      return (await within(timeoutMs, appended)).position ?? null
    } catch (error) {
      if (!isAnswer(error)) replace(used)
      throw error
    }
  }

  const connect = (): Connect => {
    let used = client
    return {
      open(after) {
        used = client
        return used.subscribeToAll({ fromPosition: after ?? START, filter: excludeSystemEvents() }) as unknown as Source
      },
      toStored: (answer) => {
        const { event } = answer as { event?: ServerEvent }
        return event ? toStored(event) : null
      },
      distrust: () => replace(used),
    }
  }

  return {
    async append(stream, expectedRevision, events, timeoutMs = TIMEOUT_MS) {
      const endsAt = performance.now() + timeoutMs
      let unknown: unknown
      for (let attempt = 0; ; attempt += 1) {
        const left = endsAt - performance.now()
        if (left <= 0 || closed) throw new Unavailable('The event store did not say whether it took the events.', { cause: unknown })
        try {
          return await appendOnce(stream, expectedRevision, events, Math.min(TRY_MS, left))
        } catch (error) {
          const type = typeOf(error)
          if (type === ErrorType.MAXIMUM_APPEND_SIZE_EXCEEDED) throw new AppendTooLarge(stream, { cause: error })
          if (type === ErrorType.WRONG_EXPECTED_VERSION) {
            if (unknown === undefined) throw new WrongExpectedRevision(stream, expectedRevision)
            const there = (await readStream(stream)).filter(({ revision }) => revision > expectedRevision)
            if (events.every(({ id }, index) => there[index]?.id === id)) return there[events.length - 1]!.position
            throw new WrongExpectedRevision(stream, expectedRevision)
          }
          if (isAnswer(error)) throw error
          if (isFull(error))
            throw new Unavailable('The event store cannot write: its disk may be full.', { cause: error, retryAfterSeconds: 10 })
          unknown = error
          log.warn({ err: error, stream, attempt }, 'an append has an unknown outcome; trying again with the same ids')
          await sleep(Math.random() * Math.min(100 * 2 ** attempt, 1_000))
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
    subscribe: ({ after, signal }) => subscription(connect(), after, signal, log, silenceMs),
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

/**
 * Batch appends are not for us: a cut connection rejects promises that nobody holds, and an answer to a forgotten one throws in an event handler
 * (either ends the process), and they have no deadline. Single ones have none of this and are as fast.
 * Connections are shared by all clients with the same settings, so that a new client would be given the broken one: hence a setting that differs.
 */
function openClient(url: string, number: number): EventStoreDBClient {
  const keepAliveTimeout = `keepAliveTimeout=${10_000 + (number % 1_000)}`
  const client = EventStoreDBClient.connectionString(`${url}${url.includes('?') ? '&' : '?'}${keepAliveTimeout}`)
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
