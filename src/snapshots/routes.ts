import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { projections } from '../../projections/index.ts'
import { Snapshot, SnapshotInput, SnapshotList } from '../../schema/snapshot.ts'
import { problemResponse } from '../platform/http/problem-response.ts'
import { answersOf, sendCacheable } from '../platform/http/queries.ts'
import { formatPosition } from '../platform/position.ts'
import { createMoments } from '../platform/projections/moments.ts'
import { askForSnapshot, dropSnapshots, listSnapshots, type Snapshot as Made } from '../platform/projections/snapshots.ts'
import { Invalid, Refused } from '../platform/refusal.ts'
import type { Services } from '../services.ts'

const tags = ['snapshots']
const params = Type.Object({ id: Snapshot.properties.id })

const shown = ({ place, position, state, reason, progress, madeAt, usedAt, sizeBytes }: Made): Snapshot => ({
  id: place,
  position: formatPosition(position),
  state,
  reason,
  progress,
  madeAt,
  usedAt,
  sizeBytes,
})

/** The read tables as they were once: to be made for a moment, so that every query can be asked as of it. */
export function snapshotRoutes(app: FastifyInstance, { pool, store }: Pick<Services, 'pool' | 'store'>): void {
  const moments = createMoments(pool, store)
  const found = async (id: string): Promise<Made> => {
    const snapshot = (await listSnapshots(pool)).find(({ place }) => place === id)
    if (!snapshot) throw new Refused('snapshot-not-found', 'There is no snapshot with this id (any more).', 404)
    return snapshot
  }

  app.get('/v1/snapshots', {
    schema: {
      operationId: 'listSnapshots',
      summary: 'List the past moments that can be asked about',
      tags,
      response: answersOf(SnapshotList),
    },
    handler: async (request, reply) => sendCacheable(request, reply, { data: (await listSnapshots(pool)).map(shown) }),
  })

  app.get('/v1/snapshots/:id', {
    schema: { operationId: 'getSnapshot', summary: 'How far a snapshot is', tags, params, response: answersOf(Snapshot) },
    handler: async (request, reply) => sendCacheable(request, reply, shown(await found((request.params as Static<typeof params>).id))),
  })

  const answer = (description: string) => ({
    description,
    headers: { Location: { type: 'string', description: 'Where it is told how far it is.' } },
    content: { 'application/json': { schema: Snapshot } },
  })
  app.post('/v1/snapshots', {
    schema: {
      operationId: 'makeSnapshot',
      summary: 'Make all read tables as they were at a moment, to be asked with `asOf`',
      description:
        'The whole log is read up to that moment, beside the tables that answer. The same moment again is the same snapshot. Those that were not used for longest are dropped; what was erased since is in none.',
      tags,
      body: SnapshotInput,
      response: { 200: answer('It is there already, and ready.'), 202: answer('It is being made.'), default: problemResponse },
    },
    async handler(request, reply) {
      const { asOf } = request.body as Static<typeof SnapshotInput>
      const position = await moments.resolve(asOf, '/asOf')
      if (!position) throw new Invalid([{ path: '/asOf', message: 'is still to come: ask without `asOf` for how it is now' }])
      const snapshot = await askForSnapshot(pool, projections, position)
      return reply
        .code(snapshot.state === 'ready' ? 200 : 202)
        .header('location', `/v1/snapshots/${snapshot.place}`)
        .send(shown(snapshot))
    },
  })

  app.delete('/v1/snapshots/:id', {
    schema: {
      operationId: 'dropSnapshot',
      summary: 'Drop a snapshot',
      tags,
      params,
      response: {
        200: { description: 'It is gone. As it was.', content: { 'application/json': { schema: Snapshot } } },
        default: problemResponse,
      },
    },
    async handler(request) {
      const snapshot = await found((request.params as Static<typeof params>).id)
      await dropSnapshots(pool, [snapshot.place])
      return shown(snapshot)
    },
  })
}
