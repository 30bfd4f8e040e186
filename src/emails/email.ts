import { Type } from '@sinclair/typebox'
import type { NewEvent } from '../../schema/define.ts'
import { emailEvents } from '../../schema/email-events.ts'
import { command, decider, internalCommand } from '../platform/decider.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { Refused } from '../platform/refusal.ts'

const { EmailReceived, EmailSent, EmailRemoved, EmailPartiesMasked } = emailEvents

export type Email = { status: 'unknown' } | { status: 'stored' } | { status: 'removed'; reason: string }

export const email = decider<Email, typeof emailEvents>(
  'email',
  emailEvents,
  { status: 'unknown' },
  {
    EmailReceived: () => ({ status: 'stored' }),
    EmailSent: () => ({ status: 'stored' }),
    EmailRemoved: (_, { reason }) => ({ status: 'removed', reason }),
    EmailPartiesMasked: (state) => state,
  },
)

const strict = { additionalProperties: false }

/** Removed because a rule of the mailbox that brought it keeps it out: unlike what a person removed, it comes back when a mailbox brings it again. */
const EXCLUDED = 'excluded'

/** How often rules have taken a mail away: each time it comes back is another command. */
export const timesExcluded = (events: readonly NewEvent[]): number =>
  events.filter(({ type, data }) => type === EmailRemoved.type && (data as { reason: string }).reason === EXCLUDED).length

/** Whether a mail is there already, or was thrown out and is not to come back. */
export const isKnown = (state: Email, again: boolean): boolean =>
  state.status === 'stored' || (state.status === 'removed' && !again && state.reason !== EXCLUDED)

/**
 * Stores a mail that was read. Its id is made of what it says, so the same mail again is known already and changes nothing, even if it is now
 * known to be one's own. One that somebody removed stays away, unless it is asked for `again`: a person who imports a file wants what is in it,
 * a mailbox that is listed once more must not bring back what was thrown out.
 */
export const recordEmail = internalCommand(email, 'record', {
  body: Type.Object({ sent: Type.Boolean(), again: Type.Boolean(), email: EmailReceived.schema }, strict),
  decide: ({ sent, again, email }, state) => {
    if (isKnown(state, again)) return []
    return [sent ? EmailSent(email) : EmailReceived(email)]
  },
})

export const removeEmail = command(email, {
  operationId: 'removeEmail',
  method: 'DELETE',
  path: '/emails/{id}',
  summary: 'Take a mail away: from lists, threads and statistics. Importing it again brings it back',
  body: Type.Object({}, strict),
  decide: (_, { status }, { id }) => {
    if (status === 'unknown') throw new Refused('email-not-found', 'There is no such mail.', 404)
    return status === 'removed' ? [] : [EmailRemoved({ emailId: id, reason: 'removed' })]
  },
})

/** Takes away what a mailbox's rules now keep out. Whether something else has brought it, too, is asked before. */
export const excludeEmail = internalCommand(email, 'exclude', {
  body: Type.Object({}, strict),
  decide: (_, { status }, { id }) => (status === 'stored' ? [EmailRemoved({ emailId: id, reason: EXCLUDED })] : []),
})

const { emailId: _id, ...masked } = EmailPartiesMasked.schema.properties

/** Has the tables written anew without those who were erased. The body is the mail as it is read since then (src/emails/mask.ts). */
export const maskEmail = internalCommand(email, 'mask', {
  body: Type.Object(masked, strict),
  decide: (body, { status }, { id }) => (status === 'stored' ? [EmailPartiesMasked({ emailId: id, ...body })] : []),
})

type Told = ReturnType<typeof EmailReceived>['data']

/** What a mail says, by the newest of its events that says all of it; null where none does. */
export function contentOf(
  events: readonly RecordedEvent[],
): { readonly content: Told; readonly sent: boolean; readonly recordedAt: string } | null {
  const told = events.findLast(({ type }) => type === EmailReceived.type || type === EmailSent.type)
  return told && !told.erased ? { content: told.data as Told, sent: told.type === EmailSent.type, recordedAt: told.meta.at } : null
}
