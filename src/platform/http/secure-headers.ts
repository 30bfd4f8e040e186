import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import type { FastifyInstance } from 'fastify'

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
  await app.register(helmet, {
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    // Without TLS it means nothing, and with it at a proxy, the proxy knows.
    strictTransportSecurity: hasTls,
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
