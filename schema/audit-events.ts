import { type Static, Type } from '@sinclair/typebox'
import { type EventOf, events } from './define.ts'
import { Id, Instant } from './shared.ts'

/** That somebody was shown something. Nothing of what it says. */
export const Read = Type.Object({
  at: Instant,
  actor: Type.String(),
  /** The operationId of the request. */
  operation: Type.String(),
  /** The stream of what was read, like `email-<id>`; `events` for the journal. */
  resource: Type.String(),
  requestId: Id,
})
export type Read = Static<typeof Read>

// Stored for ever: a field may be added as optional, never renamed or retyped.
export const auditEvents = events({
  ReadsRecorded: { auditId: Id, reads: Type.Array(Read, { maxItems: 500 }) },
})
export type AuditEvent = EventOf<typeof auditEvents>
