import { createHash, createHmac, createSecretKey } from 'node:crypto'
import type { BlobReference } from '../../schema/email.ts'
import { toUuid } from '../platform/uuid.ts'

/** What makes a mail the mail that it is, on whatever way it came and however that way encoded it (design.md §9). */
export type EmailFacts = {
  /** '' without one. */
  readonly messageId: string
  /** Addresses in their normal form, as written where they have none. */
  readonly from: readonly string[]
  /** An instant in milliseconds, what is written where it is none, '' without one. */
  readonly date: number | string
  /** Decoded, on one line. */
  readonly subject: string
  /** One digest (`contentDigest`) for each part that holds something, in their order. */
  readonly parts: readonly string[]
}

const CR = 13
const LF = 10
const SPACE = 32
const TAB = 9
const GREATER = 62
const FROM = Buffer.from('From ')

// For ever: an imported mail must get the same id again. What is hashed may never change under the same name.
const FACTS = 'smartcrm/email/1'
const RAW = 'smartcrm/raw-email/1'

/**
 * A mail's id: an HMAC over its facts, as a UUID of version 8. The secret keeps others from telling by the id that a mail they know is here.
 * @param secret kept for ever, since with another one every mail would be new
 */
export function emailIdOf(facts: EmailFacts, secret: Uint8Array): string {
  const { messageId, from, date, subject, parts } = facts
  const text = JSON.stringify([FACTS, messageId, from, date, subject, parts])
  return toUuid(createHmac('sha256', createSecretKey(secret)).update(text).digest().subarray(0, 16), 8)
}

/**
 * SHA-256 of a part's decoded bytes without what transports change: line ends, empty lines at the end; in text also spaces at the end of lines and the
 * `>` that mailbox files put before "From ".
 */
export function contentDigest(content: Uint8Array, isText: boolean): string {
  return createHash('sha256').update(canonical(content, isText)).digest('hex')
}

function canonical(content: Uint8Array, isText: boolean): Uint8Array {
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.length)
  if (!isText && !bytes.includes('\r\n') && bytes.at(-1) !== LF) return bytes
  const out = Buffer.allocUnsafe(bytes.length)
  let length = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!
    const lineStart = at === 0 || bytes[at - 1] === LF
    if (isText && lineStart && byte === GREATER) at = afterQuoteMarks(bytes, at)
    if (bytes[at] === CR && bytes[at + 1] === LF) continue
    if (isText && bytes[at] === LF) while (length > 0 && (out[length - 1] === SPACE || out[length - 1] === TAB)) length--
    out[length++] = bytes[at]!
  }
  while (length > 0 && (out[length - 1] === LF || (isText && out[length - 1]! <= SPACE))) length--
  return out.subarray(0, length)
}

/** Where "From " begins if only quote marks are before it, else where it was. */
function afterQuoteMarks(bytes: Buffer, start: number): number {
  let at = start
  while (bytes[at] === GREATER) at++
  return bytes.subarray(at, at + FROM.length).equals(FROM) ? at : start
}

export type RawIdentity = { readonly emailId: string; readonly raw: BlobReference }

/** Takes the bytes of a mail that cannot be parsed, piece by piece: its id is an HMAC over them with line ends as LF. */
export function rawIdentity(secret: Uint8Array): { add(piece: Uint8Array): void; result(): RawIdentity } {
  const hash = createHash('sha256')
  const hmac = createHmac('sha256', createSecretKey(secret)).update(`${RAW}\n`)
  let sizeBytes = 0
  let pendingCr = false
  return {
    add(piece) {
      if (piece.length === 0) return
      sizeBytes += piece.length
      hash.update(piece)
      // One update a piece: one a line would take seconds for a mail of millions of lines.
      const out = Buffer.allocUnsafe(piece.length + 1)
      let length = 0
      if (pendingCr && piece[0] !== LF) out[length++] = CR
      pendingCr = piece.at(-1) === CR
      for (let at = 0; at < piece.length; at++) {
        const byte = piece[at]!
        if (byte !== CR || (at + 1 < piece.length && piece[at + 1] !== LF)) out[length++] = byte
      }
      hmac.update(out.subarray(0, length))
    },
    result() {
      if (pendingCr) hmac.update('\r')
      return { emailId: toUuid(hmac.digest().subarray(0, 16), 8), raw: { sha256: hash.digest('hex'), sizeBytes } }
    },
  }
}
