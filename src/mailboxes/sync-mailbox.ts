import { isOver, standingsOf } from '../../projections/mailbox-standings.ts'
import type { ListedMessage } from '../../schema/sync-events.ts'
import { Failed, GivesWay } from '../platform/jobs.ts'
import { findJob } from '../platform/jobs-view.ts'
import { inWindows } from '../platform/windows.ts'
import type { Services } from '../services.ts'
import { endExpired, followChanges, listChanges, listMessages } from './listing.ts'
import {
  abandonRun,
  finishRun,
  type Job,
  openRun,
  openSession,
  type Run,
  record,
  type Session,
  type SyncedMailbox,
  stateOf,
} from './session.ts'
import { settleMessage, type Trend } from './settle-message.ts'
import { recordOutcomes } from './sync-run.ts'
import { beginTask, relist, retryDue, type Task } from './tasks.ts'

export type Pauses = {
  /** How often it is looked for something new while there is other work, in milliseconds. */
  readonly lookMs: number
  /** How long a job works before it lets others go first. */
  readonly turnMs: number
}

/** Messages are fetched so many at a time; of some providers one may have 50 MB. */
const BOUNDS = { atOnce: 12, bytesAtOnce: Number.POSITIVE_INFINITY }

export type Synced = { listed: number; stored: number; known: number; excluded: number; failed: number; missing?: number; gone?: number }

/**
 * Works on a mailbox until there is nothing left to do, or the task is done that was asked for: first what is new, then what was asked for last, and so on
 * down to the first listing of everything. All that was found is in the log, so whoever is killed is followed by one who goes on at the very message.
 * @throws GivesWay when others wait and its turn is over; ConsentNeeded, ProviderAway; Unavailable; WrongExpectedRevision where another worker is at it
 */
export async function syncMailbox(
  services: Services,
  job: Job,
  mailbox: SyncedMailbox,
  { lookMs, turnMs }: Pauses,
  task: Task | null = null,
): Promise<Synced> {
  const beganAt = performance.now()
  const session = await openSession(services, job, mailbox)
  // Folding a very long run takes its time, too: it is not done for less work than that is worth.
  const turnOver = performance.now() + Math.max(turnMs, 20 * (performance.now() - beganAt))
  await dropAbandoned(session)
  let own = task && ([...session.runs.values()].find((run) => stateOf(run).started.jobId === job.jobId) ?? null)
  // It was done, and only that it was had not been said.
  if (task && !own && (await isOver(services.pool, job.jobId))) return session.counts

  for (;;) {
    job.signal.throwIfAborted()
    const until = Math.min(performance.now() + lookMs, Math.max(turnOver, performance.now() + 1_000))
    const changes = openRun(session, 'increment') ?? (await followChanges(session))
    if (task && !own) own = await beginTask(session, task)
    if (!task) await retryDue(session)
    const newest = session.runs.get(Math.max(...session.runs.keys()))
    const run = changes && session.runs.size > 0 && stateOf(changes).status === 'running' ? changes : newest
    if (!run) break
    await workOn(session, run, until)
    if (own && stateOf(own).status === 'finished') break
    if (performance.now() > turnOver && (await job.isAwaited())) throw new GivesWay()
  }
  const { compared } = own ? stateOf(own).started : {}
  if (!session.hasNews && !task) job.leaveNoTrace()
  return { ...session.counts, ...(compared && { missing: compared.missing, gone: compared.gone }) }
}

/** Runs that somebody asked for by a job that was cancelled meanwhile are over. */
async function dropAbandoned(session: Session): Promise<void> {
  const { jobs, pool } = session.services
  for (const run of [...session.runs.values()]) {
    const { jobId } = stateOf(run).started
    if (jobId === undefined || jobId === session.job.jobId) continue
    const asked = await findJob(pool, jobs.types, jobId)
    if (!asked || asked.state === 'cancelled' || asked.state === 'done') await abandonRun(session, run)
  }
}

/** Lists, then settles what is pending, then ends the run; or as much of that as there is time for. */
async function workOn(session: Session, run: Run, until: number): Promise<void> {
  const { kind } = stateOf(run).started
  let isExpired = false
  if (!stateOf(run).isListed) {
    if (kind === 'increment') isExpired = !(await listChanges(session, run, until))
    else if (kind === 'full' || kind === 'rewind') await listMessages(session, run, until)
    else await relist(session, run, kind)
  }
  if (stateOf(run).isListed || isExpired) await settlePending(session, run, until)
  if (stateOf(run).pending.size > 0) return
  if (isExpired) await endExpired(session, run)
  else if (stateOf(run).isListed) await finishRun(session, run)
}

const LOOKED_UP_AT_ONCE = 100

async function settlePending(session: Session, run: Run, until: number): Promise<void> {
  const { services, job, mailbox } = session
  const trend: Trend = { stored: 0 }
  const total = stateOf(run).listed.size

  const work = (message: ListedMessage, standing: Parameters<typeof settleMessage>[3]) => ({
    sizeBytes: 0,
    work: () => settleMessage(session, run, message, standing, trend),
  })
  async function* pieces() {
    let batch: ListedMessage[] = []
    const known = async function* () {
      const standings = await standingsOf(
        services.pool,
        mailbox.mailboxId,
        batch.map(({ id }) => id),
      )
      for (const message of batch) {
        if (performance.now() > until) return
        yield work(message, standings.get(message.id))
      }
      batch = []
    }
    // What has its outcome leaves the map while it is gone through, which a Map allows.
    for (const message of stateOf(run).pending.values()) {
      batch.push(message)
      if (batch.length === LOOKED_UP_AT_ONCE) yield* known()
      if (performance.now() > until) return
    }
    yield* known()
  }
  await inWindows(pieces(), BOUNDS, job.signal, async (settled) => {
    const outcomes = settled.map(({ outcome }) => outcome)
    await record(session, run, recordOutcomes, { outcomes })
    job.progress(total - stateOf(run).pending.size, total, stateOf(run).started.kind)
  })
  job.signal.throwIfAborted()
}

/** A fault of the provider's that passes, in the words in which the job tells of it. */
export const passing = (error: { code: string; message: string; retryAfterSeconds: number | undefined }): Failed =>
  new Failed(error.code, error.message, {
    cause: error,
    ...(error.retryAfterSeconds !== undefined && { retryAfterSeconds: error.retryAfterSeconds }),
  })
