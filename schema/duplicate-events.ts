import { Type } from '@sinclair/typebox'
import { type EventOf, events, personal } from './define.ts'
import { Id } from './shared.ts'

// Stored for ever: a field may be added as optional, never renamed or retyped.
export const duplicateEvents = events({
  /** Two contacts are not the same: they are not suggested as duplicates any more. The smaller id is the first. */
  DuplicateDismissed: { pairId: Id, contactId: Id, otherId: Id, reason: personal(Type.Optional(Type.String())) },
  /** They may be suggested again. */
  DuplicateReconsidered: { pairId: Id, contactId: Id, otherId: Id },
})
export type DuplicateEvent = EventOf<typeof duplicateEvents>
