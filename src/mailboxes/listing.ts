import { type Standing, standingsOf } from '../../projections/mailbox-standings.ts'
import type { ListedMessage, SyncOutcome } from '../../schema/sync-events.ts'
import { Failed } from '../platform/jobs.ts'
import { type ChangePage, CursorExpired, PageExpired } from '../providers/mailbox.ts'
import { excludedByLabels } from './rules.ts'
import { beginRun, finishRun, isPending, type Run, record, type Session, stateOf } from './session.ts'
import { excludeStored } from './settle-message.ts'
import { recordPage } from './sync-run.ts'

/** So often a listing is begun anew in one turn when its pages expire. */
const RESTARTS = 5

/** Asks for page after page; one that the provider no longer knows begins the listing anew, and what was listed is not listed again. */
async function eachPage<P extends { readonly next?: string }>(
  session: Session,
  run: Run,
  until: number,
  ask: (next: string | undefined) => Promise<P>,
  take: (page: P) => Promise<void>,
): Promise<void> {
  let next = stateOf(run).next || undefined
  let restarts = 0
  while (!stateOf(run).isListed && performance.now() < until) {
    session.job.signal.throwIfAborted()
    try {
      const page = await ask(next)
      await take(page)
      next = page.next
    } catch (error) {
      if (!(error instanceof PageExpired) || next === undefined) throw error
      restarts += 1
      if (restarts > RESTARTS) throw new Failed('pages-expire', 'The provider gives up its lists faster than they can be read.')
      next = undefined
    }
  }
}

/** Goes on with listing all messages, or those from a day on, the newest first. @param until in milliseconds of `performance.now` */
export async function listMessages(session: Session, run: Run, until: number): Promise<void> {
  const { account, mailboxId } = session.mailbox
  const { signal } = session.job
  const { from } = stateOf(run).started
  await eachPage(
    session,
    run,
    until,
    (next) => account.list({ ...(next !== undefined && { next }), ...(from !== undefined && { from }) }, signal),
    async ({ messages, next }) => {
      const ids = messages.map(({ id }) => id)
      const standings = await standingsOf(session.services.pool, mailboxId, ids)
      const outcomes = ids.flatMap((id) => standing(session, standings.get(id)) ?? [])
      await record(session, run, recordPage, { messages: [...messages], changes: [], outcomes, ...(next !== undefined && { next }) })
      session.job.progress(0, stateOf(run).listed.size, 'listing')
    },
  )
}

/** The outcome that a message has already, where it need not be fetched again to know it. */
function standing({ mailbox }: Session, known: Standing | undefined): SyncOutcome | null {
  if (known?.standing === 'stored' || known?.standing === 'known') return { id: known.messageId, outcome: 'known', emailId: known.emailId! }
  // Labels may have changed meanwhile; who takes part in a mail does not.
  const isByPeople = known?.standing === 'excluded' && stillExcludes(mailbox.rules, known)
  return isByPeople ? { id: known.messageId, outcome: 'excluded', rule: known.rule!, ...(known.by !== null && { by: known.by }) } : null
}

/** Whether the rule is still there that kept a message out for who takes part in it. */
export const stillExcludes = (rules: Session['mailbox']['rules'], { rule, by }: Pick<Standing, 'rule' | 'by'>): boolean =>
  (rule === 'address' && rules.addresses.includes(by!)) ||
  (rule === 'domain' && rules.domains.includes(by!)) ||
  (rule === 'own-domain' && rules.ownDomain)

const DAY_MS = 24 * 60 * 60_000

/**
 * Looks whether there is anything new, and begins the run that takes it in; where the provider does not know any more what changed, or nothing was ever
 * listed, the one that lists everything. What has no news leaves no trace, but once a day, so that the cursor does not grow too old for the provider.
 * @returns the run, if there is something to do
 */
export async function followChanges(session: Session): Promise<Run | null> {
  const { mailbox, job, cursor } = session
  if (cursor === undefined) return listEverything(session)
  const page = await mailbox.account.changes({ after: cursor }, job.signal).catch((error) => {
    if (error instanceof CursorExpired) return null
    throw error
  })
  if (!page) return listEverything(session)
  const isNews = page.added.length > 0 || page.changes.length > 0 || page.next !== undefined
  const isOld = page.cursor !== cursor && Date.now() - session.newestStartedAt > DAY_MS
  if (!isNews && !isOld) return null
  const run = await beginRun(session, 'increment', { after: cursor })
  await recordChanges(session, run, page)
  return run
}

async function listEverything(session: Session): Promise<Run> {
  // Before anything is listed: what comes while it is listed is told as a change after this.
  session.cursor = (await session.mailbox.account.profile(session.job.signal)).cursor
  const earlier = [...session.runs.values()].filter((run) => stateOf(run).started.kind === 'full' && !stateOf(run).isListed)
  const run = await beginRun(session, 'full')
  // This one lists what an earlier listing of everything had yet to; that only looks at what it has.
  for (const one of earlier) await record(session, one, recordPage, { messages: [], changes: [], outcomes: [] })
  return run
}

/** Goes on with listing changes. @returns whether the provider still knows them */
export async function listChanges(session: Session, run: Run, until: number): Promise<boolean> {
  const { mailbox, job } = session
  const after = stateOf(run).started.after!
  try {
    await eachPage(
      session,
      run,
      until,
      (next) => mailbox.account.changes({ after, ...(next !== undefined && { next }) }, job.signal),
      (page) => recordChanges(session, run, page),
    )
    return true
  } catch (error) {
    if (error instanceof CursorExpired) return false
    throw error
  }
}

/** Ends a run of changes that the provider no longer knows; everything is listed next. */
export const endExpired = (session: Session, run: Run): Promise<void> => finishRun(session, run, 'cursor-expired')

async function recordChanges(session: Session, run: Run, { added, changes, next, cursor }: ChangePage): Promise<void> {
  const { services, mailbox } = session
  const { pool } = services
  const standings = await standingsOf(
    pool,
    mailbox.mailboxId,
    [...added, ...changes].map(({ id }) => id),
  )
  const messages = new Map<string, ListedMessage>(added.map((message) => [message.id, message]))
  const outcomes: SyncOutcome[] = added.flatMap(({ id }) => standing(session, standings.get(id)) ?? [])
  for (const { id, labels, deleted } of changes) {
    if (deleted || labels === undefined || messages.has(id) || isPending(session, id)) continue
    const known = standings.get(id)
    const isStored = known?.standing === 'stored' || known?.standing === 'known'
    const exclusion = excludedByLabels(labels, mailbox.rules)
    if (isStored && exclusion?.rule === 'label') {
      messages.set(id, { id })
      outcomes.push({ ...(await excludeStored(session, run, id, known.emailId!, exclusion)), labels: [...labels] })
    } else if (!isStored && !exclusion && !(known && stillExcludes(mailbox.rules, known))) messages.set(id, { id })
  }
  await record(session, run, recordPage, {
    // What came last is wanted first.
    messages: [...messages.values()].reverse(),
    changes: [...changes],
    outcomes,
    ...(next === undefined ? { cursor } : { next }),
  })
}
