import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { projections } from '../../projections/index.ts'
import { ParkedPage, ProjectionList, ProjectionStatus, Replayed } from '../../schema/projection.ts'
import { problemResponse } from '../platform/http/problem-response.ts'
import { answersOf, sendCacheable } from '../platform/http/queries.ts'
import type { Projection } from '../platform/projection.ts'
import { readParked, replay } from '../platform/projections/parked.ts'
import type { Progress } from '../platform/projections/progress.ts'
import { pause, rebuild, resume, rollback } from '../platform/projections/states.ts'
import { Refused } from '../platform/refusal.ts'
import type { Services } from '../services.ts'
import { statusOf } from './projection-status.ts'

const tags = ['projections']
const params = Type.Object({ name: Type.String({ maxLength: 100 }) })
const RebuildInput = Type.Object(
  {
    names: Type.Optional(
      Type.Array(Type.String({ examples: ['contacts'] }), {
        minItems: 1,
        description: 'Which; all of them unless given. Those named together are built together.',
      }),
    ),
    park: Type.Optional(Type.Boolean({ default: false, description: 'Park events that cannot be applied, instead of halting there.' })),
    prove: Type.Optional(
      Type.Boolean({
        default: false,
        description:
          'Before the switch compare every row with a second reading of the log, which takes as long again; else a sample of streams is.',
      }),
    ),
  },
  { additionalProperties: false },
)
const PARKED_SHOWN = 1_000

const acted = (schema: object, description: string) => ({
  200: { description, content: { 'application/json': { schema } } },
  default: problemResponse,
})

/** The read models, for those who keep the service going: how far they are, and a hand in it. */
export function projectionRoutes(
  app: FastifyInstance,
  { pool, store, codec }: Pick<Services, 'pool' | 'store' | 'codec'>,
  progress: (isChanged?: boolean) => Promise<Progress>,
): void {
  const status = async (isChanged = false) => statusOf(projections, (await progress(isChanged)).projections)
  const declared = (name: string): Projection => {
    const found = projections.find((projection) => projection.name === name)
    if (!found)
      throw new Refused(
        'projection-not-found',
        `There is no projection ${name}. There are: ${projections.map(({ name }) => name).join(', ')}.`,
        404,
      )
    return found
  }
  const one = async (name: string): Promise<ProjectionStatus> =>
    (await status(true)).find((projection) => projection.name === declared(name).name)!

  app.get('/v1/admin/projections', {
    schema: {
      operationId: 'listProjections',
      summary: 'List the read models: state, lag, what is being built',
      tags,
      response: answersOf(ProjectionList),
    },
    handler: async (request, reply) => sendCacheable(request, reply, { data: await status() }),
  })

  app.get('/v1/admin/projections/:name/parked', {
    schema: {
      operationId: 'listParkedEvents',
      summary: `List the first ${PARKED_SHOWN} events that a read model could not apply, and those that wait behind them`,
      tags,
      params,
      response: answersOf(ParkedPage),
    },
    async handler(request, reply) {
      const { name } = declared((request.params as Static<typeof params>).name)
      return sendCacheable(request, reply, { data: await readParked(pool, name, PARKED_SHOWN) })
    },
  })

  app.post('/v1/admin/projections/rebuild', {
    schema: {
      operationId: 'rebuildProjections',
      summary: 'Build tables anew from the whole log, beside those that answer, and switch to them',
      tags,
      body: RebuildInput,
      response: acted(ProjectionList, 'It has begun: how it is now.'),
    },
    async handler(request) {
      const { names, park = false, prove = false } = (request.body ?? {}) as Static<typeof RebuildInput>
      await rebuild(pool, names ? [...new Set(names)].map(declared) : projections, park, prove)
      return { data: await status(true) }
    },
  })

  app.post('/v1/admin/projections/:name/replay', {
    schema: {
      operationId: 'replayParkedEvents',
      summary: 'Apply the parked events again, in their order',
      tags,
      params,
      response: acted(Replayed, 'What came of it.'),
    },
    handler: (request) =>
      replay(pool, declared((request.params as Static<typeof params>).name), { readStream: store.readStream, decode: codec.decode }),
  })

  const actions = [
    ['pause', 'Stop a read model where it is; it goes on answering', (name: string) => pause(pool, name)],
    ['resume', 'Let a paused or halted read model go on', (name: string) => resume(pool, name)],
    ['rollback', 'Go back to the tables that the last switch replaced', (name: string) => rollback(pool, projections, name)],
  ] as const
  for (const [action, summary, act] of actions) {
    app.post(`/v1/admin/projections/:name/${action}`, {
      schema: { operationId: `${action}Projection`, summary, tags, params, response: acted(ProjectionStatus, 'How it is now.') },
      async handler(request) {
        const { name } = declared((request.params as Static<typeof params>).name)
        await act(name)
        return one(name)
      },
    })
  }
}
