import { addressParser, decodeWords, type Header } from 'postal-mime'
import type { Party, PolicyHeaders } from '../../../schema/email.ts'
import { normalizeEmail } from '../../platform/email-address.ts'
import { storableText } from '../../platform/values.ts'
import { jsonBytes } from './fit.ts'

/** The headers of a mail by name (in lower case), each with its values in the order in which they stand. */
export type HeaderValues = ReadonlyMap<string, readonly string[]>

export function headerValues(headers: readonly Header[]): HeaderValues {
  const values = new Map<string, string[]>()
  for (const { key, value } of headers) {
    const known = values.get(key)
    if (known) known.push(value)
    else values.set(key, [value])
  }
  return values
}

/** One line: encoded words decoded (RFC 2047), space runs and controls a space. */
export const oneLine = (text: string): string =>
  storableText(text)
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()

export const decodedHeader = (headers: HeaderValues, name: string): string => oneLine(decoded(headers.get(name)?.[0] ?? ''))

/** Encoded words decoded. Windows-1252 is often sent under the names of ASCII and UTF-8, and says so by what cannot be decoded. */
export function decoded(value: string): string {
  const text = decodeWords(value)
  if (!text.includes('\uFFFD')) return text
  const other = decodeWords(value.replace(/=\?(?:utf-?8|us-ascii)(?=[*?])/gi, '=?windows-1252'))
  return other.includes('\uFFFD') ? text : other
}

const normalForms = new Map<string, string | null>()

/** Remembered, because the same few people write most mails and the grammar is dear. */
function normalForm(written: string): string | null {
  const known = normalForms.get(written)
  if (known !== undefined) return known
  const direct = written.length <= 320 ? normalizeEmail(written) : null
  const mended = direct ?? (written.length <= 320 ? normalizeEmail(bare(written)) : null)
  if (normalForms.size >= 10_000) normalForms.clear()
  normalForms.set(written, mended)
  return mended
}

/** Without what may stand in an address (RFC 5322 §4.4: comments, a route, spaces), and what mailers put there. */
const bare = (written: string): string => written.replace(/\([^()]*\)/g, '').replace(/^<*(?:mailto:|@[^:]*:)?|\s+|[.,;>]+$/gi, '')

/** The people that the headers of a name list, one by one, since each is dear; groups are given as their members (RFC 5322 §3.4). */
export function* partiesOf(headers: HeaderValues, name: string): Generator<Party> {
  for (const value of headers.get(name) ?? []) {
    for (const { address = '', name } of addressParser(value, { flatten: true })) {
      const written = oneLine(address.includes('=?') ? decoded(address) : address)
      const normal = normalForm(written)
      const shown = oneLine(name).replace(/^(['"])(.*)\1$/, '$2')
      if (!written && !shown) continue
      yield {
        ...(normal && { address: normal }),
        ...(shown && shown.toLowerCase() !== written.toLowerCase() && { name: shown }),
        ...((written || shown) !== normal && { raw: written || shown }),
      }
    }
  }
}

/** Message ids (RFC 5322 §3.6.4) with their brackets, each once; words that look like one where nothing is in brackets. */
export function messageIds(headers: HeaderValues, name: string): string[] {
  const text = (headers.get(name) ?? []).join(' ')
  const bracketed = text.match(/<[^<>]+>/g)?.map((id) => id.replace(/\([^()]*\)|\s+/g, ''))
  const found = bracketed ?? text.split(/[\s,;]+/).flatMap((word) => (/^[^<>@\s]+@[^<>@\s]+$/.test(word) ? [`<${word}>`] : []))
  return [...new Set(found.map(storableText))]
}

/** The ids that fit: the first, which names the thread, and as many of the last as can be. */
export function fittingIds(ids: readonly string[], budgetBytes: number): { ids: string[]; cut: boolean } {
  const short = ids.filter((id) => id.length <= 998)
  const kept: string[] = []
  let left = budgetBytes - (short[0] ? jsonBytes(short[0]) + 1 : 0)
  for (const id of short.slice(1).reverse()) {
    left -= jsonBytes(id) + 1
    if (left < 0) break
    kept.unshift(id)
  }
  const fitting = short[0] ? [short[0], ...kept] : []
  return { ids: fitting, cut: fitting.length < ids.length }
}

export function policyHeaders(headers: HeaderValues): PolicyHeaders {
  const value = (name: string) => decodedHeader(headers, name).slice(0, 1000).toWellFormed()
  const named = {
    listUnsubscribe: value('list-unsubscribe'),
    listId: value('list-id'),
    precedence: value('precedence'),
    autoSubmitted: value('auto-submitted'),
    returnPath: value('return-path'),
  }
  return Object.fromEntries(Object.entries(named).filter(([, text]) => text))
}
