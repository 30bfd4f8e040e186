import type { FastifyInstance } from 'fastify'
import { Registry } from 'prom-client'

export type Metrics = { readonly registry: Registry }

/** What is measured in this process: add to it by prom-client's metrics with `registers: [registry]`. Labels never name anybody. */
export const createMetrics = (): Metrics => ({ registry: new Registry() })

/** `/metrics` in the Prometheus text format. It tells how much there is of what, so it asks for a key like any other route. */
export function metricsRoute(app: FastifyInstance, { registry }: Metrics): void {
  app.get('/metrics', { schema: { hide: true } }, async (_request, reply) =>
    reply
      .header('cache-control', 'no-store')
      .type(registry.contentType)
      .serializer(String)
      .send(await registry.metrics()),
  )
}
