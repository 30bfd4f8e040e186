import { decodeText } from './charset.ts'
import type { Defect } from './defects.ts'
import { htmlToPlain, plainToHtml } from './html-text.ts'
import type { MimePart } from './mime-tree.ts'
import { readTnef } from './tnef.ts'
import { takeUuencoded } from './uuencode.ts'

/** A part of a mail that is not its text, before it has an id and a safe name. */
export type FoundAttachment = {
  readonly name: string | undefined
  readonly type: string
  readonly disposition: 'attachment' | 'inline'
  readonly contentId?: string
  readonly content: Buffer
}

export type Body = { readonly text: string; readonly html: string | null; readonly attachments: readonly FoundAttachment[] }

/** A stretch of the body: as text, as HTML, or as both where they are alternatives. */
type Stretch = { text?: string; html?: string }

/**
 * Sorts the parts of a mail into its text, its HTML and its attachments; every part with content ends up in one of them.
 * Of alternatives (RFC 2046 §5.1.4) the first text and the last HTML are taken. Nested messages stay whole, as attachments.
 */
export function readBody(root: MimePart, defects: Set<Defect>): Body {
  const attachments: FoundAttachment[] = []
  const stretches = stretchesOf(root, { attachments, defects, textSeen: false })
  const hasHtml = stretches.some(({ html }) => html !== undefined)
  const text = stretches.map(({ text, html }) => text ?? htmlToPlain(html!))
  const html = hasHtml ? stretches.map(({ text, html }) => html ?? plainToHtml(text!)) : null
  return { text: joinTexts(text), html: html?.join('\n') ?? null, attachments }
}

type Reading = { attachments: FoundAttachment[]; defects: Set<Defect>; textSeen: boolean }

function stretchesOf(part: MimePart, reading: Reading): Stretch[] {
  if (part.children.length === 0) return leaf(part, reading)
  const children = part.children.map((child) => stretchesOf(child, reading))
  if (part.type !== 'multipart/alternative') return children.flat()
  const texts = children.find((stretches) => stretches.some(({ text }) => text !== undefined))
  const htmls = children.findLast((stretches) => stretches.some(({ html }) => html !== undefined))
  const text = texts && joinTexts(texts.flatMap(({ text }) => text ?? []))
  const html = htmls?.map(({ text, html }) => html ?? plainToHtml(text!)).join('\n')
  return text === undefined && html === undefined ? [] : [{ ...(text !== undefined && { text }), ...(html !== undefined && { html }) }]
}

function leaf(part: MimePart, reading: Reading): Stretch[] {
  const { defects } = reading
  const multipart = part.type.startsWith('multipart/')
  if (multipart && isBlank(part.content)) return []
  if (multipart) defects.add('multipart-broken')
  const type = multipart ? 'text/plain' : part.type
  if (part.encoding === 'binary' && !type.startsWith('text/')) defects.add('binary-part')
  const isText = type === 'text/plain' || type === 'text/html'
  if (!isText || part.disposition === 'attachment' || (part.filename !== undefined && reading.textSeen)) {
    if (part.content.length > 0 || part.filename !== undefined) reading.attachments.push(attachment(part, type))
    return type === 'application/ms-tnef' || /^winmail\.dat$/i.test(part.filename ?? '') ? tnef(part.content, reading) : []
  }
  const decoded = textOf(part, defects)
  if (!/\S/.test(decoded)) return []
  reading.textSeen = true
  if (type === 'text/html') return [{ html: decoded }]
  const { text, files } = takeUuencoded(decoded)
  if (files.length) defects.add('uuencoded')
  for (const { name, content } of files) {
    reading.attachments.push({ name, type: 'application/octet-stream', disposition: 'attachment', content })
  }
  return /\S/.test(text) ? [{ text }] : []
}

/** What Outlook hid in a winmail.dat, beside that itself. Its text counts only where the mail has no other. */
function tnef(content: Buffer, reading: Reading): Stretch[] {
  const unpacked = readTnef(content)
  if (!unpacked) reading.defects.add('tnef-not-unpacked')
  for (const { name, type, contentId, content } of unpacked?.files ?? []) {
    reading.attachments.push({ name: name || undefined, type, disposition: 'attachment', ...(contentId && { contentId }), content })
  }
  const { text = '', html = '' } = unpacked ?? {}
  if (reading.textSeen || !/\S/.test(text + html)) return []
  reading.textSeen = true
  return [{ ...(/\S/.test(text) && { text: text.replace(/\r\n?/g, '\n') }), ...(/\S/.test(html) && { html }) }]
}

function attachment(part: MimePart, type: string): FoundAttachment {
  const { filename, contentId } = part
  const uu = /uue/.test(part.encoding) ? takeUuencoded(part.content.toString('latin1')).files[0] : undefined
  return {
    name: filename ?? uu?.name,
    type,
    disposition: part.disposition === 'inline' || (contentId !== undefined && part.disposition !== 'attachment') ? 'inline' : 'attachment',
    ...(contentId !== undefined && { contentId }),
    content: uu?.content ?? part.content,
  }
}

function textOf({ content, params }: MimePart, defects: Set<Defect>): string {
  const text = decodeText(content, params['charset'], defects).replace(/\r\n?/g, '\n')
  return /^flowed$/i.test(params['format'] ?? '') ? unflow(text, /^yes$/i.test(params['delsp'] ?? '')) : text
}

/** Joins the lines that `format=flowed` broke (RFC 3676 §4). Quoted lines stay as they are, one quote mark a line. */
function unflow(text: string, deleteSpace: boolean): string {
  const lines: string[] = []
  let open = false
  for (const raw of text.split('\n')) {
    const quoted = raw.startsWith('>')
    const line = raw.startsWith(' ') ? raw.slice(1) : raw
    if (open && !quoted) lines.push(line)
    else lines.push(lines.length ? `\n${line}` : line)
    open = !quoted && line.endsWith(' ') && line !== '-- '
    if (open && deleteSpace) lines[lines.length - 1] = lines.at(-1)!.slice(0, -1)
  }
  return lines.join('')
}

const isBlank = (bytes: Buffer): boolean => bytes.every((byte) => byte <= 32)

const joinTexts = (texts: readonly string[]): string => texts.map((text) => text.replace(/\n$/, '')).join('\n\n')
