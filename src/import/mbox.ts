import { parseMailDate } from '../emails/parse/dates.ts'
import { defaultLimits } from '../emails/parse/limits.ts'

/**
 * A message of an mbox file. Its "From " line begins at byte `offset`; `end` is where the next one begins, or the file ends: to go on after this message,
 * read from there. `raw` is the mail without that line and without the quoting of the file; null when it is larger than the limit.
 */
export type MboxMessage = {
  readonly index: number
  readonly offset: number
  readonly end: number
  readonly raw: Buffer | null
  /** When the "From " line says that it came (RFC 3339). */
  readonly receivedAt?: string
}

export type MboxOptions = {
  /** The offset in the file of the first byte of the stream, where an earlier reading ended. */
  readonly from?: number
  /** The index of the first message. */
  readonly firstIndex?: number
  /** Of one message. */
  readonly limitBytes?: number
}

type Open = { readonly offset: number; readonly envelope: string; pieces: Buffer[]; sizeBytes: number }

const LF = 10
const CR = 13
const GREATER = 62
/** Longer lines are no envelopes. */
const LINE_BYTES = 1000
/** As much as is looked back at: a line end, an empty line, and the beginning of "From ". */
const CONTEXT_BYTES = 8

/**
 * Reads an mbox file (RFC 4155; mboxo and mboxrd) of any size, message by message. A line that begins with "From " begins a message only where it can:
 * after an empty line or with a date in it, and before a header. Bytes before the first one are a message, too, unless they are blank.
 */
export async function* readMbox(stream: AsyncIterable<Uint8Array>, options: MboxOptions = {}): AsyncGenerator<MboxMessage> {
  const { from = 0, firstIndex = 0, limitBytes = defaultLimits.sizeBytes } = options
  let index = firstIndex
  let data: Buffer = Buffer.alloc(0)
  let base = from // the offset of data[0]
  let taken = 0 // what is before it in `data` belongs to a message already
  let scanned = 0
  let open: Open = { offset: from, envelope: '', pieces: [], sizeBytes: 0 }

  const take = (until: number) => {
    if (until <= taken) return
    open.sizeBytes += until - taken
    if (open.sizeBytes > limitBytes + CONTEXT_BYTES) open.pieces = []
    // A copy: what is kept must not keep the whole chunk of which it is a part.
    else open.pieces.push(Buffer.from(data.subarray(taken, until)))
    taken = until
  }
  const close = (end: number): MboxMessage | null => {
    const raw = open.sizeBytes > limitBytes ? null : unquoted(withoutLastEmptyLine(Buffer.concat(open.pieces)))
    if (!open.envelope && raw?.every((byte) => byte <= 32)) return null
    const receivedAt = envelopeDate(open.envelope)
    return { index: index++, offset: open.offset, end, raw, ...(receivedAt && { receivedAt }) }
  }

  const chunks = stream[Symbol.asyncIterator]()
  try {
    for (let ended = false; !ended; ) {
      const next = await chunks.next()
      ended = next.done === true
      if (!next.done) data = data.length ? Buffer.concat([data, next.value]) : Buffer.from(next.value)
      let undecided = -1
      for (let at = data.indexOf('From ', scanned); at >= 0; at = data.indexOf('From ', scanned)) {
        const begins = (base + at === from || data[at - 1] === LF) && beginsMessage(data, at, base + at === from, ended)
        if (begins === 'undecided') {
          undecided = at
          break
        }
        scanned = at + 5
        if (!begins) continue
        take(at)
        const message = close(base + at)
        if (message) yield message
        const lineEnd = data.indexOf(LF, at)
        taken = scanned = lineEnd < 0 ? data.length : lineEnd + 1
        open = { offset: base + at, envelope: data.toString('latin1', at, taken).trimEnd(), pieces: [], sizeBytes: 0 }
      }
      const settled = ended ? data.length : undecided >= 0 ? undecided : Math.max(data.length - CONTEXT_BYTES, taken)
      take(settled)
      const dropped = Math.max(0, settled - CONTEXT_BYTES)
      data = data.subarray(dropped)
      base += dropped
      taken -= dropped
      scanned = Math.max(0, settled - dropped)
    }
    const last = close(base + data.length)
    if (last) yield last
  } finally {
    await chunks.return?.()
  }
}

const DATED = /\b(?:mon|tue|wed|thu|fri|sat|sun)\b.*\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\b.*\d{1,2}:\d{2}.*\b\d{4}\b/i
const HEADER = /^(?:[!-9;-~]+[ \t]*:|>From )/

/** `undecided`: more of the file has to be seen. */
function beginsMessage(data: Buffer, at: number, isFirst: boolean, ended: boolean): boolean | 'undecided' {
  const line = lineAt(data, at, ended)
  if (typeof line !== 'object') return line
  if (/^From [ \t]*:/.test(line.text)) return false // an old form of the header (RFC 5322 §4.5)
  if (isFirst) return true
  const dated = DATED.test(line.text)
  const afterEmptyLine = data[at - 2] === LF || (data[at - 2] === CR && data[at - 3] === LF)
  if (afterEmptyLine && dated) return true
  if (!afterEmptyLine && !dated) return false
  const next = lineAt(data, line.end, ended)
  return typeof next === 'object' ? HEADER.test(next.text) : next
}

/** False: too long to be one that matters. */
function lineAt(data: Buffer, start: number, ended: boolean): { text: string; end: number } | false | 'undecided' {
  const lf = data.indexOf(LF, start)
  if ((lf < 0 ? data.length : lf) - start > LINE_BYTES) return false
  if (lf < 0 && !ended) return 'undecided'
  const end = lf < 0 ? data.length : lf + 1
  return { text: data.toString('latin1', start, end), end }
}

/** The empty line at the end is the file's, not the message's. */
function withoutLastEmptyLine(raw: Buffer): Buffer {
  if (raw.at(-1) !== LF) return raw
  const end = raw.at(-2) === CR ? raw.length - 2 : raw.length - 1
  return end === 0 || raw[end - 1] === LF ? raw.subarray(0, end) : raw
}

/** Takes one `>` from lines of `>` and "From ", as mboxrd says. mboxo is read alike: it cannot be told from the file. */
function unquoted(raw: Buffer): Buffer {
  const pieces: Buffer[] = []
  let copied = 0
  for (let at = raw.indexOf('>From '); at >= 0; at = raw.indexOf('>From ', at + 6)) {
    let start = at
    while (start > 0 && raw[start - 1] === GREATER) start--
    if (start > 0 && raw[start - 1] !== LF) continue
    pieces.push(raw.subarray(copied, start))
    copied = start + 1
  }
  return pieces.length ? Buffer.concat([...pieces, raw.subarray(copied)]) : raw
}

/** Programs that do not know the date write that of the epoch, which is left out. */
function envelopeDate(envelope: string): string | undefined {
  const written = envelope.match(/\b(?:mon|tue|wed|thu|fri|sat|sun)\b.*/i)?.[0]
  const time = written ? parseMailDate(written) : null
  return time === null || time < Date.UTC(1980, 0, 1) ? undefined : new Date(time).toISOString()
}
