import type { StoredBlob } from './blob-name.ts'
import { clearSpool } from './blob-spool.ts'
import { type Blobs, FRESH_MS } from './blobs.ts'

export type SweepReport = {
  /** Contents that are stored. */
  readonly seen: number
  readonly referenced: number
  /** Nobody refers to them, but somebody may be about to. */
  readonly young: number
  /** Nobody refers to them: they are gone. */
  readonly removed: number
  /** Older copies of what has a newer one. */
  readonly copiesRemoved: number
  /** What was being put when a process was killed. */
  readonly leftoversRemoved: number
}

type Sweep = {
  readonly blobs: Pick<Blobs, 'list' | 'remove' | 'spool'>
  /**
   * Whether anything refers to each of these. **Ask only what is complete**: a table that has come as far as the log was when the sweep began.
   * One that is being rebuilt would say no to everything, and everything would be removed.
   */
  readonly isReferenced: (contents: readonly Pick<StoredBlob, 'keyId' | 'name'>[]) => Promise<readonly boolean[]>
  /** Younger ones are spared. At least 24 hours, which is also what it is unless given. */
  readonly olderThanMs?: number
  readonly now: Date
  /** Ends the sweep between two contents. */
  readonly signal?: AbortSignal
}

const BATCH = 500

/**
 * Removes what nobody refers to. Safe while others put, the same contents too, and while another sweep runs: whoever puts relies only on copies younger than
 * half the age at which they are removed here, and makes a new one otherwise, under a name that nobody can have looked at before.
 * What is put has to be referred to (and seen by `isReferenced`) within 12 hours, else it may be gone.
 * @throws what `isReferenced` throws, and Unavailable when the store is away: what was removed until then is, and the next sweep goes on
 */
export async function sweep({ blobs, isReferenced, olderThanMs = 2 * FRESH_MS, now, signal }: Sweep): Promise<SweepReport> {
  if (olderThanMs < 2 * FRESH_MS) throw new RangeError('Blobs have to be 24 hours old at least before they are swept.')
  const limit = new Date(now.getTime() - olderThanMs)
  const report = { seen: 0, referenced: 0, young: 0, removed: 0, copiesRemoved: 0, leftoversRemoved: 0 }
  report.leftoversRemoved = await clearSpool(blobs.spool, limit)

  for await (const contents of batched(byContent(blobs.list()))) {
    if (signal?.aborted) break
    const answers = await isReferenced(contents.map(([{ keyId, name }]) => ({ keyId, name })))
    if (answers.length !== contents.length) throw new Error('There has to be one answer for each content.')
    for (const [index, copies] of contents.entries()) {
      if (signal?.aborted) break
      const newest = copies.at(-1)!
      const isKept = answers[index] !== false || newest.storedAt > limit
      const old = copies.filter((copy) => copy.storedAt <= limit && !(isKept && copy === newest))
      for (const copy of old) await blobs.remove(copy)
      report.seen += 1
      if (answers[index] !== false) report.referenced += 1
      else if (isKept) report.young += 1
      else report.removed += 1
      report.copiesRemoved += isKept ? old.length : old.length - 1
    }
  }
  return report
}

type Copies = readonly [StoredBlob, ...StoredBlob[]]

/** The copies of each content, which follow one another. */
async function* byContent(blobs: AsyncIterable<StoredBlob>): AsyncGenerator<Copies> {
  let copies: [StoredBlob, ...StoredBlob[]] | null = null
  for await (const blob of blobs) {
    if (copies && copies[0].keyId === blob.keyId && copies[0].name === blob.name) {
      copies.push(blob)
      continue
    }
    if (copies) yield copies
    copies = [blob]
  }
  if (copies) yield copies
}

async function* batched<T>(items: AsyncIterable<T>): AsyncGenerator<T[]> {
  let batch: T[] = []
  for await (const item of items) {
    batch.push(item)
    if (batch.length < BATCH) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}
