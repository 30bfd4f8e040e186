import { decodeText } from './charset.ts'

/** What Outlook put into a winmail.dat. `files` are its attachments; text and HTML are there where it holds them as such. */
export type Tnef = { readonly text?: string; readonly html?: string; readonly files: readonly TnefFile[] }
export type TnefFile = { name: string; type: string; contentId?: string; content: Buffer }

const SIGNATURE = 0x223e9f78
const ATTRIBUTE = {
  codePage: 0x69007,
  body: 0x2800c,
  messageProperties: 0x69003,
  attachmentBegins: 0x69002,
  attachmentTitle: 0x18010,
  attachmentData: 0x6800f,
  attachmentProperties: 0x69005,
}
const PROPERTY = { body: 0x1000, html: 0x1013, data: 0x3701, longName: 0x3707, type: 0x370e, contentId: 0x3712, codePage: 0x3fde }
const OBJECT = 0x0d
const STRING8 = 0x1e
const UNICODE = 0x1f
/** Bytes of a property's value by its type (MS-OXCDATA §2.11.1), as TNEF pads them. */
const FIXED: Record<number, number> = { 2: 4, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 10: 4, 11: 4, 20: 8, 64: 8, 72: 16 }

/**
 * Reads a TNEF stream (MS-OXTNEF). Text in RTF is not read.
 * @returns null when it is none, or is damaged
 */
export function readTnef(bytes: Buffer): Tnef | null {
  try {
    return read(bytes)
  } catch (error) {
    // Lengths that lead out of the bytes.
    if (error instanceof RangeError) return null
    throw error
  }
}

function read(bytes: Buffer): Tnef | null {
  if (bytes.length < 6 || bytes.readUInt32LE(0) !== SIGNATURE) return null
  const found: { text?: string; html?: string; files: TnefFile[] } = { files: [] }
  let charset = 'windows-1252'
  let file: TnefFile | undefined
  const text = (value: Buffer) => decodeText(value, charset, new Set()).replace(/\0[\s\S]*$/, '')
  for (let at = 6; at + 11 <= bytes.length; ) {
    const id = bytes.readUInt32LE(at + 1)
    const end = at + 9 + bytes.readUInt32LE(at + 5)
    const value = slice(bytes, at + 9, end)
    at = end + 2 // a checksum follows
    if (id === ATTRIBUTE.codePage) charset = `cp${value.readUInt32LE(0)}`
    else if (id === ATTRIBUTE.body) found.text = text(value)
    else if (id === ATTRIBUTE.attachmentBegins) {
      file = { name: '', type: 'application/octet-stream', content: Buffer.alloc(0) }
      found.files.push(file)
    } else if (id === ATTRIBUTE.attachmentTitle && file) file.name ||= text(value)
    else if (id === ATTRIBUTE.attachmentData && file) file.content = value
    else if (id === ATTRIBUTE.messageProperties) {
      const properties = readProperties(value)
      const body = properties.get(PROPERTY.body)
      const html = properties.get(PROPERTY.html)
      const codePage = properties.get(PROPERTY.codePage)?.value.readUInt32LE(0)
      if (body) found.text = stringOf(body, text)
      if (html) found.html = codePage === 65001 ? html.value.toString() : stringOf(html, text)
    } else if (id === ATTRIBUTE.attachmentProperties && file) {
      const properties = readProperties(value)
      const [name, type, contentId, data] = [PROPERTY.longName, PROPERTY.type, PROPERTY.contentId, PROPERTY.data].map((id) =>
        properties.get(id),
      )
      if (name) file.name = stringOf(name, text)
      if (type) file.type = stringOf(type, text).toLowerCase()
      if (contentId) file.contentId = stringOf(contentId, text)
      if (data && file.content.length === 0) file.content = data.type === OBJECT ? data.value.subarray(16) : data.value
    }
  }
  return found
}

type Property = { type: number; value: Buffer }

const stringOf = ({ type, value }: Property, text: (value: Buffer) => string): string =>
  type === UNICODE ? value.toString('utf16le').replace(/\0[\s\S]*$/, '') : text(value)

/** The first value of each property (MS-OXTNEF §2.1.3.4). */
function readProperties(bytes: Buffer): Map<number, Property> {
  const properties = new Map<number, Property>()
  let at = 4
  const padded = (length: number) => {
    const value = slice(bytes, at, at + length)
    at += Math.ceil(length / 4) * 4
    return value
  }
  for (let left = bytes.readUInt32LE(0); left > 0; left--) {
    const [rawType, id] = [bytes.readUInt16LE(at), bytes.readUInt16LE(at + 2)]
    const type = rawType & 0x0fff
    at += 4
    if (id >= 0x8000) {
      const isText = bytes.readUInt32LE(at + 16) === 1
      const lengthOrId = bytes.readUInt32LE(at + 20)
      at += 24
      if (isText) padded(lengthOrId)
    }
    const isVariable = type === OBJECT || type === STRING8 || type === UNICODE || type === 0x102
    let count = 1
    if (isVariable || rawType & 0x1000) {
      count = bytes.readUInt32LE(at)
      at += 4
    }
    for (let index = 0; index < count; index++) {
      let length = FIXED[type]
      if (isVariable) {
        length = bytes.readUInt32LE(at)
        at += 4
      }
      if (length === undefined) throw new RangeError('a type that is not known')
      const value = padded(length)
      if (index === 0) properties.set(id, { type, value })
    }
  }
  return properties
}

/** @throws RangeError where `subarray` would give less */
function slice(bytes: Buffer, start: number, end: number): Buffer {
  if (end > bytes.length) throw new RangeError('a length leads out of the bytes')
  return bytes.subarray(start, end)
}
