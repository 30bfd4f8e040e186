import type { Readable } from 'node:stream'
import type { Logger } from 'pino'
import type { StoredEvent } from './event.ts'
import { comparePositions, type Position } from './position.ts'

/** One subscription of the official client: a stream of its answers, which goes on at the server until it is unsubscribed. */
export type Source = Readable & { unsubscribe(): Promise<void> }

export type Connect = {
  /** Opens one subscription to the whole log after a position (exclusive). */
  open(after: Position | null): Source
  /** The event of an answer; null for what is no event. */
  toStored(answer: unknown): StoredEvent | null
  /** The connection of the last subscription said nothing for too long: the next one is to have another. */
  distrust(): void
}

/** A heartbeat event comes every 10 s, so a subscription that is silent for longer than this is dead, whatever it says of itself. */
const SILENCE_MS = 30_000
const BUFFERED_EVENTS = 1_000
const MAX_BACKOFF_MS = 10_000

/**
 * Every event after a position, in order and once each, over as many subscriptions as it takes: the official client never subscribes again by itself.
 * Ends only when the signal aborts; leaving the loop ends the call on the server too.
 */
export async function* subscription(
  connect: Connect,
  after: Position | null,
  signal: AbortSignal,
  log: Logger,
  silenceMs = SILENCE_MS,
): AsyncGenerator<StoredEvent> {
  let last = after
  let failures = 0
  while (!signal.aborted) {
    try {
      for await (const event of once(connect, last, signal, silenceMs)) {
        failures = 0
        if (last && comparePositions(event.position, last) <= 0) {
          log.warn({ stream: event.stream, revision: event.revision }, 'the server sent an event again that it had sent before; skipped')
          continue
        }
        last = event.position
        yield event
      }
    } catch (err) {
      if (signal.aborted) return
      log.warn({ err, failures }, 'the subscription ended; subscribing again from the last position')
    }
    failures += 1
    await pause(Math.random() * Math.min(100 * 2 ** failures, MAX_BACKOFF_MS), signal)
  }
}

/** One subscription, until it ends, fails, falls silent or the signal aborts. `break` out of the client's own iterator would not end the call. */
async function* once({ open, toStored, distrust }: Connect, after: Position | null, signal: AbortSignal, silenceMs: number) {
  const source = open(after)
  const queue: StoredEvent[] = []
  let ended: Error | null = null
  let heard = performance.now()
  let wake = () => {}

  const end = (error: Error) => {
    ended ??= error
    wake()
  }
  const onAbort = () => end(new Error('aborted'))
  source.on('data', (answer) => {
    heard = performance.now()
    const event = toStored(answer)
    if (event) queue.push(event)
    if (queue.length >= BUFFERED_EVENTS) source.pause()
    wake()
  })
  source.on('error', end)
  source.on('end', () => end(new Error('the server ended the subscription')))
  source.on('close', () => end(new Error('the subscription was closed')))
  signal.addEventListener('abort', onAbort, { once: true })
  const watch = setInterval(() => {
    // While the consumer is busy the source is paused: that is our silence, not the server's.
    if (source.isPaused()) heard = performance.now()
    if (ended || performance.now() - heard <= silenceMs) return
    distrust()
    end(new Error(`nothing came for ${silenceMs / 1000} s, not even a heartbeat`))
  }, silenceMs / 30)

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
