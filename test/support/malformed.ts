import { randomUUID } from 'node:crypto'
import http from 'node:http'
import net from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/*
 * Requests that nobody should send, made from the OpenAPI document: of the right form in most places, so that they come far, and wrong in one or more. What
 * they have in common is what they must be answered with: anything but a 5xx.
 */

type Schema = Record<string, unknown>
type Parameter = { name: string; in: string; schema: Schema }
type Operation = { operationId: string; parameters?: Parameter[]; requestBody?: { content: Record<string, { schema?: Schema }> } }
export type Document = { paths: Record<string, Record<string, Operation>>; components: { schemas: Record<string, Schema> } }

export type Malformed = {
  readonly operation: string
  readonly method: string
  /** As it goes over the wire. */
  readonly path: string
  readonly headers: Readonly<Record<string, string | string[]>>
  readonly body: string | Buffer | undefined
}
export type Answer = { readonly status: number; readonly type: string; readonly body: string }

type Random = () => number
const pick = <T>(random: Random, values: readonly T[]): T => values[Math.floor(random() * values.length)]!

/** Texts as they stand in JSON, with their quotes. */
const jsonTexts = [
  '""',
  '" "',
  '"\\u0000"',
  '"a\\u0000b"',
  '"\\ud800"',
  '"\\udc00x"',
  '"\\u202e"',
  '"__proto__"',
  '"constructor"',
  '"null"',
  `"${'x'.repeat(5_000)}"`,
  `"${'💥'.repeat(3_000)}"`,
  '"ada@example.com"',
  '"6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11"',
  '"\'; drop table read.contacts_v3; --"',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is what a template injection looks like
  '"%00%ff${7*7}{{7*7}}"',
  '"2026-13-45T99:99:99Z"',
  '"-infinity"',
  '"0000-01-01T00:00:00Z"',
  '"+275760-09-13T00:00:00.001Z"',
] as const
const jsonValues = [
  ...jsonTexts,
  'null',
  'true',
  '0',
  '-1',
  '1.5',
  '1e999',
  '-1e999',
  '9007199254740993',
  '99999999999999999999999999',
  '[]',
  '{}',
  '[null]',
  '{"__proto__":{"x":1}}',
  '{"constructor":{"prototype":{"x":1}}}',
  '{"toString":1}',
] as const
const texts = [
  '',
  ' ',
  'x',
  '%00',
  '%ED%A0%80',
  '%ff',
  '%C3%28',
  '%',
  '..%2f..%2f',
  '%0d%0aX-Injected:%201',
  '__proto__',
  'constructor',
  'toString',
  '-1',
  '1.5',
  '1e9',
  'NaN',
  '9007199254740993',
  '0.0',
  '8471.8471',
  '9223372036854775807.9223372036854775807',
  '9223372036854775808.1',
  '99999999999999999999.1',
  '1.2',
  '2026-01-01',
  '2026-01-01T00:00:00Z',
  '0000-00-00T00:00:00Z',
  '9999-12-31T23:59:60Z',
  '-000001-01-01T00:00:00Z',
  '%2B275760-09-13T00:00:00Z',
  "'%20or%201=1--",
  '%25%25',
  'x'.repeat(3_000),
  '%F0%9F%92%A5'.repeat(100),
  Buffer.from('["x",1]').toString('base64url'),
  Buffer.from('[null]').toString('base64url'),
  Buffer.from(`["${'x'.repeat(12)}","2026-01-01T00:00:00.000Z","x"]`).toString('base64url'),
  Buffer.from('{"__proto__":1}').toString('base64url'),
  'W10',
] as const
const headerTexts = [
  '',
  ' ',
  '*',
  'x',
  '"x"',
  'W/"1.x"',
  '"1.x", "2.y"',
  '"99999999999999999999.x"',
  ','.repeat(1_000),
  '"'.repeat(999),
  'x'.repeat(4_000),
  '\x80\xff\xfe',
  '__proto__',
  'bytes=0-',
  'bytes=-1',
  'bytes=5-1',
  'bytes=0-0,1-1,2-2',
  `bytes=${'9'.repeat(30)}-`,
  'wait=99999999999999999999',
  'wait=-1',
  'wait="',
  'text/event-stream;q=0',
  '1.1',
  '9223372036854775808.0',
  'Thu, 99 Foo 2026 25:61:61 GMT',
  '6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11',
] as const
const headerNames = [
  'if-match',
  'if-none-match',
  'if-range',
  'range',
  'idempotency-key',
  'x-correlation-id',
  'smartcrm-after',
  'prefer',
  'last-event-id',
  'accept',
  'accept-encoding',
  'traceparent',
  'tracestate',
  'origin',
  'x-forwarded-for',
  'expect',
  'cookie',
] as const
const types = [
  'application/json',
  'application/json; charset=utf-16',
  'application/merge-patch+json',
  'text/plain',
  'multipart/form-data',
  'multipart/form-data; boundary=x',
  'application/x-www-form-urlencoded',
  '',
  '/',
  'application/json, text/html',
] as const

const deep = (random: Random): string => {
  const depth = pick(random, [31, 33, 500, 20_000])
  return random() < 0.5 ? `${'['.repeat(depth)}${']'.repeat(depth)}` : `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
}

/** A value that a schema lets through, mostly, as JSON; with a hostile one in its place here and there. */
function json(random: Random, schema: Schema | undefined, document: Document, wrongness: number): string {
  if (random() < wrongness) return random() < 0.03 ? deep(random) : pick(random, jsonValues)
  if (!schema) return pick(random, jsonValues)
  if (schema['$ref']) return json(random, document.components.schemas[String(schema['$ref']).split('/').at(-1)!], document, wrongness)
  if ('const' in schema) return JSON.stringify(schema['const'])
  if (schema['enum']) return JSON.stringify(pick(random, schema['enum'] as unknown[]))
  if (schema['anyOf']) return json(random, pick(random, schema['anyOf'] as Schema[]), document, wrongness)
  if (schema['type'] === 'array')
    return `[${Array.from({ length: Math.floor(random() * 4) }, () => json(random, schema['items'] as Schema, document, wrongness)).join()}]`
  if (schema['type'] === 'object') {
    const fields = Object.entries((schema['properties'] ?? {}) as Record<string, Schema>)
    const required = (schema['required'] ?? []) as string[]
    const kept = fields.filter(([name]) => random() < (required.includes(name) ? 1 - wrongness : 0.6))
    const entries = kept.map(([name, inner]) => `${JSON.stringify(name)}:${json(random, inner, document, wrongness)}`)
    if (random() < wrongness) entries.push(`${pick(random, jsonTexts)}:${pick(random, jsonValues)}`)
    if (random() < wrongness && entries.length > 0) entries.push(pick(random, entries))
    return `{${entries.join()}}`
  }
  if (schema['type'] === 'integer' || schema['type'] === 'number') return String(Math.floor(random() * 5))
  if (schema['type'] === 'boolean') return String(random() < 0.5)
  const example = (schema['examples'] as unknown[] | undefined)?.[0]
  return random() < 0.5 && typeof example === 'string' ? JSON.stringify(example) : pick(random, ['"x"', '"Ada"', '"2027-01-01T00:00:00Z"'])
}

function multipart(random: Random): { type: string; body: string } {
  const part = (disposition: string, content: string, more = '') =>
    `--b\r\nContent-Disposition: ${disposition}\r\n${more}\r\n${content}\r\n`
  const parts = Array.from({ length: Math.floor(random() * 5) }, () =>
    pick(random, [
      part(
        'form-data; name="file"; filename="a.csv"',
        pick(random, ['Name,E-mail\nAda,ada@example.com\n', '\0\0', '', '\ufeffName\n"']),
        'Content-Type: text/csv\r\n',
      ),
      part('form-data; name="file"; filename="__proto__"', 'BEGIN:VCARD\nFN:\nEND:VCARD'),
      part('form-data; name="file"', 'no file'),
      part('form-data; name="__proto__"', 'x'),
      part('form-data; name="me"', pick(random, ['ada@example.com', 'x', '\0', 'x'.repeat(20_000)])),
      part('form-data; name="map"', pick(random, ['Name=name', '=', '\0'])),
      part('form-data', 'x'),
      part('nonsense', 'x'),
      part('form-data; name="file"; filename="../../etc/passwd"', 'From x\n\nhello', 'Content-Transfer-Encoding: base64\r\n'),
    ]),
  )
  return { type: 'multipart/form-data; boundary=b', body: `${parts.join('')}${pick(random, ['--b--\r\n', '', '--b', '--b--\r\ngarbage'])}` }
}

/** Tells that something was changed for everybody: those who ask must go on being answered. */
const harmful = new Set(['rebuildProjections'])

/** @param key one that may do everything */
export function malformed(random: Random, document: Document, key: string): Malformed {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), ...operation })),
  )
  const operation = pick(random, operations)
  const wrongness = pick(random, [0, 0.02, 0.1, 0.3])
  const id = () => (random() < 0.8 ? randomUUID() : pick(random, texts))
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    /id$/i.test(name) ? id() : name === 'index' ? pick(random, ['0', '-1', '1e3', '99999999999999999999']) : pick(random, texts),
  )
  const query = (operation.parameters ?? []).flatMap(({ name, in: place, schema }) => {
    if (place !== 'query' || random() < 0.6) return []
    const value = random() < 0.4 ? encodeURIComponent(json(random, schema, document, 0).replaceAll('"', '')) : pick(random, texts)
    const written = `${name}${random() < 0.03 ? '[]' : ''}=${value}`
    return random() < 0.05 ? [written, `${name}=${pick(random, texts)}`] : [written]
  })
  if (random() < 0.05) query.push(pick(random, ['__proto__=1', 'constructor[prototype]=1', '&&&', '=', 'x', '%00=%00']))
  const headers: Record<string, string | string[]> = {}
  if (random() < 0.95) headers['authorization'] = random() < 0.97 ? `Bearer ${key}` : `Bearer ${pick(random, headerTexts)}`
  for (const name of headerNames) if (random() < 0.06) headers[name] = pick(random, headerTexts)
  if (random() < 0.01) headers['accept'] = 'text/event-stream'
  // Where it is a position, nobody need wait for it.
  if (headers['smartcrm-after']) headers['prefer'] = 'wait=0'

  const content = operation.requestBody?.content
  const mayHaveBody = operation.method !== 'GET'
  let body: string | Buffer | undefined
  if (content && 'multipart/form-data' in content) {
    const form = multipart(random)
    headers['content-type'] = form.type
    body = form.body
  } else if (mayHaveBody && (content || random() < 0.1)) {
    headers['content-type'] = random() < 0.95 ? 'application/json' : pick(random, types)
    body = json(random, Object.values(content ?? {})[0]?.schema, document, wrongness)
    if (random() < 0.03) body = body.slice(0, Math.floor(random() * body.length))
    if (random() < 0.02) body = Buffer.from(`{"name":"${'x'.repeat(5)}\xff\xfe"}`, 'latin1')
    if (random() < 0.002) body = `{"name":"${'x'.repeat(1_100_000)}"}`
  }
  if (harmful.has(operation.operationId)) body = '{"nonsense":true}'
  // With Expect, Node's client sends the head before it knows how long the body is.
  if (body !== undefined) headers['content-length'] = String(Buffer.byteLength(body))
  const address = `${path}${query.length > 0 ? `?${query.join('&')}` : ''}`
  return { operation: operation.operationId, method: operation.method, path: address, headers, body }
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 32 })

/** Sends it; of a stream of events only the head is waited for. Rejects when there is no answer. */
export function send(url: string, { method, path, headers, body }: Malformed): Promise<Answer> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const request = http.request({ hostname, port, method, path, headers: headers as http.OutgoingHttpHeaders, agent }, (response) => {
      const type = response.headers['content-type'] ?? ''
      const chunks: Buffer[] = []
      if (type.startsWith('text/event-stream')) {
        response.destroy()
        resolve({ status: response.statusCode!, type, body: '' })
        return
      }
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => resolve({ status: response.statusCode!, type, body: Buffer.concat(chunks).toString('utf8') }))
      response.on('error', reject)
    })
    request.on('error', reject)
    request.end(body)
  })
}

/** What no client of HTTP would send, byte by byte. */
export const rawRequests = (key: string): string[] => {
  const head = (line: string, ...headers: string[]) =>
    [line, 'host: x', `authorization: Bearer ${key}`, 'connection: close', ...headers, '', ''].join('\r\n')
  return [
    'GET\r\n\r\n',
    '\0\0\0\0',
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    head('GET /v1/contacts HTTP/9.9'),
    head('GET http://[ HTTP/1.1'),
    head('GET //x/v1/contacts HTTP/1.1'),
    head('GET /v1/contacts?q=\xff\xfe HTTP/1.1'),
    head('GET /v1/contacts#x HTTP/1.1'),
    head('GET * HTTP/1.1'),
    head('OPTIONS * HTTP/1.1'),
    head('CONNECT x:1 HTTP/1.1'),
    head('GET /v1/contacts HTTP/1.1', 'x\0y: 1'),
    head('GET /v1/contacts HTTP/1.1', ': x'),
    head('GET /v1/contacts HTTP/1.1', 'if-none-match: \x01'),
    head('GET /v1/contacts HTTP/1.1', `x: ${'y'.repeat(20_000)}`),
    head('GET /v1/contacts HTTP/1.1', ...Array.from({ length: 3_000 }, (_, index) => `h${index}: x`)),
    head('GET /v1/contacts HTTP/1.1', 'upgrade: websocket', 'sec-websocket-key: x'),
    `${head('POST /v1/contacts HTTP/1.1', 'content-type: application/json', 'content-length: 5', 'content-length: 6')}{"a":`,
    `${head('POST /v1/contacts HTTP/1.1', 'content-type: application/json', 'content-length: -1')}{}`,
    `${head('POST /v1/contacts HTTP/1.1', 'content-type: application/json', 'transfer-encoding: chunked', 'content-length: 3')}0\r\n\r\n`,
    `${head('POST /v1/contacts HTTP/1.1', 'content-type: application/json', 'transfer-encoding: chunked')}zz\r\n{}\r\n0\r\n\r\n`,
    `${head('POST /v1/contacts HTTP/1.1', 'content-type: application/json', 'transfer-encoding: nonsense')}{}`,
    `${head('POST /v1/contacts HTTP/1.1', 'content-type: application/json', 'content-encoding: gzip', 'content-length: 2')}{}`,
    `${head('POST /v1/contacts HTTP/1.1', 'content-type: application/json', 'expect: nonsense', 'content-length: 2')}{}`,
  ]
}

/** Gives what came before the other end closed, or nothing. */
export const sendRaw = (url: string, text: string): Promise<string> =>
  new Promise((resolve) => {
    const { hostname, port } = new URL(url)
    const socket = net.connect(Number(port), hostname, () => socket.end(Buffer.from(text, 'latin1')))
    let answer = ''
    socket.setTimeout(10_000, () => socket.destroy())
    socket.on('data', (part) => {
      answer += part
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(answer))
  })

/** Whether it is what such a request may be answered with; else why not. */
export function faultOf({ headers }: Malformed, { status, type, body }: Answer): string | null {
  // A position that may yet come is waited for, and was not there in its time.
  const isWait = status === 503 && headers['smartcrm-after'] !== undefined && /have not come as far/.test(body)
  if (status >= 500 && !isWait) return `answered ${status}: ${body.slice(0, 300)}`
  if (status < 400) return null
  try {
    const { code, status: told } = JSON.parse(body)
    if (type.startsWith('application/problem+json') && typeof code === 'string' && told === status) return null
  } catch {}
  return `answered ${status} with what is no problem document: ${type} ${body.slice(0, 300)}`
}

const TURNS = 20
/** Too much to do, or too many who change the same: neither is about what was sent. */
const isTurnedAway = ({ status, body }: Answer) => status === 503 && /"code":"overloaded"|Others keep changing/.test(body)

/** Sends so many of them, several at a time. @returns what was answered, by status, and each fault with its request */
export async function sendMalformed(url: string, document: Document, key: string, count: number, random: Random, atOnce = 16) {
  const statuses = new Map<number, number>()
  const faults: string[] = []
  let left = count
  const one = async () => {
    while (left > 0 && faults.length < 20) {
      left -= 1
      const request = malformed(random, document, key)
      const told = () => JSON.stringify({ ...request, body: String(request.body).slice(0, 2_000) }).replaceAll(key, 'KEY')
      try {
        let answer = await send(url, request)
        // A busy service turns anybody away, and says so: it is asked again, and has to answer in the end.
        for (let turn = 0; turn < TURNS && isTurnedAway(answer); turn += 1) {
          await delay(1_000)
          answer = await send(url, request)
        }
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
        const fault = faultOf(request, answer)
        if (fault) faults.push(`${fault}\n  ${told()}`)
      } catch (error) {
        const { code } = error as { code?: string }
        // What the client itself would not send; and a server may end a connection over a body that it does not want.
        if (code === 'ERR_INVALID_CHAR' || code === 'ERR_UNESCAPED_CHARACTERS' || code === 'EPIPE' || code === 'ECONNRESET') continue
        faults.push(`${(error as Error).message}\n  ${told()}`)
      }
    }
  }
  await Promise.all(Array.from({ length: atOnce }, one))
  agent.destroy()
  for (const text of rawRequests(key)) {
    const [, status] = /^HTTP\/1\.1 (\d{3})/.exec(await sendRaw(url, text)) ?? []
    if (status?.startsWith('5')) faults.push(`answered ${status} to ${JSON.stringify(text.slice(0, 200))}`)
  }
  return { statuses: Object.fromEntries([...statuses].sort(([a], [b]) => a - b)), faults }
}
