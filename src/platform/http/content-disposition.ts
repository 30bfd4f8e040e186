/** What moves text about, or is not seen: names of files have been made to look like others with them. */
const INVISIBLE = /[\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is meant
const FORBIDDEN = /[\x00-\x1f\x7f-\x9f/\\:*?"<>|]/g
const LONGEST = 150

/** A name that any system can give to a file, which leads nowhere and hides nothing. Never empty. */
export function safeFileName(name: string): string {
  const safe = name
    .toWellFormed()
    .replace(INVISIBLE, '')
    .replace(FORBIDDEN, '_')
    .replace(/^[.\s]+|[.\s]+$/g, '')
  // The ending says how a file is opened, so it stays.
  const [, stem, ending] = /^(.*?)(\.[^.]{1,10})?$/s.exec(safe)!
  return [...stem!].slice(0, LONGEST).join('') + (ending ?? '') || 'file'
}

/**
 * `Content-Disposition: attachment` with the file's name (RFC 6266): in ASCII for old clients, and as it is (RFC 8187) where that differs.
 * @param name as anybody may have sent it
 */
export function attachmentDisposition(name: string): string {
  const safe = safeFileName(name)
  // Some take %41 in a quoted name for an A (RFC 6266, appendix D); and letters that look like a quote become one when they are taken apart (U+FF02).
  const ascii =
    safe
      .normalize('NFKD')
      .replace(/\p{M}/gu, '')
      .replace(/[^\x20-\x7e]|["\\%]/gu, '_') || 'file'
  if (ascii === safe) return `attachment; filename="${ascii}"`
  const encoded = encodeURIComponent(safe).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
  return `attachment; filename="${ascii}"; filename*=UTF-8''${encoded}`
}
