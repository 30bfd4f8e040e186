import swagger from '@fastify/swagger'
import reference from '@scalar/fastify-api-reference'
import type { FastifyInstance } from 'fastify'

/** The page shows and tries this API and asks nobody else for anything: what its script would like to, the browser does not let it. */
const policy = [
  "default-src 'none'",
  "script-src 'self' 'unsafe-inline'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "worker-src 'self' blob:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** `/openapi.json`, made of the routes' own schemas, and `/reference`, a page to read and try the API, served whole from here. */
export async function openapiRoutes(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'SmartCRM',
        version,
        description: 'Commands append events; queries answer from tables that projections build of them.',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: '/' }],
      security: [{ key: [] }],
      components: { securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'An API key.' } } },
    },
    // Schemas keep the names that we gave them.
    refResolver: { buildLocalReference: (json, _base, _fragment, index) => String(json['$id'] ?? `schema-${index}`) },
  })
  app.get('/openapi.json', { config: { open: true }, schema: { hide: true } }, async () => app.swagger())
  await app.register(async (page) => {
    page.addHook('onRoute', (route) => {
      route.config = { ...route.config, open: true }
    })
    page.addHook('onSend', async (_request, reply) => {
      reply.header('content-security-policy', policy).header('x-content-type-options', 'nosniff')
    })
    await page.register(reference, {
      routePrefix: '/reference',
      configuration: {
        url: '/openapi.json',
        title: 'SmartCRM API',
        withDefaultFonts: false,
        telemetry: false,
        hideClientButton: true,
        // On localhost these are there unless they are refused; they talk to the vendor.
        showDeveloperTools: 'never',
        agent: { disabled: true },
        mcp: { disabled: true },
      },
    })
  })
}
