import { type Static, Type } from '@sinclair/typebox'
import { Id, Instant, nullable } from './shared.ts'

/** Part of the ids of its jobs: for ever. */
export const ERASURE_REACTOR = 'erase-on-requested'
export const ERASURE_QUEUE = 'erase'

/** A few words, so that a reason never says who. */
export const ErasureReason = Type.Union(
  [Type.Literal('requested-by-person'), Type.Literal('consent-withdrawn'), Type.Literal('retention'), Type.Literal('other')],
  { description: 'Why: one of a few words, so that the reason never says who it is about.', examples: ['requested-by-person'] },
)
export type ErasureReason = Static<typeof ErasureReason>

const count = (description: string) => Type.Integer({ minimum: 0, description })

/** Where something of the person was found by the search after an erasure. */
export const Finding = Type.Object({
  place: Type.String({ description: 'A table, a queue, a file.', examples: ['read.email_texts_v1'] }),
  times: count('How often.'),
})
export type Finding = Static<typeof Finding>

/** What an erasure came to: nothing in it says who it was about. What is signed is all of it but the ids of mails, which `emailsSha256` stands for. */
export const Receipt = Type.Object(
  {
    erasureId: Id,
    contactId: Id,
    reason: ErasureReason,
    requestedBy: Type.String({ description: 'Who asked for it, as an actor is written.' }),
    requestedAt: Instant,
    confirmedBy: nullable(Type.String()),
    completedAt: Instant,
    destroyed: Type.Object({
      contacts: count('The contact, and those that were merged into it.'),
      keys: count('Without them nobody reads in the log what they had sealed.'),
      emails: count('Mails in which nobody else took part.'),
      blobs: count('Contents of mails and attachments.'),
      enrichments: count('What was found of the person, and the pages that were read for it.'),
      uploads: count('Files of contacts that the person was imported from.'),
    }),
    suppressed: count('Addresses that mails, imports and enrichment cannot bring back until that is lifted.'),
    stays: Type.Object({
      emails: count('Mails with other people. The address and the name are masked in them; their texts stay, and the mails as they came.'),
      emailsSha256: Type.String({ description: 'SHA-256, in hex, of their ids in order, each followed by a line feed.' }),
      uploads: Type.Array(Id, { description: 'Imports whose file of contacts the person is still in, sealed, since they have not ended.' }),
      notes: Type.Array(Type.String({ description: 'What else stays, and why: a sentence for people.' })),
    }),
    scan: nullable(
      Type.Object(
        {
          at: Instant,
          places: count('How many tables, queues and files were searched.'),
          found: Type.Array(Finding),
        },
        { description: 'What searching everything for what was known of the person found afterwards; null where it was not searched.' },
      ),
    ),
    physical: Type.Boolean({ description: 'What was deleted is gone from the disk by now, too; else the nightly rewriting does that.' }),
  },
  { title: 'ErasureReceipt' },
)
export type Receipt = Static<typeof Receipt>

export const ErasureState = Type.Unsafe<'waiting' | 'confirmed' | 'withdrawn' | 'completed'>({
  type: 'string',
  enum: ['waiting', 'confirmed', 'withdrawn', 'completed'],
  description: '`waiting` for another one to confirm it; `confirmed`: the job is at it, or soon will be.',
})

const exampleErasure = {
  id: '6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11',
  contactId: '6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11',
  state: 'confirmed',
  reason: 'requested-by-person',
  now: true,
  requestedBy: 'key:0d7a5c2b9e11',
  requestedAt: '2026-03-01T09:30:00.000Z',
  confirmedBy: null,
  completedAt: null,
  jobId: '0f3b9a52-6c0e-4a4b-9c38-0d7a5c2b9e11',
} as const

export const Erasure = Type.Object(
  {
    id: Id,
    contactId: Id,
    state: ErasureState,
    reason: ErasureReason,
    now: Type.Boolean({ description: 'Physically, at once.' }),
    requestedBy: Type.String(),
    requestedAt: Instant,
    confirmedBy: nullable(Type.String()),
    completedAt: nullable(Instant),
    jobId: nullable({ ...Id, description: 'The job that does it; null until it is confirmed.' }),
  },
  { title: 'Erasure', examples: [exampleErasure] },
)
export type Erasure = Static<typeof Erasure>

export const ErasurePage = Type.Object(
  { data: Type.Array(Erasure), nextCursor: nullable(Type.String({ description: 'Send it as `cursor` for the page after this one.' })) },
  { title: 'ErasurePage', examples: [{ data: [exampleErasure], nextCursor: null }] },
)

/** What is given out of a completed erasure. */
export const SignedReceipt = Type.Object(
  {
    receipt: Receipt,
    emailIds: Type.Array(Id, { description: 'The mails with other people whose texts stay, in order.' }),
    signature: nullable(Type.String({ description: 'Ed25519 over the canonical JSON (RFC 8785) of `receipt`, in base64.' })),
    signedBy: nullable(Type.String({ description: 'The key that it is checked by.' })),
  },
  { title: 'SignedErasureReceipt' },
)
export type SignedReceipt = Static<typeof SignedReceipt>

export const ErasureInput = Type.Object(
  {
    reason: ErasureReason,
    now: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Make it physical at once: the tables and the write-ahead log are written anew, during which others wait for moments.',
      }),
    ),
  },
  { additionalProperties: false, examples: [{ reason: 'requested-by-person' }] },
)
export type ErasureInput = Static<typeof ErasureInput>

export const ErasureAccepted = Type.Object(
  { id: Id, contactId: Id, state: ErasureState, jobId: nullable(Id) },
  {
    title: 'ErasureAccepted',
    examples: [{ id: exampleErasure.id, contactId: exampleErasure.contactId, state: 'confirmed', jobId: exampleErasure.jobId }],
  },
)

export const LiftInput = Type.Object(
  {
    address: Type.String({
      minLength: 3,
      maxLength: 400,
      pattern: '^[^\\u0000]*$',
      description: 'An e-mail address.',
      examples: ['ada@example.com'],
    }),
  },
  { additionalProperties: false, examples: [{ address: 'ada@example.com' }] },
)
export const Lifted = Type.Object(
  { lifted: Type.Boolean({ description: 'False where it was not suppressed.' }) },
  { title: 'SuppressionLifted' },
)
