import { type Static, Type } from '@sinclair/typebox'
import { Id, Instant, nullable } from './shared.ts'

export const JobState = Type.Union(
  ['waiting', 'running', 'retrying', 'done', 'failed', 'cancelled'].map((state) => Type.Literal(state)),
  { description: '`retrying` waits for its next attempt; `failed` has none left until somebody retries it.', examples: ['running'] },
)

/** Long work, as the API shows it. */
export const Job = Type.Object({
  id: Id,
  queue: Type.String({ description: 'The kind of work.', examples: ['import-mail'] }),
  key: Type.String({ description: 'Jobs of one queue and key run one after another.' }),
  state: JobState,
  attempts: Type.Integer({ description: 'How often it was begun.' }),
  progress: nullable(
    Type.Object({
      done: Type.Integer(),
      total: nullable(Type.Integer()),
      note: nullable(Type.String()),
      at: Instant,
    }),
  ),
  result: nullable(Type.Record(Type.String(), Type.Unknown(), { description: 'What came of it, once it is done.' })),
  error: nullable(
    Type.Object(
      { code: Type.String({ examples: ['unavailable'] }), message: Type.String() },
      { description: 'Why the last attempt failed.' },
    ),
  ),
  data: Type.Record(Type.String(), Type.Unknown(), { description: 'What it is about.' }),
  createdAt: Instant,
  startedAt: nullable(Instant),
  finishedAt: nullable(Instant),
  nextAttemptAt: nullable(Instant),
  correlationId: Type.String(),
  causationId: Type.String({ description: 'The command or event that it follows from.' }),
})
export type Job = Static<typeof Job>

export const JobPage = Type.Object({ data: Type.Array(Job), nextCursor: nullable(Type.String()) })
