import type { Receipt } from '../../schema/erasure.ts'
import { createSigner, type Signature } from '../platform/erasure/receipt.ts'
import { askForRewrite, rewriteNow } from '../platform/erasure/rewrite-due.ts'
import type { JobRun } from '../platform/jobs.ts'
import type { Services } from '../services.ts'

export type Proof = {
  readonly scan: Receipt['scan']
  readonly physical: boolean
  /** Sentences for the receipt: what could not be made sure of. */
  readonly notes: readonly string[]
  sign(receipt: Receipt): Signature
}

/**
 * Has what was deleted made physically gone, at once or in the night, and searches for what may be left.
 * @param values what nothing may be found of
 */
export async function proveErasure({ now }: { now: boolean; values: readonly string[] }, job: JobRun<Services>): Promise<Proof> {
  const { services, signal, log } = job
  await askForRewrite(services.pool)
  const rewritten = now ? await rewriteNow(services.pool, { log, signal }) : null
  const { sign } = createSigner(services.vault.secret('receipts'))
  return { scan: null, physical: rewritten !== null && rewritten.left.length === 0, notes: rewritten?.left ?? [], sign }
}
