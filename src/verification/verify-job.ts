import { projections } from '../../projections/index.ts'
import { VerifyInput, VerifyResult } from '../../schema/verification.ts'
import { defineJob, FailedForGood, type JobRun } from '../platform/jobs.ts'
import { formatPosition } from '../platform/position.ts'
import { inWords } from '../platform/projections/difference.ts'
import { NotVerifiable, verifyTables } from '../platform/projections/verify-tables.ts'
import type { Services } from '../services.ts'

/** Compares every row of the read tables with what the log makes anew. Nothing is changed, so a repeat begins anew. */
export const verifyJob = defineJob({
  queue: 'verify',
  schema: VerifyInput,
  shown: ['names'],
  result: VerifyResult,
  concurrency: 1,
  retries: 3,
  ordered: false,
  async run({ names }, { services, jobId, signal, progress, log }: JobRun<Services>): Promise<VerifyResult> {
    const { pool, store, codec } = services
    const asked = projections.filter(({ name }) => names === undefined || names.includes(name))
    const { position, rows, differences } = await verifyTables({
      pool,
      source: { readAll: store.readAll, end: store.end, decode: codec.decode },
      projections: asked,
      owner: jobId,
      signal,
      progress: (share, note) => progress(Math.floor(share * 100), 100, note),
    }).catch((error) => {
      throw error instanceof NotVerifiable ? new FailedForGood('not-verifiable', error.message) : error
    })
    for (const difference of differences) log.error({ difference: inWords(difference) }, 'a read table is not what the log makes')
    return { position: formatPosition(position), rows, differences: structuredClone(differences) as VerifyResult['differences'] }
  },
})
