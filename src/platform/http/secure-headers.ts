import type { IncomingMessage, ServerResponse } from 'node:http'
import cors from '@fastify/cors'
import type { FastifyInstance } from 'fastify'
import helmet from 'helmet'

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
 * Headers by which browsers keep to what an answer is: no answer runs, is framed or guessed at; routes that show something have a policy of their own. They are
 * the same for every answer, so helmet is asked for them once: asked each time, it took a twelfth of what an answer costs.
 */
export function secureHeaders(hasTls: boolean): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {}
  const response = {
    setHeader(name: string, value: string) {
      headers[name.toLowerCase()] = value
    },
    removeHeader() {},
  }
  const middleware = helmet({
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    // Without TLS it means nothing, and with it at a proxy, the proxy knows.
    strictTransportSecurity: hasTls,
  })
  middleware({} as IncomingMessage, response as unknown as ServerResponse, () => {})
  return headers
}

/** CORS for pages of these origins, if any. Cookies are never taken, so no page can ask in somebody's name. */
export async function allowOrigins(app: FastifyInstance, origins: readonly string[]): Promise<void> {
  if (origins.length === 0) return
  await app.register(cors, {
    origin: [...origins],
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowedHeaders: SENT,
    exposedHeaders: EXPOSED,
    maxAge: PREFLIGHT_SECONDS,
  })
}
