import { compile } from 'html-to-text'
import type { Defect } from './defects.ts'
import { sanitize } from './sanitize.ts'
import { withinTime } from './time-limit.ts'

/** What is longer is cut before it is read. In characters. */
const MAX_CHARACTERS = 1024 * 1024
const MILLISECONDS = 400
/** Too short to take long, however it is made. */
const HARMLESS_CHARACTERS = 32 * 1024

const convert = compile({
  wordwrap: false,
  // Links of newsletters are longer than their texts; the HTML has them.
  selectors: [
    { selector: 'a', options: { ignoreHref: true } },
    { selector: 'img', format: 'skip' },
    ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6'].map((selector) => ({ selector, options: { uppercase: false } })),
  ],
  limits: { maxInputLength: MAX_CHARACTERS, maxDepth: 200, maxChildNodes: 20_000, ellipsis: '…' },
})

const limited = <T>(html: string, run: () => T): T | null => (html.length <= HARMLESS_CHARACTERS ? run() : withinTime(MILLISECONDS, run))

/** HTML as text to read and search: no addresses of links, no pictures; quotes are marked with `>`. */
export function htmlToPlain(html: string): string {
  const read = html.slice(0, MAX_CHARACTERS)
  return limited(read, () => convert(read).trim()) ?? read.replace(/<[^<>]{0,5000}>/g, ' ').trim()
}

/** The HTML that may be shown (see sanitize.ts), or null when it is made so that this cannot be told in time. */
export function safeHtml(html: string, defects: Set<Defect>): string | null {
  const read = html.slice(0, MAX_CHARACTERS)
  if (read.length < html.length) defects.add('html-cut')
  const safe = limited(read, () => sanitize(read))
  if (safe === null) defects.add('html-unreadable')
  return safe
}

/** Text as HTML that shows the same. */
export function plainToHtml(text: string): string {
  const escaped = text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
  return `<div>${escaped.replaceAll('\n', '<br>\n')}</div>`
}
