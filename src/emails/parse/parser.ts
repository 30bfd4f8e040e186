import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { type RawIdentity, rawIdentity } from '../identity.ts'
import { defaultLimits, type Limits, type RefusalReason, tooLarge } from './limits.ts'
import type { ParsedEmail } from './parse-email.ts'
import { createPool } from './pool.ts'

export type ParseResult =
  | ({ readonly ok: true; readonly emailId: string } & ParsedEmail)
  | ({ readonly ok: false; readonly reason: RefusalReason } & RawIdentity)

export type ParseOptions = {
  /** Milliseconds since 1970, for telling absurd dates. */
  readonly now?: number
  /** When the provider or the mailbox file says that the mail came (RFC 3339); used only where the mail itself does not say when. */
  readonly fallbackDate?: string
}

export type Parser = {
  /**
   * Reads a mail in a worker thread. What cannot be read is a result too, with the reason for a person; it gets the same id again from the same bytes.
   * @param source its bytes, which stay the caller's; or a path, or a stream
   * @throws only what reading the path or stream throws, or after `close`
   */
  parse(source: Uint8Array | string | Readable, options?: ParseOptions): Promise<ParseResult>
  /** Ends the threads. Mails that are being read are given up. */
  close(): Promise<void>
}

const PIECE_BYTES = 256 * 1024

/**
 * Parses mails in a few threads with limits of size, structure, time and memory, so that a hostile one harms neither others nor the event loop.
 * @param secret makes the ids, see identity.ts
 */
export function createParser({
  secret,
  threads = 2,
  limits: given = {},
}: {
  secret: Uint8Array
  threads?: number
  limits?: Partial<Limits>
}): Parser {
  const limits = { ...defaultLimits, ...given }
  const pool = createPool({ threads, limits, secret })

  const refused = async (reason: RefusalReason, bytes: AsyncIterable<Uint8Array>): Promise<ParseResult> => {
    const identity = rawIdentity(secret)
    for await (const piece of bytes) identity.add(piece)
    return { ok: false, reason, ...identity.result() }
  }
  const refusal = ({ code, message }: RefusalReason): RefusalReason => ({ code, message })

  return {
    async parse(source, { now = Date.now(), fallbackDate } = {}) {
      const read = source instanceof Uint8Array ? source : await readAtMost(source, limits.sizeBytes)
      if (!(read instanceof Uint8Array)) return refused(refusal(tooLarge(limits.sizeBytes)), read)
      if (read.length > limits.sizeBytes) return refused(refusal(tooLarge(limits.sizeBytes, read.length)), pieces(read))
      const answer = await pool.run(read, { now, fallbackDate })
      if (!answer.ok) return refused(answer.reason, pieces(read))
      return { ...answer, emailId: answer.email.emailId }
    },
    close: () => pool.close(),
  }
}

/** In pieces between which others get their turn: hashing tens of megabytes at once would hold them up. */
async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    yield bytes.subarray(at, at + PIECE_BYTES)
    await setImmediate()
  }
}

/** The bytes of a path or stream; where there are too many, all of them as they come. */
async function readAtMost(source: string | Readable, limitBytes: number): Promise<Uint8Array | AsyncIterable<Uint8Array>> {
  const stream: Readable = typeof source === 'string' ? createReadStream(source) : source
  const chunks: AsyncIterator<Uint8Array> = stream[Symbol.asyncIterator]()
  const read: Uint8Array[] = []
  let sizeBytes = 0
  for (let next = await chunks.next(); !next.done; next = await chunks.next()) {
    read.push(next.value)
    sizeBytes += next.value.length
    if (sizeBytes > limitBytes) return all(read, chunks)
  }
  return Buffer.concat(read)
}

async function* all(first: Uint8Array[], rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* first
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value
}
