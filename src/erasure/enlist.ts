import type { ErasedEntry, ErasureList } from '../platform/erasure/list.ts'

type What = 'keyIds' | 'streams' | 'suppressed'
type Entry = Pick<ErasedEntry, 'erasureId'> & Partial<Pick<ErasedEntry, What>>

/** Adds to the list of erasures what it does not have of this one. Before the keys are destroyed. @throws Fault when the file cannot be read or written */
export async function enlist(list: ErasureList, { erasureId, ...entry }: Entry): Promise<void> {
  const { entries } = await list.read()
  const missing = (what: What) => {
    const known = new Set(entries.flatMap((one) => ('erasureId' in one && one.erasureId === erasureId ? one[what] : [])))
    return (entry[what] ?? []).filter((id) => !known.has(id))
  }
  const fresh = { keyIds: missing('keyIds'), streams: missing('streams'), suppressed: missing('suppressed') }
  if (Object.values(fresh).every((ids) => ids.length === 0)) return
  await list.append({ erasureId, subjectId: erasureId, ...fresh, at: new Date().toISOString() })
}
