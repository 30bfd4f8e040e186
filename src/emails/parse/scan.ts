import { isUtf8 } from 'node:buffer'
import { decodeText } from './charset.ts'
import { headerTooLarge, type Limits, tooLarge, tooManyLines, tooManyParts } from './limits.ts'

const LF = 10
const CR = 13
const DASH = 45
const C = 99
const ENCODING = 'content-transfer-encoding:'

/**
 * Counts what is dear before anything is parsed, in one pass over the bytes.
 * @throws MailRefused when the mail is over a limit
 */
export function checkCost(raw: Buffer, limits: Limits): void {
  if (raw.length > limits.sizeBytes) throw tooLarge(limits.sizeBytes, raw.length)
  if (headerEnd(raw.subarray(0, limits.headerBytes + 2)) > limits.headerBytes) throw headerTooLarge(limits.headerBytes)
  const boundaries = declaredBoundaries(raw)
  let parts = 0
  let lines = 0
  let inHeader = true
  let encoded = false
  for (let start = 0, at = 0; at < raw.length; at++) {
    if (raw[at] !== LF) continue
    const end = at > start && raw[at - 1] === CR ? at - 1 : at
    if (isDelimiter(raw, start, end, boundaries)) {
      if (++parts > limits.parts) throw tooManyParts(limits.parts)
      inHeader = true
      encoded = false
    } else if (!inHeader) {
      if (!encoded && ++lines > limits.lines) throw tooManyLines(limits.lines)
    } else if (start === end) inHeader = false
    else if ((raw[start]! | 32) === C && raw.toString('latin1', start, start + ENCODING.length).toLowerCase() === ENCODING) {
      encoded = /base64|quoted-printable/i.test(raw.toString('latin1', start, Math.min(end, start + 200)))
    }
    start = at + 1
  }
}

/** Where the first empty line is, or the end. */
export function headerEnd(raw: Buffer): number {
  const lf = raw.indexOf('\n\n')
  const crlf = raw.indexOf('\n\r\n')
  const ends = [lf, crlf].filter((end) => end >= 0)
  return ends.length ? Math.min(...ends) + 1 : raw.length
}

/** Every boundary that a header somewhere in the mail declares (RFC 2046 §5.1.1). More may match than are: that only counts too much. */
function declaredBoundaries(raw: Buffer): Set<string> {
  const found = new Set<string>()
  for (const word of ['oundary', 'OUNDARY']) {
    for (let at = raw.indexOf(word); at >= 0; at = raw.indexOf(word, at + word.length)) {
      const match = /^b?oundary(?:\*0?\*?)?[ \t]*=[ \t]*(?:"([^"\r\n]{1,250})|([^\s";]{1,250}))/i.exec(raw.toString('latin1', at, at + 300))
      if (match) found.add((match[1] ?? match[2]!).trimEnd())
    }
  }
  return found
}

function isDelimiter(raw: Buffer, start: number, end: number, boundaries: Set<string>): boolean {
  if (raw[start] !== DASH || raw[start + 1] !== DASH || end - start > 300) return false
  const name = raw.toString('latin1', start + 2, end).trimEnd()
  return boundaries.has(name) || (name.endsWith('--') && boundaries.has(name.slice(0, -2)))
}

function* linesOf(raw: Buffer): Generator<{ start: number; end: number; next: number }> {
  for (let start = 0; start < raw.length; ) {
    const lf = raw.indexOf(LF, start)
    const next = lf < 0 ? raw.length : lf + 1
    let end = lf < 0 ? raw.length : lf
    while (end > start && raw[end - 1] === CR) end--
    yield { start, end, next }
    start = next
  }
}

/**
 * The mail with its header lines in UTF-8 (RFC 6532), also those of its parts. No header says what it is in, so others are taken to be in the charset that
 * the mail names first for its text. Bodies stay as they are. Gives the same bytes back where nothing has to be changed.
 */
export function withReadableHeaders(raw: Buffer): Buffer {
  if (isUtf8(raw)) return raw
  const boundaries = declaredBoundaries(raw)
  const charset = raw.toString('latin1').match(/^(?:content-type:|[ \t]).*?charset[ \t]*=[ \t]*"?([\w.:-]{1,40})/im)?.[1]
  const pieces: Buffer[] = []
  let copied = 0
  let inHeader = true
  for (const { start, end, next } of linesOf(raw)) {
    if (isDelimiter(raw, start, end, boundaries)) inHeader = true
    else if (start === end) inHeader = false
    else if (inHeader && !isUtf8(raw.subarray(start, end))) {
      pieces.push(
        raw.subarray(copied, start),
        Buffer.from(decodeText(raw.subarray(start, end), usable(charset), new Set())),
        raw.subarray(end, next),
      )
      copied = next
    }
  }
  return pieces.length ? Buffer.concat([...pieces, raw.subarray(copied)]) : raw
}

/** A charset that says something about bytes beyond ASCII. */
const usable = (charset: string | undefined): string | undefined => (/^us-ascii$|^utf/i.test(charset ?? '') ? undefined : charset)

/** Without what mailbox files and careless tools put before the first header: a byte order mark, empty lines, a "From " line. */
export function withoutEnvelope(raw: Buffer): Buffer {
  let at = raw[0] === 0xef && raw[1] === 0xbb && raw[2] === 0xbf ? 3 : 0
  while (raw[at] === LF || raw[at] === CR) at++
  if (/^>?From [^:]*\n|^>?From \S+ .*\n/.test(raw.toString('latin1', at, at + 1000))) at = raw.indexOf(LF, at) + 1
  return raw.subarray(at)
}
