import { TextDecoder } from 'node:util'
import { MAX_CONTACT_CHARACTERS, UnreadableFile } from './contact-input.ts'

const HEAD_BYTES = 4096
const LF = 10
const CR = 13

/**
 * Bytes to text. Without `encoding` it is told from the bytes: a byte order mark, else the zero bytes of UTF-16, else UTF-8
 * line by line, where a line that is not valid UTF-8 is taken as Windows-1252 (a file may be a mixture, and need not be read twice).
 * @param encoding a label of the WHATWG Encoding Standard, such as "shift_jis"
 */
export async function* decode(bytes: AsyncIterable<Uint8Array>, encoding?: string): AsyncGenerator<string> {
  const source = bytes[Symbol.asyncIterator]()
  const pieces: Uint8Array[] = []
  let headBytes = 0
  while (headBytes < HEAD_BYTES) {
    const next = await source.next()
    if (next.done) break
    pieces.push(next.value)
    headBytes += next.value.length
  }
  const chosen = encoding ?? sniffEncoding(Buffer.concat(pieces))
  async function* all() {
    try {
      yield* pieces
      for (let next = await source.next(); !next.done; next = await source.next()) yield next.value
    } finally {
      await source.return?.()
    }
  }
  yield* chosen === 'utf-8' && !encoding ? decodeLines(all()) : decodeAs(chosen, all())
}

async function* decodeAs(encoding: string, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = decoderFor(encoding)
  for await (const chunk of bytes) yield decoder.decode(chunk, { stream: true })
  yield decoder.decode()
}

function decoderFor(encoding: string): TextDecoder {
  try {
    return new TextDecoder(encoding)
  } catch {
    throw new UnreadableFile(`"${encoding}" is no known encoding. Examples: utf-8, utf-16le, windows-1252, iso-8859-2, shift_jis.`)
  }
}

function sniffEncoding(head: Buffer): string {
  const starts = (...bytes: number[]) => bytes.every((byte, index) => head[index] === byte)
  if (starts(0x50, 0x4b, 3, 4) || starts(0xd0, 0xcf, 0x11, 0xe0))
    throw new UnreadableFile('It is a workbook or an archive, not text. Save it as CSV (UTF-8) and import that.')
  if (starts(0x25, 0x50, 0x44, 0x46)) throw new UnreadableFile('It is a PDF. Only CSV and vCard files can be imported.')
  if (starts(0xff, 0xfe, 0, 0) || starts(0, 0, 0xfe, 0xff)) throw new UnreadableFile('It is in UTF-32. Save it as UTF-8 and import that.')
  if (starts(0xff, 0xfe)) return 'utf-16le'
  if (starts(0xfe, 0xff)) return 'utf-16be'
  const zeros = [0, 0]
  for (const [index, byte] of head.entries()) if (byte === 0) zeros[index % 2]!++
  const [even = 0, odd = 0] = zeros
  if (even + odd === 0) return 'utf-8'
  // The upper byte of what delimits cells and lines is zero in UTF-16, whatever the language.
  if (odd > even * 4) return 'utf-16le'
  if (even > odd * 4) return 'utf-16be'
  throw new UnreadableFile('It holds zero bytes, so it is no text. Only CSV and vCard files can be imported.')
}

async function* decodeLines(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0)
  let first = true
  const text = (buffer: Buffer) => {
    const marked = first && buffer[0] === 0xef && buffer[1] === 0xbb && buffer[2] === 0xbf
    first = false
    return mixed(marked ? buffer.subarray(3) : buffer)
  }
  for await (const chunk of bytes) {
    const buffer: Buffer = rest.length ? Buffer.concat([rest, chunk]) : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
    const cut = Math.max(buffer.lastIndexOf(LF), buffer.lastIndexOf(CR)) + 1 || (buffer.length > MAX_CONTACT_CHARACTERS ? whole(buffer) : 0)
    if (cut) yield text(buffer.subarray(0, cut))
    rest = buffer.subarray(cut)
  }
  if (rest.length) yield text(rest)
}

/** How many bytes end with a whole UTF-8 character, for a line too long to wait for its end. */
function whole(buffer: Buffer): number {
  for (let back = 1; back <= 4; back++) if ((buffer[buffer.length - back]! & 0xc0) !== 0x80) return buffer.length - back
  return buffer.length
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const windows1252 = new TextDecoder('windows-1252')

function mixed(buffer: Buffer): string {
  const text = tryUtf8(buffer)
  if (text !== undefined) return text
  let lines = ''
  const lineEnd = buffer.includes(LF) ? LF : CR
  for (let start = 0; start < buffer.length; ) {
    const end = buffer.indexOf(lineEnd, start) + 1 || buffer.length
    lines += utf8OrWindows1252(buffer.subarray(start, end))
    start = end
  }
  return lines
}

function tryUtf8(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}

/** UTF-8 where the bytes are that, else Windows-1252, in which every byte means something. */
export const utf8OrWindows1252 = (bytes: Uint8Array): string => tryUtf8(bytes) ?? windows1252.decode(bytes)

/** Bytes in an encoding that the file itself names; an unknown name is taken as none. */
export function decodeNamed(bytes: Uint8Array, encoding: string | undefined): string {
  if (!encoding || /^utf-?8$/i.test(encoding)) return utf8OrWindows1252(bytes)
  try {
    return new TextDecoder(encoding).decode(bytes)
  } catch {
    return utf8OrWindows1252(bytes)
  }
}
