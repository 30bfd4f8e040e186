import { randomUUID } from 'node:crypto'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, LogController } from 'fastify'
import { Problem } from '../../../schema/problem.ts'
import type { ApiKeys, Caller } from '../api-keys.ts'
import type { Logger } from '../log.ts'
import { Invalid, Refused, Unavailable } from '../refusal.ts'
import { isUuid } from '../uuid.ts'
import { allowedMethods } from './allowed-methods.ts'
import { standAtDoor } from './door.ts'
import { parseJson } from './json.ts'
import { keyIn, type Limits } from './limits.ts'
import { type Overload, shedLoad } from './overload.ts'
import { askForPermissions, checkPermission, nothingHere } from './permissions.ts'
import { handleClientError, handleError, handleExpectation } from './problem.ts'
import { traceRequests } from './tracing.ts'
import { compileValidator } from './validation.ts'

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller
    /** Names everything that follows from this request, across processes. Undefined where the caller gave none. */
    correlationId: string | undefined
  }
  interface FastifyInstance {
    /** Aborts when the server is to end: what waits, waits no longer. */
    closing: AbortSignal
    overload: Overload
  }
  interface FastifyContextConfig {
    /** No key is asked for. */
    open?: boolean
    /** A field of the body whose values the route checks each by itself. */
    apart?: string
  }
}

export const closing = () => new Unavailable('The service is ending, or being started again.', { retryAfterSeconds: 1 })

export type ServerOptions = {
  readonly keys: ApiKeys
  /** The permission that each operation needs. */
  readonly access: Readonly<Record<string, string>>
  readonly log: Logger
  readonly limits?: Limits
  /** Of every answer. */
  readonly headers?: Readonly<Record<string, string>>
  /** How many requests are worked on at once at most. */
  readonly atOnce?: number | undefined
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer } | undefined
}

/**
 * A Fastify server with what holds for every route: a key that may do it and has not done it too often, problem documents, strict bodies, no more work than
 * can be done, one log line a request without a secret in it.
 */
export function createServer({ keys, access, log, limits, headers = {}, atOnce, tls }: ServerOptions): FastifyInstance {
  const app = Fastify({
    ...(tls && { https: tls }),
    loggerInstance: log,
    // The one line a request is written by our own hook below.
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => randomUUID(),
    requestIdHeader: false,
    forceCloseConnections: 'idle',
    // Our own hook below does, with a problem document.
    return503OnClosing: false,
    bodyLimit: 1024 * 1024,
    routerOptions: { maxParamLength: 500 },
    // A path that cannot be decoded, or a request that is no HTTP, is answered like any other wrong one.
    frameworkErrors: (error, request, reply) => {
      handleError(error, request, reply)
      logRequest(request, reply)
    },
    clientErrorHandler: handleClientError,
  }) as unknown as FastifyInstance
  app.server.on('checkExpectation', handleExpectation)
  app.setValidatorCompiler(compileValidator)
  // Answers are what our own code makes of our own tables: they are checked by tests, not filtered at run time.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data))
  app.setErrorHandler(handleError)
  const allowed = allowedMethods(app)
  app.setNotFoundHandler((request, reply) => {
    const methods = allowed(request.url)
    if (methods.length > 0) {
      reply.header('allow', methods.join(', '))
      throw new Refused('method-not-allowed', `This address takes ${methods.join(', ')}.`, 405)
    }
    throw nothingHere()
  })
  app.addSchema(Problem)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    ['application/json', 'application/merge-patch+json'],
    { parseAs: 'string' },
    async (request: FastifyRequest, body: string) => parseJson(body, request.routeOptions.config.apart),
  )

  app.decorateRequest('caller')
  app.decorateRequest('correlationId', undefined)
  const ending = new AbortController()
  app.decorate('closing', ending.signal)
  app.addHook('preClose', async () => ending.abort())
  traceRequests(app)
  askForPermissions(app, access)
  const overload = shedLoad(app, atOnce)
  app.decorate('overload', overload)
  standAtDoor(app, [...(limits ? [limits.keeper] : []), overload.keeper])
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(headers).header('x-request-id', request.id)
    if (ending.signal.aborted) throw closing()
    request.correlationId = correlationIdOf(request)
    if (request.routeOptions.config.open || isPreflight(request)) return
    const key = keyIn(request.headers.authorization)
    const caller = key ? await keys.caller(key) : null
    if (!caller)
      throw new Refused(
        'key-needed',
        key ? 'This API key is not known, or opens nothing any more.' : 'Send an API key: Authorization: Bearer <key>.',
        401,
      )
    request.caller = caller
    if (limits) await limits.count(caller, reply)
    checkPermission(caller, request)
  })
  app.addHook('onSend', async (request, reply) => {
    if (ending.signal.aborted) reply.header('connection', 'close')
    // Who asked has left: what came of it is told all the same, and nothing else would.
    if (reply.raw.destroyed) logRequest(request, reply)
  })
  app.addHook('onResponse', async (request, reply) => {
    // One that was answered just before would otherwise keep its connection, and us, for as long as keep-alive lasts.
    if (ending.signal.aborted) setImmediate(() => app.server.closeIdleConnections())
    logRequest(request, reply)
  })
  return app
}

/** The one line a request. */
function logRequest(request: FastifyRequest, reply: FastifyReply): void {
  const { method, correlationId, routeOptions, params } = request
  // The route's template, not the address: addresses carry e-mail addresses and search words.
  const route = routeOptions.url ?? '(none)'
  const { id } = (params ?? {}) as { id?: string }
  request.log.info(
    {
      method,
      route,
      id: id && isUuid(id) ? id : undefined,
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime),
      correlationId,
      actor: request.caller?.actor,
    },
    'request',
  )
}

/** A browser asks whether it may ask (https://fetch.spec.whatwg.org/#cors-preflight-request), without a key. It is answered where CORS is set. */
const isPreflight = ({ method, headers, server }: FastifyRequest) =>
  method === 'OPTIONS' && headers['access-control-request-method'] !== undefined && server.hasPlugin('@fastify/cors')

function correlationIdOf({ headers }: FastifyRequest): string | undefined {
  const given = headers['x-correlation-id']
  if (given === undefined) return undefined
  if (typeof given !== 'string' || !isUuid(given))
    throw new Invalid([{ path: '/headers/x-correlation-id', message: 'must be a UUID in lower case' }])
  return given
}
