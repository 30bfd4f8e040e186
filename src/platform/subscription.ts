import type { Readable } from 'node:stream'
import type { Logger } from 'pino'
import type { StoredEvent } from './event.ts'
import { comparePositions, formatPosition, type Position } from './position.ts'

/** One subscription of the official client: a stream of its answers, which goes on at the server until it is unsubscribed. */
export type Source = Readable & { unsubscribe(): Promise<void> }

/** How far the log has been followed, and the event at that place; null: a marker. Everything that was asked for until there has been handed out. */
export type Followed = { readonly position: Position; readonly event: StoredEvent | null }

export type Connect = {
  /** Opens one subscription to the whole log after a position (exclusive). */
  open(after: Position | null): Source
  /** What an answer says; null: nothing of any place. */
  toFollowed(answer: unknown): Followed | null
  /** The server ended it because its answers were not taken fast enough. */
  isTooSlow(error: unknown): boolean
  /** The connection of the last subscription said nothing for too long: the next one is to have another. */
  distrust(): void
}

/** Why a subscription had to be made again, and how often. */
export type Resubscriptions = {
  /** The server ended it without an error. */
  ended: number
  /** An error, a broken connection among them. */
  failed: number
  /** Not even a heartbeat came. */
  silent: number
  tooSlow: number
  /** An event came whose position lies before what had been handed out. */
  wentBack: number
}
type Reason = keyof Resubscriptions

/** A heartbeat event comes every 10 s, so a subscription that is silent for longer than this is dead, whatever it says of itself. */
const SILENCE_MS = 30_000
const TICKS = 30
const BUFFERED_ITEMS = 1_000
const MAX_BACKOFF_MS = 5_000

class Ended extends Error {
  readonly reason: Reason
  constructor(reason: Reason, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

type Options<T> = {
  readonly after: Position | null
  readonly signal: AbortSignal
  readonly log: Logger
  /** Counted up whenever it is subscribed again. */
  readonly counts: Resubscriptions
  /** What is handed out of what came; null: nothing. */
  pick(item: Followed): T | null
  readonly silenceMs?: number | undefined
}

/**
 * Everything after a position, in order and once each, over as many subscriptions as it takes: the official client never subscribes again by itself.
 * A new one begins after what came last, marker or event. Ends only when the signal aborts; leaving the loop ends the call at the server too.
 */
export async function* subscription<T>(connect: Connect, options: Options<T>): AsyncGenerator<T> {
  const { signal, log, counts, pick, silenceMs = SILENCE_MS } = options
  let last = options.after
  let failures = 0
  while (!signal.aborted) {
    try {
      for await (const item of once(connect, last, signal, silenceMs)) {
        if (last && isRefused(item, last, log)) continue
        failures = 0
        last = item.position
        const picked = pick(item)
        if (picked !== null) yield picked
      }
    } catch (err) {
      if (signal.aborted) return
      const reason = err instanceof Ended ? err.reason : 'failed'
      counts[reason] += 1
      log.warn({ err, reason, failures }, 'the subscription ended; subscribing again from the last position')
    }
    failures += 1
    await pause(Math.random() * Math.min(100 * 2 ** failures, MAX_BACKOFF_MS), signal)
  }
}

/**
 * Servers have sent wrong positions: none is taken that does not come after the last.
 * @throws Ended for an event from before it. Was it handed out already, or is it new with a wrong position? Who passes over it might lose it
 */
function isRefused({ position, event }: Followed, last: Position, log: Logger): boolean {
  const order = comparePositions(position, last)
  if (order > 0) return false
  const places = `${formatPosition(position)} after ${formatPosition(last)}`
  if (event && order < 0) throw new Ended('wentBack', `the server sent event ${event.revision} of ${event.stream} at ${places}`)
  if (order < 0) log.warn(`the server sent a checkpoint that goes back, ${places}; passed over`)
  return true
}

/** One subscription, until it ends, fails, falls silent or the signal aborts. `break` out of the client's own iterator would not end the call. */
async function* once(connect: Connect, after: Position | null, signal: AbortSignal, silenceMs: number): AsyncGenerator<Followed> {
  const source = connect.open(after)
  const queue: Followed[] = []
  let ended: Ended | null = null
  let silentTicks = 0
  let wake = () => {}

  const end = (error: Ended) => {
    ended ??= error
    wake()
  }
  const onAbort = () => end(new Ended('ended', 'aborted'))
  source.on('data', (answer) => {
    silentTicks = 0
    const item = connect.toFollowed(answer)
    if (item) queue.push(item)
    if (queue.length >= BUFFERED_ITEMS) source.pause()
    wake()
  })
  source.on('error', (cause: Error) => {
    end(new Ended(connect.isTooSlow(cause) ? 'tooSlow' : 'failed', cause.message, { cause }))
  })
  source.on('end', () => end(new Ended('ended', 'the server ended the subscription')))
  source.on('close', () => end(new Ended('ended', 'the subscription was closed')))
  signal.addEventListener('abort', onAbort, { once: true })
  // In ticks, not by the clock: a process that was frozen has not been listening meanwhile.
  const watch = setInterval(() => {
    // While the consumer is busy the source is paused: that is our silence, not the server's.
    silentTicks = source.isPaused() ? 0 : silentTicks + 1
    if (ended || silentTicks <= TICKS) return
    connect.distrust()
    end(new Ended('silent', `nothing came for ${silenceMs / 1000} s, not even a heartbeat`))
  }, silenceMs / TICKS)

  try {
    while (!ended || (queue.length > 0 && !signal.aborted)) {
      if (queue.length === 0) {
        if (source.isPaused()) source.resume()
        await new Promise<void>((resolve) => {
          wake = resolve
          if (ended || queue.length > 0) resolve()
        })
      } else {
        yield queue.shift()!
      }
    }
    throw ended
  } finally {
    clearInterval(watch)
    signal.removeEventListener('abort', onAbort)
    source.on('error', () => {})
    const unsubscribed = new AbortController()
    const unsubscribing = source
      .unsubscribe()
      .catch(() => {})
      .finally(() => unsubscribed.abort())
    await Promise.race([unsubscribing, pause(1_000, unsubscribed.signal)])
  }
}

/** Waits, but not longer than until the signal aborts. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
