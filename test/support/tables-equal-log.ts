import { isDeepStrictEqual } from 'node:util'
import { type Pool, sql } from '../../src/platform/database.ts'
import type { RecordedEvent } from '../../src/platform/event.ts'
import type { Logger } from '../../src/platform/log.ts'
import { type Projection, type Row, snake, type Table } from '../../src/platform/projection.ts'
import { createInterpreter, foldInMemory, refreshedTables } from '../../src/platform/rows.ts'
import { createTableStore } from '../../src/platform/table-store.ts'
import { liveTables } from './projections.ts'

type Options = {
  /** The database whose tables are asked about; nobody writes them meanwhile. */
  live: Pool
  /** Another database, with the private tables and nothing read into it yet: there the log is folded anew. */
  scratch: Pool
  projections: readonly Projection[]
  /** The whole log in its order, decoded. */
  events: readonly RecordedEvent[]
  log: Logger
}

const BATCH = 500
const NAMED = 3

/**
 * Holds the read tables to the log, row by row, in two ways that share little: the log folded anew in batches into another database, and (for the tables
 * that no refresh keeps) one event at a time in memory.
 * @returns how many rows each table has, and what differs, in words, the first of each table: nothing where they are equal
 */
export async function tablesEqualLog(options: Options): Promise<{ rows: Record<string, number>; differences: string[] }> {
  const { live, scratch, projections, events, log } = options
  await foldAnew(scratch, projections, events, log)
  const rows: Record<string, number> = {}
  const differences: string[] = []
  for (const projection of projections) {
    const memory = foldInMemory(projection, events)
    for (const [noun, table] of Object.entries(projection.tables)) {
      const found = await rowsOf(live, table)
      rows[table.name] = found.length
      differences.push(...differencesOf(table, found, await rowsOf(scratch, table), 'a fresh fold of the log'))
      if (!refreshedTables(projection).includes(table.name)) {
        differences.push(...differencesOf(table, found, memory.rows(noun), 'one event at a time in memory'))
      }
    }
  }
  return { rows, differences }
}

async function foldAnew(pool: Pool, projections: readonly Projection[], events: readonly RecordedEvent[], log: Logger): Promise<void> {
  await liveTables(pool, projections, log)
  const interpret = createInterpreter(projections)
  const store = createTableStore(projections)
  for (let from = 0; from < events.length; from += BATCH) {
    await pool.transaction((db) => store.apply(db, events.slice(from, from + BATCH).flatMap(interpret)))
  }
}

/** All rows of a table, by the names of its declaration. */
const rowsOf = (pool: Pool, table: Table): Promise<readonly Row[]> => {
  const columns = Object.keys(table.columns).map(
    (column) => sql.fragment`${sql.identifier([snake(column)])} as ${sql.identifier([column])}`,
  )
  return pool.rows<Row>(sql.unsafe`select ${sql.join(columns, sql.fragment`, `)} from ${table.sql}`)
}

function differencesOf(table: Table, found: readonly Row[], expected: readonly Row[], by: string): string[] {
  const text = (row: Row) => JSON.stringify(table.key.map((column) => row[column]))
  const there = new Map(found.map((row) => [text(row), row]))
  const wanted = new Map(expected.map((row) => [text(row), row]))
  const faults: string[] = []
  for (const [key, row] of wanted) {
    const live = there.get(key)
    if (!live) faults.push(`lacks ${key}`)
    else if (!isDeepStrictEqual({ ...live }, { ...row })) faults.push(`has another ${key}: ${changes(live, row)}`)
  }
  for (const key of there.keys()) if (!wanted.has(key)) faults.push(`has ${key}, which should not be there`)
  const more = faults.length > NAMED ? [`… and ${faults.length - NAMED} rows more`] : []
  return [...faults.slice(0, NAMED), ...more].map((fault) => `${table.name}, held to ${by}: ${fault}`)
}

const changes = (live: Row, wanted: Row): string =>
  Object.keys(wanted)
    .filter((column) => !isDeepStrictEqual(live[column], wanted[column]))
    .map((column) => `${column} is ${JSON.stringify(live[column])}, not ${JSON.stringify(wanted[column])}`)
    .join('; ')
