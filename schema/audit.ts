import { type Static, Type } from '@sinclair/typebox'
import { Id, Instant, nullable, PositionText } from './shared.ts'

const exampleEntry = {
  eventId: 'c1a7f2de-50a1-4a53-8a6e-1d0d3f1e9b33',
  position: '8471.8471',
  recordedAt: '2026-03-02T16:05:12.345Z',
  at: '2026-03-02T16:05:12.340Z',
  actor: 'key:0d7a5c2b9e11',
  type: 'ReadsRecorded',
  operation: 'getEmailRaw',
  resource: 'email-6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11',
  commandId: '7d0e6f1c-1a52-4a8b-9c38-0d7a5c2b9e11',
  correlationId: '7d0e6f1c-1a52-4a8b-9c38-0d7a5c2b9e11',
  causationId: '7d0e6f1c-1a52-4a8b-9c38-0d7a5c2b9e11',
}

export const AuditEntry = Type.Object(
  {
    eventId: Id,
    position: PositionText,
    recordedAt: { ...Instant, description: 'When the log took it, by its own clock: what `from` and `to` are about.' },
    at: { ...Instant, description: 'When it was done.' },
    actor: Type.String(),
    type: Type.String({ description: "The event's; what was done.", examples: ['ContactRenamed'] }),
    operation: nullable(Type.String({ description: 'Of something that was read: by which operation. Null for what changed something.' })),
    resource: Type.String({ description: 'What it is about: the stream of it.' }),
    commandId: Type.String({ description: 'The command that it was part of; of something that was read, the request.' }),
    correlationId: Type.String(),
    causationId: Type.String({ description: 'The event or command that it followed from; its own command, where nothing came before.' }),
  },
  { title: 'AuditEntry', examples: [exampleEntry] },
)
export type AuditEntry = Static<typeof AuditEntry>

export const AuditPage = Type.Object(
  {
    data: Type.Array(AuditEntry),
    nextCursor: nullable(Type.String({ description: 'Send it as `cursor`, with the same filters, for the page after this one.' })),
  },
  { title: 'AuditPage', examples: [{ data: [exampleEntry], nextCursor: null }] },
)
