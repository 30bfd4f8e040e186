import { isOver, standingsOf } from '../../projections/mailbox-standings.ts'
import type { ListedMessage } from '../../schema/sync-events.ts'
import { WrongExpectedRevision } from '../platform/event-store.ts'
import { GivesWay } from '../platform/jobs.ts'
import { findJob } from '../platform/jobs-view.ts'
import { Unavailable } from '../platform/refusal.ts'
import { inWindows } from '../platform/windows.ts'
import type { Services } from '../services.ts'
import { endExpired, followChanges, listChanges, listMessages } from './listing.ts'
import {
  abandonRun,
  finishRun,
  type Job,
  leave,
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
  try {
    const own = await takeTurn(session, lookMs, turnOver, task)
    leave(session)
    if (!task && !session.hasNews) job.leaveNoTrace()
    // It was done before, and only that it was had not been said.
    if (!own) return session.counts
    const { started, listed, counts } = stateOf(own)
    const { missing, gone } = started.compared ?? {}
    return { listed: listed.size, ...counts, ...(missing !== undefined && { missing }), ...(gone !== undefined && { gone }) }
  } catch (error) {
    if (error instanceof GivesWay) leave(session)
    // What passes, after something was done, is no fault of the job: it goes on at once, and as if nothing had been.
    const isPassing = error instanceof Unavailable || error instanceof WrongExpectedRevision
    if (!isPassing || !session.hasNews || job.signal.aborted) throw error
    job.log.warn({ err: error }, 'something that is needed is away; going on with the mailbox')
    throw new GivesWay()
  }
}

/** @returns the run of the task, if there is one, which is over then */
async function takeTurn(session: Session, lookMs: number, turnOver: number, task: Task | null): Promise<Run | null> {
  const { services, job } = session
  await dropAbandoned(session)
  let own = task && ([...session.runs.values()].find((run) => stateOf(run).started.jobId === job.jobId) ?? null)
  if (task && !own && (await isOver(services.pool, job.jobId))) return null

  for (;;) {
    job.signal.throwIfAborted()
    const until = Math.min(performance.now() + lookMs, Math.max(turnOver, performance.now() + 1_000))
    const changes = openRun(session, 'increment') ?? (await followChanges(session))
    if (task && !own) own = await beginTask(session, task)
    if (!task) await retryDue(session)
    // What was asked for last comes before what was asked for first.
    const run = changes ?? session.runs.get(Math.max(...session.runs.keys()))
    if (!run) return own
    await workOn(session, run, until)
    if (own && stateOf(own).status === 'finished') return own
    if (performance.now() > turnOver && (await job.isAwaited())) throw new GivesWay()
  }
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
