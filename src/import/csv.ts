import { addressLine, contactRow, type Draft, faultRow, type MethodInput, methodLabel, type Row, UnreadableFile } from './contact-input.ts'
import { type Column, isHeader, MAP_HELP, type Mapping, names, readHeader } from './csv-columns.ts'
import { type CsvRecord, csvRecords, firstRecords } from './csv-records.ts'
import type { AddressPart } from './csv-vocabulary.ts'

/** How many records may stand before the header (LinkedIn writes notes there). */
const PREAMBLE_RECORDS = 10
const DELIMITERS = [',', ';', '\t', '|']

export type CsvOptions = {
  map?: readonly Mapping[]
  /** Told once, which columns are used and which are not. */
  onColumns?: (columns: { used: string[]; unused: string[] }) => void
}

type Layout = { delimiter: string; line: number; header: string[]; columns: (Column | undefined)[] }

/**
 * Reads the contacts of a CSV file. A row whose cells do not match the header is a fault: what stands in which column is then unknown.
 * @param head the beginning of the text, from which delimiter and header are told
 * @param complete whether that is all of it
 * @throws UnreadableFile naming the columns, when no header is understood
 */
export async function* readCsv(
  text: AsyncIterable<string>,
  head: string,
  complete: boolean,
  options: CsvOptions = {},
): AsyncGenerator<Row> {
  const layout = findLayout(head, complete, options.map ?? [])
  options.onColumns?.({
    used: layout.header.filter((_, index) => layout.columns[index]),
    unused: layout.header.filter((name, index) => name.trim() && !layout.columns[index]),
  })
  for await (const record of csvRecords(text, layout.delimiter)) if (record.line > layout.line) yield toRow(record, layout)
}

function toRow(record: CsvRecord, { header, columns }: Layout): Row {
  const { line, raw } = record
  if ('fault' in record) return faultRow(line, raw, record.fault)
  const { cells } = record
  const least = header.findLastIndex((name) => name.trim()) + 1
  if (cells.length < least || cells.slice(header.length).some((cell) => cell.trim())) {
    return faultRow(line, raw, `The row has ${cells.length} cells, but the header has ${header.length} columns.`)
  }
  return contactRow(line, raw, draftOf(cells, columns))
}

function draftOf(cells: readonly string[], columns: readonly (Column | undefined)[]): Draft {
  const found = columns.flatMap((column, index) => (column && cells[index]?.trim() ? [{ column, cell: cells[index].trim() }] : []))
  const groupLabels = new Map(found.flatMap(({ column, cell }) => (column.field === 'label' ? [[column.group, cell] as const] : [])))
  const single: Partial<Record<Column['field'], string>> = {}
  const addresses = new Map<string, AddressCell[]>()
  const methods: MethodInput[] = []
  for (const { column, cell } of found) {
    if (
      column.field === 'email' ||
      column.field === 'phone' ||
      column.field === 'url' ||
      column.field === 'social' ||
      column.field === 'other'
    ) {
      for (const value of valuesOf(column.field, cell)) methods.push({ type: column.field, value, ...labelOf(column, groupLabels) })
    } else if (column.field === 'address') addresses.set(column.group, [...(addresses.get(column.group) ?? []), { column, cell }])
    else single[column.field] ??= cell
  }
  for (const group of addresses.values()) {
    methods.push({ type: 'address', value: addressOf(group), ...labelOf(group[0]!.column, groupLabels) })
  }
  const parts = [single.namePrefix, single.firstName, single.middleName, single.lastName, single.nameSuffix]
  const composed = single.firstName || single.lastName ? parts.filter(Boolean).join(' ') : undefined
  return { name: single.name ?? composed, company: single.company, methods }
}

type AddressCell = { column: Extract<Column, { field: 'address' }>; cell: string }

/** A column's own label, else what Google's column beside it says. */
function labelOf({ label, group }: { label?: string; group?: string }, groupLabels: Map<string, string>): { label?: string } {
  const other = group && groupLabels.get(group)
  const known = label ?? (other ? methodLabel(other) : undefined)
  return known ? { label: known } : {}
}

/** Google writes several values into one cell with " ::: "; others write addresses with a semicolon or comma. */
function valuesOf(field: string, cell: string): string[] {
  const values = cell.split(/ ::: |\r\n|\n|\r/)
  if (field !== 'email') return values
  return values.flatMap((value) => {
    const parts = value.split(/[;,]/).filter((part) => part.trim())
    return parts.every((part) => part.includes('@')) ? parts : [value]
  })
}

function addressOf(group: readonly AddressCell[]): string {
  const cells = (part: AddressPart) => group.filter(({ column }) => column.part === part).map(({ cell }) => cell)
  const formatted = cells('formatted')
  return addressLine(formatted.length ? formatted : ADDRESS_ORDER.flatMap(cells))
}

const ADDRESS_ORDER = ['street', 'poBox', 'city', 'region', 'postalCode', 'country'] as const

/** The delimiter is the one by which the most columns are understood. */
function findLayout(head: string, complete: boolean, map: readonly Mapping[]): Layout {
  const [, named] = /^sep=(.)\r?\n/i.exec(head) ?? []
  const candidates = (named ? [named] : DELIMITERS).map((delimiter) => ({ delimiter, records: headRecords(head, delimiter, complete) }))
  const layouts = candidates.flatMap(({ delimiter, records }) => layoutOf(records, delimiter, map) ?? [])
  const understood = (layout: Layout) => layout.columns.filter(Boolean).length
  const [best] = layouts.sort((a, b) => understood(b) - understood(a) || b.header.length - a.header.length)
  const headers = candidates.map(({ records }) => likelyHeader(records)).sort((a, b) => b.length - a.length)
  const shown = best?.header ?? headers[0] ?? []
  const missing = map.filter(({ column }) => best && !best.header.some((name) => names(column, name)))
  if (best && !missing.length) return best
  const columns = shown.map((name) => (name.length > 40 ? `${name.slice(0, 40)}…` : name)).join(', ')
  if (!shown.length) throw new UnreadableFile('There is no header in it: it is empty, or neither CSV nor vCard.')
  if (missing.length) throw new UnreadableFile(`--map names "${missing[0]!.column}", but its columns are: ${columns}.`)
  throw new UnreadableFile(
    `None of its columns is known to hold a name, e-mail address, phone number or company. Its columns are: ${columns}. ` +
      `Say what they are, for example --map "${shown[0]}=name,${shown[1] ?? 'Mail'}=email" (${MAP_HELP}).`,
  )
}

/** A sample that is cut off may end inside a quote; what comes before is enough. */
const headRecords = (head: string, delimiter: string, complete: boolean): CsvRecord[] =>
  firstRecords(head, delimiter, complete).slice(0, PREAMBLE_RECORDS + 1)

const filled = (record: CsvRecord): string[] => ('cells' in record ? record.cells.filter((cell) => cell.trim()) : [record.raw])
const likelyHeader = (records: CsvRecord[]): string[] =>
  filled(records.find((record) => filled(record).length > 1) ?? records[0] ?? { line: 1, raw: '', cells: [] })

/** The header is the first record that is understood; only lines of text, no rows of cells, may stand before it. */
function layoutOf(records: CsvRecord[], delimiter: string, map: readonly Mapping[]): Layout | undefined {
  for (const record of records) {
    if (!('cells' in record)) continue
    const columns = readHeader(record.cells, map)
    if (isHeader(columns)) return { delimiter, line: record.line + lineBreaks(record.raw), header: record.cells, columns }
    if (filled(record).length > 1) return undefined
  }
  return undefined
}

const lineBreaks = (text: string): number => text.match(/\r\n|\n|\r/g)?.length ?? 0
