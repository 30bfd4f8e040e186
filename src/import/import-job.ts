import { Type } from '@sinclair/typebox'
import { ImportCounts } from '../../schema/import-events.ts'
import { Id } from '../../schema/shared.ts'
import { defineJob, type JobRun } from '../platform/jobs.ts'
import type { Services } from '../services.ts'
import { runImport } from './run-import.ts'

export const importJob = defineJob({
  queue: 'import',
  schema: Type.Object({ importId: Id }),
  shown: ['importId'],
  result: ImportCounts,
  concurrency: 2,
  run: ({ importId }, job: JobRun<Services>) => runImport(importId, job),
})
