import { type Static, Type } from '@sinclair/typebox'
import { type EventOf, events, personal } from './define.ts'
import { ErasureReason, Receipt } from './erasure-receipt.ts'
import { Id } from './shared.ts'

/**
 * What a person is known by while he is erased, and looked for by afterwards. It is sealed with the erasure's own key, which goes when the erasure is completed: so whoever was killed
 * in the middle is followed by one who knows as much.
 */
export const Prepared = Type.Object({
  /** The contact, and those that were merged into it. */
  contactIds: Type.Array(Id),
  /** The keys of these. */
  keyIds: Type.Array(Id),
  /** In their normal form. */
  addresses: Type.Array(Type.String()),
  /** What nothing may be found of. */
  values: Type.Array(Type.String()),
})
export type Prepared = Static<typeof Prepared>

const of = { erasureId: Id, contactId: Id }

/** The erasure of one person. There is one such stream a contact, and its id is the contact's: asking twice is asking once. */
// Stored for ever: a field may be added as optional, never renamed or retyped.
export const erasureEvents = events({
  /** `requestedBy`: as an actor is written. `confirm`: another one has to confirm it first. */
  ErasureRequested: { ...of, reason: ErasureReason, now: Type.Boolean(), requestedBy: Type.String(), confirm: Type.Boolean() },
  ErasureConfirmed: { ...of, confirmedBy: Type.String() },
  ErasureWithdrawn: of,
  ErasurePrepared: {
    ...of,
    contactIds: Prepared.properties.contactIds,
    keyIds: Prepared.properties.keyIds,
    addresses: personal(Prepared.properties.addresses),
    values: personal(Prepared.properties.values),
  },
  /**
   * What is about to be taken away, recorded before that is done, so that it is done after a crash and counted once: mails that are erased, for there is
   * nobody else in them, and masked, for there is; enrichments. `blobs`: how many contents the former have.
   */
  ErasureFound: {
    ...of,
    erased: Type.Array(Id, { maxItems: 500 }),
    masked: Type.Array(Id, { maxItems: 500 }),
    enrichments: Type.Array(Id, { maxItems: 500 }),
    blobs: Type.Integer({ minimum: 0 }),
  },
  ErasureCompleted: { ...of, receipt: Receipt, signature: Type.Optional(Type.String()), signedBy: Type.Optional(Type.String()) },
})
export type ErasureEvent = EventOf<typeof erasureEvents>
