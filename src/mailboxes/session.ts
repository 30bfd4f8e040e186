import { newestRun } from '../../projections/mailbox-standings.ts'
import type { CreationPolicy, ExclusionRules } from '../../schema/mailbox-events.ts'
import { type SyncKind, type SyncOutcome, syncEvents } from '../../schema/sync-events.ts'
import type { Command } from '../platform/decider.ts'
import { WrongExpectedRevision } from '../platform/event-store.ts'
import { type HeldStream, holdStream } from '../platform/held-stream.ts'
import type { JobRun } from '../platform/jobs.ts'
import type { MailAccount } from '../providers/mailbox.ts'
import type { Services } from '../services.ts'
import { finishSync, type Running, recordOutcomes, type Started, type SyncRun, startSync, syncRun } from './sync-run.ts'
import { findRuns, standingOf, syncIdOf } from './sync-runs.ts'

const { SyncListed, SyncSettled } = syncEvents

/** A mailbox as it is when a turn of working on it begins. */
export type SyncedMailbox = {
  readonly mailboxId: string
  readonly account: MailAccount
  readonly rules: ExclusionRules
  readonly policy: CreationPolicy
  /** Its address and its aliases, in their normal form. */
  readonly own: ReadonlySet<string>
  /** These, and those of all other mailboxes: a mail from one of them is a sent one. */
  readonly allOwn: ReadonlySet<string>
  /** To be called after a turn that did not fail. @param standing how it has left the mailbox's runs */
  left?(standing: string): void
}

export type Run = HeldStream<SyncRun>
export type Job = Pick<JobRun<Services>, 'jobId' | 'attempt' | 'signal' | 'log' | 'progress' | 'requestOf' | 'isAwaited' | 'leaveNoTrace'>

/** A turn of one job at a mailbox. Nobody else is at it, or the log tells so when something is to be recorded. */
export type Session = {
  readonly services: Services
  readonly job: Job
  readonly mailbox: SyncedMailbox
  /** Those that are not over, by their numbers. */
  readonly runs: Map<number, Run>
  newest: number
  newestStartedAt: number
  /** Where changes are listed from on; undefined: everything is to be listed. */
  cursor: string | undefined
  /** Whether anything was recorded; and what, by how many messages. */
  hasNews: boolean
  readonly counts: Record<SyncOutcome['outcome'] | 'listed', number>
  /** Addresses that somebody has, as far as this turn has found out. */
  readonly taken: Set<string>
}

export async function openSession(services: Services, job: Job, mailbox: SyncedMailbox): Promise<Session> {
  const { mailboxId } = mailbox
  const { newest, newestStartedAt, open, cursor } = await findRuns(services, mailboxId, await newestRun(services.pool, mailboxId))
  const runs = new Map<number, Run>()
  for (const number of open) runs.set(number, await holdStream(services, syncRun, syncIdOf(mailboxId, number)))
  const counts = { listed: 0, stored: 0, known: 0, excluded: 0, failed: 0 }
  const startedAt = Date.parse(newestStartedAt ?? '')
  return { services, job, mailbox, runs, newest, newestStartedAt: startedAt, cursor, hasNews: false, counts, taken: new Set() }
}

/** The turn is over: who has the next one can tell by this whether anybody was at the mailbox between them. */
export function leave({ mailbox, newest, runs }: Session): void {
  mailbox.left?.(
    standingOf(
      newest,
      [...runs].map(([number, { revision }]) => ({ number, revision })),
    ),
  )
}

/** What a run holds, of one that was begun. */
export const stateOf = ({ state }: Run): Running => {
  if (state.status === 'unknown') throw new Error('a sync run that was not begun')
  return state
}

/** @throws WrongExpectedRevision where another worker is at this mailbox; Unavailable */
export async function record(session: Session, run: Run, command: Command<SyncRun>, body: unknown): Promise<void> {
  const { job } = session
  for (const { type, data } of await run.execute(
    command,
    body,
    job.requestOf(`${command.operationId} ${run.id} ${run.revision}`, command),
  )) {
    session.hasNews = true
    if (type === SyncListed.type) session.counts.listed += (data as ReturnType<typeof SyncListed>['data']).messages.length
    if (type === SyncSettled.type)
      for (const { outcome } of (data as ReturnType<typeof SyncSettled>['data']).outcomes) session.counts[outcome] += 1
  }
}

type Asked = Partial<Pick<Started, 'after' | 'from' | 'jobId' | 'requestedBy' | 'compared'>>

/** Begins the mailbox's next run. @throws WrongExpectedRevision where another worker has begun it */
export async function beginRun(session: Session, kind: SyncKind, asked: Asked = {}): Promise<Run> {
  const { services, mailbox, runs, cursor } = session
  const { mailboxId } = mailbox
  const number = session.newest + 1
  const run = await holdStream(services, syncRun, syncIdOf(mailboxId, number))
  if (run.revision >= 0) throw new WrongExpectedRevision(`sync-${run.id}`, -1)
  const body = { mailboxId, number, kind, open: [...runs.keys()], ...(cursor !== undefined && { cursor }), ...asked }
  await record(session, run, startSync, body)
  session.newest = number
  session.newestStartedAt = Date.now()
  runs.set(number, run)
  return run
}

/** Ends a run that has nothing pending. @param fault why its listing came to no end */
export async function finishRun(session: Session, run: Run, fault?: string): Promise<void> {
  await record(session, run, finishSync, fault === undefined ? {} : { fault })
  const { started, cursor } = stateOf(run)
  session.runs.delete(started.number)
  if (started.kind === 'increment') session.cursor = fault === undefined ? cursor : undefined
}

const AT_ONCE = 2_000

/** Ends a run that nobody is to go on with. What it had listed and not looked at has failed, and is tried again only on request. */
export async function abandonRun(session: Session, run: Run): Promise<void> {
  const reason = 'The run that was to fetch it was cancelled.'
  for (let ids = [...stateOf(run).pending.keys()]; ids.length > 0; ids = ids.slice(AT_ONCE)) {
    const outcomes = ids.slice(0, AT_ONCE).map((id) => ({ id, outcome: 'failed', code: 'cancelled', reason }))
    await record(session, run, recordOutcomes, { outcomes })
  }
  await finishRun(session, run, 'cancelled')
}

export const openRun = ({ runs }: Session, kind: SyncKind): Run | undefined =>
  [...runs.values()].find((run) => stateOf(run).started.kind === kind)

/** Whether a run that is not over has the message yet to look at. */
export const isPending = ({ runs }: Session, id: string): boolean => [...runs.values()].some((run) => stateOf(run).pending.has(id))
