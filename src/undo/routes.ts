import { setTimeout as delay } from 'node:timers/promises'
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { undoFromMemory, undos } from '../../projections/undos.ts'
import { importEvents } from '../../schema/import-events.ts'
import { Undo, UndoInput } from '../../schema/undo.ts'
import { undoEvents } from '../../schema/undo-events.ts'
import { positionHeader, requestOf, sendPosition } from '../platform/http/commands.ts'
import { waitSeconds } from '../platform/http/preconditions.ts'
import { problemResponse } from '../platform/http/problem-response.ts'
import { queryRoute, type Tables } from '../platform/http/queries.ts'
import { listJobs } from '../platform/jobs-view.ts'
import { Invalid, Refused } from '../platform/refusal.ts'
import { foldInMemory } from '../platform/rows.ts'
import { uuidv5 } from '../platform/uuid.ts'
import type { Services } from '../services.ts'
import { undoResults } from './results.ts'
import { startUndo } from './undo.ts'

const LOOK_MS = 50

const headers = Type.Object(
  {
    'idempotency-key': Type.Optional(Type.String({ description: 'Sent again with the same body, it is the same undo.' })),
    prefer: Type.Optional(Type.String({ description: '`wait=N`: answer when it is done, at most so many seconds later (30 at most).' })),
  },
  { additionalProperties: true },
)
const answer = (description: string) => ({
  description,
  headers: { ...positionHeader, Location: { type: 'string', description: 'Where the undo is.' } },
  content: { 'application/json': { schema: Undo } },
})

const schema = {
  operationId: 'undo',
  summary: 'Put back what a command, an import, a batch, a bulk, an enrichment or an earlier undo changed',
  description:
    'Field by field, where nobody changed it since; the rest is listed as conflicts, and stays. It is done by a job, however small it is; a dry run is one, too, and only its report is kept. What comes later with the same correlation id is not undone by it.',
  tags: ['undo'],
  headers,
  body: UndoInput,
  response: { 200: answer('Done (`Prefer: wait`).'), 202: answer('It has begun.'), default: problemResponse },
}

export function undoRoutes(app: FastifyInstance, services: Services, tables: Tables): void {
  const { runner, vault, jobs, pool, store, codec } = services
  const secret = vault.secret('requests')

  /** An import that goes on would go on making what is undone. */
  const refuseTooEarly = async (correlationId: string) => {
    await jobs.ready()
    const { data } = await listJobs(pool, jobs.types, { key: correlationId, limit: 10 }, null)
    const isOver = data.length > 0 && data.every(({ state }) => ['done', 'cancelled', 'failed'].includes(state))
    const [last] = (await Promise.all(['import', 'undo'].map((category) => store.readLast(`${category}-${correlationId}`)))).filter(Boolean)
    // Its job may not be there yet.
    if (data.length > 0 ? !isOver : last && last.type !== importEvents.ImportFinished.type && last.type !== undoEvents.UndoEnded.type)
      throw new Refused('undo-too-early', 'What is to be undone is still under way: wait for its job, or cancel it.', 409, {}, 1)
  }

  app.post('/v1/undo', {
    schema,
    config: { unhurried: true },
    async handler(request, reply) {
      const { commandId, correlationId, dryRun = false } = request.body as Static<typeof UndoInput>
      if ((commandId === undefined) === (correlationId === undefined))
        throw new Invalid([{ path: '', message: 'must have one of commandId and correlationId' }])
      const { permissions, viewer } = request.caller
      const asked = requestOf(request, secret)
      const id = uuidv5('0', asked.commandId)
      const stream = `undo-${id}`
      if (correlationId !== undefined && (await store.readFirst(stream)) === null) await refuseTooEarly(correlationId)
      const body = {
        ...(commandId === undefined ? { correlationId } : { commandId }),
        dryRun,
        may: { emails: permissions.has('emails:write'), enrichment: permissions.has('enrichment:write') },
        viewer,
      }
      // All that it changes can be told, and undone, by its id.
      const begun = await runner.execute(startUndo, body, { id }, { ...asked, correlationId: id, ifMatch: undefined })
      const isEnded = async () => (await store.readLast(stream))?.type === undoEvents.UndoEnded.type
      let ended = await isEnded()
      if (/\bwait\b/i.test(request.headers.prefer?.toString() ?? '')) {
        request.work.leave()
        const seconds = waitSeconds(request.headers.prefer?.toString())
        for (const until = performance.now() + seconds * 1_000; !ended && performance.now() < until; ended = await isEnded())
          await delay(LOOK_MS)
      }
      sendPosition(reply, ended ? await store.end() : begun.position)
      reply.header('location', `/v1/undos/${id}`)
      // Its first event says what it is about and its newest how far it is; between them may be the outcomes of very many.
      const told = (await Promise.all([store.readFirst(stream), store.readLast(stream)])).flatMap((event) => event ?? [])
      return reply.code(ended ? 200 : 202).send(undoFromMemory(foldInMemory(undos, await codec.decode(told))))
    },
  })

  queryRoute(app, undoResults(runner.load), pool, { tables, past: null })
}
