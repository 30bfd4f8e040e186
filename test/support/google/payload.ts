import type { gmail_v1 } from '@googleapis/gmail'

/*
 * A message's MIME structure as `messages.get` shows it with the formats full and metadata.
 */
type Part = gmail_v1.Schema$MessagePart & { headers: { name: string; value: string }[] }

/** Bodies of text are given in UTF-8; a part with a file name only by its id, to be asked for as an attachment. */
export function payloadOf(raw: Buffer, partId = ''): Part {
  const text = raw.toString('latin1')
  const { headers, body } = splitMessage(text)
  const type = headerOf(headers, 'content-type') ?? 'text/plain'
  const mimeType = /^[^\s;]+\/[^\s;]+/.exec(type)?.[0].toLowerCase() ?? 'text/plain'
  const filename = parameterOf(headerOf(headers, 'content-disposition') ?? '', 'filename') ?? parameterOf(type, 'name') ?? ''
  const part = { partId, mimeType, filename, headers: headers.map(({ name, value }) => ({ name, value: decodedWords(value) })) }
  const boundary = mimeType.startsWith('multipart/') ? parameterOf(type, 'boundary') : undefined
  if (boundary !== undefined) {
    const idOf = (index: number) => (partId === '' ? `${index}` : `${partId}.${index}`)
    const parts = partsOf(body, boundary).map((piece, index) => payloadOf(Buffer.from(piece, 'latin1'), idOf(index)))
    return { ...part, body: { size: 0 }, parts }
  }
  const bytes = decoded(body, headerOf(headers, 'content-transfer-encoding') ?? '')
  if (filename !== '') return { ...part, body: { attachmentId: attachmentIdOf(partId), size: bytes.length } }
  const content = mimeType.startsWith('text/') ? inUtf8(bytes, parameterOf(type, 'charset')) : bytes
  return { ...part, body: { size: content.length, ...(content.length > 0 && { data: content.toString('base64url') }) } }
}

/** The bytes of an attachment, or null if there is no such part. */
export function attachmentOf(raw: Buffer, attachmentId: string): Buffer | null {
  const partId = Buffer.from(attachmentId.slice(prefix.length), 'base64url').toString()
  if (attachmentIdOf(partId) !== attachmentId) return null
  let piece = raw.toString('latin1')
  for (const index of partId === '' ? [] : partId.split('.')) {
    const { headers, body } = splitMessage(piece)
    const boundary = parameterOf(headerOf(headers, 'content-type') ?? '', 'boundary')
    const found = boundary === undefined ? undefined : partsOf(body, boundary)[Number(index)]
    if (found === undefined) return null
    piece = found
  }
  const { headers, body } = splitMessage(piece)
  return decoded(body, headerOf(headers, 'content-transfer-encoding') ?? '')
}

/** The beginning of what a message says. */
export function snippetOf(payload: gmail_v1.Schema$MessagePart): string {
  const leaves = (part: gmail_v1.Schema$MessagePart): gmail_v1.Schema$MessagePart[] => (part.parts ? part.parts.flatMap(leaves) : [part])
  const texts = leaves(payload).filter(({ body }) => body?.data)
  const part = texts.find(({ mimeType }) => mimeType === 'text/plain') ?? texts.find(({ mimeType }) => mimeType === 'text/html')
  const text = Buffer.from(part?.body?.data ?? '', 'base64url').toString()
  const plain = part?.mimeType === 'text/html' ? text.replaceAll(/<[^>]*>/g, ' ') : text
  return plain.replaceAll(/\s+/g, ' ').trim().slice(0, 200)
}

/** @param name in small letters */
export function headerOf(headers: readonly { name?: string | null; value?: string | null }[], name: string): string | undefined {
  return headers.find((header) => header.name?.toLowerCase() === name)?.value ?? undefined
}

/** The headers at the top of a message, unfolded but not decoded. */
export const headersOf = (raw: Buffer) => splitMessage(raw.toString('latin1')).headers

const prefix = 'ANGjdJ'
const attachmentIdOf = (partId: string) => `${prefix}${Buffer.from(partId).toString('base64url')}`

function splitMessage(text: string) {
  const end = /\r?\n\r?\n/.exec(text)
  const head = end ? text.slice(0, end.index) : text
  const lines = head.replaceAll(/\r?\n[ \t]+/g, ' ').split(/\r?\n/)
  const headers = lines.flatMap((line) => {
    const [, name, value] = /^([^\s:]+)[ \t]*:[ \t]*(.*)$/.exec(line) ?? []
    return name === undefined ? [] : [{ name, value: Buffer.from(value!, 'latin1').toString() }]
  })
  return { headers, body: end ? text.slice(end.index + end[0].length) : '' }
}

function partsOf(body: string, boundary: string): string[] {
  const [, ...pieces] = `\n${body}`.split(`\n--${boundary}`)
  const last = pieces.findIndex((piece) => piece.startsWith('--'))
  return pieces.slice(0, last === -1 ? undefined : last).map((piece) => piece.replace(/^[ \t]*\r?\n/, '').replace(/\r$/, ''))
}

function decoded(body: string, encoding: string): Buffer {
  const kind = encoding.trim().toLowerCase()
  if (kind === 'base64') return Buffer.from(body, 'base64')
  if (kind !== 'quoted-printable') return Buffer.from(body, 'latin1')
  return Buffer.from(unquoted(body.replaceAll(/[ \t]*=?\r?\n/g, (end) => (end.includes('=') ? '' : '\n'))), 'latin1')
}

const unquoted = (text: string) => text.replaceAll(/=([0-9a-f]{2})/gi, (_, code) => String.fromCharCode(Number.parseInt(code, 16)))

function inUtf8(bytes: Buffer, charset = 'utf-8'): Buffer {
  try {
    return Buffer.from(new TextDecoder(charset).decode(bytes))
  } catch {
    return bytes
  }
}

function decodedWords(value: string): string {
  const joined = value.replaceAll(/(=\?[^?]+\?[bq]\?[^?]*\?=)\s+(?==\?[^?]+\?[bq]\?)/gi, '$1')
  return joined.replaceAll(/=\?([^?*]+)(?:\*[^?]*)?\?([bq])\?([^?]*)\?=/gi, (_, charset, kind, text) => {
    const bytes = /b/i.test(kind) ? Buffer.from(text, 'base64') : Buffer.from(unquoted(text.replaceAll('_', ' ')), 'latin1')
    return inUtf8(bytes, charset).toString()
  })
}

function parameterOf(header: string, name: string): string | undefined {
  const extended = new RegExp(`;\\s*${name}\\*=([^']*)'[^']*'([^;\\s]+)`, 'i').exec(header)
  if (extended) return inUtf8(Buffer.from(unquoted(extended[2]!.replaceAll('%', '=')), 'latin1'), extended[1] || 'utf-8').toString()
  const found = new RegExp(`;\\s*${name}=(?:"((?:[^"\\\\]|\\\\.)*)"|([^;\\s]+))`, 'i').exec(header)
  const value = found?.[1]?.replaceAll(/\\(.)/g, '$1') ?? found?.[2]
  return value === undefined ? undefined : decodedWords(value)
}
