import { addressLine, type Draft, type MethodInput, methodLabel } from './contact-input.ts'
import { decodeNamed } from './decode.ts'
import type { Property } from './vcard-lines.ts'

/** Apple's and RFC 6350's cards that list others. */
export const isPersonless = (properties: readonly Property[]): boolean =>
  properties.some(({ name, value }) => /^(?:KIND|X-ADDRESSBOOKSERVER-KIND)$/.test(name) && value.trim().toLowerCase() === 'group')

/** The name, company and methods of one card. */
export function cardDraft(properties: readonly Property[]): Draft {
  const firstOf = (name: string, filled = /[^;\s]/) =>
    properties
      .filter((property) => property.name === name)
      .map(textOf)
      .find((text) => filled.test(text)) ?? ''
  const groupLabels = new Map(
    properties.flatMap((property) => (property.group && property.name === 'X-ABLABEL' ? [[property.group, appleLabel(property)]] : [])),
  )
  const [family, given, additional, prefix, suffix] = components(firstOf('N'), ' ')
  const name = unescaped(firstOf('FN', /\S/)) || [prefix, given, additional, family, suffix].filter(Boolean).join(' ')
  const methods = properties.flatMap((property): MethodInput[] => {
    const method = methodOf(property)
    const label = (property.group && groupLabels.get(property.group)) || method?.label
    return method ? [{ type: method.type, value: method.value, ...(label ? { label } : {}) }] : []
  })
  return { name, company: components(firstOf('ORG'), ',')[0], methods }
}

function methodOf(property: Property): MethodInput | undefined {
  const { name, params } = property
  const text = () => unescaped(textOf(property))
  const method = (type: MethodInput['type'], value: string, label = typeLabel(property)): MethodInput =>
    label ? { type, value, label } : { type, value }
  if (name === 'EMAIL') return method('email', text())
  if (name === 'TEL') return method('phone', text())
  if (name === 'URL') return method('url', text())
  if (name === 'ADR') return method('address', addressOf(textOf(property)))
  if (name === 'NICKNAME') return method('other', components(textOf(property), ', ')[0]!, 'nickname')
  if (name === 'X-SOCIALPROFILE' || name === 'SOCIALPROFILE')
    return method('social', text(), params.get('SERVICE-TYPE')?.[0]?.toLowerCase())
  if (name === 'IMPP') {
    const [, scheme, handle = text()] = /^([\w-]+):(.*)$/.exec(text()) ?? []
    return method('social', handle, (params.get('X-SERVICE-TYPE')?.[0] ?? scheme)?.toLowerCase())
  }
  const messenger = MESSENGER.exec(name)?.[1]
  return messenger ? method('social', text(), messenger === 'MS-IMADDRESS' ? 'im' : messenger.toLowerCase()) : undefined
}

const MESSENGER = /^X-(AIM|ICQ|JABBER|MSN|YAHOO|SKYPE|QQ|GOOGLE-TALK|GADUGADU|GROUPWISE|TWITTER|MS-IMADDRESS)(?:-USERNAME)?$/

/** What says nothing about which of several methods it is. */
const UNTOLD = new Set([
  'internet',
  'pref',
  'voice',
  'postal',
  'parcel',
  'intl',
  'dom',
  'x400',
  'text',
  'video',
  'msg',
  'textphone',
  'uri',
  'label',
])

function typeLabel({ params }: Property): string | undefined {
  const types = (params.get('TYPE') ?? []).map((type) => type.toLowerCase().replace(/^x-/, '')).filter((type) => !UNTOLD.has(type))
  return methodLabel([...new Set(types)].join(' '))
}

/** Apple marks the labels that it translates: `_$!<HomePage>!$_`. */
const appleLabel = (property: Property): string => methodLabel(unescaped(textOf(property)).replace(/^_\$!<(.*)>!\$_$/, '$1')) ?? ''

/** A value as it was before it was encoded for transport (vCard 2.1, and what takes after it); its escapes are still there. */
function textOf({ params, value }: Property): string {
  const encoding = params.get('ENCODING')?.[0]?.toUpperCase()
  const charset = params.get('CHARSET')?.[0]
  if (encoding === 'QUOTED-PRINTABLE' || encoding === 'Q') return decodeNamed(quotedPrintable(value), charset)
  if (encoding === 'BASE64' || encoding === 'B') return decodeNamed(Buffer.from(value, 'base64'), charset)
  return value
}

/** RFC 2045 §6.7; what is no escape stands for itself. */
function quotedPrintable(text: string): Buffer {
  const parts = text.split(/=([0-9A-F]{2})/i)
  return Buffer.concat(parts.map((part, index) => (index % 2 ? Buffer.from(part, 'hex') : Buffer.from(part))))
}

// Read here, because ical.js 2.2.1 takes a separator after an escaped backslash for an escaped one, and leaves "\;" in a plain text as it is.
const ESCAPE = /\\([\\;,:nN])/g

/** The text of a value that has one part (RFC 6350 §3.4); Apple escapes colons too. */
const unescaped = (text: string): string =>
  text.replace(ESCAPE, (_, character) => (character.toLowerCase() === 'n' ? '\n' : character)).trim()

/** The components of N, ORG or ADR; the values of one that is a list are joined. */
function components(text: string, listSeparator: string): string[] {
  const parts = ['']
  for (const [token] of text.matchAll(/\\[\s\S]|[^\\;,]+|[\s\S]/g)) {
    if (token === ';') parts.push('')
    else parts[parts.length - 1] += token === ',' ? listSeparator : token
  }
  return parts.map(unescaped)
}

function addressOf(text: string): string {
  const [poBox, extended, street, city, region, postalCode, country] = components(text, ', ')
  return addressLine([street, extended, poBox, city, region, postalCode, country])
}
