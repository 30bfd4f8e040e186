import { Type } from '@sinclair/typebox'
import { rewriteIfDue } from '../platform/erasure/rewrite-due.ts'
import { defineJob, type JobRun } from '../platform/jobs.ts'
import type { Services } from '../services.ts'

export const REWRITE_QUEUE = 'rewrite'

/** Makes what was erased physically gone from the database, if anything was since the last time. A repeat does all of it again. */
export const rewriteJob = defineJob({
  queue: REWRITE_QUEUE,
  schema: Type.Object({}),
  result: Type.Object({
    tables: Type.Integer({ description: 'Tables that were written anew.' }),
    left: Type.Array(Type.String(), { description: 'What could not be made sure of, a sentence each.' }),
  }),
  concurrency: 1,
  retries: 5,
  ordered: false,
  async run(_, { services: { pool }, signal, log }: JobRun<Services>) {
    const rewritten = await rewriteIfDue(pool, { log, signal })
    if (!rewritten) return undefined
    for (const sentence of rewritten.left) log.warn({ sentence }, 'what was erased is not physically gone everywhere')
    return { tables: rewritten.tables, left: [...rewritten.left] }
  },
})
