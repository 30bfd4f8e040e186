import type { FastifyInstance } from 'fastify'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

export type Metrics = { readonly registry: Registry }

/** What is measured in this process: add to it by what is below, or by prom-client's metrics with `registers: [registry]`. Labels never name anybody. */
export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  return { registry }
}

/** Takes a value of the series that the labels name. */
export type Sample = (labels: Readonly<Record<string, string>>, value: number) => void

type Told = {
  readonly name: string
  readonly help: string
  readonly labels?: readonly string[]
  /** Called by every scrape. Where it throws, what it asks is away, and the metric has no series: other metrics are still told. */
  tell(sample: Sample): Promise<void>
}

/** A metric that is not counted here but asked for elsewhere whenever somebody scrapes. */
export function gauge({ registry }: Metrics, { name, help, labels = [], tell }: Told): void {
  new Gauge({
    name,
    help,
    labelNames: labels,
    registers: [registry],
    collect() {
      return tellAnew(this, tell, (labels, value) => this.set(labels, value))
    },
  })
}

/** The same for what only grows; its name ends in `_total`. */
export function counter({ registry }: Metrics, { name, help, labels = [], tell }: Told): void {
  new Counter({
    name,
    help,
    labelNames: labels,
    registers: [registry],
    collect() {
      return tellAnew(this, tell, (labels, value) => this.inc(labels, value))
    },
  })
}

async function tellAnew(metric: Gauge | Counter, tell: Told['tell'], sample: Sample): Promise<void> {
  const clear = () => {
    metric.reset()
    // Without labels it would be 0, and what is not known is not 0.
    metric.remove({})
  }
  clear()
  await tell(sample).catch(clear)
}

/** How many requests were turned away before anything was done for them, and how many are worked on at once. */
export function overloadMetrics(
  metrics: Metrics,
  { shed, atOnce }: { shed: () => number; atOnce: () => Readonly<Record<string, number>> },
  limits: { turnedAway: () => number } | undefined,
): void {
  counter(metrics, {
    name: 'smartcrm_http_requests_turned_away_total',
    help: 'Requests that were answered at once: 503 because the process had as much to do as it could (overloaded), or 429 because the key had been told already that it is beyond its limit (rate-limited).',
    labels: ['reason'],
    tell: async (sample) => {
      sample({ reason: 'overloaded' }, shed())
      sample({ reason: 'rate-limited' }, limits?.turnedAway() ?? 0)
    },
  })
  gauge(metrics, {
    name: 'smartcrm_http_requests_at_once',
    help: 'How many questions, and how many commands, the process takes on at once just now; it follows from how long answers take.',
    labels: ['kind'],
    tell: async (sample) => {
      for (const [kind, count] of Object.entries(atOnce())) sample({ kind }, count)
    },
  })
}

/** How many requests, by method, route and status, and how long they took. */
export function requestMetrics({ registry }: Metrics, app: FastifyInstance): void {
  const durations = new Histogram({
    name: 'smartcrm_http_request_duration_seconds',
    help: 'Requests by how long they took; the live journal as long as it was listened to.',
    labelNames: ['method', 'route', 'status'],
    registers: [registry],
  })
  app.addHook('onResponse', async ({ method, routeOptions }, { statusCode, elapsedTime }) => {
    // The route's template, not the address: addresses carry e-mail addresses and search words.
    durations.observe({ method, route: routeOptions.url ?? '(none)', status: statusCode }, elapsedTime / 1_000)
  })
}

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
