import type { Contact } from '../../schema/contact.ts'

/** What a card is made of. */
export type CardContact = {
  readonly id: string
  readonly name: string
  readonly company: string | null
  /** As people said it. */
  readonly jobTitle?: string | undefined
  readonly methods: readonly Pick<Contact['methods'][0], 'type' | 'value' | 'label'>[]
  readonly notes: readonly string[]
  /** RFC 3339 in UTC. */
  readonly updatedAt: string
}

/** A contact as vCard 4.0 (RFC 6350; social profiles as RFC 9554 has them). The importer reads back from it what it was made of. */
export function vcardOf({ id, name, company, jobTitle, methods, notes, updatedAt }: CardContact): string {
  let groups = 0
  const lines = methods.flatMap(({ type, value, label }): string[] => {
    if (type === 'other') return [label === 'nickname' ? `NICKNAME:${text(value)}` : `NOTE:${text(label ? `${label}: ${value}` : value)}`]
    if (type === 'social') return [`SOCIALPROFILE;VALUE=text${label ? `;SERVICE-TYPE=${parameter(label)}` : ''}:${text(value)}`]
    const property = { email: 'EMAIL', phone: 'TEL', url: 'URL', address: 'ADR' }[type]
    const written = type === 'address' ? `;;${text(value)};;;;` : type === 'url' && URL.canParse(value) ? value : text(value)
    const kind = type === 'url' && !URL.canParse(value) ? ';VALUE=text' : ''
    if (!label) return [`${property}${kind}:${written}`]
    const types = label.split(' ')
    if (types.every((one) => TYPES.has(one))) return [`${property}${kind};TYPE=${list(types)}:${written}`]
    groups += 1
    // As Apple's programs have it, and all others by now: any label at all.
    return [`item${groups}.${property}${kind}:${written}`, `item${groups}.X-ABLABEL:${text(label)}`]
  })
  const card = [
    'BEGIN:VCARD',
    'VERSION:4.0',
    'PRODID:-//SmartCRM//EN',
    `UID:urn:uuid:${id}`,
    'KIND:individual',
    `FN:${text(name)}`,
    ...(company === null ? [] : [`ORG:${text(company)}`]),
    ...(jobTitle === undefined ? [] : [`TITLE:${text(jobTitle)}`]),
    ...lines,
    ...notes.map((note) => `NOTE:${text(note)}`),
    `REV:${updatedAt.replaceAll(/[-:]|\.\d+/g, '')}`,
    'END:VCARD',
  ]
  return card.map((line) => `${folded(line)}\r\n`).join('')
}

/** What TYPE may say of more than one property; of anything else a label tells. */
const TYPES = new Set(['work', 'home', 'cell', 'fax', 'pager'])
const list = (types: readonly string[]) => (types.length === 1 ? types[0]! : `"${types.join(',')}"`)

// biome-ignore lint/suspicious/noControlCharactersInRegex: no value of a vCard may hold one
const CONTROLS = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/g
const plain = (value: string) => value.toWellFormed().replaceAll('\r\n', '\n').replaceAll('\r', '\n').replaceAll(CONTROLS, '')

/** A text value (RFC 6350 §3.4). */
const text = (value: string): string =>
  plain(value)
    .replaceAll(/[\\,;]/g, (character) => `\\${character}`)
    .replaceAll('\n', '\\n')

/** A parameter's value (RFC 6350 §3.3, RFC 6868). */
const parameter = (value: string): string =>
  `"${plain(value).replaceAll('^', '^^').replaceAll('\n', '^n').replaceAll('"', "^'").replaceAll('\t', ' ')}"`

/** At most 75 octets a line, and no character torn apart (RFC 6350 §3.2). */
function folded(line: string): string {
  let [written, octets] = ['', 0]
  for (const character of line.replaceAll('\n', ' ')) {
    const size = Buffer.byteLength(character)
    if (octets + size > 75) [written, octets] = [`${written}\r\n `, 1]
    written += character
    octets += size
  }
  return written
}
