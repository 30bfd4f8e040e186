import { createRequire } from 'node:module'
import type { Method, MethodType } from '../../schema/contact-events.ts'
import { normalizeEmail } from '../platform/email-address.ts'
import type { Fault } from '../platform/refusal.ts'

const require = createRequire(import.meta.url)

/** Its code, a tenth of what each of our processes would read when it starts, is read with the first number: most see none. */
const parsePhone = (text: string) => (require('libphonenumber-js') as typeof import('libphonenumber-js')).parsePhoneNumberFromString(text)

/** A method as a person gives it. */
export type MethodInput = { readonly type: MethodType; readonly value: string; readonly label?: string }

/** A given method in the form in which it is kept. An e-mail address must have been checked before. */
export function toMethod(id: string, { type, value, label }: MethodInput): Method {
  const written = value.trim()
  const base = { id, type, ...(label?.trim() && { label: label.trim() }) }
  if (type === 'email') return { ...base, value: written, normalized: normalizeEmail(written) ?? written.toLowerCase() }
  if (type === 'phone') {
    const phone = parsePhone(written)
    return phone?.isValid() ? { ...base, value: phone.number, raw: written } : { ...base, value: written, raw: written }
  }
  return { ...base, value: written }
}

/** Two methods are the same way to reach somebody when this is the same, whatever their labels. */
export const sameness = ({ type, value, normalized, raw }: Pick<Method, 'type' | 'value' | 'normalized' | 'raw'>): string => {
  // E.164 knows no extensions, but two of them ring at two people.
  const extension = type === 'phone' ? parsePhone(raw ?? value)?.ext : undefined
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

/** How many ways to reach a contact one input may give. */
export const MAX_METHODS = 100

/** What is wrong with the methods of a body that may be anything. */
export const faultsOfMethods = (body: unknown): Fault[] => {
  const { methods } = (body ?? {}) as { methods?: unknown }
  return Array.isArray(methods) ? methods.slice(0, MAX_METHODS).flatMap((method, index) => methodFaults(`/methods/${index}`, method)) : []
}
