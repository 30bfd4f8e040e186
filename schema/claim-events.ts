import { type EventOf, events } from './define.ts'
import { Id } from './shared.ts'

// Stored for ever: a field may be added as optional, never renamed or retyped.
export const claimEvents = events({
  AddressClaimed: { contactId: Id, commandId: Id },
  AddressReleased: { contactId: Id },
  /** Whoever had it was erased (`contactId`): nobody gets it, and mails do not show it. */
  AddressSuppressed: { contactId: Id },
  /** It may be used again. What was written until here stays masked. */
  AddressSuppressionLifted: { contactId: Id },
})
export type ClaimEvent = EventOf<typeof claimEvents>
