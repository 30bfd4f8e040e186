import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import http, { type IncomingHttpHeaders } from 'node:http'
import https from 'node:https'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { AwsV4Signer } from 'aws4fetch'
import { Unavailable } from './refusal.ts'

/** Where a bucket is, and who we are there. @property endpoint of a store other than Amazon's, without a slash at its end */
export type S3Settings = {
  readonly bucket: string
  readonly prefix: string
  readonly region: string
  readonly endpoint?: string | undefined
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

export type FilePart = { readonly file: string; readonly start: number; readonly end: number }
export type S3Request = {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE'
  /** Below the bucket; '' for the bucket itself. */
  readonly key: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: FilePart | Buffer
}
export type S3Answer = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: Buffer }

/** @property idleMs without a byte in either direction; @property firstRetryMs doubles with each */
export type S3Patience = { readonly tries: number; readonly idleMs: number; readonly totalMs: number; readonly firstRetryMs: number }
export const patience: S3Patience = { tries: 6, idleMs: 30_000, totalMs: 600_000, firstRetryMs: 100 }

const LONGEST_RETRY_MS = 10_000

export type S3Client = { send(request: S3Request): Promise<S3Answer>; close(): void }

/**
 * Sends signed requests (AWS Signature Version 4; the body's hash is signed too, so that one that was changed on the way is refused).
 * All that we send may be sent twice: names are written once, with the same bytes. Hence each is tried again, with exponential back-off and full jitter,
 * when no answer comes, or 408, 429 or 5xx, or an error under the cover of a 200.
 */
export function createS3Client(settings: S3Settings, { tries, idleMs, totalMs, firstRetryMs }: S3Patience = patience): S3Client {
  const base = addressOf(settings)
  const { protocol, host } = new URL(base)
  const { request, Agent } = protocol === 'https:' ? https : http
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  const signingKeys = new Map<string, ArrayBuffer>()

  const attempt = async ({ method, key, query = {}, headers = {}, body }: S3Request, hash: string): Promise<S3Answer> => {
    const url = new URL(`${base}/${key}`)
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
    const { accessKeyId, secretAccessKey, region } = settings
    const signed = await new AwsV4Signer({
      method,
      url: url.href,
      headers: { ...headers, 'x-amz-content-sha256': hash },
      accessKeyId,
      secretAccessKey,
      region,
      service: 's3',
      cache: signingKeys,
    }).sign()
    const sent = request(signed.url, {
      method,
      agent,
      headers: { ...Object.fromEntries(signed.headers), ...(method !== 'GET' && { 'content-length': sizeOf(body) }) },
      signal: AbortSignal.timeout(totalMs),
    })
    sent.setTimeout(idleMs, () => sent.destroy(new Error(`It said nothing for ${idleMs / 1000} s.`)))
    const answered = new Promise<S3Answer>((resolve, reject) => {
      sent.on('error', reject)
      sent.on('response', (response) => {
        buffer(response).then((body) => resolve({ status: response.statusCode!, headers: response.headers, body }), reject)
      })
    })
    // What is sent may break off because the answer came: then the answer counts. What breaks off by itself ends `answered` too.
    const written = body === undefined || Buffer.isBuffer(body) ? void sent.end(body) : pipeline(contentOf(body), sent).catch(() => {})
    const answer = await answered
    // A server that refuses need not read all that we would send.
    if (!sent.writableFinished) sent.destroy()
    await written
    return answer
  }

  return {
    async send(request) {
      const hash = await hashOf(request.body)
      for (let tried = 1; ; tried += 1) {
        const outcome = await attempt(request, hash).catch((error: Error) => error)
        const failed = outcome instanceof Error || isPassing(outcome)
        if (!failed) return outcome
        if (tried >= tries) throw unreachable(outcome)
        const asked = outcome instanceof Error ? 0 : Number(outcome.headers['retry-after'] ?? 0) * 1000 || 0
        await delay(Math.min(LONGEST_RETRY_MS, Math.max(asked, Math.random() * firstRetryMs * 2 ** tried)))
      }
    },
    close: () => agent.destroy(),
  }

  function unreachable(outcome: Error | S3Answer): Unavailable {
    const what = outcome instanceof Error ? 'cannot be reached' : `answers ${outcome.status} ${errorCode(outcome)}`.trim()
    return new Unavailable(`The blob store at ${host} ${what}.`, {
      ...(outcome instanceof Error && { cause: outcome }),
      retryAfterSeconds: 10,
    })
  }
}

/** The bucket's own host at Amazon (but where its name has dots, which no certificate covers), else a path of the endpoint. */
export function addressOf({ bucket, region, endpoint }: Pick<S3Settings, 'bucket' | 'region' | 'endpoint'>): string {
  if (endpoint) return `${endpoint}/${bucket}`
  return bucket.includes('.') ? `https://s3.${region}.amazonaws.com/${bucket}` : `https://${bucket}.s3.${region}.amazonaws.com`
}

/** S3's code of an error, like `NoSuchBucket`; '' where there is none. */
export const errorCode = ({ body }: S3Answer): string => /<Error>[\s\S]*?<Code>(\w+)<\/Code>/.exec(body.toString('utf8'))?.[1] ?? ''

/** Copying and completing may answer 200 and say only in the body that they failed. */
const isPassing = (answer: S3Answer): boolean =>
  [408, 429, 500, 502, 503, 504].includes(answer.status) ||
  (answer.status === 400 && errorCode(answer) === 'RequestTimeout') ||
  (answer.status === 200 && answer.headers['content-type']?.includes('xml') === true && errorCode(answer) !== '')

const contentOf = ({ file, start, end }: FilePart) => createReadStream(file, { start, end: end - 1 })

const sizeOf = (body: FilePart | Buffer | undefined): number => {
  if (body === undefined) return 0
  return Buffer.isBuffer(body) ? body.length : body.end - body.start
}

async function hashOf(body: FilePart | Buffer | undefined): Promise<string> {
  const hash = createHash('sha256')
  if (Buffer.isBuffer(body)) hash.update(body)
  else if (body) for await (const chunk of contentOf(body)) hash.update(chunk)
  return hash.digest('hex')
}
