import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { signatureFault } from './aws-signature.ts'

type Teardown = { teardown(clear: () => unknown): void }

/** What may go wrong: a status, an error within a 200, a connection that ends before or in the middle of the answer, silence. */
export type S3Fault = number | 'error in 200' | 'hang up' | 'cut' | 'hang'

export type S3Simulator = {
  readonly settings: { bucket: string; prefix: string; region: string; endpoint: string; accessKeyId: string; secretAccessKey: string }
  /** What the bucket holds, by key. */
  readonly objects: Map<string, Buffer>
  /** Parts of uploads that were neither completed nor aborted. */
  readonly uploads: Map<string, Map<number, Buffer>>
  /** Method, path and query of each request, the refused too. */
  readonly requests: string[]
  /** The next requests fail, one by each; null for one that does not. */
  readonly faults: (S3Fault | null)[]
  /** The next requests are carried out, and their answers lost. */
  readonly lostAnswers: (S3Fault | null)[]
  /** Most keys on a page, as if there were more than 1,000. */
  pageLimit: number
  minPartBytes: number
}

const bucket = 'crm-test'
const region = 'eu-test-1'
const accessKeyId = 'AKIATEST'
const secretAccessKey = 'a/secret+key'

/** As much of Amazon S3 as is used, over HTTP: checks signatures (Signature Version 4, header form) and the hashes of bodies as it does. */
export async function startS3(t: Teardown): Promise<S3Simulator> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const simulator: S3Simulator = {
    settings: { bucket, prefix: 'crm/blobs/', region, endpoint, accessKeyId, secretAccessKey },
    objects: new Map(),
    uploads: new Map(),
    requests: [],
    faults: [],
    lostAnswers: [],
    pageLimit: 1000,
    minPartBytes: 5 * 1024 * 1024,
  }
  server.on('request', async (request, response) => {
    try {
      await answer(simulator, request, response)
    } catch (error) {
      if (error instanceof S3Error) send(response, error.status, errorDocument(error.code))
      else response.destroy(error as Error)
    }
  })
  t.teardown(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  return simulator
}

class S3Error extends Error {
  readonly status: number
  readonly code: string
  constructor(status: number, code: string) {
    super(code)
    this.status = status
    this.code = code
  }
}

const errorDocument = (code: string) => `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>…</Message></Error>`

function send(response: ServerResponse, status: number, body: string | Buffer = '', headers: Record<string, string> = {}): void {
  response.writeHead(status, { ...(typeof body === 'string' && body && { 'content-type': 'application/xml' }), ...headers })
  response.end(body)
}

/** @returns true when the request is not to be looked at any further */
function fail(fault: S3Fault | null | undefined, request: IncomingMessage, response: ServerResponse): boolean {
  if (fault === undefined || fault === null) return false
  if (fault === 'hang up') request.socket.destroy()
  else if (fault === 'error in 200') send(response, 200, errorDocument('InternalError'))
  else if (fault === 'cut') {
    response.writeHead(206, { 'content-length': 1000, 'content-range': 'bytes 0-999/1000' })
    response.write('a part of it', () => request.socket.destroy())
  } else if (typeof fault === 'number') send(response, fault, errorDocument(fault === 503 ? 'SlowDown' : 'InternalError'))
  return true
}

async function answer(simulator: S3Simulator, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url!, simulator.settings.endpoint)
  const method = request.method!
  simulator.requests.push(`${method} ${url.pathname}${url.search}`)
  if (fail(simulator.faults.shift(), request, response)) return
  if (request.headers['transfer-encoding']) throw new S3Error(411, 'MissingContentLength')
  const body = await buffer(request)
  const refused = signatureFault(request, url, body, { ...simulator.settings, service: 's3' })
  if (refused) throw new S3Error(...refused)
  const [, inBucket, ...rest] = decodeURIComponent(url.pathname).split('/')
  if (inBucket !== bucket) throw new S3Error(404, 'NoSuchBucket')
  const done = carryOut(simulator, method, rest.join('/'), url.searchParams, request, body)
  if (fail(simulator.lostAnswers.shift(), request, response)) return
  send(response, done.status, done.body, done.headers)
}

type Answer = { status: number; body?: string | Buffer; headers?: Record<string, string> }

function carryOut(
  s3: S3Simulator,
  method: string,
  key: string,
  query: URLSearchParams,
  { headers }: IncomingMessage,
  body: Buffer,
): Answer {
  const uploadId = query.get('uploadId')
  if (method === 'GET' && key === '' && query.get('list-type') === '2') return list(s3, query)
  if (method === 'GET') return get(s3, key, headers.range)
  if (method === 'POST' && query.has('uploads')) {
    const id = `${randomBytes(8).toString('base64')}&"`
    s3.uploads.set(id, new Map())
    return { status: 200, body: `<InitiateMultipartUploadResult><UploadId>${escaped(id)}</UploadId></InitiateMultipartUploadResult>` }
  }
  if (uploadId !== null) return multipart(s3, method, key, query, uploadId, body)
  const source = headers['x-amz-copy-source']
  if (method === 'PUT' && source) {
    const found = s3.objects.get(decodeURIComponent(String(source)).replace(`/${bucket}/`, ''))
    if (!found) throw new S3Error(404, 'NoSuchKey')
    s3.objects.set(key, found)
    return { status: 200, body: `<CopyObjectResult><ETag>${escaped(tagOf(found))}</ETag></CopyObjectResult>` }
  }
  if (method === 'PUT') {
    s3.objects.set(key, body)
    return { status: 200, headers: { etag: tagOf(body) } }
  }
  if (method === 'DELETE') {
    s3.objects.delete(key)
    return { status: 204 }
  }
  throw new S3Error(405, 'MethodNotAllowed')
}

function multipart(s3: S3Simulator, method: string, key: string, query: URLSearchParams, uploadId: string, body: Buffer): Answer {
  const parts = s3.uploads.get(uploadId)
  if (!parts) throw new S3Error(404, 'NoSuchUpload')
  if (method === 'PUT') {
    parts.set(Number(query.get('partNumber')), body)
    return { status: 200, headers: { etag: tagOf(body) } }
  }
  if (method === 'DELETE') {
    s3.uploads.delete(uploadId)
    return { status: 204 }
  }
  const listed = [...body.toString().matchAll(/<Part><PartNumber>(\d+)<\/PartNumber><ETag>([^<]*)<\/ETag><\/Part>/g)]
  const contents = listed.map(([, number, tag]) => {
    const part = parts.get(Number(number))
    if (!part || tagOf(part) !== tag) throw new S3Error(400, 'InvalidPart')
    return part
  })
  if (contents.slice(0, -1).some(({ length }) => length < s3.minPartBytes)) throw new S3Error(400, 'EntityTooSmall')
  s3.objects.set(key, Buffer.concat(contents))
  s3.uploads.delete(uploadId)
  return { status: 200, body: '<CompleteMultipartUploadResult></CompleteMultipartUploadResult>' }
}

function get({ objects }: S3Simulator, key: string, range?: string): Answer {
  const found = objects.get(key)
  if (!found) throw new S3Error(404, 'NoSuchKey')
  const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? []
  if (start === undefined) return { status: 200, body: found }
  if (Number(start) >= found.length) throw new S3Error(416, 'InvalidRange')
  const body = found.subarray(Number(start), Number(end) + 1)
  return { status: 206, body, headers: { 'content-range': `bytes ${start}-${Number(start) + body.length - 1}/${found.length}` } }
}

function list({ objects, pageLimit }: S3Simulator, query: URLSearchParams): Answer {
  const limit = Math.min(Number(query.get('max-keys')), pageLimit)
  const after = Buffer.from(query.get('continuation-token') ?? '', 'base64').toString()
  const keys = [...objects.keys()].filter((key) => key.startsWith(query.get('prefix')!) && key > after).sort()
  const page = keys.slice(0, limit)
  const more = keys.length > limit
  const next = more ? `<NextContinuationToken>${Buffer.from(page.at(-1)!).toString('base64')}</NextContinuationToken>` : ''
  const contents = page.map((key) => `<Contents><Key>${escaped(key)}</Key><Size>${objects.get(key)!.length}</Size></Contents>`)
  return { status: 200, body: `<ListBucketResult><IsTruncated>${more}</IsTruncated>${next}${contents.join('')}</ListBucketResult>` }
}

const tagOf = (bytes: Buffer) => `"${createHash('md5').update(bytes).digest('hex')}"`
const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
