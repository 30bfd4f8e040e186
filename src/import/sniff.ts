/** What a file holds: mails (one, or many in an mbox) or contacts. */
export type FileKind = 'eml' | 'mbox' | 'vcard' | 'csv'

/** So many bytes of a file's beginning are enough. */
export const SNIFFED_BYTES = 64 * 1024

const HEADER = /^[!-9;-~]+[ \t]*:/
const MAIL_HEADER =
  /^(?:from|to|cc|subject|date|received|return-path|message-id|mime-version|delivered-to|sender|reply-to|content-type|x-gmail-labels|x-apparently-to)[ \t]*:/i

/**
 * Tells from a file's beginning what it is. What is neither mail nor vCard is called CSV: its reader says what is wrong where it is none.
 * @param head the first `SNIFFED_BYTES`, or all if there are fewer
 */
export function sniff(head: Uint8Array): FileKind {
  // Latin 1 keeps ASCII as it is, whatever the encoding; in UTF-16 there is a zero beside each character.
  const text = Buffer.from(head.buffer, head.byteOffset, head.length).toString('latin1').replaceAll('\0', '')
  const start = text.replace(/^(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)/, '').trimStart()
  if (/^BEGIN:VCARD\s*$/im.test(start.slice(0, 1024))) return 'vcard'
  if (/^From (?![ \t]*:)[^\n]*\r?\n(?:>From [^\n]*\r?\n)*[!-9;-~]+[ \t]*:/.test(start)) return 'mbox'
  return isMail(start) ? 'eml' : 'csv'
}

/** It begins with a header, and what comes before the first empty line is mostly headers, one of a mail's among them. */
function isMail(text: string): boolean {
  const [block = ''] = text.split(/\r?\n\r?\n/, 1)
  const lines = block.split('\n').filter((line) => !/^[ \t]/.test(line))
  const headers = lines.filter((line) => HEADER.test(line))
  return HEADER.test(text) && headers.length >= lines.length / 2 && headers.some((line) => MAIL_HEADER.test(line))
}
