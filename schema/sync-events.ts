import { type Static, Type } from '@sinclair/typebox'
import { type EventOf, events, personal } from './define.ts'
import { BlobReference } from './email.ts'
import { Id, Instant } from './shared.ts'

/**
 * Why a run was made: to list everything; to list what changed since the last; to go through a stretch again; to try failed ones again; to compare
 * with the provider's own list; to go through those that changed rules concern.
 */
export const SyncKind = Type.Union([
  Type.Literal('full'),
  Type.Literal('increment'),
  Type.Literal('rewind'),
  Type.Literal('retry'),
  Type.Literal('reconcile'),
  Type.Literal('rules'),
])
export type SyncKind = Static<typeof SyncKind>

/** A message by the provider's ids. */
export const ListedMessage = Type.Object({ id: Type.String(), threadId: Type.Optional(Type.String()) })
export type ListedMessage = Static<typeof ListedMessage>

/** What the provider says of a message later: it has these labels now, or is gone. */
export const MessageChange = Type.Object({
  id: Type.String(),
  labels: Type.Optional(Type.Array(Type.String())),
  deleted: Type.Optional(Type.Boolean()),
})
export type MessageChange = Static<typeof MessageChange>

/** What became of a listed message. */
export const SyncOutcome = Type.Object({
  id: Type.String(),
  outcome: Type.Union([Type.Literal('stored'), Type.Literal('known'), Type.Literal('excluded'), Type.Literal('failed')]),
  /** Of a stored or known one. */
  emailId: Type.Optional(Id),
  labels: Type.Optional(Type.Array(Type.String())),
  threadId: Type.Optional(Type.String()),
  /**
   * Of an excluded one: `address`, `domain`, `label`, `own-domain`; or `draft`, `chat`, `spam`, `trash`; or `vanished`: it was gone before it could be
   * fetched; or `erased`: somebody whose mail it was was erased; or `suppressed`: the only other one in it was.
   */
  rule: Type.Optional(Type.String()),
  /** Which address, domain or label it was that the rule names, so that it is known what comes back without it. */
  by: Type.Optional(Type.String()),
  /** Of a failed one: for programs, and for people. */
  code: Type.Optional(Type.String()),
  reason: Type.Optional(Type.String()),
  /** How often it was tried by now, in all runs; and from when on it is tried again by itself. */
  attempts: Type.Optional(Type.Integer({ minimum: 1 })),
  retryAt: Type.Optional(Instant),
  /** Its bytes, where they came and could not be read: sealed with a key of their own. */
  raw: Type.Optional(Type.Composite([BlobReference, Type.Object({ keyId: Id })])),
})
export type SyncOutcome = Static<typeof SyncOutcome>

/** What a comparison found: how many messages the provider listed, how many of these were not known here, how many known ones are gone there. */
export const Comparison = Type.Object({
  listed: Type.Integer({ minimum: 0 }),
  missing: Type.Integer({ minimum: 0 }),
  gone: Type.Integer({ minimum: 0 }),
})
export type Comparison = Static<typeof Comparison>

/**
 * One run of fetching from a mailbox (stream `sync-<uuid>`, whose id is made of the mailbox's and the run's number): what it listed, and what became of
 * each. Every event is appended at a known revision by the one job that carries the run out.
 */
// Stored for ever: a field may be added as optional, never renamed or retyped.
export const syncEvents = events({
  SyncStarted: {
    syncId: Id,
    mailboxId: Id,
    /** Of the mailbox's runs, from 1. */
    number: Type.Integer({ minimum: 1 }),
    kind: SyncKind,
    /** The provider's cursor after which changes are listed; none in a run that lists messages. */
    after: Type.Optional(Type.String()),
    /** Only messages from this day on, in a run that lists again from earlier (an instant). */
    from: Type.Optional(Type.String()),
    /**
     * Where the mailbox's changes are listed from on, as this run begins: before anything was listed, in a run that lists everything; handed on, in
     * any other. So the newest run alone tells it.
     */
    cursor: Type.Optional(Type.String()),
    /** The numbers of the runs before it that are not over yet. So the newest run alone tells which there are. */
    open: Type.Optional(Type.Array(Type.Integer({ minimum: 1 }))),
    /** The job that somebody asked for it by; without it the run is not gone on with. */
    jobId: Type.Optional(Id),
    /** Who asked for it, as an actor is written. */
    requestedBy: Type.Optional(Type.String()),
    compared: Type.Optional(Comparison),
  },
  /**
   * A page of what the provider lists, without what this run had listed before; `next` is its token of the page after it, and none ends the listing.
   * `cursor`: of the last page of changes, where the next listing of changes begins.
   */
  SyncListed: {
    syncId: Id,
    mailboxId: Id,
    messages: Type.Array(ListedMessage, { maxItems: 500 }),
    next: Type.Optional(Type.String()),
    cursor: Type.Optional(Type.String()),
  },
  SyncChanged: { syncId: Id, mailboxId: Id, changes: Type.Array(MessageChange, { maxItems: 500 }) },
  SyncSettled: { syncId: Id, mailboxId: Id, outcomes: personal(Type.Array(SyncOutcome, { maxItems: 500 })) },
  /** Everything that was listed has its outcome. `cursor`: of a run of changes, the mailbox's from now on. `fault`: why the listing came to no end. */
  SyncFinished: { syncId: Id, mailboxId: Id, cursor: Type.Optional(Type.String()), fault: Type.Optional(Type.String()) },
})
export type SyncEvent = EventOf<typeof syncEvents>
