import { emails } from '../../projections/emails.ts'
import { imports } from '../../projections/imports.ts'
import { mailboxMessages } from '../../projections/mailbox-messages.ts'
import { allStandings, failedMessages, type Standing } from '../../projections/mailbox-standings.ts'
import type { ListedMessage, MessageChange } from '../../schema/sync-events.ts'
import { completeTables } from '../complete-tables.ts'
import { Failed } from '../platform/jobs.ts'
import { PageExpired } from '../providers/mailbox.ts'
import { stillExcludes } from './listing.ts'
import { excludedBy, excludedByLabels } from './rules.ts'
import { beginRun, isPending, type Run, record, type Session } from './session.ts'
import { recordPage } from './sync-run.ts'

/** What somebody can ask for beside that a mailbox is kept up to date. */
export type Task =
  | { readonly kind: 'reconcile' | 'retry' | 'rules'; readonly requestedBy?: string }
  | { readonly kind: 'rewind'; readonly from: string; readonly requestedBy?: string }

/** Begins the run of a task; what lists by itself, not by the provider's pages, has listed all of it then. */
export async function beginTask(session: Session, task: Task): Promise<Run> {
  const { requestedBy } = task
  const asked = { jobId: session.job.jobId, ...(requestedBy !== undefined && { requestedBy }) }
  switch (task.kind) {
    case 'rewind':
      return beginRun(session, 'rewind', { ...asked, from: task.from })
    case 'reconcile': {
      const { compared, missing, gone } = await compare(session)
      return listed(session, await beginRun(session, 'reconcile', { ...asked, compared }), missing, gone)
    }
    case 'rules':
      return listed(session, await beginRun(session, 'rules', asked), await concerned(session))
    case 'retry': {
      const failed = await failedMessages(session.services.pool, session.mailbox.mailboxId, null, MOST)
      return listed(session, await beginRun(session, 'retry', asked), failed.map(toListed))
    }
  }
}

/** A run that was begun by a task, and cut off before all was listed, lists it again. */
export async function relist(session: Session, run: Run, kind: Task['kind']): Promise<Run> {
  if (kind === 'reconcile') {
    const { missing, gone } = await compare(session)
    return listed(session, run, missing, gone)
  }
  if (kind === 'rules') return listed(session, run, await concerned(session))
  return listed(session, run, (await failedMessages(session.services.pool, session.mailbox.mailboxId, null, MOST)).map(toListed))
}

/** Begins a run of the failed messages that are to be tried again by now, if there are any. */
export async function retryDue(session: Session): Promise<void> {
  const { services, mailbox } = session
  const due = await failedMessages(services.pool, mailbox.mailboxId, new Date().toISOString(), MOST_DUE)
  const left = due.filter(({ messageId }) => !isPending(session, messageId))
  if (left.length > 0) await listed(session, await beginRun(session, 'retry'), left.map(toListed))
}

const MOST = 100_000
const MOST_DUE = 500
const toListed = ({ messageId }: Standing): ListedMessage => ({ id: messageId })

const PAGE = 2_000

async function listed(
  session: Session,
  run: Run,
  messages: readonly ListedMessage[],
  changes: readonly MessageChange[] = [],
): Promise<Run> {
  const waiting = messages.filter(({ id }) => !isPending(session, id))
  for (let at = 0; at === 0 || at < Math.max(waiting.length, changes.length); at += PAGE) {
    const isLast = at + PAGE >= Math.max(waiting.length, changes.length)
    await record(session, run, recordPage, {
      messages: waiting.slice(at, at + PAGE),
      changes: changes.slice(at, at + PAGE),
      outcomes: [],
      // No provider's page: who has to begin anew does so from the first.
      ...(!isLast && { next: 'more' }),
    })
  }
  return run
}

const complete = ({ services, job }: Session) => completeTables(services, [mailboxMessages, emails, imports], { signal: job.signal })

/** Compares what the provider lists now with what is known here: what is missing here, and what is gone there. */
async function compare(session: Session) {
  const { mailbox, job } = session
  const tables = await complete(session)
  const there = await everything(session)
  const gone: MessageChange[] = []
  const missing = new Map(there)
  for await (const page of allStandings(tables, mailbox.mailboxId)) {
    for (const { messageId, standing, rule, labels, deleted } of page) {
      // What was listed and has no outcome is on its way, if a run has it; and what was said to be gone, and is listed, was not.
      const isAccounted = standing === 'pending' ? isPending(session, messageId) : rule !== 'vanished' && !deleted
      if (isAccounted) missing.delete(messageId)
      const isListed = there.has(messageId) || deleted || standing === 'excluded' || excludedByLabels(labels, { labels: [] }) !== null
      if (isListed) continue
      // Not listed may also mean that it lies in the trash, of which the history will tell.
      const found = await mailbox.account.get(messageId, job.signal)
      if (!found) gone.push({ id: messageId, deleted: true })
    }
  }
  return { compared: { listed: there.size, missing: missing.size, gone: gone.length }, missing: [...missing.values()], gone }
}

const RESTARTS = 5

async function everything({ mailbox, job }: Session): Promise<Map<string, ListedMessage>> {
  const there = new Map<string, ListedMessage>()
  let next: string | undefined
  for (let restarts = 0; ; ) {
    try {
      const page = await mailbox.account.list(next === undefined ? {} : { next }, job.signal)
      for (const message of page.messages) there.set(message.id, message)
      job.progress(0, there.size, 'comparing')
      if (page.next === undefined) return there
      next = page.next
    } catch (error) {
      restarts += 1
      if (!(error instanceof PageExpired) || restarts > RESTARTS) throw error instanceof PageExpired ? expires() : error
      next = undefined
    }
  }
}

const expires = () => new Failed('pages-expire', 'The provider gives up its lists faster than they can be read.')

/** The messages that the rules as they are now keep out and that are stored, and those that they may no longer keep out. */
async function concerned(session: Session): Promise<ListedMessage[]> {
  const { mailboxId, rules, own } = session.mailbox
  const found: ListedMessage[] = []
  for await (const page of allStandings(await complete(session), mailboxId)) {
    for (const { messageId, standing, rule, by, labels, people } of page) {
      const isStored = standing === 'stored' || standing === 'known'
      const isKeptOut = isStored && people !== null && excludedBy({ labels, people }, rules, own) !== null
      const wasKeptOut = standing === 'excluded' && ['label', 'address', 'domain', 'own-domain'].includes(rule!)
      const isFree = wasKeptOut && !stillExcludes(rules, { rule, by }) && excludedByLabels(labels, rules) === null
      if (isKeptOut || isFree) found.push({ id: messageId })
    }
  }
  return found
}
