import { Type } from '@sinclair/typebox'
import { Id } from '../../schema/shared.ts'
import { defineJob, type JobRun } from '../platform/jobs.ts'
import type { Services } from '../services.ts'
import { runBulk } from './bulk.ts'
import { endCancelled, runEnrichment } from './run-enrichment.ts'

/** It decides by itself when to give up (src/enrichment/paid-call.ts): a worker's death must never be what ends it. */
const untilItEnds = { retries: 100_000, backoff: { baseSeconds: 1, maxSeconds: 15 } }

export const enrichJob = defineJob({
  queue: 'enrich',
  schema: Type.Object({ enrichmentId: Id }),
  shown: ['enrichmentId'],
  result: Type.Object({ state: Type.String(), values: Type.Integer(), code: Type.Optional(Type.String()) }),
  concurrency: 16,
  ...untilItEnds,
  afterCancel: 'enrich-cancelled',
  run: ({ enrichmentId }, job: JobRun<Services>) => runEnrichment(enrichmentId, job),
})

export const enrichCancelledJob = defineJob({
  queue: 'enrich-cancelled',
  schema: Type.Object({ enrichmentId: Id }),
  shown: ['enrichmentId'],
  run: ({ enrichmentId }, job: JobRun<Services>) => endCancelled(enrichmentId, job),
})

export const enrichBulkJob = defineJob({
  queue: 'enrich-bulk',
  schema: Type.Object({ bulkId: Id }),
  shown: ['bulkId'],
  result: Type.Object({ requested: Type.Integer(), refused: Type.Integer() }),
  concurrency: 1,
  ...untilItEnds,
  run: ({ bulkId }, job: JobRun<Services>) => runBulk(bulkId, job),
})
