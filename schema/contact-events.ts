import { type Static, Type } from '@sinclair/typebox'
import { type EventOf, events, personal } from './define.ts'
import { EnrichedValue, Field } from './enrichment.ts'
import { Id, Instant, nullable } from './shared.ts'

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

/** Put back by an undo: it counts as of this revision of the contact, where it counted from before. */
const since = Type.Optional(Type.Integer({ minimum: 0 }))
/** Some that were merged into a contact before it was merged itself, and so come along: whom, and by which merge. */
export const Brought = Type.Object({ contactId: Id, mergeId: Id })
export type Brought = Static<typeof Brought>

/**
 * A value that an enrichment of another contact proposed, and what somebody decided of it there. `order` and `decidedIn` stand for revisions: they keep their
 * order among each other, and are before all that the survivor ever heard of itself.
 */
export const MergedValue = Type.Object({
  ...EnrichedValue.properties,
  enrichmentId: Id,
  proposedAt: Instant,
  order: Type.Integer(),
  decision: Type.Optional(Type.Union([Type.Literal('accepted'), Type.Literal('rejected')])),
  decidedIn: Type.Optional(Type.Integer()),
})
export type MergedValue = Static<typeof MergedValue>

/** What people said of a field of another contact. `order` as above; left out where it was chosen, and so is said at this moment. */
export const MergedWord = Type.Object({ field: Field, values: Type.Array(Type.String()), order: Type.Optional(Type.Integer()) })
export type MergedWord = Static<typeof MergedWord>

/** Whose value stays when two contacts are merged; `owner` is owner and team together. */
export const Choice = Type.Union([Type.Literal('survivor'), Type.Literal('from')])
export type Choice = Static<typeof Choice>
export const Chosen = Type.Object({ field: Type.Union([Type.Literal('name'), Type.Literal('owner'), Field]), choice: Choice })
export type Chosen = Static<typeof Chosen>

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
  ContactCompanyChanged: { contactId: Id, company: personal(Type.Union([Type.String(), Type.Null()])), since },
  /** `place`: put back by an undo to where it stood. */
  ContactMethodAdded: {
    contactId: Id,
    method: personal(Method),
    place: Type.Optional(Type.Object({ revision: Type.Integer({ minimum: 0 }), place: Type.Integer({ minimum: 0 }) })),
  },
  /** `undone`: that it was added is taken back, so that nobody turned it down. */
  ContactMethodRemoved: { contactId: Id, methodId: Id, undone: Type.Optional(Type.Literal(true)) },
  /** Whose it is from now on; null: nobody's. */
  ContactAssigned: { contactId: Id, owner: personal(nullable(Type.String())), team: personal(nullable(Type.String())) },
  /** `withdrawn`: that it was made is taken back. Who gives its address anew makes it anew. */
  ContactArchived: { contactId: Id, withdrawn: Type.Optional(Type.Literal(true)) },
  ContactRestored: { contactId: Id },
  NoteAdded: { contactId: Id, noteId: Id, text: personal(Type.String()) },
  NoteRemoved: { contactId: Id, noteId: Id },
  /** What an enrichment proposes. Nothing of the contact's own changes by it. */
  ContactEnriched: { contactId: Id, enrichmentId: Id, values: personal(Type.Array(EnrichedValue)) },
  ContactValueAccepted: { contactId: Id, valueId: Id, since },
  ContactValueRejected: { contactId: Id, valueId: Id, since },
  /** What was decided of it is taken back. */
  ContactValueReopened: { contactId: Id, valueId: Id },
  /** A person says what a field is; nothing at all, where there are no values. It holds whatever enrichment finds. */
  ContactFieldSet: { contactId: Id, field: Field, values: personal(Type.Array(Type.String())), since },
  /** The person's word on the field is taken back: what enrichment found counts again. */
  ContactFieldReleased: { contactId: Id, field: Field },
  /** `shown`: the enrichments' values that were shown of it just then, and stay; without it, what was proposed before counts as ever. */
  ContactFieldLocked: { contactId: Id, field: Field, shown: Type.Optional(Type.Array(Id)), since },
  ContactFieldUnlocked: { contactId: Id, field: Field },
  ContactEnrichmentUndone: { contactId: Id, enrichmentId: Id },
  /** It counts again. */
  ContactEnrichmentRedone: { contactId: Id, enrichmentId: Id },
  ContactEnrichableChanged: { contactId: Id, enrichable: Type.Boolean() },
  /**
   * The contact is part of `into` from now on, and nothing more happens to it. `into` says ContactMerged after this; or ContactUnmerged, where it can't be.
   * `chosen` is what was asked for, so that whoever finds only this can go on.
   */
  ContactMergedInto: { contactId: Id, into: Id, mergeId: Id, chosen: Type.Array(Chosen) },
  /** Another contact is part of this one from now on; what this one takes of it. What is not named stays as it is. */
  ContactMerged: {
    contactId: Id,
    from: Id,
    mergeId: Id,
    brought: Type.Array(Brought),
    methods: personal(Type.Array(Method)),
    /** Ways to reach it that the survivor had already: they stand in where the survivor's own came from another that leaves. */
    known: personal(Type.Array(Method)),
    name: personal(Type.Optional(Type.String())),
    company: personal(Type.Optional(nullable(Type.String()))),
    owner: personal(Type.Optional(nullable(Type.String()))),
    team: personal(Type.Optional(nullable(Type.String()))),
    values: personal(Type.Array(MergedValue)),
    words: personal(Type.Array(MergedWord)),
    /** There where the other is not to be enriched, and so neither is the survivor. */
    enrichable: Type.Optional(Type.Literal(false)),
  },
  /**
   * `from` is no part of this contact any more, nor are those that came with it (`gone` is all of them). What goes back with it, and what is put back
   * since nobody changed it; `kept` names the fields that somebody did change, `withheld` the ways to reach it that were removed since.
   */
  ContactUnmerged: {
    contactId: Id,
    from: Id,
    mergeId: Id,
    gone: Type.Array(Id),
    methodIds: Type.Array(Id),
    withheld: Type.Array(Id),
    valueIds: Type.Array(Id),
    /** Of those that are still part of it, ways to reach them that it had by the one who leaves. */
    methods: personal(Type.Array(Method)),
    name: personal(Type.Optional(Type.String())),
    company: personal(Type.Optional(nullable(Type.String()))),
    owner: personal(Type.Optional(nullable(Type.String()))),
    team: personal(Type.Optional(nullable(Type.String()))),
    /** What is taken back of people's words: the fields. */
    fields: Type.Array(Field),
    enrichable: Type.Optional(Type.Literal(true)),
    kept: Type.Array(Type.String()),
  },
  /** The contact lives again, as it was and with these ways to reach it. */
  ContactUnmergedFrom: {
    contactId: Id,
    into: Id,
    mergeId: Id,
    archived: Type.Boolean(),
    withheld: Type.Array(Id),
    name: personal(Type.String()),
    company: personal(Type.Optional(Type.String())),
    methods: personal(Type.Array(Method)),
  },
  /** From here on there is no such contact; its key is destroyed soon after. `erasureId`: by which erasure (schema/erasure-events.ts). */
  ContactErased: { contactId: Id, erasureId: Id },
})
export type ContactEvent = EventOf<typeof contactEvents>
