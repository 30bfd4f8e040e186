import { type Static, Type } from '@sinclair/typebox'
import { Id, Instant } from '../../schema/shared.ts'
import { SYNC_QUEUE } from '../../schema/sync.ts'
import { WrongExpectedRevision } from '../platform/event-store.ts'
import { defineJob, Failed, type JobRun } from '../platform/jobs.ts'
import { Invalid, Refused } from '../platform/refusal.ts'
import { ConsentNeeded, ProviderAway } from '../providers/mailbox.ts'
import type { Services } from '../services.ts'
import { lookAfter } from './look-after.ts'
import { needConsent } from './mailbox.ts'
import { openMailbox } from './open-mailbox.ts'
import { syncMailbox } from './sync-mailbox.ts'
import type { Task } from './tasks.ts'

const count = Type.Optional(Type.Integer({ minimum: 0 }))

export const SyncData = Type.Object({
  mailboxId: Id,
  /** What was asked for; without it the mailbox is brought up to date. */
  task: Type.Optional(Type.Union((['reconcile', 'rewind', 'retry', 'rules'] as const).map((kind) => Type.Literal(kind)))),
  from: Type.Optional(Instant),
  requestedBy: Type.Optional(Type.String()),
})
export type SyncData = Static<typeof SyncData>

/** A job works for so long before it lets others go first. */
const TURN_MS = 60_000

/** Works on a mailbox; its jobs take turns. What is wrong at the provider is tried again for as long as it takes, and never holds up another mailbox. */
export const syncJob = defineJob({
  queue: SYNC_QUEUE,
  schema: SyncData,
  shown: ['mailboxId', 'task', 'from'],
  result: Type.Object({
    listed: count,
    stored: count,
    known: count,
    excluded: count,
    failed: count,
    missing: count,
    gone: count,
  }),
  // Nearly all of their time they wait for the provider, or for their turn there.
  concurrency: 64,
  retries: 1_000_000,
  backoff: { baseSeconds: 2, maxSeconds: 120 },
  async run({ mailboxId, ...asked }, job: JobRun<Services>) {
    const { services } = job
    // Who asked for it wants to hear of it.
    const told: typeof job = asked.requestedBy === undefined ? job : { ...job, leaveNoTrace() {} }
    try {
      const mailbox = await openMailbox(services, mailboxId)
      if (!mailbox) {
        told.leaveNoTrace()
        return {}
      }
      await lookAfter(job, mailbox)
      return await syncMailbox(services, told, mailbox, { lookMs: services.syncing.everyMs / 3, turnMs: TURN_MS }, taskOf(asked))
    } catch (error) {
      if (error instanceof ConsentNeeded) {
        await job.execute('consent needed', needConsent, { code: error.code }, { id: mailboxId })
        return {}
      }
      throw retried(error)
    }
  },
})

const taskOf = ({ task, from, requestedBy }: Omit<SyncData, 'mailboxId'>): Task | null => {
  const by = requestedBy === undefined ? {} : { requestedBy }
  if (task === 'rewind') return { kind: task, from: from!, ...by }
  return task === undefined ? null : { kind: task, ...by }
}

/** Whatever it is, it is no reason to give the mailbox up: a job that has failed for good would hold it up until somebody looks. */
function retried(error: unknown): unknown {
  if (error instanceof ProviderAway) {
    const { code, message, retryAfterSeconds } = error
    return new Failed(code, message, { cause: error, ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) })
  }
  if (error instanceof WrongExpectedRevision)
    return new Failed('sync-elsewhere', 'Another worker is at this mailbox.', { cause: error, retryAfterSeconds: 1 })
  if (error instanceof Refused || error instanceof Invalid) return new Failed('refused', error.message, { cause: error })
  return error
}
