import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'

/** As much of a span as tests look at, of OTLP's JSON. */
export type Span = {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  kind: number
  attributes: Record<string, unknown>
  links: { traceId: string; spanId: string }[]
  status: { code?: number; message?: string }
  events: unknown[]
  /** The process that made it, as `service.name`. */
  service: unknown
}

type Attribute = { key: string; value: Record<string, unknown> }
type Sent = {
  resourceSpans: {
    resource: { attributes: Attribute[] }
    scopeSpans: { spans: (Omit<Span, 'attributes' | 'service'> & { attributes: Attribute[] })[] }[]
  }[]
}
const objectOf = (attributes: readonly Attribute[]) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))

/** A collector of traces, which keeps what OTLP exporters send it over HTTP. */
export async function startCollector(t: { teardown(clear: () => unknown): void }) {
  const spans: Span[] = []
  const texts: string[] = []
  const server = createServer(async (request, response) => {
    const body = (await json(request)) as Sent
    texts.push(JSON.stringify(body))
    for (const { resource, scopeSpans } of body.resourceSpans) {
      const service = objectOf(resource.attributes)['service.name']
      for (const span of scopeSpans.flatMap(({ spans }) => spans))
        spans.push({ ...span, attributes: objectOf(span.attributes), links: span.links ?? [], events: span.events ?? [], service })
    }
    response.setHeader('content-type', 'application/json').end('{}')
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    /** All that was sent, as it came. */
    texts,
  }
}
