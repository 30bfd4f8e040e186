import { MAX_CONTACT_CHARACTERS } from './contact-input.ts'

/** One line as it stands in the file, counted from 1. `cut`: it went on beyond the longest text that is read. */
export type Line = { number: number; text: string; cut: boolean }

/** Splits a text into lines (CR LF, LF or CR) as it comes. A line of any length, such as a picture, takes bounded memory. */
export async function* lines(text: AsyncIterable<string>): AsyncGenerator<Line> {
  let number = 1
  let rest = ''
  let cut = false
  for await (const chunk of text) {
    // A carriage return at the end waits for what follows it.
    const parts = (rest + chunk).split(/\r\n|\n|\r(?!$)/)
    rest = parts.pop() ?? ''
    for (const part of parts) {
      yield { number: number++, text: part, cut }
      cut = false
    }
    if (rest.length > MAX_CONTACT_CHARACTERS) {
      // The end of the kept text stays, for a carriage return.
      rest = rest.slice(0, MAX_CONTACT_CHARACTERS - 1) + rest.slice(-1)
      cut = true
    }
  }
  if (rest) yield { number, text: rest.replace(/\r$/, ''), cut }
}

/** A content line of a card, unfolded (RFC 6350 §3.3). Parameter and property names are in upper case. */
export type Property = { group?: string; name: string; params: Map<string, string[]>; value: string }

/**
 * Reads a content line of any version; undefined when it is none. vCard 2.1 has parameters without a name ("TEL;WORK;VOICE:…"), which are
 * types, or the encoding; ical.js 2.2.1 refuses those, so it is not used.
 */
export function parseProperty(line: string): Property | undefined {
  const colon = valueStart(line)
  if (colon < 0) return undefined
  const [path = '', ...pieces] = split(line.slice(0, colon), ';')
  const dot = path.lastIndexOf('.')
  const name = path
    .slice(dot + 1)
    .trim()
    .toUpperCase()
  if (!/^[A-Z0-9_-]+$/.test(name)) return undefined
  const params = new Map<string, string[]>()
  for (const piece of pieces) {
    const equals = piece.indexOf('=')
    const bare = piece.trim().toUpperCase()
    const key = equals < 0 ? (ENCODINGS.has(bare) ? 'ENCODING' : 'TYPE') : piece.slice(0, equals).trim().toUpperCase()
    const values = split(piece.slice(equals + 1), ',').flatMap((value) => (key === 'TYPE' ? unquoted(value).split(',') : [unquoted(value)]))
    params.set(key, [...(params.get(key) ?? []), ...values.map((value) => value.trim()).filter(Boolean)])
  }
  return { ...(dot > 0 ? { group: path.slice(0, dot).trim().toUpperCase() } : {}), name, params, value: line.slice(colon + 1) }
}

const ENCODINGS = new Set(['QUOTED-PRINTABLE', 'BASE64', '8BIT', '7BIT', 'B', 'Q'])

const unquoted = (text: string): string => text.trim().replace(/^"(.*)"$/, '$1')

/** The first colon outside of quotes; a quote that is never closed is an ordinary character. */
function valueStart(line: string): number {
  let quoted = false
  for (let at = 0; at < line.length; at++) {
    if (line[at] === '"') quoted = !quoted
    else if (line[at] === ':' && !quoted) return at
  }
  return quoted ? line.indexOf(':') : -1
}

function split(text: string, separator: string): string[] {
  const parts = ['']
  let quoted = false
  for (const character of text) {
    if (character === '"') quoted = !quoted
    if (character === separator && !quoted) parts.push('')
    else parts[parts.length - 1] += character
  }
  return parts
}
