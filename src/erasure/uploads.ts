import { importsOf } from '../../projections/erasure-reads.ts'
import { projections } from '../../projections/index.ts'
import { completeTables } from '../complete-tables.ts'
import { removeBlobs } from '../emails/erase.ts'
import { removeUpload } from '../import/import.ts'
import { Failed, type JobRun } from '../platform/jobs.ts'
import { isWorkedOn } from '../platform/jobs-store.ts'
import type { Services } from '../services.ts'

const ATTEMPTS_TO_WAIT = 60

/** @property removed how many @property left imports that have not ended, and may still need their file */
export type Uploads = { readonly removed: number; readonly left: readonly string[] }

/**
 * Removes the files of contacts that a person was imported from: they alone show which rows failed, which is less than what is owed to him. One of an
 * import that is under way is waited for; one that nobody works on is left to who retries it, and named.
 */
export async function removeUploads(contactIds: readonly string[], job: JobRun<Services>): Promise<Uploads> {
  const { services, signal, execute, attempt } = job
  const imports = await importsOf(await completeTables(services, projections, { signal }), contactIds)
  const left: string[] = []
  for (const { importId, keyId, isOver, isRemoved } of imports) {
    if (!isOver && attempt < ATTEMPTS_TO_WAIT && (await isWorkedOn(services.pool, 'import', importId)))
      throw new Failed('import-under-way', 'An import that this contact is in is under way; it ends soon.', { retryAfterSeconds: 2 })
    if (!isOver) left.push(importId)
    else {
      if (!isRemoved) await execute(`upload ${importId}`, removeUpload, {}, { id: importId })
      await removeBlobs(services.blobs, keyId)
    }
  }
  return { removed: imports.length - left.length, left }
}
