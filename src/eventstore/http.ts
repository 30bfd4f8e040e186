import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { SERVER_VERSION } from './features.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'

export type Maintenance = { file: string; compact(): Promise<{ removedEvents: number }> }

/** The few pages that the node has beside gRPC, on the same port as on the real server. */
export function createPages(log: Log, metrics: Metrics, maintenance: Maintenance): Server {
  const pages: Record<string, (request: IncomingMessage, response: ServerResponse) => void | Promise<void>> = {
    /** 204 as the server answers it (`?liveCode=` asks for another code); 503 while the log cannot be written. */
    'GET /health/live': (request, response) => {
      const reason = log.trouble()
      if (reason) return json(response, 503, { status: 'not writable', reason })
      const asked = Number(new URL(request.url ?? '/', 'http://node').searchParams.get('liveCode') ?? 204)
      response.writeHead(asked >= 200 && asked < 600 ? asked : 204).end()
    },
    'GET /metrics': (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(metrics.page(log))
    },
    'GET /info': (_request, response) =>
      json(response, 200, { esVersion: SERVER_VERSION, state: 'leader', node: 'SmartCRM embedded', file: maintenance.file }),
    'POST /admin/scavenge': async (_request, response) => json(response, 200, await maintenance.compact()),
  }
  return createServer(async (request, response) => {
    const page = pages[`${request.method} ${(request.url ?? '/').split('?')[0]}`]
    if (!page) return json(response, 404, { status: 'not found', pages: Object.keys(pages) })
    try {
      await page(request, response)
    } catch (error) {
      json(response, 500, { status: 'failed', reason: error instanceof Error ? error.message : String(error) })
    }
  })
}

function json(response: ServerResponse, code: number, body: unknown): void {
  response.writeHead(code, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`)
}
