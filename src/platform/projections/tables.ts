import type { Database } from '../database.ts'
import { sql } from '../database.ts'
import { type Projection, snake, type Table } from '../projection.ts'
import { raw, sqlTypes } from '../table-statements.ts'

/**
 * Where tables are, a schema each: those that answer, those that are being built beside them, those that a switch replaced; and, for as long as somebody
 * wants them (snapshots.ts): as of a past moment, a proof to compare others with, and what a changed file makes of the log.
 */
export type Place = 'read' | 'building' | 'retired' | SnapshotPlace
export type SnapshotPlace = `${'asof' | 'proof' | 'trial'}_${string}`

const inPlace = (name: string, place: Place) => sql.identifier([place, name])

/**
 * Creates the tables of a projection, without the indexes beside their keys: those are made when most rows are there. What Postgres computed is kept
 * as it is, as long as the row fits into a page: to pack it, and to unpack it for each row that a search looks at, costs more than the space.
 */
export async function createTables(db: Database, projection: Projection, place: Place): Promise<void> {
  for (const table of Object.values(projection.tables)) {
    const columns = Object.entries(table.columns).map(
      ([column, kind]) => `"${snake(column)}" ${sqlTypes[kind]}${kind === 'count' ? ' not null' : ''}`,
    )
    for (const [column, definition] of Object.entries(table.computed ?? {})) columns.push(`"${snake(column)}" ${definition}`)
    const key = table.key.map((column) => `"${snake(column)}"`).join(', ')
    const unpacked = raw(table.computed ? ' with (toast_tuple_target = 8160)' : '')
    await db.rows(sql.unsafe`create table ${inPlace(table.name, place)} (${raw(columns.join(', '))}, primary key (${raw(key)}))${unpacked}`)
  }
}

/** The statements that make the indexes of a table that are not there yet; each may take long, and is to be run by itself. */
export function indexStatements(table: Table, place: Place) {
  return table.indexes.map((index, position) => {
    const definition = /^using\s/i.test(index) ? index : `(${index})`
    const name = sql.identifier([`${table.name}_${position + 1}`])
    return sql.unsafe`create index if not exists ${name} on ${inPlace(table.name, place)} ${raw(definition)}`
  })
}

export async function dropTables(db: Database, names: readonly string[], place: Place): Promise<void> {
  for (const name of names) await db.rows(sql.unsafe`drop table if exists ${inPlace(name, place)} cascade`)
}

/** Takes tables to another place. Only the catalogue changes, so it takes no longer than waiting for who reads. */
export async function moveTables(db: Database, names: readonly string[], from: Place, to: Place): Promise<void> {
  for (const name of names) {
    await db.rows(sql.unsafe`alter table if exists ${inPlace(name, from)} set schema ${sql.identifier([to])}`)
  }
}

/** Who reads them takes the view first and then its table; so must who takes both away, or each would wait for the other. */
export async function dropStandIns(db: Database, names: readonly string[]): Promise<void> {
  const views = await db.rows<{ name: string }>(
    sql.unsafe`select viewname as name from pg_views where schemaname = 'read' and viewname = any(${sql.array([...names], 'text')})`,
  )
  for (const { name } of views) await db.rows(sql.unsafe`drop view if exists ${inPlace(name, 'read')}`)
}

/**
 * While new tables of a projection are built for the first time, the older version's stand in for them where they have the same columns, so that the
 * new version's queries are answered from them.
 */
export async function standIn(db: Database, projection: Projection, older: number): Promise<void> {
  for (const { name, columns, computed } of Object.values(projection.tables)) {
    const before = name.replace(/\d+$/, String(older))
    const wanted = [...Object.keys(columns), ...Object.keys(computed ?? {})].map(snake)
    const there = await db.rows<{ name: string }>(sql.unsafe`
      select attname as name from pg_attribute where attrelid = to_regclass(${`read.${before}`}) and attnum > 0 and not attisdropped`)
    const taken = await db.rows(sql.unsafe`select where to_regclass(${`read.${name}`}) is not null`)
    if (taken.length > 0 || !wanted.every((column) => there.some((found) => found.name === column))) continue
    const list = raw(wanted.map((column) => `"${column}"`).join(', '))
    await db.rows(sql.unsafe`create view ${inPlace(name, 'read')} as select ${list} from ${inPlace(before, 'read')}`)
  }
}
