import type { Logger } from 'pino'
import { channelOf, readCheckpoint } from './checkpoint.ts'
import { type Database, type Pool, sql } from './database.ts'
import { comparePositions, type Position } from './position.ts'
import { type Projection, snake, type Table } from './projection.ts'
import { Unavailable } from './refusal.ts'
import { tablesByName } from './rows.ts'
import { raw, sqlTypes } from './table-store.ts'

/** The names of all tables of the projections, as a checkpoint keeps them. */
export const tableNames = (projections: readonly Projection[]): string[] => [...tablesByName(projections).keys()].sort()

/**
 * Creates the tables that are missing, and the checkpoint row. Safe from many processes at once (the checkpoint's row is the lock), and to repeat.
 *
 * A checkpoint speaks for a set of tables. Where one of these is not among them or is gone (a new version of a projection, an older SmartCRM started
 * again, a dropped table), all are emptied and the position goes back to the start of the log, with a new epoch, so that whoever leads is fenced.
 * Until they have come to where they were, they are not complete, and questions are answered with 503.
 */
export async function createTables(pool: Pool, projections: readonly Projection[], log: Logger, checkpoint = 'live'): Promise<void> {
  const tables = [...tablesByName(projections).values()]
  const names = tableNames(projections)
  await pool.rows(sql.unsafe`insert into smartcrm.checkpoints (name) values (${checkpoint}) on conflict do nothing`)
  await pool.transaction(async (db) => {
    const [row] = await db.rows<{ spokenFor: string[]; moved: boolean }>(sql.unsafe`
      select tables as "spokenFor", (commit_position, prepare_position) <> (0, 0) as moved
      from smartcrm.checkpoints where name = ${checkpoint} for update`)
    const { spokenFor, moved } = row!
    const missing = await missingTables(db, tables)
    for (const table of missing) await createTable(db, table)
    const isNew = missing.length > 0 || names.some((name) => !spokenFor.includes(name))
    if (!isNew && names.length === spokenFor.length) return
    if (isNew && moved) log.warn({ tables: names, before: spokenFor }, 'the read tables are built anew from the whole log')
    if (isNew)
      await db.rows(
        sql.unsafe`truncate ${sql.join(
          tables.map((table) => table.sql),
          sql.fragment`, `,
        )}`,
      )
    await db.rows(sql.unsafe`
      update smartcrm.checkpoints set tables = ${sql.array(names, 'text')}, epoch = epoch + 1, owner = null, lease_until = '-infinity'
        ${isNew ? begunAnew : sql.fragment``}
      where name = ${checkpoint} returning pg_notify(${channelOf(checkpoint)}, commit_position || '.' || prepare_position)`)
  })
}

/** Until they are where they were (or were to come to, should they be begun anew while they are built), they do not answer. */
const begunAnew = sql.fragment`, commit_position = 0, prepare_position = 0,
  complete_commit = case when (complete_commit, complete_prepare) < (commit_position, prepare_position) then commit_position else complete_commit end,
  complete_prepare = case when (complete_commit, complete_prepare) < (commit_position, prepare_position) then prepare_position else complete_prepare end`

/**
 * Asks the tables what only those may be asked that hold all that the log said up to `position`: whether there is something that nobody refers to.
 * Meanwhile nobody can empty them: who would (`createTables`) waits for the checkpoint's row. Whoever fills them does not, since a move of the
 * checkpoint changes no key.
 * @throws Unavailable when they are behind, are being built anew, or are another version's
 */
export const askComplete = <T>(
  pool: Pool,
  projections: readonly Projection[],
  position: Position,
  ask: (db: Database) => Promise<T>,
  checkpoint = 'live',
): Promise<T> =>
  pool.transaction(async (db) => {
    const rows = await db.rows(sql.unsafe`
      select from smartcrm.checkpoints where name = ${checkpoint} and tables @> ${sql.array(tableNames(projections), 'text')} for key share`)
    const found = rows.length > 0 && (await readCheckpoint(db, checkpoint))
    if (!found) throw new Unavailable('The read tables are not there, or are those of another version of SmartCRM.')
    if (comparePositions(found.position, found.completeAt) < 0) throw new Unavailable('The read tables are being built anew.')
    if (comparePositions(found.position, position) < 0) throw new Unavailable('The read tables are behind the log.')
    return ask(db)
  })

/** The tables, of which every query by itself is asked like that. */
export const whileComplete = (pool: Pool, projections: readonly Projection[], position: Position): Database => ({
  rows: (query) => askComplete(pool, projections, position, (db) => db.rows(query)),
})

async function missingTables(db: Database, tables: readonly Table[]): Promise<Table[]> {
  const there = await db.rows<{ name: string }>(sql.unsafe`select tablename as name from pg_tables where schemaname = 'read'`)
  return tables.filter((table) => !there.some(({ name }) => name === table.name))
}

/** Its indexes belong to its version: they are made with it and never again. */
async function createTable(db: Database, table: Table): Promise<void> {
  const columns = Object.entries(table.columns).map(
    ([column, kind]) => `"${snake(column)}" ${sqlTypes[kind]}${kind === 'count' ? ' not null' : ''}`,
  )
  for (const [column, definition] of Object.entries(table.computed ?? {})) columns.push(`"${snake(column)}" ${definition}`)
  const key = table.key.map((column) => `"${snake(column)}"`).join(', ')
  await db.rows(sql.unsafe`create table ${table.sql} (${raw(columns.join(', '))}, primary key (${raw(key)}))`)
  for (const [position, index] of table.indexes.entries()) {
    const definition = /^using\s/i.test(index) ? index : `(${index})`
    await db.rows(sql.unsafe`create index ${sql.identifier([`${table.name}_${position + 1}`])} on ${table.sql} ${raw(definition)}`)
  }
}
