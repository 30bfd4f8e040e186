import { methodLabel, UnreadableFile } from './contact-input.ts'
import { type AddressPart, addressParts, fillers, kinds, labels, type NameField, nameFields, networks } from './csv-vocabulary.ts'

type MethodField = 'email' | 'phone' | 'url' | 'social' | 'other'

/**
 * What the cells of one column are. Columns with the same `group` belong together: Google's "E-mail 1 - Label" says what
 * "E-mail 1 - Value" is, and the parts of one address stand in columns of their own.
 */
export type Column =
  | { field: NameField }
  | { field: MethodField; label?: string; group?: string }
  | { field: 'address'; part: AddressPart; group: string; label?: string }
  | { field: 'label'; group: string }

/** One override of `--map`: the column's name, and what its cells are; null leaves the column out. */
export type Mapping = { column: string; target: Column | null }

const MAP_FIELDS = ['name', 'firstName', 'lastName', 'company', 'email', 'phone', 'url', 'social', 'address', 'other', 'ignore'] as const

export const MAP_HELP = `"Column=field", where a field is ${MAP_FIELDS.join(', ')}; methods take a label: "Mail 2=email:home"`

/**
 * Reads `Column=field,Column=field:label`. A comma or an equals sign may be part of a column's name.
 * @throws UnreadableFile naming what is no field
 */
export function parseMap(text: string): Mapping[] {
  const found = [...text.matchAll(/\s*(.+?)\s*=\s*([a-zA-Z]+)(?::([^,]*))?\s*(?:,|$)/g)]
  const complete = found.reduce((length, [whole]) => length + whole.length, 0) === text.length
  if (!found.length || !complete) throw new UnreadableFile(`--map "${text}" is not understood. It takes ${MAP_HELP}.`)
  return found.map(([, column = '', field = '', label = '']) => ({ column, target: mapTarget(field, label.trim(), column) }))
}

function mapTarget(text: string, label: string, column: string): Column | null {
  const field = MAP_FIELDS.find((known) => known.toLowerCase() === text.toLowerCase())
  if (!field) throw new UnreadableFile(`--map "${column}=${text}": there is no field "${text}". It takes ${MAP_HELP}.`)
  if (field === 'ignore') return null
  const labelled = label ? { label } : {}
  if (field === 'address') return { field, part: 'formatted', group: `map ${column}`, ...labelled }
  if (field === 'name' || field === 'firstName' || field === 'lastName' || field === 'company') return { field }
  return { field, ...labelled }
}

/** The words of a header, plain: no accents, marks or capitals; "E-Mail-Adresse", "email_work" and "linkedInUrl" come apart at their words. */
const headerWords = (header: string): string =>
  header
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/ß/g, 'ss')
    .replace(/([\p{Ll}\p{N}])(\p{Lu})/gu, '$1 $2')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim()
    .replace(/\be mail/g, 'email')
    .replace(/\b(linked|git|you) (in|hub|tube)\b/g, '$1$2')
    .replace(/\bweb (site|page)\b/g, 'web$1')
    .replace(/\bhome page\b/g, 'homepage')
    .replace(/^(?:person|contact|lead) (?=.)/, '')

/** Whether a name in `--map` means this column of the header: the same text, or the same words. */
export const names = (column: string, header: string): boolean =>
  column === header.trim() || (headerWords(column) !== '' && headerWords(column) === headerWords(header))

/**
 * What each column of a header is; undefined for one that is not used.
 * @param map overrides, by the column's exact name or its words
 */
export function readHeader(header: readonly string[], map: readonly Mapping[] = []): (Column | undefined)[] {
  const columns = header.map((text) => {
    const mapping = map.find(({ column }) => column === text.trim()) ?? map.find(({ column }) => names(column, text))
    return mapping ? (mapping.target ?? undefined) : knownColumn(headerWords(text))
  })
  return withLoneName(columns)
}

/** In German and French the family name is just "Name" and "Nom"; in Spanish "Nombre" beside "Apellidos" is the first one. */
function withLoneName(columns: (Column | undefined)[]): (Column | undefined)[] {
  const has = (field: NameField) => columns.some((column) => column?.field === field)
  if (has('firstName') === has('lastName')) return columns
  const meant: NameField = has('firstName') ? 'lastName' : 'firstName'
  return columns.map((column) => (column?.field === 'name' ? { field: meant } : column))
}

/** Whether rows under these columns can become contacts. */
export const isHeader = (columns: readonly (Column | undefined)[]): boolean =>
  columns.some((column) => column && !['label', 'middleName', 'namePrefix', 'nameSuffix', 'address', 'url'].includes(column.field))

function knownColumn(text: string): Column | undefined {
  const field = nameFields.get(text)
  return field ? { field } : (googleColumn(text) ?? addressColumn(text) ?? methodColumn(text))
}

/** Google's exports number what comes more than once: "E-mail 1 - Value", "Address 2 - City". */
function googleColumn(text: string): Column | undefined {
  const match = /^(email|phone|website|im|address|organization|relation|event|custom field|jot) (\d+) (.+)$/.exec(text)
  if (!match) return undefined
  const [, kind = '', number, part = ''] = match
  const group = `${kind} ${number}`
  if (part === 'label' || part === 'type' || part === 'service') return { field: 'label', group }
  if (kind === 'organization') return part === 'name' ? { field: 'company' } : undefined
  if (kind === 'address') {
    const known =
      part === 'formatted' ? 'formatted' : part === 'extended address' ? 'street' : addressParts.find(([phrase]) => phrase === part)?.[1]
    return known && { field: 'address', part: known, group }
  }
  if (part !== 'value') return undefined
  if (kind === 'email' || kind === 'phone') return { field: kind, group }
  if (kind === 'website') return { field: 'url', group }
  return kind === 'im' ? { field: 'social', group } : undefined
}

function addressColumn(text: string): Column | undefined {
  const plain = ` ${text.replace(/ \d+$/, '')} `
  for (const [phrase, part] of addressParts) {
    if (!plain.includes(` ${phrase} `)) continue
    const label = labelsOnly(plain.replace(` ${phrase} `, ' '))
    return label === undefined ? undefined : { field: 'address', part, group: `address ${label}`, ...(label ? { label } : {}) }
  }
  return undefined
}

function methodColumn(text: string): Column | undefined {
  if (text === 'imaddress' || text === 'im address') return { field: 'social', label: 'im' }
  const found = text.split(' ')
  const network = found.find((word) => networks.has(word))
  const field = network ? 'social' : (['email', 'phone', 'url'] as const).find((kind) => found.some((word) => kinds.get(word) === kind))
  if (!field) return undefined
  const label = labelsOnly(
    found.filter((word) => !networks.has(word) && (!kinds.has(word) || labels.has(word)) && !fillers.has(word)).join(' '),
  )
  if (label === undefined) return undefined
  const kept = network ?? label
  return kept ? { field, label: kept } : { field }
}

/** The labels that these words are, '' for none, undefined when a word is none. Numbers only tell columns apart. */
function labelsOnly(text: string): string | undefined {
  const found = text.split(' ').filter((word) => word && !/^\d+$/.test(word) && !['de', 'du', 'del', 'da', 'di'].includes(word))
  if (!found.every((word) => labels.has(word))) return undefined
  return methodLabel([...new Set(found.map((word) => labels.get(word)!))].join(' ')) ?? ''
}
