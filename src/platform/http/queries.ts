import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { PositionText } from '../../../schema/shared.ts'
import type { Database } from '../database.ts'
import { formatPosition, type Position, parsePosition } from '../position.ts'
import type { QueryEndpoint } from '../projection.ts'
import { Invalid, Refused, Unavailable } from '../refusal.ts'
import { positionHeader } from './commands.ts'
import { problemResponse } from './openapi.ts'
import { etagOf, matchesNone, waitSeconds } from './preconditions.ts'
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

const etagHeader = { ETag: { type: 'string', description: 'Names this very answer: send it back as If-None-Match.' } }

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

/** Makes a query an endpoint. @param tables absent for a question that the log itself answers, which is never behind */
export function queryRoute(app: FastifyInstance, endpoint: QueryEndpoint, db: Database, tables?: Tables): void {
  const { operationId, path, summary, description, params, querystring, response } = endpoint
  app.get(`/v1${path.replaceAll(/\{(\w+)\}/g, ':$1')}`, {
    schema: {
      operationId,
      summary,
      ...(description && { description }),
      tags: [path.split('/')[1]!],
      params,
      querystring: { ...querystring, additionalProperties: false },
      headers: queryHeaders,
      response: answersOf(response, tables !== undefined),
    },
    async handler(request, reply) {
      if (tables) await waitForTables(request, reply, tables)
      const seen = tables?.current()
      const found = await endpoint.run(db, {
        params: request.params as never,
        query: request.query as never,
        viewer: request.caller.viewer,
        actor: request.caller.actor,
      })
      if (found === null)
        throw new Refused(`${path.split('/')[1]!.replace(/(x)es$|s$/, '$1')}-not-found`, 'There is nothing with this id.', 404)
      if (seen) reply.header('smartcrm-position', formatPosition(seen))
      return sendCacheable(request, reply, found)
    },
  })
}

/** Sends an answer with its ETag and the address of the page after it, or 304 where the caller has it already. */
export function sendCacheable(request: FastifyRequest, reply: FastifyReply, found: unknown): FastifyReply {
  const next = nextLink(request, found)
  if (next) reply.header('link', `<${next}>; rel="next"`)
  const answer = JSON.stringify(found)
  const { revision } = found as { revision?: unknown }
  const etag = etagOf(answer, typeof revision === 'number' ? revision : undefined)
  // Answers are personal, and another key may see other things.
  reply.header('etag', etag).header('cache-control', 'private, no-cache').header('vary', 'authorization')
  if (matchesNone(request.headers['if-none-match'], etag)) return reply.code(304).send()
  return reply.type('application/json; charset=utf-8').serializer(String).send(answer)
}

/** Nothing waits without a bound: a wait that cannot be met answers 503 in its time. */
async function waitForTables({ headers, server, work }: FastifyRequest, reply: FastifyReply, tables: Tables): Promise<void> {
  const after = headers['smartcrm-after']
  if (after === undefined) return
  const position = typeof after === 'string' ? parsePosition(after) : null
  if (!position) throw new Invalid([{ path: '/headers/smartcrm-after', message: 'must be a SmartCRM-Position, like 8471.8471' }])
  const seconds = waitSeconds(headers['prefer'] as string | undefined)
  if (headers['prefer']) reply.header('preference-applied', `wait=${seconds}`)
  work.leave()
  const isThere = await tables.waitFor(position, seconds * 1000, server.closing).finally(() => work.rejoin())
  if (!isThere) {
    if (server.closing.aborted) throw closing()
    throw new Unavailable(`The read tables have not come as far as ${after} within ${seconds} s.`, { retryAfterSeconds: 1 })
  }
}

/** The address of the next page, relative to the host (RFC 8288), whatever host the request named. */
function nextLink(request: FastifyRequest, found: unknown): string | null {
  const { nextCursor } = found as { nextCursor?: unknown }
  if (typeof nextCursor !== 'string') return null
  const { pathname, searchParams } = new URL(request.url, 'http://localhost')
  searchParams.set('cursor', nextCursor)
  return `${pathname}?${searchParams}`
}
