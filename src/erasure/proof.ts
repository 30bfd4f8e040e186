import type { Receipt } from '../../schema/erasure.ts'
import type { JobRun } from '../platform/jobs.ts'
import type { Services } from '../services.ts'
import type { Asked } from './erasure.ts'

export type Erased = {
  readonly erasureId: string
  readonly state: Asked
  readonly contactIds: readonly string[]
  readonly keyIds: readonly string[]
  readonly addresses: readonly string[]
  /** What nothing may be found of. */
  readonly values: readonly string[]
}

export type Proof = {
  readonly scan: Receipt['scan']
  readonly physical: boolean
  /** Sentences for the receipt. */
  readonly notes: readonly string[]
  sign(receipt: Receipt): Promise<{ signature?: string; signedBy?: string }>
}

export async function proveErasure(_erased: Erased, _job: JobRun<Services>): Promise<Proof> {
  return { scan: null, physical: false, notes: [], sign: async () => ({}) }
}
