import { Type } from '@sinclair/typebox'
import { Cause } from './causes.ts'
import { Id, Instant, PositionText } from './shared.ts'

const cause = {
  at: Instant,
  actor: Type.String({ description: 'Who caused it: `key:<id>`, `user:<id>` or `system:<role>`.', examples: ['key:admin'] }),
  commandId: Type.String(),
  correlationId: Type.String({ description: 'Everything that followed from one request or import has the same.' }),
  causationId: Type.String({ description: 'The command or event that it followed from.' }),
}

/** An event of the journal. */
export const JournalEvent = Type.Object({
  id: Id,
  type: Type.String({ examples: ['ContactCreated'] }),
  version: Type.Integer(),
  stream: Type.String({ examples: ['contact-6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11'] }),
  revision: Type.Integer(),
  position: PositionText,
  recordedAt: Instant,
  ...cause,
  data: Type.Record(Type.String(), Type.Unknown()),
  erased: Type.Boolean({ description: 'The personal fields are gone: their key was destroyed.' }),
  hash: Type.String({ description: 'SHA-256 over the canonical JSON of the event as it is stored (sealed) and its other metadata.' }),
  prev: Type.Union([Type.String(), Type.Null()], { description: 'The hash of the event before it in its stream.' }),
})

export const JournalPage = Type.Object({
  data: Type.Array(JournalEvent),
  nextAfter: Type.Union([PositionText, Type.Null()], { description: 'Ask for what comes after this. Null only in an empty log.' }),
  more: Type.Boolean({ description: 'False: this was the end of the log when it was read.' }),
})

/** One entry of a contact's history. */
export const HistoryEntry = Type.Object({
  eventId: Id,
  type: Type.String({ examples: ['ContactRenamed'] }),
  revision: Type.Integer(),
  position: PositionText,
  recordedAt: { ...Instant, description: 'When the log took it, by its own clock: what a time in `asOf` is compared with.' },
  ...cause,
  cause: Cause,
  changes: Type.Array(
    Type.Object({
      field: Type.String({ description: 'A JSON Pointer into the contact; list entries by their id.', examples: ['/name'] }),
      from: Type.Unknown(),
      to: Type.Unknown(),
    }),
    { description: 'What it changed in the contact as the API shows it; null stands for nothing.' },
  ),
  data: Type.Record(Type.String(), Type.Unknown()),
})

export const History = Type.Object({ data: Type.Array(HistoryEntry) })
