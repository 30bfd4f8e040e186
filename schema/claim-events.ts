import { type EventOf, events } from './define.ts'
import { Id } from './shared.ts'

// Stored for ever: a field may be added as optional, never renamed or retyped.
export const claimEvents = events({
  AddressClaimed: { contactId: Id, commandId: Id },
  AddressReleased: { contactId: Id },
})
export type ClaimEvent = EventOf<typeof claimEvents>
