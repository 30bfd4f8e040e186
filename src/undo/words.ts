import type { allEvents } from '../../schema/events.ts'

/**
 * What an undo makes of an event: it is undone field by field in its stream (`fields`); it only records what was done, and there is nothing to undo
 * (`record`); it began what has a correlation id of its own, by which it is undone (`began`); or it can't be undone, for a reason (any other word).
 */
type Word = 'fields' | 'record' | 'began' | 'key' | 'role' | 'mailbox' | 'setting' | 'paid' | 'erasure' | 'suppression'

/** No default: an event of which nobody has said what becomes of it does not compile. */
const words = {
  ContactCreated: 'fields',
  ContactRenamed: 'fields',
  ContactCompanyChanged: 'fields',
  ContactMethodAdded: 'fields',
  ContactMethodRemoved: 'fields',
  ContactAssigned: 'fields',
  ContactArchived: 'fields',
  ContactRestored: 'fields',
  NoteAdded: 'fields',
  NoteRemoved: 'fields',
  ContactEnriched: 'fields',
  ContactValueAccepted: 'fields',
  ContactValueRejected: 'fields',
  ContactValueReopened: 'fields',
  ContactFieldSet: 'fields',
  ContactFieldReleased: 'fields',
  ContactFieldLocked: 'fields',
  ContactFieldUnlocked: 'fields',
  ContactEnrichmentUndone: 'fields',
  ContactEnrichmentRedone: 'fields',
  ContactEnrichableChanged: 'fields',
  // Its other half, in the contact that it became part of, is what is undone.
  ContactMergedInto: 'record',
  ContactMerged: 'fields',
  ContactUnmerged: 'fields',
  ContactUnmergedFrom: 'record',
  DuplicateDismissed: 'fields',
  DuplicateReconsidered: 'fields',
  ContactErased: 'erasure',
  EmailReceived: 'fields',
  EmailSent: 'fields',
  EmailRemoved: 'fields',

  EmailPartiesMasked: 'record',
  EnrichmentErased: 'record',
  ErasureRequested: 'erasure',
  ErasureConfirmed: 'record',
  ErasureWithdrawn: 'record',
  ErasurePrepared: 'record',
  ErasureFound: 'record',
  ErasureCompleted: 'record',
  AddressSuppressed: 'record',
  AddressSuppressionLifted: 'suppression',

  ImportStarted: 'began',
  ImportProgressed: 'record',
  ImportUploadRemoved: 'record',
  ImportFinished: 'record',
  UndoStarted: 'began',
  UndoProgressed: 'record',
  UndoEnded: 'record',
  SyncStarted: 'record',
  SyncListed: 'record',
  SyncChanged: 'record',
  SyncSettled: 'record',
  SyncFinished: 'record',
  AddressClaimed: 'record',
  AddressReleased: 'record',
  ReadsRecorded: 'record',
  HeartbeatRecorded: 'record',

  // What an enrichment found is undone in its contact; that it was asked for and paid is not.
  EnrichmentRequested: 'record',
  EnrichmentCallIntended: 'record',
  EnrichmentCallBegun: 'record',
  EnrichmentCallDeferred: 'record',
  EnrichmentPagesRead: 'record',
  EnrichmentAnswered: 'paid',
  EnrichmentCompleted: 'record',
  EnrichmentFailed: 'record',
  BulkEnrichmentRequested: 'record',
  BulkEnrichmentSpread: 'record',
  VendorCallReserved: 'record',
  VendorCallSettled: 'record',
  VendorFaltered: 'record',

  EnrichmentSourcesOrdered: 'setting',
  EnrichmentOnCreationChanged: 'setting',
  MailboxConnected: 'mailbox',
  MailboxConsentNeeded: 'record',
  MailboxDisconnected: 'mailbox',
  MailboxAliasesFound: 'record',
  MailboxLabelsFound: 'record',
  MailboxRulesChanged: 'setting',
  MailboxCreationPolicyChanged: 'setting',
  MailboxVisibilityChanged: 'setting',
  ApiKeyIssued: 'key',
  ApiKeyRevoked: 'key',
  RoleDefined: 'role',
  RoleRemoved: 'role',
} as const satisfies Record<keyof typeof allEvents, Word>

/** Why something is kept, for people. */
export const reasons: Readonly<Record<Exclude<Word, 'fields' | 'record'>, string>> = {
  began: 'This began something that has a correlation id of its own: undo that.',
  key: 'What a key was given or taken is not undone: issue another, or revoke it.',
  role: 'Roles are not undone: define or remove them.',
  mailbox: 'A mailbox is not connected or disconnected by an undo: connect or disconnect it.',
  setting: 'Settings are not undone: set them to what they are to be.',
  erasure: 'Who was erased stays so.',
  suppression: 'That an address may be used again is not undone.',
  paid: 'What a vendor was paid stays paid.',
}

export const isReason = (word: string): word is keyof typeof reasons => Object.hasOwn(reasons, word)
export const wordOf = (type: string): Word => (words as Readonly<Record<string, Word>>)[type] ?? 'record'

/** The events that an undo has something to say of. @param byCommand what a command began is told then; by correlation id it is in there itself */
export const toldTypes = (byCommand: boolean): string[] =>
  Object.entries(words).flatMap(([type, word]) => (word === 'record' || (word === 'began' && !byCommand) ? [] : [type]))
