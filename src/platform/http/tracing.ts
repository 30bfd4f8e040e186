import { SpanStatusCode } from '@opentelemetry/api'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { isTracing, startSpan, type Traced, within } from '../tracing.ts'

/** A span a request, named by method and the route's template, since addresses carry e-mail addresses and search words; it goes on with the caller's trace. */
export function traceRequests(app: FastifyInstance): void {
  if (!isTracing()) return
  const spans = new WeakMap<FastifyRequest, ReturnType<typeof startSpan>>()
  const spanOf = (request: FastifyRequest) => spans.get(request) ?? null

  app.addHook('onRequest', (request, _reply, done) => {
    const { method, routeOptions, headers } = request
    // Probes come every few seconds.
    if (routeOptions.config.open) return done()
    const route = routeOptions.url
    const attributes = { 'http.request.method': method, ...(route && { 'http.route': route }) }
    spans.set(request, startSpan(route ? `${method} ${route}` : method, { kind: 'server', attributes, follows: [headers as Traced] }))
    within(spanOf(request), done)
  })
  // What comes after the body was read is called by the connection, which knows of no request.
  app.addHook('preValidation', (request, _reply, done) => within(spanOf(request), done))
  // The hook that writes the log line comes after this one.
  app.addHook('onResponse', (request, reply, done) => {
    const span = spanOf(request)
    const { statusCode } = reply
    span?.setAttribute('http.response.status_code', statusCode)
    if (statusCode >= 500) span?.setAttribute('error.type', String(statusCode)).setStatus({ code: SpanStatusCode.ERROR })
    within(span, done)
    span?.end()
  })
}
