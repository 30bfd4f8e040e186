import { type Static, Type } from '@sinclair/typebox'
import { ErasureReason, Receipt } from './erasure-receipt.ts'
import { Id, Instant, nullable } from './shared.ts'

/** Part of the ids of its jobs: for ever. */
export const ERASURE_REACTOR = 'erase-on-requested'
export const ERASURE_QUEUE = 'erase'

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
