import type { MethodType } from '../../schema/contact-events.ts'
import { Fault } from '../platform/fault.ts'
import { uuidv5 } from '../platform/uuid.ts'

export type MethodInput = { type: MethodType; value: string; label?: string }

/** What `POST /v1/contacts/batch` takes for one contact. */
export type ContactInput = { id?: string; name: string; company?: string; methods?: MethodInput[] }

/**
 * One contact of a file, or why there is none. `line` is where it begins, counted from 1;
 * `raw` is its text for the person who mends it (at most 64 Ki characters, pictures left out).
 */
export type Row = { line: number; raw: string; input: ContactInput } | { line: number; raw: string; fault: string }

/** What a reader found, before it is tidied. */
export type Draft = { name?: string | undefined; company?: string | undefined; methods: MethodInput[] }

/** The whole file cannot be read; the message says what to do. */
export class UnreadableFile extends Fault {
  override name = 'UnreadableFile'
}

/** The longest text of one contact that is read. A longer one is a fault of its own, so that no file takes more memory than this. */
export const MAX_CONTACT_CHARACTERS = 1024 * 1024

const RAW_CHARACTERS = 64 * 1024

// For ever: another value would make every contact without an e-mail address a new one.
const CONTACT_NAMESPACE = '565c4cd0-9fe9-486a-b2b7-ea445812128f'

export const contactRow = (line: number, raw: string, draft: Draft): Row => {
  const input = contactInput(draft)
  return input
    ? { line, raw: excerpt(raw), input }
    : faultRow(line, raw, 'There is no name, company, e-mail address, phone number or other method in it.')
}

export const faultRow = (line: number, raw: string, fault: string): Row => ({ line, raw: excerpt(raw), fault })

/** Through a buffer, because a slice of a string would keep the whole of it in memory. */
const excerpt = (raw: string): string => (raw.length > RAW_CHARACTERS ? `${Buffer.from(raw.slice(0, RAW_CHARACTERS)).toString()}…` : raw)

/** Tidies what was found; undefined when nothing was. Without an e-mail address, which the service finds people by, it gets a stable id. */
export function contactInput(draft: Draft): ContactInput | undefined {
  const company = oneLine(draft.company ?? '')
  const methods = folded(draft.methods.map(tidyMethod).filter(({ value }) => value))
  const first = (type: MethodType) => methods.find((method) => method.type === type)?.value
  const name = oneLine(draft.name ?? '') || company || first('email') || first('phone') || methods[0]?.value
  if (!name) return undefined
  const input: ContactInput = { name }
  if (company) input.company = company
  if (methods.length) input.methods = methods
  return first('email') ? input : { id: stableId(input), ...input }
}

/** The same name, company and methods give the same id, however they are labelled, ordered or spaced. */
function stableId({ name, company, methods = [] }: ContactInput): string {
  const canonical = [name, company ?? '', ...methods.map((method) => `${method.type}:${comparable(method)}`).sort()]
  return uuidv5(JSON.stringify(canonical.map((text) => text.normalize('NFC'))), CONTACT_NAMESPACE)
}

/** A value written twice is one method; a label from either is kept. */
function folded(methods: MethodInput[]): MethodInput[] {
  const seen = new Map<string, MethodInput>()
  for (const method of methods) {
    const key = `${method.type}:${comparable(method)}`
    const known = seen.get(key)
    if (!known) seen.set(key, method)
    else if (!known.label && method.label) known.label = method.label
  }
  return [...seen.values()]
}

const comparable = ({ type, value }: MethodInput): string =>
  type === 'phone' ? value.toLowerCase().replace(/[^\p{L}\p{N}+*#]/gu, '') || value : value.toLowerCase()

const SOCIAL_HOSTS =
  /^(?:https?:\/\/)?(?:[\w-]+\.)*(linkedin|twitter|x|facebook|instagram|github|xing|youtube|tiktok|threads|mastodon)\.(?:com|net|org|social)\//i

function tidyMethod({ type, value, label }: MethodInput): MethodInput {
  const text = oneLine(value)
  const method = (type: MethodType, value: string, otherLabel?: string): MethodInput => {
    const kept = oneLine(label ?? '') || otherLabel
    return kept ? { type, value, label: kept } : { type, value }
  }
  if (type === 'email') {
    const bare = text.replace(/^mailto:/i, '')
    const address = (bare.endsWith('>') && bare.slice(bare.lastIndexOf('<') + 1, -1)) || bare
    // "none", "n/a": kept, but it must not cost the contact its other methods.
    return address.includes('@') ? method(type, address) : method('other', address, 'email')
  }
  if (type === 'phone') return method(type, text.replace(/^tel:/i, '').replace(/;ext=/i, ' ext. '))
  const host = type === 'url' || type === 'social' ? SOCIAL_HOSTS.exec(text)?.[1]?.toLowerCase() : undefined
  return host ? method('social', text, host) : method(type, text)
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim()

/** The parts of a postal address in the order of an envelope, on one line. */
export const addressLine = (parts: readonly (string | undefined)[]): string =>
  parts
    .flatMap((part) => (part ?? '').split(/[\r\n,]+/))
    .map(oneLine)
    .filter(Boolean)
    .join(', ')

/** Labels in the words of vCard's TYPE, in one order, whatever the program wrote: "* Mobile" and "CELL" are "cell", "fax,work" is "work fax". */
export function methodLabel(text: string): string | undefined {
  const plain = oneLine(text.replace(/^\*/, ''))
  const words = plain.toLowerCase().split(' ')
  if (!words.every((word) => LABELS.has(word))) return plain || undefined
  const known = new Set(words.map((word) => LABELS.get(word)))
  return [...new Set(LABELS.values())].filter((label) => known.has(label)).join(' ')
}

const LABELS = new Map([
  ['work', 'work'],
  ['business', 'work'],
  ['home', 'home'],
  ['other', 'other'],
  ['cell', 'cell'],
  ['mobile', 'cell'],
  ['main', 'main'],
  ['fax', 'fax'],
  ['pager', 'pager'],
  ['assistant', 'assistant'],
  ['assistantphone', 'assistant'],
  ['homepage', 'homepage'],
])
