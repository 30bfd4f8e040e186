import { type Static, Type } from '@sinclair/typebox'
import { Id, Instant, nullable, PositionText } from './shared.ts'

const states = ['live', 'reading', 'finishing', 'catching-up', 'paused', 'halted', 'outdated', 'kept', 'refused'] as const
const common = {
  version: Type.Integer({ description: 'Grows with every change of its tables or handlers.' }),
  state: Type.Union(
    states.map((state) => Type.Literal(state)),
    {
      description:
        '`reading`, `finishing` and `catching-up` are on the way to `live`; `paused` and `halted` wait for somebody; `outdated`: its code does not run.',
      examples: ['live'],
    },
  ),
  reason: nullable(Type.String({ description: 'Why it is halted.' })),
  since: { ...Instant, description: 'Since when it is in this state.' },
  position: { ...PositionText, description: 'How far in the log its tables are.' },
  trouble: nullable(Type.String({ description: 'Why its position does not move, while it is tried again.' })),
  lagSeconds: nullable(
    Type.Number({
      description: 'Age of the oldest event that is not in its tables yet; 0 where all are. Null while the log cannot be asked.',
    }),
  ),
  eventsPerSecond: Type.Number({ description: 'Over the last seconds, of all that share its position.' }),
  parked: Type.Object(
    { events: Type.Integer(), streams: Type.Integer() },
    { description: 'Events that it could not apply, and later ones of their streams. See `parked`.' },
  ),
}

/** What is being built of a projection, beside what answers. */
export const Build = Type.Object({
  ...common,
  progress: nullable(Type.Number({ description: 'From 0 to 1, by how far in the log it is.' })),
  secondsLeft: nullable(Type.Number({ description: 'An estimate.' })),
})

/** A read model, as those see it who keep the service going. */
export const ProjectionStatus = Type.Object({
  name: Type.String({ examples: ['contacts'] }),
  answering: nullable(Type.Object(common, { description: 'Whose tables queries are answered from.' })),
  building: nullable(Build),
  kept: nullable(
    Type.Object(
      { version: common.version, since: Instant, position: common.position },
      { description: 'What the last switch, or a rollback, replaced: `rollback` goes back to it.' },
    ),
  ),
})
export type ProjectionStatus = Static<typeof ProjectionStatus>

export const ProjectionList = Type.Object({ data: Type.Array(ProjectionStatus) })

export const ParkedEvent = Type.Object({
  stream: Type.String(),
  revision: Type.Integer(),
  eventId: Id,
  type: Type.String(),
  position: PositionText,
  error: nullable(Type.String({ description: 'Why it could not be applied; null where it only waits behind one that could not.' })),
  parkedAt: Instant,
})
export const ParkedPage = Type.Object({ data: Type.Array(ParkedEvent) })

export const Replayed = Type.Object({
  replayed: Type.Integer({ description: 'Events that are in the tables now.', examples: [12] }),
  left: Type.Array(Type.Object({ stream: Type.String(), error: Type.String() }), { description: 'Streams that still cannot be applied.' }),
})
