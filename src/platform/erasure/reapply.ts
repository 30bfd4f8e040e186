import { type Database, sql } from '../database.ts'
import type { ErasedEntry, ErasureList } from './list.ts'

/** What one erasure was, all entries of it together; without what was allowed again since. */
export type Erased = Omit<ErasedEntry, 'at'>

export type Reapplied = {
  /** How many erasures the list has. */
  readonly listed: number
  /** Those that were made again. */
  readonly again: readonly string[]
  /** Keys that were there again, and were destroyed. */
  readonly keys: number
  /** Lines of the list that cannot be read. */
  readonly damaged: readonly number[]
}

/** How erasures are made again by whoever knows what they consist of. Each of these must bear a repeat, and that others do the same at once. */
export type Erasing = {
  /** Whether the log says all of it. */
  isRecorded(erased: Erased): Promise<boolean>
  /** Has the log say it, while the keys are still there. */
  record(erased: Erased): Promise<void>
  /** Destroys keys, and removes what they had sealed beside the log. */
  destroy(keyIds: readonly string[]): Promise<void>
}

const AT_ONCE = 8

/**
 * Makes again what the list says was erased and vault or log do not know of, since a backup from before was restored. Called before anything is served
 * from them. Where nothing was restored, nothing is done.
 * @param byKeysAlone asks the vault, not the log: enough unless the log alone was restored, and needs no log
 * @throws Fault when the list cannot be read, and what `erasing` throws
 */
export async function reapplyErasures(
  { list, db, erasing }: { list: ErasureList; db: Database; erasing: Erasing },
  { byKeysAlone = false } = {},
): Promise<Reapplied> {
  const { entries, damaged } = await list.read()
  const all = together(entries)
  const back = new Set(
    await keysThatAreThere(
      db,
      all.flatMap(({ keyIds }) => keyIds),
    ),
  )
  const again: string[] = []
  const waiting = all.values()
  const work = async () => {
    for (const erased of waiting) {
      const its = erased.keyIds.filter((id) => back.has(id))
      if (its.length === 0 && (byKeysAlone || (await erasing.isRecorded(erased)))) continue
      await erasing.record(erased)
      if (its.length > 0) await erasing.destroy(its)
      again.push(erased.erasureId)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return { listed: all.length, again, keys: back.size, damaged }
}

function together(entries: Awaited<ReturnType<ErasureList['read']>>['entries']): Erased[] {
  const all = new Map<
    string,
    { erasureId: string; subjectId: string; keyIds: Set<string>; streams: Set<string>; suppressed: Set<string> }
  >()
  for (const entry of entries) {
    if ('lifted' in entry) {
      for (const { suppressed } of all.values()) for (const digest of entry.lifted) suppressed.delete(digest)
      continue
    }
    const { erasureId, subjectId } = entry
    const known = all.get(erasureId) ?? { erasureId, subjectId, keyIds: new Set(), streams: new Set(), suppressed: new Set() }
    for (const what of ['keyIds', 'streams', 'suppressed'] as const) for (const id of entry[what]) known[what].add(id)
    all.set(erasureId, known)
  }
  return [...all.values()].map((erased) => ({
    ...erased,
    keyIds: [...erased.keyIds],
    streams: [...erased.streams],
    suppressed: [...erased.suppressed],
  }))
}

const PAGE = 10_000

async function keysThatAreThere(db: Database, ids: readonly string[]): Promise<string[]> {
  const there: string[] = []
  for (let from = 0; from < ids.length; from += PAGE) {
    const rows = await db.rows<{ id: string }>(sql.unsafe`
      select id from vault.keys where id = any(${sql.array(ids.slice(from, from + PAGE), 'uuid')}) and wrapped is not null`)
    there.push(...rows.map(({ id }) => id))
  }
  return there
}
