import { Type } from '@sinclair/typebox'
import { Id } from '../../schema/shared.ts'
import { defineJob, type JobRun } from '../platform/jobs.ts'
import type { Services } from '../services.ts'
import { settleMerge } from './merging.ts'

export const settleMergeJob = defineJob({
  queue: 'settle-merge',
  schema: Type.Object({ from: Id, unmergedBy: Type.Optional(Id) }),
  shown: ['from'],
  async run({ from, unmergedBy }, { services, leaveNoTrace }: JobRun<Services>) {
    await settleMerge(services.runner, from, unmergedBy)
    leaveNoTrace()
    return undefined
  },
})
