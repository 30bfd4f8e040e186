import { type Static, Type } from '@sinclair/typebox'
import { Instant, nullable, PositionText } from './shared.ts'

/** All read tables as they were at a moment of the past, as the API shows them. */
export const Snapshot = Type.Object(
  {
    id: Type.String({ pattern: '^asof_[0-9a-f]{12}$', examples: ['asof_6f1c1a527d0e'] }),
    position: { ...PositionText, description: 'Of the last event that is in it.' },
    state: Type.Union(
      ['reading', 'finishing', 'ready', 'halted'].map((state) => Type.Literal(state)),
      {
        description: 'Queries are answered from it when it is `ready`; one that is `halted` is begun anew when it is asked for again.',
        examples: ['ready'],
      },
    ),
    reason: nullable(Type.String({ description: 'Why it is halted.' })),
    progress: Type.Number({ description: 'How much of the log is read on the way, from 0 to 1.' }),
    madeAt: { ...Instant, description: 'When it was asked for.' },
    usedAt: { ...Instant, description: 'About when it was last asked something. Those go first that were not asked for longest.' },
    sizeBytes: nullable(Type.Integer({ description: 'How much room its tables take.' })),
  },
  { title: 'Snapshot' },
)
export type Snapshot = Static<typeof Snapshot>

export const SnapshotList = Type.Object({ data: Type.Array(Snapshot) })

export const SnapshotInput = Type.Object(
  {
    asOf: Type.String({
      maxLength: 100,
      description: 'A time (RFC 3339), which means the moment before the first event that was recorded later; or a position.',
      examples: ['2026-03-01T09:30:00Z'],
    }),
  },
  { additionalProperties: false },
)
