/** A mail as a test means it, and the ways in which programs write the same one down. */
export type Mail = {
  messageId: string
  from: string
  date: Date
  subject: string
  text: string
  /** Bytes of an attachment. */
  attachment?: { name: string; content: Uint8Array } | undefined
}

export type Writing = {
  lineEnd: '\n' | '\r\n'
  textEncoding: '8bit' | 'base64' | 'quoted-printable'
  attachmentEncoding: 'base64' | 'quoted-printable'
  headerEncoding: 'B' | 'Q' | 'raw'
  folded: boolean
  transport: string[]
  boundary: string
  /** As in an mbox file. */
  quoted: boolean
}

export const plainWriting: Writing = {
  lineEnd: '\r\n',
  textEncoding: '8bit',
  attachmentEncoding: 'base64',
  headerEncoding: 'raw',
  folded: false,
  transport: [],
  boundary: 'b1',
  quoted: false,
}

const lines = (text: string): string[] => text.split('\n')

export function write(mail: Mail, writing: Writing): Buffer {
  const { textEncoding, attachmentEncoding, boundary, lineEnd } = writing
  const headers = [
    ...writing.transport,
    `From: Somebody <${mail.from}>`,
    `Message-ID: ${writing.folded ? '\n ' : ''}${mail.messageId}`,
    `Date: ${mail.date.toUTCString().replace('GMT', writing.folded ? '+0000 (UTC)' : '+0000')}`,
    ...lines(`Subject: ${header(mail.subject, writing)}`),
    'MIME-Version: 1.0',
  ]
  const text = [
    'Content-Type: text/plain; charset=utf-8',
    `Content-Transfer-Encoding: ${textEncoding}`,
    '',
    ...encode(Buffer.from(mail.text), textEncoding),
  ]
  const { attachment } = mail
  const all = attachment
    ? [
        ...headers,
        `Content-Type: multipart/mixed;${writing.folded ? '\n\t' : ' '}boundary="${boundary}"`,
        '',
        `--${boundary}`,
        ...text,
        `--${boundary}`,
        'Content-Type: application/octet-stream',
        `Content-Transfer-Encoding: ${attachmentEncoding}`,
        `Content-Disposition: attachment; filename="${attachment.name}"`,
        '',
        ...encode(attachment.content, attachmentEncoding, true),
        `--${boundary}--`,
      ]
    : [...headers, ...text]
  const written = all.flatMap(lines).map((line) => (writing.quoted ? line.replace(/^(>*From )/, '>$1') : line))
  return Buffer.from(written.join(lineEnd) + lineEnd)
}

const header = (value: string, { headerEncoding, folded }: Writing): string => {
  if (headerEncoding === 'raw') return folded ? value.replaceAll(' ', '\n ') : value
  const words = (value.match(/[\s\S]{1,10}/gu) ?? []).map((part) => {
    const bytes = Buffer.from(part)
    const encoded =
      headerEncoding === 'B'
        ? bytes.toString('base64')
        : [...bytes].map((byte) => (/[a-z0-9]/i.test(String.fromCharCode(byte)) ? String.fromCharCode(byte) : hex(byte))).join('')
    return `=?utf-8?${headerEncoding}?${encoded}?=`
  })
  return words.join(folded ? '\n ' : ' ')
}

const hex = (byte: number): string => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`

function encode(content: Uint8Array, encoding: Writing['textEncoding'], isBinary = false): string[] {
  const bytes = Buffer.from(content)
  if (encoding === '8bit') return lines(bytes.toString())
  if (encoding === 'base64') return bytes.toString('base64').match(/.{1,76}/g) ?? ['']
  return quotedPrintable(bytes, isBinary)
}

/** RFC 2045 §6.7: line ends of text stay line ends, those of binary data are encoded. */
function quotedPrintable(bytes: Buffer, isBinary: boolean): string[] {
  const written: string[] = []
  for (const line of isBinary
    ? [bytes]
    : bytes
        .toString('latin1')
        .split('\n')
        .map((text) => Buffer.from(text, 'latin1'))) {
    let row = ''
    for (const byte of line) {
      const plain = byte > 32 && byte < 127 && byte !== 61
      if (row.length > 70) {
        written.push(`${row}=`)
        row = ''
      }
      row += plain ? String.fromCharCode(byte) : hex(byte)
    }
    written.push(row)
  }
  return written
}
