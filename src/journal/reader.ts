import type { ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { Codec } from '../platform/codec.ts'
import type { EventStore } from '../platform/event-store.ts'
import type { Logger } from '../platform/log.ts'
import { comparePositions, type Position } from '../platform/position.ts'
import { Unavailable } from '../platform/refusal.ts'
import type { Filter } from './filter.ts'
import { comment, frameOf, opening } from './frame.ts'
import { CHUNK_BYTES, type LiveLog } from './live-log.ts'
import { readPage } from './page.ts'
import { mailboxesOf, type Sights, seen } from './sight.ts'
import type { Turns } from './turns.ts'

export type ReaderOptions = {
  readonly source: { readonly store: EventStore; readonly codec: Codec }
  readonly live: LiveLog
  /** Shared by all readers that have to ask the log itself. */
  readonly turns: Turns
  readonly filter: Filter
  readonly sights: Sights
  /** Who reads. */
  readonly actor: string
  readonly log: Logger
  readonly commentMs: number
  /** For how long a reader may take nothing of what was written to it. */
  readonly stallMs: number
}

const PAGE = 200
const LAST_WORDS_MS = 1_000

/**
 * Streams what comes after a position into an answer whose head is written, until either side ends it.
 *
 * A reader is no more than a position, and what it has not taken yet is one chunk: one that is slow gets on at its own pace, out of the log itself
 * where it is far behind, and one that takes nothing for `stallMs` is cut off. It can come again with the last id that it has.
 */
export async function streamTo(out: ServerResponse, after: Position, options: ReaderOptions): Promise<void> {
  const { source, live, turns, filter, sights, actor, log, commentMs, stallMs } = options
  let position = after
  let pageSize = PAGE
  let failures = 0
  let wake = () => {}
  const ended = new AbortController()

  const leave = () => {
    ended.abort()
    wake()
  }
  /** Says goodbye where it would be heard at once, and hangs up where it would not: closing waits for nobody. */
  const end = () => {
    leave()
    if (out.writableLength > 0) return void out.destroy()
    out.end()
    setTimeout(() => out.destroy(), LAST_WORDS_MS).unref()
  }
  const changed = () =>
    new Promise<void>((resolve) => {
      wake = resolve
      if (ended.signal.aborted) resolve()
    })
  const drained = async () => {
    const stalled = setTimeout(() => {
      log.info({ stallMs }, 'a reader of the journal took nothing any more and was cut off')
      out.destroy()
    }, stallMs)
    out.once('drain', () => wake())
    while (out.writableNeedDrain && !ended.signal.aborted) await changed()
    clearTimeout(stalled)
  }

  /** A page out of the log itself. What of it would be too much at once is left to the next one, which is made to fit. */
  const catchUp = async () => {
    const page = await turns(async () => (ended.signal.aborted ? null : readPage(source, position, pageSize, filter.types)))
    if (!page || ended.signal.aborted) return
    await sights.look(mailboxesOf(page.events))
    const sight = sights.of(actor)
    const frames: Buffer[] = []
    let bytes = 0
    for (const event of page.events) {
      const frame = frameOf(seen(event, sight))
      if (bytes > 0 && bytes + frame.length > CHUNK_BYTES) break
      frames.push(frame)
      bytes += frame.length
    }
    const isWhole = frames.length === page.events.length
    pageSize = isWhole ? Math.min(pageSize * 2, PAGE) : frames.length
    position = isWhole ? page.position! : page.events[frames.length - 1]!.position
    if (bytes > 0) out.write(Buffer.concat(frames))
    failures = 0
    // The log has been read to its end, so only what is appended later can lead on.
    if (isWhole && page.isLast && !out.writableNeedDrain && live.after(position, filter, sight) === null) await changed()
  }

  const forgo = live.listen({ wake: () => wake(), end })
  const comments = setInterval(() => {
    if (!out.writableNeedDrain) out.write(comment(position))
  }, commentMs)
  out.on('close', leave).on('error', leave)
  out.write(opening(position))
  try {
    while (!ended.signal.aborted) {
      const chunk = out.writableNeedDrain ? undefined : live.after(position, filter, sights.of(actor))
      if (chunk === undefined) await drained()
      else if (chunk === null) await catchUp().catch(retry)
      else if (comparePositions(chunk.position, position) > 0) {
        if (chunk.bytes.length > 0) out.write(chunk.bytes)
        position = chunk.position
      } else await changed()
    }
  } catch (err) {
    log.error({ err }, 'the journal cannot be shown beyond an event; the reader is ended')
    end()
  } finally {
    clearInterval(comments)
    forgo()
  }

  async function retry(error: unknown): Promise<void> {
    if (!(error instanceof Unavailable)) throw error
    failures += 1
    await delay(Math.random() * Math.min(100 * 2 ** failures, 5_000), undefined, { signal: ended.signal }).catch(() => {})
  }
}
