import { domainToASCII } from 'node:url'
import addresses from 'email-addresses'
import { parsePhoneNumberFromString } from 'libphonenumber-js'
import type { Method, MethodType } from '../../schema/contact-events.ts'
import type { Fault } from '../platform/refusal.ts'

/** A method as a person gives it. */
export type MethodInput = { readonly type: MethodType; readonly value: string; readonly label?: string }

/**
 * The normal form of an e-mail address, by which one owner is found for it; null when it is no address (RFC 5322 addr-spec, lengths of RFC 5321 §4.5.3.1).
 * The whole address is lower-cased: no provider of note tells mailboxes apart by case. Dots and +tags stay: whether they matter is the provider's own rule.
 * Quoted local parts and IP addresses for a domain are refused: whoever writes one means something else.
 */
export function normalizeEmail(text: string): string | null {
  const written = text.trim().normalize('NFC')
  // Before it is parsed: that takes a time that grows with the square of the length.
  if (bytes(written) > MAX_BYTES) return null
  const parsed = addresses.parseOneAddress({ input: written, rfc6532: true, rejectTLD: false })
  if (parsed?.type !== 'mailbox' || parsed.address !== written) return null
  const domain = domainToASCII(parsed.domain)
  if (bytes(parsed.local) > 64 || !/^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$/.test(domain)) return null
  const normalized = `${parsed.local.toLowerCase()}@${domain}`
  return bytes(normalized) > MAX_BYTES ? null : normalized
}

const MAX_BYTES = 254
const bytes = (text: string) => Buffer.byteLength(text)

/** A given method in the form in which it is kept. An e-mail address must have been checked before. */
export function toMethod(id: string, { type, value, label }: MethodInput): Method {
  const written = value.trim()
  const base = { id, type, ...(label?.trim() && { label: label.trim() }) }
  if (type === 'email') return { ...base, value: written, normalized: normalizeEmail(written) ?? written.toLowerCase() }
  if (type === 'phone') {
    const phone = parsePhoneNumberFromString(written)
    return phone?.isValid() ? { ...base, value: phone.number, raw: written } : { ...base, value: written, raw: written }
  }
  return { ...base, value: written }
}

/** Two methods are the same way to reach somebody when this is the same, whatever their labels. */
export const sameness = ({ type, value, normalized, raw }: Pick<Method, 'type' | 'value' | 'normalized' | 'raw'>): string => {
  // E.164 knows no extensions, but two of them ring at two people.
  const extension = type === 'phone' ? parsePhoneNumberFromString(raw ?? value)?.ext : undefined
  return `${type}:${normalized ?? value}${extension ? `;ext=${extension}` : ''}`
}

/** The given methods, each way to reach somebody once, without those that are there already. Ids are made in order, from `firstIndex` on. */
export function newMethods(
  inputs: readonly MethodInput[],
  there: readonly Method[],
  newId: (index: number) => string,
  firstIndex: number,
): Method[] {
  const seen = new Set(there.map(sameness))
  const added: Method[] = []
  for (const [index, input] of inputs.entries()) {
    const method = toMethod(newId(firstIndex + index), input)
    if (seen.has(sameness(method))) continue
    seen.add(sameness(method))
    added.push(method)
  }
  return added
}

/** What no schema can say of one given method: an e-mail address must be one. Bears any value. */
export function methodFaults(path: string, input: unknown): Fault[] {
  const { type, value } = (input ?? {}) as { type?: unknown; value?: unknown }
  if (type !== 'email' || typeof value !== 'string' || value.trim() === '' || normalizeEmail(value)) return []
  return [{ path: `${path}/value`, message: 'must be an e-mail address, like ada@example.com' }]
}
