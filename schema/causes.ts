import { type Static, Type } from '@sinclair/typebox'
import { Id, Instant, nullable, PositionText } from './shared.ts'

export const causeKinds = ['request', 'import', 'mail', 'mailbox', 'enrichment', 'undo', 'service'] as const
export type CauseKind = (typeof causeKinds)[number]

/** What something followed from, in words. */
export const Cause = Type.Object(
  {
    kind: Type.Unsafe<CauseKind>({
      type: 'string',
      enum: [...causeKinds],
      description:
        'What brought it about: a `request` by a person or a program; or `service` where it cannot be told what made the service do it.',
    }),
    words: Type.String({ examples: ['An import of a file'] }),
    resource: nullable(
      Type.String({ description: 'The stream of it, where it has one.', examples: ['import-6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11'] }),
    ),
  },
  { title: 'Cause' },
)
export type Cause = Static<typeof Cause>

const around = {
  eventId: Id,
  type: Type.String({ examples: ['ContactCreated'] }),
  revision: Type.Integer(),
  position: PositionText,
  recordedAt: Instant,
  at: Instant,
  actor: Type.String({ description: 'Who caused it: `key:<id>`, `user:<id>` or `system:<role>`.', examples: ['key:admin'] }),
  commandId: Type.String(),
  correlationId: Type.String({ description: 'Everything that followed from one request or import has the same: it can be undone by it.' }),
  causationId: Type.String({ description: 'The command or event that it followed from.' }),
}

export const Blame = Type.Object(
  {
    data: Type.Array(
      Type.Object({
        field: Type.String({
          description:
            'A JSON Pointer into the contact; entries of a list by their id. Beside what the contact shows there are `/notes/{id}`, `/enriched/{field}`, `/enrichable` and `/locked/{field}`.',
          examples: ['/name'],
        }),
        value: Type.Unknown({ description: 'As it is now; null where it was taken away.' }),
        ...around,
        cause: Cause,
      }),
    ),
  },
  { title: 'Blame' },
)

const { revision: _revision, ...entry } = around
export const CausedEvent = Type.Object(
  {
    ...entry,
    stream: Type.String({ examples: ['contact-6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11'] }),
    causedBy: nullable({ ...Id, description: 'The event that it followed from; null where a request was the beginning.' }),
  },
  { title: 'CausedEvent' },
)
export type CausedEvent = Static<typeof CausedEvent>

export const Causes = Type.Object(
  {
    event: CausedEvent,
    causes: Type.Array(CausedEvent, { description: 'From the very first to the one that it followed from.' }),
    consequences: Type.Array(CausedEvent, {
      description: 'All that followed from it, in the order of the log; `causedBy` makes it a tree.',
    }),
    truncated: Type.Boolean({
      description: 'More followed than is shown here. `GET /v1/audit?correlation=` lists what shares its correlation id, page by page.',
    }),
  },
  { title: 'Causes' },
)
