import { Type } from '@sinclair/typebox'
import { Id } from '../../schema/shared.ts'
import { UndoCounts } from '../../schema/undo-events.ts'
import { defineJob, type JobRun } from '../platform/jobs.ts'
import type { Services } from '../services.ts'
import { runUndo } from './run-undo.ts'

export const undoJob = defineJob({
  queue: 'undo',
  schema: Type.Object({ undoId: Id }),
  shown: ['undoId'],
  result: UndoCounts,
  concurrency: 2,
  run: ({ undoId }, job: JobRun<Services>) => runUndo(undoId, job),
})
