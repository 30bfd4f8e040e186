import type { Database } from '../database.ts'
import { formatPosition, type Position } from '../position.ts'
import { readAnswered } from '../projections/answers.ts'
import { etagOf } from './preconditions.ts'

/** An answer as it is sent. */
export type Prepared = { readonly text: string; readonly etag: string; readonly nextCursor: string | null }

export const prepare = (found: unknown): Prepared => {
  const { revision, nextCursor } = found as { revision?: unknown; nextCursor?: unknown }
  const text = JSON.stringify(found)
  const etag = etagOf(text, typeof revision === 'number' ? revision : undefined)
  return { text, etag, nextCursor: typeof nextCursor === 'string' ? nextCursor : null }
}

/** @property position of the tables that it is from; null where that was not asked */
export type Cached = { readonly answer: Prepared | null; readonly position: Position | null }

export type AnswerCache = {
  /** @param key what is asked, and by whom as far as that decides what is seen @param run asks the tables */
  answer(key: string, run: () => Promise<unknown>): Promise<Cached>
}

/** An answer that takes more is as well asked for. */
const LARGEST = 256 * 1024
/** So many questions are remembered to have been asked once, so that only what is asked again is kept. */
const ASKED = 4_096

type Entry = {
  readonly at: string
  readonly answer: Promise<Prepared | null>
  sizeBytes: number
  /** How often in a row the tables had moved when it was asked for; and so, how often it is asked for without looking whether they have. */
  stale: number
  passes: number
}

/** While the tables move faster than a question is asked, looking where they are is in vain. */
const STALE = 3
const MOST_PASSES = 32

/**
 * Keeps answers for as long as the tables stand still. Where the tables are is asked of Postgres after each request has come, once for all that came since
 * it was asked last; so whoever has seen a newer state, from any process, never gets an older one, and what an answer costs is a share of
 * one statement. An answer is made after the position was asked for, so it may be newer than that, and is not found again then; never older.
 * @param maxBytes of all kept answers; 0: none is kept
 */
export function createAnswerCache(db: Database, maxBytes: number): AnswerCache {
  const entries = new Map<string, Entry>()
  const asked = new Set<string>()
  let size = 0
  const place = sharedQuestion(() => placeOfTables(db))

  const isAskedAgain = (key: string): boolean => {
    if (asked.has(key)) return true
    if (asked.size >= ASKED) asked.delete(asked.values().next().value!)
    asked.add(key)
    return false
  }
  const drop = (key: string, entry: Entry) => {
    if (entries.get(key) !== entry) return
    entries.delete(key)
    size -= entry.sizeBytes
  }
  const keep = (key: string, entry: Entry) => {
    const before = entries.get(key)
    if (before) drop(key, before)
    entries.set(key, entry)
    entry.answer.then(
      (answer) => {
        if (entries.get(key) !== entry) return
        const sizeBytes = 2 * (key.length + (answer?.text.length ?? 0)) + 500
        if (answer === null || sizeBytes > LARGEST) return drop(key, entry)
        entry.sizeBytes = sizeBytes
        size += sizeBytes
        for (const [oldest, other] of entries) {
          if (size <= maxBytes) break
          if (other !== entry) drop(oldest, other)
        }
      },
      () => drop(key, entry),
    )
  }

  return {
    async answer(key, run) {
      const make = async () => {
        const found = await run()
        return found === null ? null : prepare(found)
      }
      if (maxBytes === 0 || !isAskedAgain(key)) return { answer: await make(), position: null }
      const last = entries.get(key)
      if (last && last.passes > 0) {
        last.passes -= 1
        return { answer: await make(), position: null }
      }
      const tables = await place()
      // Where tables stand at several positions, none of these says that nothing has changed.
      if (!tables) return { answer: await make(), position: null }
      const before = entries.get(key)
      if (before?.at === tables.at) {
        // The one that was asked for last is the last to go.
        entries.delete(key)
        entries.set(key, before)
        before.stale = 0
        return { answer: await before.answer, position: tables.position }
      }
      const stale = before ? before.stale + 1 : 0
      const passes = stale >= STALE ? Math.min(2 ** (stale - STALE), MOST_PASSES) : 0
      const entry: Entry = { at: tables.at, answer: make(), sizeBytes: 0, stale, passes }
      keep(key, entry)
      return { answer: await entry.answer, position: tables.position }
    },
  }
}

/** All that may change what the tables answer: their position, a switch (another epoch), and events that were parked and are put in later. */
async function placeOfTables(db: Database): Promise<{ at: string; position: Position } | null> {
  const { position, epoch, parkedVersion, isOne } = await readAnswered(db)
  return isOne ? { at: `${epoch} ${parkedVersion} ${formatPosition(position)}`, position } : null
}

/** Asks once for all who came before it was asked; who comes while an answer is under way gets the next. */
function sharedQuestion<T>(ask: () => Promise<T>): () => Promise<T> {
  let underWay: Promise<unknown> = Promise.resolve()
  let next: Promise<T> | null = null
  return () => {
    next ??= underWay.then(() => {
      next = null
      const answer = ask()
      underWay = answer.catch(() => {})
      return answer
    })
    return next
  }
}
