import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

type Account = { readonly accessKeyId: string; readonly secretAccessKey: string; readonly region: string; readonly service: string }

/**
 * Why Amazon would refuse a request that is signed like this (Signature Version 4, header form), as status and code; null where it would not.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
export function signatureFault(
  { method, headers }: IncomingMessage,
  url: URL,
  body: Buffer,
  { accessKeyId, secretAccessKey, region, service }: Account,
): [status: number, code: string] | null {
  const [, id, scope, signedHeaders, signature] =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\S+), SignedHeaders=([\w;-]+), Signature=([0-9a-f]{64})$/.exec(headers.authorization ?? '') ??
    []
  if (!signature) return [403, 'AccessDenied']
  if (id !== accessKeyId) return [403, 'InvalidAccessKeyId']
  const time = String(headers['x-amz-date'])
  const skew = Date.parse(time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z')) - Date.now()
  if (!(Math.abs(skew) < 15 * 60_000)) return [403, 'RequestTimeTooSkewed']
  const day = time.slice(0, 8)
  if (scope !== `${day}/${region}/${service}/aws4_request`) return [400, 'AuthorizationHeaderMalformed']
  const names = signedHeaders!.split(';')
  const unsigned = Object.keys(headers).filter((name) => (name.startsWith('x-amz-') || name === 'host') && !names.includes(name))
  if (unsigned.length > 0) return [403, 'AccessDenied']
  const hash = String(headers['x-amz-content-sha256'] ?? sha256(body))
  const canonical = [
    method,
    url.pathname
      .split('/')
      .map((part) => encoded(decodeURIComponent(part)))
      .join('/'),
    [...url.searchParams]
      .map(([name, value]) => `${encoded(name)}=${encoded(value)}`)
      .sort()
      .join('&'),
    ...names.map((name) => `${name}:${String(headers[name]).trim()}`),
    '',
    signedHeaders,
    hash,
  ].join('\n')
  const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n')
  const key = [region, service, 'aws4_request'].reduce(hmac, hmac(`AWS4${secretAccessKey}`, day))
  if (!timingSafeEqual(hmac(key, toSign), Buffer.from(signature, 'hex'))) return [403, 'SignatureDoesNotMatch']
  return hash === sha256(body) ? null : [400, 'XAmzContentSHA256Mismatch']
}

const sha256 = (bytes: string | Buffer) => createHash('sha256').update(bytes).digest('hex')
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()
const encoded = (text: string) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
