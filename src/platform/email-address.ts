import { domainToASCII } from 'node:url'
import addresses from 'email-addresses'

/**
 * The normal form of an e-mail address, by which one owner is found for it; null when it is no address (RFC 5322 addr-spec, lengths of RFC 5321 §4.5.3.1).
 * The whole address is lower-cased: no provider of note tells mailboxes apart by case. Dots and +tags stay: whether they matter is the provider's own rule.
 * Quoted local parts and IP addresses for a domain are refused: whoever writes one means something else.
 */
export function normalizeEmail(text: string): string | null {
  const written = text.trim().normalize('NFC')
  // Before it is parsed: that takes a time that grows with the square of the length.
  if (bytes(written) > MAX_BYTES) return null
  const parsed = plain.exec(written)?.groups ?? parse(written)
  if (!parsed) return null
  const domain = domainToASCII(parsed['domain']!)
  if (bytes(parsed['local']!) > 64 || !/^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$/.test(domain)) return null
  const normalized = `${parsed['local']!.toLowerCase()}@${domain}`
  return bytes(normalized) > MAX_BYTES ? null : normalized
}

/** What nearly all look like: the grammar would say the same, in thirty times the time. */
const plain = /^(?<local>[\w+-]+(?:\.[\w+-]+)*)@(?<domain>[a-z0-9-]+(?:\.[a-z0-9-]+)+)$/i

function parse(written: string): { local: string; domain: string } | null {
  const parsed = addresses.parseOneAddress({ input: written, rfc6532: true, rejectTLD: false })
  return parsed?.type === 'mailbox' && parsed.address === written ? parsed : null
}

const MAX_BYTES = 254
const bytes = (text: string) => Buffer.byteLength(text)
