import { Type } from '@sinclair/typebox'
import { ERASURE_QUEUE } from '../../schema/erasure.ts'
import { Id } from '../../schema/shared.ts'
import { defineJob, type JobRun } from '../platform/jobs.ts'
import type { Services } from '../services.ts'
import { carryOutErasure } from './carry-out.ts'

export const eraseJob = defineJob({
  queue: ERASURE_QUEUE,
  schema: Type.Object({ erasureId: Id }),
  shown: ['erasureId'],
  result: Type.Object({
    erased: Type.Integer({ description: 'Mails that were erased: nobody else took part in them.' }),
    masked: Type.Integer({ description: 'Mails in which the person is masked.' }),
    keys: Type.Integer({ description: 'Keys that were destroyed.' }),
  }),
  concurrency: 2,
  // Whatever is away for however long: what is to be erased is not to stay.
  retries: 100_000,
  backoff: { baseSeconds: 2, maxSeconds: 3_600 },
  run: ({ erasureId }, job: JobRun<Services>) => carryOutErasure(erasureId, job),
})
