import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import type { Problem } from '../../../schema/problem.ts'
import { Corrupt, NewerVersion } from '../codec.ts'
import { AppendTooLarge } from '../event-store.ts'
import { KeyDamaged } from '../master-keys.ts'
import { isTableMissing } from '../postgres-errors.ts'
import { Invalid, Refused, Unavailable } from '../refusal.ts'
import { faultsOf } from './validation.ts'

/** A problem document (RFC 9457). @param code kebab-case, stable: programs decide by it */
export const problem = (status: number, code: string, detail: string, more: object = {}): Problem => ({
  type: `urn:smartcrm:problem:${code}`,
  code,
  title: STATUS_CODES[status] ?? 'Error',
  status,
  detail,
  ...more,
})

/** Any error as a problem document. Nothing that we did not write ourselves is shown. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Refused) return problem(error.status, error.code, error.message, error.details)
  if (error instanceof Invalid) return problem(400, 'invalid-request', wrong(error.faults.length), { errors: error.faults })
  if (error instanceof Unavailable) return problem(503, 'unavailable', `${error.message} Try again.`)
  if (error instanceof AppendTooLarge) return problem(413, 'too-large', `${error.message} Send less at once.`)
  if (error instanceof Corrupt)
    return problem(500, 'corrupt-event', `${error.message} Nothing is answered over it. An operator has to look at it.`)
  if (error instanceof NewerVersion) return problem(500, 'newer-version', error.message)
  if (error instanceof KeyDamaged) return problem(500, 'key-damaged', error.message)
  const { statusCode, message, validation, validationContext } = error as FastifyError
  if (validation) return problemOf(new Invalid(faultsOf(validation, validationContext === 'body' ? '' : `/${validationContext}`)))
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) return malformed(statusCode, message)
  if (isTooSlow(error)) return problem(503, 'unavailable', 'The database took too long to answer. Try again.')
  if (isConnectionFault(error)) return problem(503, 'unavailable', 'The database cannot be reached. Try again.')
  if (isTableMissing(error)) return problem(503, 'unavailable', 'The read tables are not there yet: no projector has made them. Try again.')
  return problem(500, 'internal-error', 'Something went wrong that should not have. It was logged under this instance.')
}

/** What is refused before a route sees it: in our own names, lest those of the framework become part of the API. */
function malformed(status: number, message: string): Problem {
  const [code, detail] = refusals[status] ?? ['malformed-request', message]
  return problem(status, code, detail)
}

const refusals: Readonly<Record<number, readonly [code: string, detail: string]>> = {
  408: ['request-timeout', 'The request was not complete in time.'],
  413: ['body-too-large', 'The body is too large: 1 MiB at most, and 16 MiB for a batch.'],
  414: ['address-too-long', 'A part of the address is too long.'],
  415: ['unsupported-media-type', 'Send the body as application/json, or a patch as application/merge-patch+json.'],
  431: ['header-too-large', 'Address and headers together are too large: 16 KiB at most.'],
}

/** Answers who expects something else than to be told to go on (RFC 9110 §10.1.1), which Node asks about before any route. */
export function handleExpectation(_request: IncomingMessage, response: ServerResponse): void {
  const body = JSON.stringify(problem(417, 'expectation-failed', 'Expect can be 100-continue, and nothing else.'))
  response.writeHead(417, { 'content-type': 'application/problem+json; charset=utf-8', connection: 'close' }).end(body)
}

/** Answers what Node could not read as a request. */
export function handleClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
  const body = JSON.stringify(malformed(status, 'This is no HTTP request that can be read.'))
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

const wrong = (count: number) => (count === 1 ? 'One thing is wrong with the request.' : `${count} things are wrong with the request.`)

/** How long a caller had better wait, in seconds; undefined where trying again is no use. */
function retryAfterSeconds(error: unknown, status: number): number | undefined {
  if (error instanceof Refused || error instanceof Unavailable) return error.retryAfterSeconds
  return status === 503 ? 2 : undefined
}

/** The one error handler. */
export function handleError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const document = { ...problemOf(error), instance: `urn:uuid:${request.id}` }
  // Something is away for a while, and the caller is told to come back: no fault of ours, and at times there are thousands of them.
  // Those that are turned away for want of time are counted, not told of one by one: that would take time, too.
  if (document.code === 'overloaded') {
  } else if (document.status === 503) request.log.warn({ err: error }, document.detail)
  else if (document.status >= 500) request.log.error({ err: error }, document.detail)
  const retry = retryAfterSeconds(error, document.status)
  if (retry !== undefined) reply.header('retry-after', String(retry))
  if (document.status === 401) reply.header('www-authenticate', 'Bearer realm="smartcrm"')
  // No hook has run where the address itself cannot be read.
  reply.header('x-request-id', request.id)
  // What was to be sent may have been text already when something failed.
  return reply.code(document.status).type('application/problem+json; charset=utf-8').serializer(JSON.stringify).send(document)
}

/** Postgres is away, shutting down or out of connections (SQLSTATE classes 08, 53 and 57), as against a fault of ours. */
function isConnectionFault(error: unknown): boolean {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown }
  if (typeof code === 'string' && /^(ECONN|EPIPE|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOST|ENET|08|53|57P)/.test(code)) return true
  return typeof message === 'string' && /^(Connection terminated|timeout exceeded when trying to connect)/.test(message)
}

/** A statement was given up, by Postgres (query_canceled) or by us. */
function isTooSlow(error: unknown): boolean {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown }
  return code === '57014' || message === 'Query read timeout'
}
