import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { Refused } from '../refusal.ts'
import { problem } from './problem.ts'

/** Why a request is turned away before anything is done for it. */
export type TurnedAway = {
  readonly status: 429 | 503
  readonly code: string
  readonly detail: string
  readonly retryAfterSeconds: number
  readonly headers?: Readonly<Record<string, string>>
}
/** The same for who has come in already. */
export const refusedFor = ({ code, detail, status, retryAfterSeconds }: TurnedAway) =>
  new Refused(code, detail, status, {}, retryAfterSeconds)

/** @returns null: it may come in, for all that is known here */
export type Doorkeeper = (request: IncomingMessage) => TurnedAway | null

/** Of a body that will not be read, so much is taken in, in bytes; rather than more of it, the connection is given up. */
const READ_IN_VAIN = 64 * 1024

/**
 * Asks these of each request before the framework has seen it. When thousands ask in vain, what is left for the others is what their refusals do not cost:
 * here one costs a fraction of what it does by way of hooks. What is public is not asked about.
 */
export function standAtDoor(app: FastifyInstance, keepers: readonly Doorkeeper[]): void {
  const open: string[] = []
  app.addHook('onRoute', ({ url, config }) => {
    if (config?.open) open.push(url.replace(/[:*].*$/, ''))
  })
  const isOpen = (path: string) => open.some((start) => path.startsWith(start))
  const [handle] = app.server.listeners('request') as ((request: IncomingMessage, response: ServerResponse) => void)[]
  app.server.off('request', handle!)
  app.server.on('request', (request, response) => {
    if (!isOpen(request.url ?? '')) {
      for (const keeper of keepers) {
        const turnedAway = keeper(request)
        if (turnedAway) return refuse(request, response, turnedAway)
      }
    }
    handle!(request, response)
  })
}

function refuse(request: IncomingMessage, response: ServerResponse, turnedAway: TurnedAway): void {
  const { status, code, detail, retryAfterSeconds, headers } = turnedAway
  const id = randomUUID()
  const body = JSON.stringify(problem(status, code, detail, { instance: `urn:uuid:${id}` }))
  const isLong = Number(request.headers['content-length'] ?? 0) > READ_IN_VAIN || request.headers['transfer-encoding'] !== undefined
  response
    .writeHead(status, {
      'content-type': 'application/problem+json; charset=utf-8',
      'content-length': Buffer.byteLength(body),
      'retry-after': String(retryAfterSeconds),
      'x-request-id': id,
      ...headers,
      ...(isLong && { connection: 'close' }),
    })
    .end(body)
}
