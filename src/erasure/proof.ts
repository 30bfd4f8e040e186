import type { Receipt } from '../../schema/erasure-receipt.ts'
import { createSigner, type Signature } from '../platform/erasure/receipt.ts'
import { rewriteDatabase } from '../platform/erasure/rewrite.ts'
import { askForRewrite, rewriteNow } from '../platform/erasure/rewrite-due.ts'
import type { JobRun } from '../platform/jobs.ts'
import type { Services } from '../services.ts'
import { searchFor } from './search.ts'

export type Proof = {
  readonly scan: Receipt['scan']
  readonly physical: boolean
  /** Sentences for the receipt: what could not be made sure of. */
  readonly notes: readonly string[]
  sign(receipt: Receipt): Signature
}

type Asked = { readonly now: boolean; readonly addresses: readonly string[]; readonly values: readonly string[] }

/**
 * Has what was deleted made physically gone, at once or in the night, and searches for what may be left.
 * @param asked.values what nothing may be found of, beside addresses
 */
export async function proveErasure({ now, addresses, values }: Asked, job: JobRun<Services>): Promise<Proof> {
  const { services, signal, log } = job
  await askForRewrite(services.pool)
  const rewritten = now ? await rewriteNow(services.pool, { log, signal }) : null
  const physical = rewritten !== null && rewritten.left.length === 0
  const sought = [
    ...addresses.map((value) => ({ kind: 'address', value })),
    ...values.filter((value) => !addresses.includes(value)).map((value) => ({ kind: 'value', value })),
  ]
  const { findings, unread, notSearched, places } = await searchFor(services, sought, { isPhysical: physical, signal })
  const times = Map.groupBy(findings, ({ place }) => place)
  const found = [...times].map(([place, ofPlace]) => ({ place, times: ofPlace.reduce((sum, { count }) => sum + count, 0) }))
  const notes = [
    ...(rewritten?.left ?? []),
    ...unread.map(({ place, why }) => `Not searched: ${place} (${why}).`),
    ...(notSearched.length > 0 ? ['Not searched for: values of fewer than four letters, which would be found anywhere.'] : []),
  ]
  const { sign } = createSigner(services.vault.secret('receipts'))
  return { scan: { at: new Date().toISOString(), places, found }, physical, notes, sign }
}

/** The erasure's own key goes last, after the receipt: from the disk too, as the others went. */
export async function rewriteKeys(now: boolean, { services: { pool }, signal, log }: JobRun<Services>): Promise<void> {
  if (!now || (await rewriteDatabase(pool, { log, signal, only: ['vault.keys'] })).again) await askForRewrite(pool)
}
