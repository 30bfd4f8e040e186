import { setTimeout as delay, setImmediate as immediate } from 'node:timers/promises'
import type { Restriction } from '../../projections/mail-visibility.ts'
import type { Codec } from '../platform/codec.ts'
import type { RecordedEvent } from '../platform/event.ts'
import type { EventStore } from '../platform/event-store.ts'
import { gather } from '../platform/gather.ts'
import type { Logger } from '../platform/log.ts'
import { comparePositions, type Position, START } from '../platform/position.ts'
import { sizeOf } from '../platform/projector-steps.ts'
import { Unavailable } from '../platform/refusal.ts'
import { type Filter, isStrange, journalTypes } from './filter.ts'
import { frameOf } from './frame.ts'
import { mailboxesOf, mailboxOf, restricted, type Sight, type Sights } from './sight.ts'

export type Chunk = { readonly bytes: Buffer; readonly position: Position }
export type Listener = {
  /** There may be more than there was. */
  wake(): void
  /** No more will come: this process ends, or there is an event that cannot be shown, and nothing may go on over it. */
  end(): void
}

/** The newest part of the log, followed once for all readers. */
export type LiveLog = {
  /** Follows the log as long as anybody listens. @returns stops listening */
  listen(listener: Listener): () => void
  /** What comes after a position, at most 64 KiB or one event; null where it is not known any more, or not yet: the log itself has to be asked. */
  after(position: Position, filter: Filter, sight: Sight): Chunk | null
  /** Ends all who listen. */
  end(): void
  listeners(): number
}

/** @property mail of one that a mailbox brought: what is shown to those with whom it does not share all */
type Entry = {
  readonly position: Position
  readonly type: string
  readonly frame: Buffer
  readonly since: number
  readonly mail: ({ readonly mailboxId: string } & Readonly<Record<Restriction, Buffer>>) | null
}

/** What is kept for readers that are a little behind. Not for longer than seconds: an event may be erased meanwhile. */
export type TailLimits = { readonly events: number; readonly bytes: number; readonly ageMs: number }
const TAIL: TailLimits = { events: 5_000, bytes: 8 * 2 ** 20, ageMs: 30_000 }
const BATCH = { events: 500, bytes: 4 * 2 ** 20 }
/**
 * Giving events to all readers takes a twentieth of the time at most; meanwhile more gather, and go in one write a reader. With 200 of them that is
 * some ten times a second, and not as often as anything is appended; with few, at once.
 */
const REST_BY_WORK = 20
const REST_AT_MOST_MS = 100
const WOKEN_AT_ONCE = 25
export const CHUNK_BYTES = 64 * 1024
const CHUNKS_KEPT = 16

/** One subscription to the log and one decoding of each event, whatever the number of readers. Each of them is no more than a position. */
export function createLiveLog(
  { store, codec, sights }: { store: EventStore; codec: Codec; sights: Sights },
  log: Logger,
  limits: TailLimits = TAIL,
): LiveLog {
  const listeners = new Set<Listener>()
  const chunks = new Map<string, Chunk>()
  let following: AbortController | null = null
  /** Every shown event after `floor` until `seen`; null: nothing is known. */
  let tail: { entries: Entry[]; bytes: number; floor: Position; seen: Position } | null = null

  /** Readers write when they are woken; what else this process has to do comes in between. */
  const wakeAll = async () => {
    chunks.clear()
    let woken = 0
    for (const { wake } of [...listeners]) {
      wake()
      woken += 1
      if (woken % WOKEN_AT_ONCE === 0) await immediate()
    }
    await immediate()
  }

  const endAll = () => {
    for (const { end } of [...listeners]) end()
  }

  const trim = ({ entries, ...kept }: NonNullable<typeof tail>) => {
    let { bytes, floor } = kept
    let dropped = 0
    for (; dropped < entries.length; dropped += 1) {
      const { position, since } = entries[dropped]!
      const isYoung = performance.now() - since < limits.ageMs
      if (entries.length - dropped <= limits.events && bytes <= limits.bytes && isYoung) break
      bytes -= bytesOf(entries[dropped]!)
      floor = position
    }
    return { ...kept, entries: dropped > 0 ? entries.slice(dropped) : entries, bytes, floor }
  }

  const follow = async (signal: AbortSignal) => {
    if (!tail) {
      const end = (await store.end()) ?? START
      if (signal.aborted) return
      tail = { entries: [], bytes: 0, floor: end, seen: end }
      await wakeAll()
      if (signal.aborted) return
    }
    const leaving = new AbortController()
    const after = comparePositions(tail.seen, START) === 0 ? null : tail.seen
    try {
      const events = store.subscribe({ after, signal: AbortSignal.any([signal, leaving.signal]) })
      for await (const batch of gather(events, sizeOf, BATCH)) {
        const decoded = await codec.decode(batch.filter(({ type }) => journalTypes.has(type) || isStrange(type)))
        if (signal.aborted) return
        const since = performance.now()
        const shown = decoded.filter(({ known }) => known)
        // One that was connected a moment ago is known before its mails are shown.
        await sights.look(mailboxesOf(shown))
        if (signal.aborted) return
        const entries = shown.map((event) => entryOf(event, since))
        const bytes = entries.reduce((sum, entry) => sum + bytesOf(entry), tail.bytes)
        tail = trim({ ...tail, entries: tail.entries.concat(entries), bytes, seen: batch.at(-1)!.position })
        await wakeAll()
        const restMs = Math.min((performance.now() - since) * REST_BY_WORK, REST_AT_MOST_MS)
        // A subscription that is not kept up with would be dropped by the server.
        if (batch.length < BATCH.events) await delay(restMs, undefined, { signal }).catch(() => {})
        if (signal.aborted) return
      }
    } finally {
      leaving.abort()
    }
  }

  const run = async (signal: AbortSignal) => {
    for (let failures = 1; !signal.aborted; failures += 1) {
      try {
        await follow(signal)
      } catch (err) {
        if (signal.aborted) return
        if (!(err instanceof Unavailable)) {
          log.error({ err }, 'the journal cannot be followed over an event; its readers are ended')
          // Whoever comes next begins anew, behind that event.
          stop()
          endAll()
          return
        }
        log.warn({ err, failures }, 'the journal cannot be followed now; trying again from the last position')
      }
      await delay(Math.random() * Math.min(100 * 2 ** failures, 5_000), undefined, { signal }).catch(() => {})
    }
  }

  const start = () => {
    following = new AbortController()
    void run(following.signal)
  }

  const stop = () => {
    following?.abort()
    following = null
    tail = null
    chunks.clear()
  }

  return {
    listen(listener) {
      listeners.add(listener)
      if (!following) start()
      return () => {
        if (listeners.delete(listener) && listeners.size === 0) stop()
      }
    },

    after(position, filter, sight) {
      if (!tail || comparePositions(position, tail.floor) < 0) return null
      // Readers that keep up are at the same place, and get the same bytes.
      const key = `${position.commit}.${position.prepare} ${filter.key} ${sight.key}`
      const known = chunks.get(key)
      if (known) return known
      const { entries, seen } = tail
      const parts: Buffer[] = []
      let bytes = 0
      let to = comparePositions(position, seen) > 0 ? position : seen
      for (let index = firstAfter(entries, position); index < entries.length; index += 1) {
        const entry = entries[index]!
        if (!filter.types.has(entry.type)) continue
        const restriction = entry.mail && sight.restrictionOf(entry.mail.mailboxId)
        const frame = restriction ? entry.mail![restriction] : entry.frame
        if (bytes > 0 && bytes + frame.length > CHUNK_BYTES) {
          to = entries[index - 1]!.position
          break
        }
        parts.push(frame)
        bytes += frame.length
      }
      const chunk = { bytes: Buffer.concat(parts), position: to }
      if (chunks.size >= CHUNKS_KEPT) chunks.clear()
      chunks.set(key, chunk)
      return chunk
    },

    end: endAll,
    listeners: () => listeners.size,
  }
}

function entryOf(event: RecordedEvent, since: number): Entry {
  const mailboxId = mailboxOf(event)
  const frames = () => ({ subject: frameOf(restricted(event, 'subject')), metadata: frameOf(restricted(event, 'metadata')) })
  return {
    position: event.position,
    type: event.type,
    frame: frameOf(event),
    since,
    mail: mailboxId === null ? null : { mailboxId, ...frames() },
  }
}

const bytesOf = ({ frame, mail }: Entry): number => frame.length + (mail ? mail.subject.length + mail.metadata.length : 0)

/** Index of the first entry after a position; entries are in the log's order. */
function firstAfter(entries: readonly Entry[], position: Position): number {
  let low = 0
  let high = entries.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (comparePositions(entries[middle]!.position, position) <= 0) low = middle + 1
    else high = middle
  }
  return low
}
