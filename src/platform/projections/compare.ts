import { type Database, sql } from '../database.ts'
import { type Row, snake, type Table } from '../projection.ts'
import { raw } from '../table-statements.ts'
import type { RowDifference, TableDifference } from './difference.ts'
import type { Place } from './tables.ts'

export type InPlace = { readonly place: Place; readonly table: Table }

const FIRST = 5
const MD5_SHOWN = 12

/**
 * Compares every row of two tables, by what both have: in the database, which reads each table once and joins digests of the rows, so that nothing of
 * them is sent. All columns that Postgres computes are compared too.
 * @param db a transaction that sees both as of one moment, where they change
 * @returns null when nothing differs
 * @throws Error when their keys are not the same columns
 */
export async function compareTables(
  db: Database,
  found: InPlace,
  expected: InPlace,
): Promise<{ rows: number; difference: TableDifference | null }> {
  const { key } = expected.table
  if (key.join() !== found.table.key.join()) throw new Error(`the key of ${found.table.name} is not that of ${expected.table.name}`)
  const columns = columnsOf(expected.table).filter((column) => columnsOf(found.table).includes(column))
  const quoted = (column: string) => `"${snake(column)}"`
  const list = (of: readonly string[], as: (column: string) => string = quoted) => raw(of.map(as).join(', '))
  const digests = ({ place, table }: InPlace) =>
    sql.fragment`(select ${list(key)}, md5(row(${list(columns)})::text) as digest from ${sql.identifier([place, table.name])})`
  const differing = sql.fragment`
    select ${list(key)}, case when f.digest is null then 'missing' when e.digest is null then 'extra' else 'changed' end as what
    from ${digests(found)} f full join ${digests(expected)} e using (${list(key)}) where f.digest is distinct from e.digest`
  const [counts] = await db.rows<{ rows: number; missing: number; extra: number; changed: number; first: Row[] | null }>(sql.unsafe`
    with d as materialized (${differing})
    select (select count(*) from ${sql.identifier([expected.place, expected.table.name])}) as rows, count(*) filter (where what = 'missing') as missing,
      count(*) filter (where what = 'extra') as extra, count(*) filter (where what = 'changed') as changed,
      (select json_agg(t) from (select ${list(key, (column) => `${quoted(column)} as "${column}"`)}, what from d order by ${list(key)} limit ${FIRST}) t) as first
    from d`)
  const { rows, first, ...numbers } = counts!
  if (!first) return { rows, difference: null }
  const same = raw(key.map((column) => `f.${quoted(column)} = e.${quoted(column)}`).join(' and '))
  const shown: RowDifference[] = []
  for (const { what, ...row } of first) {
    const [told] = await db.rows<{ key: Row; columns: string[] }>(sql.unsafe`
      select json_build_object(${list(key, (column) => `'${column}', ${shownKey(expected.table, column, `k.${quoted(column)}`)}`)}) as key,
        array_remove(array[${list(columns, (column) => `case when f.${quoted(column)} is distinct from e.${quoted(column)} then '${column}' end`)}], null) as columns
      from json_populate_record(null::${sql.identifier([expected.place, expected.table.name])}, ${JSON.stringify(snaked(row))}::json) k
        left join ${sql.identifier([found.place, found.table.name])} f on (${list(key, (column) => `f.${quoted(column)}`)}) = (${list(key, (column) => `k.${quoted(column)}`)})
        left join ${sql.identifier([expected.place, expected.table.name])} e on ${same}`)
    shown.push({ what: what as string, key: told!.key, columns: what === 'changed' ? told!.columns : [] })
  }
  return { rows, difference: { table: expected.table.name, ...numbers, first: shown } }
}

const columnsOf = ({ columns, computed }: Table) => [...Object.keys(columns), ...Object.keys(computed ?? {})]
const snaked = (row: Row): Row => Object.fromEntries(Object.entries(row).map(([column, value]) => [snake(column), value]))

const shownKey = ({ columns }: Table, column: string, name: string) =>
  columns[column] === 'text' ? `'md5:' || left(md5(${name}), ${MD5_SHOWN})` : name
