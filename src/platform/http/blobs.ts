import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { BlobDamaged, BlobErased, BlobMissing } from '../blob-errors.ts'
import type { BlobKey, Blobs } from '../blobs.ts'
import { Refused } from '../refusal.ts'
import { attachmentDisposition } from './content-disposition.ts'
import { matchesNone } from './preconditions.ts'
import { ifMatchHolds, ifRangeHolds, rangeOf } from './ranges.ts'

/** @property type a media type as anybody may have named it: what is none becomes application/octet-stream */
export type BlobAnswer = { readonly key: BlobKey; readonly sha256: string; readonly type: string } & (
  | { readonly as: 'attachment'; readonly name: string }
  /** To be shown. For what we made harmless ourselves only. @property policy its Content-Security-Policy */
  | { readonly as: 'inline'; readonly policy: string }
)

/** Nothing runs, nothing is loaded, nothing is sent, whatever a browser takes it for. */
const NOTHING_ALLOWED = "default-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'; sandbox"
const OCTETS = 'application/octet-stream'
const token = "[\\w!#$%&'*+.^`|~-]+"
const mediaType = new RegExp(`^${token}/${token}(\\s*;\\s*${token}=(${token}|"[^"\\\\\\x00-\\x1f\\x7f-\\uffff]*"))*$`)
/** What a browser may run. It stays the same when it is saved; only what it is called here changes. */
const active = /html|xml|svg|script|flash|java/i

/**
 * Answers with a content, streamed: whole, or the range that is asked for (RFC 9110 §13 and §14), or that the caller has it already.
 * A content that turns out damaged while it is sent breaks the connection off, so that nobody takes what came for the whole.
 * @throws Refused: 410 content-erased, 416, 412; 500 content-missing and content-damaged, which name the blob for the log; Unavailable
 */
export async function sendBlob(
  request: FastifyRequest,
  reply: FastifyReply,
  blobs: Pick<Blobs, 'open'>,
  answer: BlobAnswer,
): Promise<FastifyReply> {
  const { key, sha256 } = answer
  const { sizeBytes, read } = await blobs.open(key, sha256).catch(refuse)
  const { headers } = request
  const etag = `"${sha256}"`
  if (!ifMatchHolds(headers['if-match'], etag)) throw new Refused('precondition-failed', 'The content is another than If-Match names.', 412)
  reply.headers({ etag, 'cache-control': 'private, no-cache', vary: 'authorization', 'accept-ranges': 'bytes' })
  if (matchesNone(headers['if-none-match'], etag)) return reply.code(304).send()

  // Of a HEAD, Range says nothing.
  const isAsked = request.method === 'GET' && ifRangeHolds(one(headers['if-range']), etag)
  const range = isAsked ? rangeOf(headers.range, sizeBytes) : undefined
  if (range === null) {
    reply.header('content-range', `bytes */${sizeBytes}`)
    throw new Refused('range-not-satisfiable', `The content has ${sizeBytes} bytes.`, 416)
  }
  if (range) reply.code(206).header('content-range', `bytes ${range.start}-${range.end - 1}/${sizeBytes}`)
  reply.headers({
    ...presentation(answer),
    'content-length': String(range ? range.end - range.start : sizeBytes),
    'x-content-type-options': 'nosniff',
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
  })
  // An empty stream, for of anything else its length would be taken.
  return reply.send(request.method === 'HEAD' ? Readable.from([]) : read(range))
}

function presentation(answer: BlobAnswer): Record<string, string> {
  const type = mediaType.test(answer.type) ? answer.type : OCTETS
  if (answer.as === 'inline') return { 'content-type': type, 'content-disposition': 'inline', 'content-security-policy': answer.policy }
  return {
    'content-type': active.test(type) ? OCTETS : type,
    'content-disposition': attachmentDisposition(answer.name),
    'content-security-policy': NOTHING_ALLOWED,
  }
}

function refuse(error: unknown): never {
  if (error instanceof BlobErased) throw new Refused('content-erased', 'This content was erased for good.', 410)
  if (error instanceof BlobMissing) throw new Refused('content-missing', `${error.message} Restore the blobs from a backup.`, 500)
  if (error instanceof BlobDamaged) throw new Refused('content-damaged', `${error.message} Restore the blobs from a backup.`, 500)
  throw error
}

const one = (header: string | string[] | undefined): string | undefined => (Array.isArray(header) ? header[0] : header)
