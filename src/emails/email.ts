import { Type } from '@sinclair/typebox'
import { emailEvents } from '../../schema/email-events.ts'
import { command, decider, internalCommand } from '../platform/decider.ts'
import { Refused } from '../platform/refusal.ts'

const { EmailReceived, EmailSent, EmailRemoved } = emailEvents

export type Email = { status: 'unknown' } | { status: 'stored' } | { status: 'removed' }

export const email = decider<Email, typeof emailEvents>(
  'email',
  emailEvents,
  { status: 'unknown' },
  {
    EmailReceived: () => ({ status: 'stored' }),
    EmailSent: () => ({ status: 'stored' }),
    EmailRemoved: () => ({ status: 'removed' }),
  },
)

const strict = { additionalProperties: false }

/**
 * Stores a mail that was read. Its id is made of what it says, so the same mail again is known already and changes nothing, even if it is now
 * known to be one's own. One that somebody removed stays away, unless it is asked for `again`: a person who imports a file wants what is in it,
 * a mailbox that is listed once more must not bring back what was thrown out.
 */
export const recordEmail = internalCommand(email, 'record', {
  body: Type.Object({ sent: Type.Boolean(), again: Type.Boolean(), email: EmailReceived.schema }, strict),
  decide: ({ sent, again, email }, { status }) => {
    if (status === 'stored' || (status === 'removed' && !again)) return []
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
