import { type Static, Type } from '@sinclair/typebox'
import { Id, Instant, nullable } from './shared.ts'
import { Comparison, SyncKind } from './sync-events.ts'

/** What became of a mailbox's messages. `listed` is the sum of the others. */
export const Ledger = Type.Object(
  {
    listed: Type.Integer({ description: 'How many messages the provider has listed, each counted once. It is the sum of the others.' }),
    stored: Type.Integer({ description: 'Stored by this mailbox.' }),
    known: Type.Integer({ description: 'The same mail had come from elsewhere: another mailbox, a file, another message.' }),
    excluded: Type.Integer({ description: 'Kept out by a rule, or gone before it could be fetched.' }),
    failed: Type.Integer({ description: 'Not to be had, or not to be read; tried again by itself, and on request.' }),
    pending: Type.Integer({ description: 'Listed, and not looked at yet.' }),
  },
  { title: 'Ledger' },
)
export type Ledger = Static<typeof Ledger>

/** How far a mailbox is. */
export const SyncStatus = Type.Object(
  {
    ledger: Ledger,
    progress: Type.Object({
      state: Type.Union([Type.Literal('waiting'), Type.Literal('listing'), Type.Literal('fetching'), Type.Literal('up-to-date')], {
        description: '`waiting`: nothing was listed yet.',
      }),
      secondsLeft: nullable(Type.Integer({ description: 'An estimate, by how fast it went until now.' })),
      at: nullable(Type.String({ ...Instant, description: 'When something was listed or came to its outcome last.' })),
    }),
    lastError: nullable(
      Type.Object(
        { code: Type.String(), message: Type.String(), nextAttemptAt: nullable(Instant) },
        { description: 'Why it does not go on just now, and when it is tried again by itself.' },
      ),
    ),
  },
  { title: 'SyncStatus' },
)
export type SyncStatus = Static<typeof SyncStatus>

const Standing = Type.Union(['stored', 'known', 'excluded', 'failed', 'pending'].map((standing) => Type.Literal(standing)))

/** A message in the ledger. */
export const LedgerEntry = Type.Object(
  {
    messageId: Type.String({ description: "The provider's id." }),
    threadId: nullable(Type.String()),
    outcome: Standing,
    emailId: nullable(Id),
    rule: nullable(Type.String({ description: 'Of an excluded one: which rule kept it out.' })),
    by: nullable(Type.String({ description: 'Which address, domain or label it was that the rule names.' })),
    code: nullable(Type.String({ description: 'Of a failed one: why, for programs.' })),
    reason: nullable(Type.String({ description: 'Of a failed one: why, for people.' })),
    attempts: Type.Integer({ description: 'Of a failed one: how often it was tried.' }),
    retryAt: nullable(Type.String({ ...Instant, description: 'From when on it is tried again by itself.' })),
    hasRaw: Type.Boolean({ description: 'It could not be read, and is kept as it came: ask for …/ledger/{messageId}/raw.' }),
    labels: Type.Array(Type.String(), { description: "The provider's ids of its labels, as far as they were told." }),
    deleted: Type.Boolean({ description: 'It is gone at the provider.' }),
    listedAt: nullable(Instant),
    settledAt: nullable(Instant),
  },
  { title: 'LedgerEntry' },
)
export type LedgerEntry = Static<typeof LedgerEntry>

const nextCursor = nullable(Type.String({ description: 'Send it as `cursor`, with the same filters, for the page after this one.' }))
export const LedgerPage = Type.Object({ data: Type.Array(LedgerEntry), nextCursor }, { title: 'LedgerPage' })

export const MailboxRun = Type.Object(
  {
    id: Id,
    number: Type.Integer(),
    kind: SyncKind,
    state: Type.Union([Type.Literal('running'), Type.Literal('finished')]),
    actor: Type.String(),
    jobId: nullable(Type.String({ ...Id, description: 'The job that somebody asked for it by.' })),
    from: nullable(Instant),
    compared: nullable(Type.Object(Comparison.properties, { description: 'What a comparison with the provider found.' })),
    counts: Type.Object({
      listed: Type.Integer(),
      stored: Type.Integer(),
      known: Type.Integer(),
      excluded: Type.Integer(),
      failed: Type.Integer(),
      changed: Type.Integer({ description: 'Messages of which labels or deletion were told.' }),
    }),
    fault: nullable(Type.String({ description: 'Why the listing came to no end: `cursor-expired`, `cancelled`.' })),
    startedAt: Instant,
    finishedAt: nullable(Instant),
  },
  { title: 'MailboxRun' },
)
export type MailboxRun = Static<typeof MailboxRun>
export const MailboxRunPage = Type.Object({ data: Type.Array(MailboxRun), nextCursor }, { title: 'MailboxRunPage' })

/** What asking for a run answers. */
export const SyncAccepted = Type.Object(
  { mailboxId: Id, jobId: Type.String({ ...Id, description: 'The job that does it.' }) },
  { title: 'SyncAccepted' },
)

/** The queue in which a mailbox's work waits; the key of its jobs is the mailbox's id. */
export const SYNC_QUEUE = 'sync-mailbox'
