import { broughtBy, peopleOf, type Standing } from '../../projections/mailbox-standings.ts'
import type { ListedMessage, SyncOutcome } from '../../schema/sync-events.ts'
import { create } from '../contacts/upsert.ts'
import { excludeEmail } from '../emails/email.ts'
import { isKeptOut } from '../emails/ingest.ts'
import type { EmailContent } from '../emails/parse/parse-email.ts'
import { digest } from '../platform/http/commands.ts'
import { Invalid, Refused } from '../platform/refusal.ts'
import type { Request } from '../platform/runner.ts'
import { uuidv5 } from '../platform/uuid.ts'
import { MessageUnreadable } from '../providers/mailbox.ts'
import { contactsToCreate } from './people.ts'
import { type Exclusion, excludedBy, excludedByLabels, excludedByPeople } from './rules.ts'
import { type Run, type Session, stateOf } from './session.ts'

/** How many messages in a row were new. After so many the next one most likely is new as well. */
export type Trend = { stored: number }
const CONFIDENT = 20

/** After so many attempts of the whole job a message that breaks it by something that nobody had thought of is to blame for it. */
const ATTEMPTS_TO_BLAME = 3

const MINUTE_MS = 60_000
const LONGEST_PAUSE_MS = 30 * 24 * 60 * MINUTE_MS

/** When a message is tried again by itself that failed so often: after 10 minutes, 40, 160, and so on, up to 30 days. @param now in milliseconds */
export const nextTryAt = (attempts: number, now: number): string =>
  new Date(now + Math.min(10 * MINUTE_MS * 4 ** (attempts - 1), LONGEST_PAUSE_MS)).toISOString()

/**
 * What becomes of a listed message: it is fetched, unless it is known already, and stored, unless a rule keeps it out. Of the same message the
 * commands are the same, whichever run they are of, so that what was done and not recorded is not done again, and is this mailbox's.
 * @param standing how it stands in the tables, as far as they know it
 * @throws ConsentNeeded, ProviderAway, Unavailable, and what nobody had thought of: the same again later goes on
 */
export async function settleMessage(
  session: Session,
  run: Run,
  message: ListedMessage,
  standing: Standing | undefined,
  trend: Trend,
): Promise<SyncOutcome> {
  const { job } = session
  const { id } = message
  const attempts = (standing?.attempts ?? 0) + 1
  const failed = (code: string, reason: string): SyncOutcome => ({
    id,
    outcome: 'failed',
    code,
    reason: reason.slice(0, 1_000),
    attempts,
    retryAt: nextTryAt(attempts, Date.now()),
  })
  try {
    if (standing?.standing === 'stored' || standing?.standing === 'known') return await reconsider(session, run, message, standing)
    return await fetchMessage(session, run, message, trend, failed)
  } catch (error) {
    if (error instanceof MessageUnreadable) return failed(error.code, error.message)
    const isToBlame = isUnforeseen(error) && job.attempt >= ATTEMPTS_TO_BLAME && !job.signal.aborted
    if (!isToBlame) throw error
    job.log.error({ err: error, messageId: id }, 'a message could not be stored')
    return failed('internal-error', 'Something went wrong that should not have. It was logged under this message.')
  }
}

/** Not by whom it was asked, nor by what the system or a server said. */
const isUnforeseen = (error: unknown) =>
  error instanceof TypeError || error instanceof RangeError || error instanceof Invalid || (error as Error)?.name === 'Error'

async function fetchMessage(
  session: Session,
  run: Run,
  { id, threadId }: ListedMessage,
  trend: Trend,
  failed: (code: string, reason: string) => SyncOutcome,
): Promise<SyncOutcome> {
  const { services, mailbox, job } = session
  const { account, rules, own, allOwn, mailboxId } = mailbox
  const fetched = await account.get(id, job.signal)
  if (!fetched) return { id, outcome: 'excluded', rule: 'vanished' }
  const labels = [...fetched.labels]
  const thread = fetched.threadId ?? threadId
  const about = { id, labels, ...(thread !== undefined && { threadId: thread }) }
  const excluded = (exclusion: Exclusion): SyncOutcome => ({ ...about, outcome: 'excluded', ...exclusion })
  const byLabels = excludedByLabels(labels, rules)
  if (byLabels) return excluded(byLabels)

  const cause = causeOf(session, run, id)
  const ingested = await services.ingest(
    fetched.raw,
    {
      source: `mailbox:${mailboxId}`,
      ownAddresses: allOwn,
      cause,
      isKept: false,
      again: false,
      isLikelyNew: trend.stored >= CONFIDENT,
      fallbackDate: fetched.receivedAt,
      providerThreadId: thread,
    },
    (content) => excludedByPeople(content, rules, own),
  )
  trend.stored = ingested.outcome === 'stored' ? trend.stored + 1 : 0
  if (ingested.outcome === 'excluded') return excluded(ingested.exclusion)
  if (ingested.outcome === 'failed') {
    const { code, reason, raw } = ingested
    // It is to stay away, so there is nothing to try again.
    return isKeptOut(code) ? { ...about, outcome: 'excluded', rule: code } : { ...about, ...failed(code, reason), ...(raw && { raw }) }
  }
  const { outcome, emailId, content, sent } = ingested
  if (outcome === 'stored') await createContacts(session, content, sent, cause)
  return { ...about, outcome, emailId }
}

function causeOf({ services, mailbox: { mailboxId } }: Session, run: Run, messageId: string): Request {
  return {
    actor: 'system:worker',
    commandId: uuidv5(`message ${messageId}`, mailboxId),
    request: digest(services.vault.secret('requests'), 'mailbox', mailboxId, messageId),
    // All that follows from a run can be told by its id.
    correlationId: run.id,
    ...(run.firstEventId !== null && { causationId: run.firstEventId }),
  }
}

/** Makes contacts of people in a mail, as the mailbox's policy says. Who has an address already, archived or not, is left alone. */
async function createContacts(
  { services, mailbox, job, taken }: Session,
  content: EmailContent,
  sent: boolean,
  cause: Request,
): Promise<void> {
  for (const { name, address } of contactsToCreate(
    { ...content, sent },
    {
      policy: mailbox.policy,
      own: mailbox.allOwn,
      isSuppressed: (address) => services.concealed.has(address),
    },
  )) {
    if (taken.has(address)) continue
    const commandId = uuidv5(`contact ${address}`, cause.commandId)
    try {
      await create(
        services.runner,
        { name, methods: [{ type: 'email', value: address }] },
        { ...cause, commandId, causationId: cause.commandId },
      )
    } catch (error) {
      if (!(error instanceof Refused || error instanceof Invalid)) throw error
      if (!(error instanceof Refused && error.code === 'address-taken'))
        job.log.warn({ err: error }, 'a contact could not be made of a mail')
    }
    taken.add(address)
  }
}

/** A message that is stored stays so, unless the run is one that goes through what changed rules concern, and they keep it out now. */
async function reconsider(session: Session, run: Run, { id }: ListedMessage, { emailId, labels }: Standing): Promise<SyncOutcome> {
  const { services, mailbox } = session
  const known: SyncOutcome = { id, outcome: 'known', emailId: emailId! }
  if (stateOf(run).started.kind !== 'rules') return known
  const people = (await peopleOf(services.pool, [emailId!])).get(emailId!)
  // Without it a person took the mail away.
  const exclusion = people ? excludedBy({ labels, people }, mailbox.rules, mailbox.own) : excludedByLabels(labels, mailbox.rules)
  return exclusion ? excludeStored(session, run, id, emailId!, exclusion) : known
}

/** Takes away a mail that was stored and is to stay out, unless something else has brought it that stays. */
export async function excludeStored(session: Session, run: Run, id: string, emailId: string, exclusion: Exclusion): Promise<SyncOutcome> {
  const { services, mailbox } = session
  const { messages, byFile } = await broughtBy(services.pool, emailId)
  // The same mail twice in this mailbox: this run is about both.
  const isOther = (other: { mailboxId: string; messageId: string }) =>
    other.messageId !== id && !(other.mailboxId === mailbox.mailboxId && stateOf(run).listed.has(other.messageId))
  if (!byFile && !messages.some(isOther)) {
    const cause = causeOf(session, run, id)
    await services.runner.execute(
      excludeEmail,
      {},
      { id: emailId },
      { ...cause, commandId: uuidv5(`exclude in ${run.id}`, cause.commandId) },
    )
  }
  return { id, outcome: 'excluded', ...exclusion }
}
