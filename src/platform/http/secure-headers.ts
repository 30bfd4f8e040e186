import type { IncomingMessage, ServerResponse } from 'node:http'
import cors from '@fastify/cors'
import type { FastifyInstance } from 'fastify'
import helmet, { type HelmetOptions } from 'helmet'

/** What a page of another origin may read of an answer. */
const EXPOSED = [
  'ETag',
  'Link',
  'Location',
  'Preference-Applied',
  'RateLimit',
  'RateLimit-Policy',
  'Retry-After',
  'SmartCRM-Position',
  'X-Request-Id',
]
const SENT = [
  'Authorization',
  'Content-Type',
  'Idempotency-Key',
  'If-Match',
  'If-None-Match',
  'Last-Event-ID',
  'Prefer',
  'SmartCRM-After',
  'X-Correlation-Id',
]
/** How long a browser need not ask again, in seconds. */
const PREFLIGHT_SECONDS = 600

/**
 * Headers by which browsers keep to what an answer is: no answer runs, is framed or guessed at; routes that show something have a policy of their own. And
 * CORS for pages of these origins. Cookies are never taken, so no page can ask in somebody's name.
 */
export async function secureHeaders(
  app: FastifyInstance,
  { origins, hasTls }: { origins: readonly string[]; hasTls: boolean },
): Promise<void> {
  const headers = headersBy({
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    // Without TLS it means nothing, and with it at a proxy, the proxy knows.
    strictTransportSecurity: hasTls,
  })
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(headers)
    done()
  })
  if (origins.length === 0) return
  await app.register(cors, {
    origin: [...origins],
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowedHeaders: SENT,
    exposedHeaders: EXPOSED,
    maxAge: PREFLIGHT_SECONDS,
  })
}

/** What helmet sets is the same for every answer, so it is asked once: asked each time, it took a twelfth of what an answer costs. */
function headersBy(options: HelmetOptions): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {}
  const response = {
    setHeader(name: string, value: string) {
      headers[name.toLowerCase()] = value
    },
    removeHeader() {},
  }
  helmet(options)({} as IncomingMessage, response as unknown as ServerResponse, () => {})
  return headers
}
