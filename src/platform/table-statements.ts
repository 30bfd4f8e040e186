import { type Query, sql } from './database.ts'
import { type ColumnKind, type Row, snake, type Table, type Value } from './projection.ts'

/** Milliseconds are all that JavaScript's instants have; a count and an integer may grow past 32 bits. */
export const sqlTypes: Record<ColumnKind, string> = {
  uuid: 'uuid',
  text: 'text',
  integer: 'bigint',
  boolean: 'boolean',
  instant: 'timestamptz(3)',
  json: 'jsonb',
  count: 'bigint',
  last: 'timestamptz(3)',
}

/** Puts text that a declaration (never a caller) holds into SQL as it is. */
export const raw = (text: string) => ({ ...sql.fragment``, sql: text })

/** Column names come from the code alone; quoted all the same, since some are words of SQL. */
export const quoted = (column: string) => `"${snake(column)}"`

/**
 * The table's statements. Those that join the table are never prepared, and tell the planner how many keys there are (`limit`): a plan that was
 * kept from when the table or the batch was small would read the whole table for each batch when it is large.
 */
export function compose(table: Table, schema: string) {
  const name = sql.identifier([schema, table.name])
  const columns = Object.keys(table.columns)
  const list = (of: readonly string[], as: (column: string) => string = quoted, separator = ', ') => raw(of.map(as).join(separator))
  const typed = (of: readonly string[]) => list(of, (column) => `${quoted(column)} ${sqlTypes[table.columns[column]!]}`)
  const names = new Map(columns.map((column) => [column, snake(column)]))
  const named = (of: readonly string[], row: Row) => {
    const renamed: Row = {}
    for (const column of of) renamed[names.get(column)!] = row[column]!
    return renamed
  }
  const json = (of: readonly string[], rows: readonly Row[]) => JSON.stringify(rows.map((row) => named(of, row)))
  const keys = (of: readonly string[], rows: readonly Row[]) =>
    sql.fragment`(select * from json_to_recordset(${json(of, rows)}::json) as k (${typed(of)}) limit ${rows.length}) k`
  const same = (of: readonly string[]) => list(of, (column) => `t.${quoted(column)} = k.${quoted(column)}`, ' and ')
  const remove = (of: readonly string[], rows: readonly Row[]) =>
    sql.fragment`delete from ${name} t using ${keys(of, rows)} where ${same(of)}`

  const others = columns.filter((column) => !table.key.includes(column))
  const conflict =
    others.length > 0 ? raw(`do update set ${others.map((c) => `${quoted(c)} = excluded.${quoted(c)}`).join(', ')}`) : raw('do nothing')
  const selected = list(columns, (column) => `t.${quoted(column)} as "${column}"`)
  const kinds = columns.map((column) => [column, table.columns[column] === 'json'] as const)
  const line = (row: Row) => `${kinds.map(([column, isJson]) => asCopied(row[column]!, isJson)).join('\t')}\n`
  return {
    copy: sql.unsafe`copy ${name} (${list(columns)}) from stdin` as Query,
    /** What COPY takes of normalised rows. */
    lines: (rows: readonly Row[]): string => rows.map(line).join(''),
    load: (rows: readonly Row[]): Query =>
      sql.unsafe`select ${selected} from ${keys(table.key, rows)} join ${name} t on ${same(table.key)}`,
    remove: (rows: readonly Row[]): Query => sql.unsafe`${remove(table.key, rows)}`,
    /** Gives the keys that it met. */
    removeGroups: (length: number, rows: readonly Row[]): Query =>
      sql.unsafe`${remove(table.key.slice(0, length), rows)} returning ${list(table.key, (column) => `t.${quoted(column)} as "${column}"`)}`,
    store: (rows: readonly Row[]): Query =>
      sql.unsafe`insert into ${name} (${list(columns)}) select * from json_to_recordset(${json(columns, rows)}::json) as k (${typed(columns)})
        on conflict (${list(table.key)}) ${conflict}`,
  }
}

const special = /[\\\n\r\t]/g
const escapes: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' }
const escaped = (text: string) => text.replace(special, (character) => escapes[character]!)

/** A normalised value in the text format of COPY. */
function asCopied(value: Value, isJson: boolean): string {
  if (value === null) return '\\N'
  if (isJson) return escaped(JSON.stringify(value))
  return typeof value === 'string' ? escaped(value) : String(value)
}
