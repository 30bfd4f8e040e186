import { Type } from '@sinclair/typebox'
import { defineJob, type JobRun } from '../platform/jobs.ts'
import type { Services } from '../services.ts'
import { keepAccess } from './keep.ts'

export const accessJob = defineJob({
  queue: 'access',
  schema: Type.Object({ stream: Type.String() }),
  shown: ['stream'],
  async run({ stream }, { services }: JobRun<Services>) {
    await keepAccess(services, stream)
    return undefined
  },
})
