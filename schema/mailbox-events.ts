import { type Static, Type } from '@sinclair/typebox'
import { type EventOf, events, personal } from './define.ts'
import { Id } from './shared.ts'

/** Whose mail stays out. Addresses, domains (and what is below them) in their normal form; labels by the provider's ids. */
export const ExclusionRules = Type.Object({
  addresses: Type.Array(Type.String()),
  domains: Type.Array(Type.String()),
  labels: Type.Array(Type.String()),
  /** Mail among people of the mailbox's own domain alone. */
  ownDomain: Type.Boolean(),
})
export type ExclusionRules = Static<typeof ExclusionRules>

/** Of whom contacts are made by themselves: of nobody, of those that the mailbox wrote to, of everyone. */
export const CreationPolicy = Type.Object({
  create: Type.Union([Type.Literal('none'), Type.Literal('written-to'), Type.Literal('everyone')]),
  /** Not of addresses at providers of free mail. */
  skipFreeMail: Type.Boolean(),
  /** Never of these. */
  blockedAddresses: Type.Array(Type.String()),
  blockedDomains: Type.Array(Type.String()),
})
export type CreationPolicy = Static<typeof CreationPolicy>

/** What others than its owner see of a mailbox's mails: all; no bodies and attachments; neither these nor subjects. */
export const Visibility = Type.Union([Type.Literal('everything'), Type.Literal('subject'), Type.Literal('metadata')])
export type Visibility = Static<typeof Visibility>

/** A label of the provider's: its id there, and what people call it. */
export const Label = Type.Object({ id: Type.String(), name: Type.String() })
export type Label = Static<typeof Label>

/**
 * What was decided about a mailbox (stream `mailbox-<uuid>`, whose id is made of provider and address, so that connecting again finds it). What was
 * fetched is told by its sync runs (sync-events.ts).
 */
// Stored for ever: a field may be added as optional, never renamed or retyped.
export const mailboxEvents = events({
  /** Comes again when consent is given anew. */
  MailboxConnected: {
    mailboxId: Id,
    /** Who sees all of it, and says what others see: the actor of the first one. */
    owner: Type.Optional(Type.String()),
    provider: Type.Literal('google'),
    /** In its normal form. */
    address: personal(Type.String()),
    scopes: Type.Array(Type.String()),
  },
  /** The provider no longer takes our token; `code` is what it answered, such as `invalid_grant`. Nothing is fetched until a person connects it again. */
  MailboxConsentNeeded: { mailboxId: Id, code: Type.String() },
  /** `erase`: what no other mailbox or import brought is to be erased, too. */
  MailboxDisconnected: { mailboxId: Id, erase: Type.Boolean() },
  /** The other addresses that its owner sends as, in their normal form. */
  MailboxAliasesFound: { mailboxId: Id, aliases: personal(Type.Array(Type.String())) },
  MailboxLabelsFound: { mailboxId: Id, labels: personal(Type.Array(Label)) },
  MailboxRulesChanged: { mailboxId: Id, rules: personal(ExclusionRules) },
  MailboxCreationPolicyChanged: { mailboxId: Id, policy: personal(CreationPolicy) },
  MailboxVisibilityChanged: { mailboxId: Id, visibility: Visibility },
})
export type MailboxEvent = EventOf<typeof mailboxEvents>
