import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { brotliCompressSync, brotliDecompressSync, constants, gunzipSync } from 'node:zlib'
import type { Random } from '../soak/random.ts'

/**
 * What goes wrong with one request. `before`: nothing was done; `after`: it was done, and only the answer is lost. Rate-limited is 429 with Retry-After;
 * `hang` never answers; `hang-up` ends the connection; `cut` sends half of the answer's JSON as if it were all.
 */
export const httpFaults = ['rate-limited', 'error-before', 'error-after', 'hang-before', 'hang-after', 'hang-up', 'cut'] as const
export type HttpFault = (typeof httpFaults)[number]

export type Asked = {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly body: unknown
  readonly key: string
}
export type Said = { readonly status: number; readonly body: unknown; readonly headers?: Record<string, string> }

type Options = {
  /** Carries a request out. */
  answer(asked: Asked): Said | Promise<Said>
  /** What is to go wrong with it, if anything. */
  fault(asked: Asked): HttpFault | null
  /** The vendor's form of an error. */
  error(status: number, message: string): Said
  /** What the door for tests is asked and told, beside the vendor's own addresses. */
  control(told: unknown): unknown
  port?: number
}

/** A vendor's server as its clients meet it: JSON, brotli in both directions, and faults. `/control` is the tests' own door. */
export async function startVendor({ answer, fault, error, control, port = 0 }: Options) {
  const server = createServer(async (request, response) => {
    try {
      const url = new URL(request.url!, 'http://vendor')
      const body = await bodyOf(request)
      if (url.pathname === '/control') return send(request, response, { status: 200, body: control(body) ?? {} })
      const key = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? ''
      const asked = { method: request.method!, path: url.pathname, query: url.searchParams, body, key }
      const wrong = fault(asked)
      if (wrong === 'rate-limited') return send(request, response, { ...error(429, 'Too many requests.'), headers: { 'retry-after': '1' } })
      if (wrong === 'error-before') return send(request, response, error(500, 'Something went wrong.'))
      if (wrong === 'hang-before') return
      const said = await answer(asked)
      if (wrong === 'error-after') return send(request, response, error(500, 'Something went wrong.'))
      if (wrong === 'hang-after') return
      if (wrong === 'hang-up') return void request.socket.destroy()
      send(request, response, said, wrong === 'cut')
    } catch (failure) {
      send(request, response, error(500, String(failure)))
    }
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.closeAllConnections()
      return new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const sent = await buffer(request)
  const encoding = request.headers['content-encoding']
  const bytes = encoding === 'br' ? brotliDecompressSync(sent) : encoding === 'gzip' ? gunzipSync(sent) : sent
  if (bytes.length === 0) return null
  return JSON.parse(bytes.toString('utf8'))
}

function send(request: IncomingMessage, response: ServerResponse, { status, body, headers = {} }: Said, isCut = false): void {
  const whole = Buffer.from(JSON.stringify(body))
  const text = isCut ? whole.subarray(0, Math.ceil(whole.length / 2)) : whole
  const takesBrotli = /\bbr\b/.test(String(request.headers['accept-encoding'] ?? ''))
  const bytes = takesBrotli ? brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }) : text
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    ...(takesBrotli && { 'content-encoding': 'br' }),
    'content-length': bytes.length,
    ...headers,
  })
  response.end(bytes)
}

/** How often each of several things happens, drawn anew for each request: weights, of which `none` is one. */
export type Mix<F extends string> = Partial<Record<F | 'none', number>>

/** Draws one of them by its weight; null for `none`, or where there are no weights. */
export function draw<F extends string>(mix: Mix<F>, random: Random): F | null {
  if (Object.keys(mix).length === 0) return null
  const drawn = random.weighted<string>(mix as Record<string, number>)
  return drawn === 'none' ? null : (drawn as F)
}
