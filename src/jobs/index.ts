import { concealJob } from '../contacts/conceal-job.ts'
import { settleMergeJob } from '../contacts/settle-merge-job.ts'
import { enrichBulkJob, enrichCancelledJob, enrichJob } from '../enrichment/enrichment-job.ts'
import { eraseJob } from '../erasure/erase-job.ts'
import { rewriteJob } from '../erasure/rewrite-job.ts'
import { importJob } from '../import/import-job.ts'
import { accessJob } from '../keys/keep-job.ts'
import { disconnectJob } from '../mailboxes/disconnect-job.ts'
import { syncJob } from '../mailboxes/sync-job.ts'
import type { JobType } from '../platform/jobs.ts'
import type { Services } from '../services.ts'
import { undoJob } from '../undo/undo-job.ts'
import { auditJob } from '../verification/audit-job.ts'
import { verifyJob } from '../verification/verify-job.ts'

/** Every kind of job there is. A test keeps this list complete. */
export const jobTypes: readonly JobType<Services>[] = [
  importJob,
  syncJob,
  disconnectJob,
  accessJob,
  enrichJob,
  enrichBulkJob,
  enrichCancelledJob,
  verifyJob,
  auditJob,
  undoJob,
  settleMergeJob,
  eraseJob,
  concealJob,
  rewriteJob,
]
