import { parse } from 'csv-parse/sync'
import { MAX_CONTACT_CHARACTERS } from './contact-input.ts'

/** One record of a CSV file; `line` is where it begins, counted from 1. */
export type CsvRecord = { line: number; raw: string } & ({ cells: string[] } | { fault: string })

type Cut = { line: number; raw: string; fault?: string }

const QUOTE = 34
const LF = 10
const CR = 13

/**
 * Reads CSV (RFC 4180, and what programs make of it) as it comes. csv-parse gives the cells; the records are cut here, because its own
 * stream ends at the first one that is too long or whose quote is never closed, and everything after that would be lost.
 * Empty lines are left out.
 */
export async function* csvRecords(text: AsyncIterable<string>, delimiter: string): AsyncGenerator<CsvRecord> {
  const cutter = recordCutter(delimiter)
  for await (const chunk of text) yield* withCells(cutter.push(chunk), delimiter)
  yield* withCells(cutter.end(), delimiter)
}

/** The first records of a text that may be cut off anywhere. */
export const firstRecords = (text: string, delimiter: string, complete: boolean): CsvRecord[] => {
  const cutter = recordCutter(delimiter)
  const records = cutter.push(text)
  return withCells(complete ? [...records, ...cutter.end()] : records, delimiter)
}

/** Many at once, because csv-parse takes five times as long to be started for each. */
function withCells(cuts: Cut[], delimiter: string): CsvRecord[] {
  const sound = cuts.filter(({ fault }) => !fault).map(({ raw }) => raw)
  const options = { delimiter, record_delimiter: ['\r\n', '\n', '\r'], relax_quotes: true, relax_column_count: true }
  const parsed: string[][] = sound.length ? parse(sound.join('\n'), options) : []
  // Both read the same grammar; should they ever differ, cells must not slip into a neighbour's record.
  const cells = parsed.length === sound.length ? parsed : sound.map((raw) => parse(raw, options)[0] ?? [])
  let next = 0
  return cuts.map(({ line, raw, fault }) => (fault ? { line, raw, fault } : { line, raw, cells: cells[next++]! }))
}

/**
 * Cuts a text into records, by the same rules as csv-parse with `relax_quotes`: a quote opens at the start of a cell only, a doubled one stands
 * for itself, any other closes. A quote that is never closed, or that closes in the middle of a cell on another line, was
 * opened by mistake: its line alone is the fault, and reading goes on with the next line.
 */
function recordCutter(delimiter: string) {
  const separator = delimiter.charCodeAt(0)
  let buffer = ''
  let line = 1
  let start = 0 // of the record in the buffer
  let at = 0 // where scanning goes on
  let quoted = false
  let cellStart = true
  let strayQuote = false
  let skipping = false // the rest of a line that is too long

  const reset = (next: number) => {
    start = at = next
    quoted = strayQuote = false
    cellStart = true
  }
  const breakLength = (index: number) => (buffer.charCodeAt(index) === CR && buffer.charCodeAt(index + 1) === LF ? 2 : 1)

  /** Takes the record up to `end`, and the line break after it. */
  function cut(end: number, records: Cut[]) {
    const raw = buffer.slice(start, end)
    const next = end + breakLength(end)
    const breaks = raw.match(/\r\n|\n|\r/g)?.length ?? 0
    if (skipping) skipping = false
    else if (strayQuote && breaks) return cutFirstLine(records, 'A quote is opened in this line and not closed before the next one.')
    else if (raw) records.push({ line, raw })
    line += breaks + 1
    reset(next)
  }

  function cutFirstLine(records: Cut[], fault: string) {
    const end = start + buffer.slice(start).search(/[\r\n]/)
    records.push({ line: line++, raw: buffer.slice(start, end), fault })
    reset(end + breakLength(end))
  }

  function tooLong(records: Cut[]) {
    if (/[\r\n]/.test(buffer.slice(start, at))) return cutFirstLine(records, 'A quote is opened in this line and not closed within 1 MiB.')
    records.push({ line, raw: buffer.slice(start, at), fault: 'The line is longer than 1 MiB.' })
    skipping = true
    reset(at)
    return undefined
  }

  function scan(last: boolean): Cut[] {
    const records: Cut[] = []
    // One character is kept back: what follows a quote or a carriage return tells what it means.
    while (at < (last ? buffer.length : buffer.length - 1)) {
      const code = buffer.charCodeAt(at)
      if (quoted && !skipping) {
        if (code === QUOTE && buffer.charCodeAt(at + 1) === QUOTE) at++
        else if (code === QUOTE) {
          quoted = false
          const after = buffer.charCodeAt(at + 1)
          if (at + 1 < buffer.length && after !== separator && after !== LF && after !== CR) strayQuote = true
        }
        at++
      } else if (code === LF || code === CR) {
        cut(at, records)
        continue
      } else {
        if (code === QUOTE && cellStart) quoted = true
        cellStart = code === separator
        at++
      }
      if (at - start > MAX_CONTACT_CHARACTERS) {
        if (skipping) start = at
        else tooLong(records)
      }
    }
    return records
  }

  const forget = () => {
    buffer = buffer.slice(start)
    at -= start
    start = 0
  }

  return {
    push(chunk: string): Cut[] {
      buffer += chunk
      const records = scan(false)
      forget()
      return records
    },
    end(): Cut[] {
      const records = scan(true)
      while (start < buffer.length) {
        if (quoted && /[\r\n]/.test(buffer.slice(start))) cutFirstLine(records, 'A quote is opened in this line and never closed.')
        else if (quoted) {
          records.push({ line, raw: buffer.slice(start), fault: 'A quote is opened in this line and never closed.' })
          start = buffer.length
        } else cut(buffer.length, records)
        records.push(...scan(true))
      }
      return records
    },
  }
}
