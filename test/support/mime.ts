/*
 * Mails put together by hand. Lines end in \n alone, as in files of mail.
 */
export const base64 = (bytes: Buffer): string => bytes.toString('base64').replaceAll(/.{76}/g, '$&\n')

/** A header's value, as an encoded word where it has to be one (RFC 2047). */
export const word = (text: string): string => (/^[\x20-\x7e]*$/.test(text) ? text : `=?utf-8?B?${Buffer.from(text).toString('base64')}?=`)

export const wrapped = (text: string): string => text.replaceAll(/.{60,72} /g, '$&\n').replaceAll(' \n', '\n')

/** A part of text, with its headers. */
export function encoded(type: string, charset: string, content: Buffer, encoding: 'base64' | 'quoted-printable'): string {
  const body = encoding === 'base64' ? base64(content) : quotedPrintable(content)
  return `Content-Type: ${type}; charset=${charset}\nContent-Transfer-Encoding: ${encoding}\n\n${body}`
}

const quotedPrintable = (content: Buffer): string =>
  content
    .toString('latin1')
    .replaceAll(/[=\x80-\xff]| (?=\n|$)/g, (character) => `=${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
    .split('\n')
    .map((line) => (line.length > 72 ? line.replaceAll(/(?:=..|[^=]){72}(?=.)/g, '$&=\n') : line))
    .join('\n')

/** A part that is attached, with its headers. @param parameters further ones of its type */
export const attached = (type: string, filename: string, bytes: Buffer, parameters = ''): string =>
  `Content-Type: ${type}${parameters}\nContent-Disposition: attachment; filename*=utf-8''${encodeURIComponent(filename)}\nContent-Transfer-Encoding: base64\n\n${base64(bytes)}`

export const multipart = (kind: string, boundary: string, parts: readonly string[]): string =>
  `Content-Type: multipart/${kind}; boundary="${boundary}"\n\n${parts.map((part) => `--${boundary}\n${part}\n`).join('')}--${boundary}--\n`

const encoders = new Map<string, ReadonlyMap<string, Buffer>>()

/** Text in any charset whose characters have one or two bytes, a ? for those that it does not have. */
export function inCharset(text: string, charset: string): Buffer {
  if (/^utf-8$/i.test(charset)) return Buffer.from(text)
  const known = encoders.get(charset) ?? encoderOf(charset)
  encoders.set(charset, known)
  return Buffer.concat(Array.from(text, (character) => known.get(character) ?? Buffer.from('?')))
}

/** What the platform can only decode, turned around. */
function encoderOf(charset: string): ReadonlyMap<string, Buffer> {
  const decoder = new TextDecoder(charset)
  const known = new Map<string, Buffer>()
  const learn = (bytes: Buffer) => {
    const text = decoder.decode(bytes)
    const isOne = [...text].length === 1 && text !== '\ufffd'
    if (isOne && !known.has(text)) known.set(text, bytes)
    return isOne
  }
  for (let first = 0; first < 256; first += 1) {
    if (learn(Buffer.from([first])) || first < 128) continue
    for (let second = 0x40; second < 256; second += 1) learn(Buffer.from([first, second]))
  }
  return known
}
