import { allEvents, eventsByCategory } from '../../schema/events.ts'
import { AuditInput, AuditResult } from '../../schema/verification.ts'
import { auditLog } from '../platform/audit/audit.ts'
import { HEARTBEAT_STREAM } from '../platform/event-store.ts'
import { defineJob, type JobRun } from '../platform/jobs.ts'
import type { Services } from '../services.ts'

/** Reads the whole log and finds what is not as it was written. Nothing is changed, so a repeat begins anew. */
export const auditJob = defineJob({
  queue: 'audit',
  schema: AuditInput,
  result: AuditResult,
  concurrency: 1,
  retries: 3,
  ordered: false,
  async run({ seal }, { services, signal, progress, log }: JobRun<Services>): Promise<AuditResult> {
    const { pool, store, codec } = services
    const { findings, ...audited } = await auditLog({
      pool,
      readAll: store.readAll,
      end: store.end,
      decode: codec.decode,
      types: allEvents,
      categories: Object.keys(eventsByCategory).filter((category) => category !== HEARTBEAT_STREAM),
      seal,
      signal,
      progress: (share) => progress(Math.floor(share * 100), 100),
    })
    for (const finding of findings.slice(0, 10)) log.error(finding, 'the log is not as it was written')
    return { ...audited, findings: [...findings] }
  },
})
