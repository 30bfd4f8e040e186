import { type Static, Type } from '@sinclair/typebox'
import { type EventOf, events, personal } from './define.ts'
import { EnrichedValue, Field } from './enrichment.ts'
import { Id, nullable } from './shared.ts'

export const MethodType = Type.Union([
  Type.Literal('email'),
  Type.Literal('phone'),
  Type.Literal('url'),
  Type.Literal('social'),
  Type.Literal('address'),
  Type.Literal('other'),
])
export type MethodType = Static<typeof MethodType>

/**
 * A way to reach a contact. `value` is what to show and use: an e-mail address as written, a phone number in E.164 where it can be, else as written.
 * `normalized` is what is compared (an e-mail address in its normal form); `raw` is a phone number as it was written.
 */
export const Method = Type.Object({
  id: Id,
  type: MethodType,
  value: Type.String(),
  label: Type.Optional(Type.String()),
  normalized: Type.Optional(Type.String()),
  raw: Type.Optional(Type.String()),
})
export type Method = Static<typeof Method>

// Stored for ever: a field may be added as optional, never renamed or retyped.
export const contactEvents = events({
  ContactCreated: {
    contactId: Id,
    name: personal(Type.String()),
    company: personal(Type.Optional(Type.String())),
    methods: personal(Type.Array(Method)),
    /** Whose it is: those of the key that made it. */
    owner: personal(Type.Optional(Type.String())),
    team: personal(Type.Optional(Type.String())),
  },
  ContactRenamed: { contactId: Id, name: personal(Type.String()) },
  ContactCompanyChanged: { contactId: Id, company: personal(Type.Union([Type.String(), Type.Null()])) },
  ContactMethodAdded: { contactId: Id, method: personal(Method) },
  ContactMethodRemoved: { contactId: Id, methodId: Id },
  /** Whose it is from now on; null: nobody's. */
  ContactAssigned: { contactId: Id, owner: personal(nullable(Type.String())), team: personal(nullable(Type.String())) },
  ContactArchived: { contactId: Id },
  ContactRestored: { contactId: Id },
  NoteAdded: { contactId: Id, noteId: Id, text: personal(Type.String()) },
  /** What an enrichment proposes. Nothing of the contact's own changes by it. */
  ContactEnriched: { contactId: Id, enrichmentId: Id, values: personal(Type.Array(EnrichedValue)) },
  ContactValueAccepted: { contactId: Id, valueId: Id },
  ContactValueRejected: { contactId: Id, valueId: Id },
  /** A person says what a field is; nothing at all, where there are no values. It holds whatever enrichment finds. */
  ContactFieldSet: { contactId: Id, field: Field, values: personal(Type.Array(Type.String())) },
  /** The person's word on the field is taken back: what enrichment found counts again. */
  ContactFieldReleased: { contactId: Id, field: Field },
  /** `shown`: the enrichments' values that were shown of it just then, and stay; without it, what was proposed before counts as ever. */
  ContactFieldLocked: { contactId: Id, field: Field, shown: Type.Optional(Type.Array(Id)) },
  ContactFieldUnlocked: { contactId: Id, field: Field },
  ContactEnrichmentUndone: { contactId: Id, enrichmentId: Id },
  ContactEnrichableChanged: { contactId: Id, enrichable: Type.Boolean() },
  /** From here on there is no such contact; its key is destroyed soon after. `erasureId`: by which erasure (schema/erasure-events.ts). */
  ContactErased: { contactId: Id, erasureId: Id },
})
export type ContactEvent = EventOf<typeof contactEvents>
