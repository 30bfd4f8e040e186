import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { PositionText } from '../../../schema/shared.ts'
import type { Database } from '../database.ts'
import { formatPosition, type Position, parsePosition } from '../position.ts'
import { isTableMissing } from '../postgres-errors.ts'
import type { QueryEndpoint } from '../projection.ts'
import type { Past } from '../projections/past.ts'
import { Invalid, Moved, Refused, Unavailable } from '../refusal.ts'
import { type AnswerCache, type Cached, type Prepared, prepare } from './answer-cache.ts'
import { positionHeader } from './commands.ts'
import { matchesNone, waitSeconds } from './preconditions.ts'
import { problemResponse } from './problem-response.ts'
import { closing } from './server.ts'

/** What is known of how far the read tables have come. */
export type Tables = {
  current(): Position | null
  /** False when they have not come that far within the time, or before the signal aborted. */
  waitFor(position: Position, timeoutMs: number, signal: AbortSignal): Promise<boolean>
}

const queryHeaders = Type.Object(
  {
    'smartcrm-after': Type.Optional({
      ...PositionText,
      description: 'A SmartCRM-Position: answer only from tables that have come that far.',
    }),
    prefer: Type.Optional(
      Type.String({ description: '`wait=N`: how many seconds to wait for that at most (5 unless it says, 30 at most); then 503.' }),
    ),
    'if-none-match': Type.Optional(Type.String({ description: 'An ETag: 304 if the answer is still the same.' })),
  },
  { additionalProperties: true },
)

/** For every question that has a past. */
export const asOfParameter = {
  asOf: Type.Optional(
    Type.String({
      description: 'A time (RFC 3339) or a SmartCRM-Position: as it was then. Lists need a snapshot of that moment: `POST /v1/snapshots`.',
      examples: ['2026-03-01T09:30:00Z'],
    }),
  ),
}

const etagHeader = { ETag: { type: 'string', description: 'Names this very answer: send it back as If-None-Match.' } }

const movedResponse = {
  301: {
    description: 'It is found there by now.',
    type: 'null',
    headers: { Location: { type: 'string', description: 'The same question of what it has become part of.' } },
  },
}

/** What a query answers, for its route's schema. @param hasPosition the answer tells how far the tables were */
export const answersOf = (found: object, hasPosition = false) => ({
  200: {
    description: 'Found.',
    headers: { ...etagHeader, ...(hasPosition && positionHeader) },
    content: { 'application/json': { schema: found } },
  },
  304: { description: 'The caller has it already.', type: 'null', headers: etagHeader },
  default: problemResponse,
})

/** What a query of the read tables is answered with. What also depends on the time has no past, and is not kept. */
export type Answering = { readonly tables: Tables } & ({ readonly past: Past; readonly cache: AnswerCache } | { readonly past: null })

/** Makes a query an endpoint. @param answering absent for a question that the log itself answers, which is never behind */
export function queryRoute(app: FastifyInstance, endpoint: QueryEndpoint, db: Database, answering?: Answering): void {
  const { operationId, path, summary, description, params, querystring, response } = endpoint
  const inputOf = ({ params, caller: { viewer, actor } }: FastifyRequest, query: object) => ({
    params: params as never,
    query: query as never,
    viewer,
    actor,
  })
  const ask = async (db: Database, request: FastifyRequest, query: object) => endpoint.run(db, inputOf(request, query))

  const answerPast = async (asOf: string, request: FastifyRequest, query: object, past: Past, tables: Tables) => {
    const position = await past.resolve(asOf)
    if (position === null) {
      // It is still to come: how it will have been is how it is.
      const seen = tables.current()
      return { answer: prepareIfAny(await ask(db, request, query)), position: seen }
    }
    // What belongs to somebody is shown by whose it is now, and tables of the past tell whose it was.
    const seesAll = request.caller.viewer.sees === 'all'
    const then = seesAll && (await past.tables(position))
    if (then) return { answer: prepareIfAny(await ask(then, request, query).catch(whenDropped(asOf))), position }
    if (endpoint.runFromLog) {
      await reach(request, tables, position, waitSeconds(request.headers['prefer'] as string | undefined))
      const found = await endpoint.runFromLog(db, position, inputOf(request, query))
      if (found !== undefined) return { answer: prepareIfAny(found), position }
    }
    if (!seesAll) throw new Refused('past-not-shown', 'This is answered as of a past moment only to keys that see everything.', 403)
    throw snapshotMissing(asOf)
  }

  const answer = async (request: FastifyRequest, reply: FastifyReply): Promise<Cached> => {
    if (!answering) return { answer: prepareIfAny(await ask(db, request, request.query as object)), position: null }
    const { asOf, ...query } = request.query as { asOf?: string }
    const { tables } = answering
    if (asOf !== undefined && answering.past) return answerPast(asOf, request, query, answering.past, tables)
    await waitForTables(request, reply, tables)
    const seen = tables.current()
    if (!answering.past) return { answer: prepareIfAny(await ask(db, request, query)), position: seen }
    const { viewer, actor } = request.caller
    // All that an answer follows from beside the tables: who asks, what he sees, and what he asks.
    const key = JSON.stringify([actor, viewer.sees, viewer.owner, viewer.team, request.url])
    const { answer, position } = await answering.cache.answer(key, () => ask(db, request, query))
    return { answer, position: position ?? seen }
  }

  app.get(`/v1${path.replaceAll(/\{(\w+)\}/g, ':$1')}`, {
    schema: {
      operationId,
      summary,
      ...(description && { description }),
      tags: [path.split('/')[1]!],
      params,
      querystring: {
        ...(answering?.past ? Type.Object({ ...querystring.properties, ...asOfParameter }) : querystring),
        additionalProperties: false,
      },
      headers: queryHeaders,
      response: { ...answersOf(response, answering !== undefined), ...(endpoint.moves && movedResponse) },
    },
    async handler(request, reply) {
      const answered = await answer(request, reply).catch((error) => movedOr(error))
      if (answered instanceof Moved) return sendMoved(request, reply, path, answered)
      const { answer: found, position } = answered
      if (found === null)
        throw new Refused(`${path.split('/')[1]!.replace(/(x)es$|s$/, '$1')}-not-found`, 'There is nothing with this id.', 404)
      if (position) reply.header('smartcrm-position', formatPosition(position))
      return sendPrepared(request, reply, found)
    },
  })
}

function movedOr(error: unknown): Moved {
  if (error instanceof Moved) return error
  throw error
}

/** It may come back: so nobody keeps where it has gone. */
function sendMoved(request: FastifyRequest, reply: FastifyReply, path: string, { params }: Moved): FastifyReply {
  const all = { ...(request.params as Record<string, string>), ...params }
  const place = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(all[name]!))
  const { search } = new URL(request.url, 'http://localhost')
  return reply.code(301).header('location', `/v1${place}${search}`).header('cache-control', 'private, no-store').send()
}

const prepareIfAny = (found: unknown) => (found === null ? null : prepare(found))

const snapshotMissing = (asOf: string) =>
  new Refused(
    'snapshot-missing',
    'There are no tables as of this moment: make them by this request, and ask again when they are ready.',
    409,
    {
      request: { method: 'POST', path: '/v1/snapshots', body: { asOf } },
    },
  )

/** The one that was found may have been dropped before it was asked: another moment was asked for, or somebody was erased. */
const whenDropped = (asOf: string) => (error: unknown) => {
  throw isTableMissing(error) ? snapshotMissing(asOf) : error
}

/** Sends an answer with its ETag and the address of the page after it, or 304 where the caller has it already. */
export const sendCacheable = (request: FastifyRequest, reply: FastifyReply, found: unknown): FastifyReply =>
  sendPrepared(request, reply, prepare(found))

function sendPrepared(request: FastifyRequest, reply: FastifyReply, { text, etag, nextCursor }: Prepared): FastifyReply {
  if (nextCursor !== null) reply.header('link', `<${nextLink(request, nextCursor)}>; rel="next"`)
  // Answers are personal, and another key may see other things.
  reply.header('etag', etag).header('cache-control', 'private, no-cache').header('vary', 'authorization')
  if (matchesNone(request.headers['if-none-match'], etag)) return reply.code(304).send()
  return reply.type('application/json; charset=utf-8').serializer(String).send(text)
}

/** Nothing waits without a bound: a wait that cannot be met answers 503 in its time. */
async function waitForTables(request: FastifyRequest, reply: FastifyReply, tables: Tables): Promise<void> {
  const { headers } = request
  const after = headers['smartcrm-after']
  if (after === undefined) return
  const position = typeof after === 'string' ? parsePosition(after) : null
  if (!position) throw new Invalid([{ path: '/headers/smartcrm-after', message: 'must be a SmartCRM-Position, like 8471.8471' }])
  const seconds = waitSeconds(headers['prefer'] as string | undefined)
  if (headers['prefer']) reply.header('preference-applied', `wait=${seconds}`)
  await reach(request, tables, position, seconds)
}

/** Waits until the tables have come so far. @throws Unavailable when they have not within this time */
async function reach({ server, work }: FastifyRequest, tables: Tables, position: Position, seconds: number): Promise<void> {
  work.leave()
  const isThere = await tables.waitFor(position, seconds * 1000, server.closing).finally(() => work.rejoin())
  if (isThere) return
  if (server.closing.aborted) throw closing()
  throw new Unavailable(`The read tables have not come as far as ${formatPosition(position)} within ${seconds} s.`, {
    retryAfterSeconds: 1,
  })
}

/** The address of the next page, relative to the host (RFC 8288), whatever host the request named. */
function nextLink(request: FastifyRequest, cursor: string): string {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost')
  searchParams.set('cursor', cursor)
  return `${pathname}?${searchParams}`
}
