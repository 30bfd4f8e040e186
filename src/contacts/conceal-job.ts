import { Type } from '@sinclair/typebox'
import { defineJob, type JobRun } from '../platform/jobs.ts'
import type { Services } from '../services.ts'
import { keepConcealed } from './suppression.ts'

export const concealJob = defineJob({
  queue: 'conceal',
  schema: Type.Object({ stream: Type.String() }),
  shown: ['stream'],
  async run({ stream }, { services }: JobRun<Services>) {
    await keepConcealed(services, stream.slice('claim-'.length))
    return undefined
  },
})
