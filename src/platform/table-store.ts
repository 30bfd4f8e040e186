import { type Database, type Query, sql } from './database.ts'
import { type Change, createOneTable } from './one-table.ts'
import { isKeyTaken } from './postgres-errors.ts'
import type { Projection, Refresh, Row, RowWrite, Table } from './projection.ts'
import { tablesByName } from './rows.ts'
import { quoted, raw, sqlTypes } from './table-statements.ts'
import { withSpanOfBatch } from './tracing.ts'

export type TableStore = {
  /**
   * Applies normalised writes in their order in the caller's transaction: afterwards the tables are as if each had been applied alone.
   * Safe only while nobody else writes the tables: the caller's transaction holds the checkpoint's row.
   */
  apply(db: Database, writes: readonly RowWrite[]): Promise<void>
  /** The rows of a table that have these keys. */
  load(db: Database, table: string, keys: readonly Row[]): Promise<Row[]>
}

/**
 * Stores the tables of projections. However many rows of a table a batch touches, each step is one statement; a step that has nothing to do is left
 * out, and those of all tables are asked at once. The meaning of the writes is in rows.ts alone: here rows are only loaded and stored. The tables
 * that follow from others are refreshed after all that, once a batch.
 * @param schema where the tables are: `read`, or a scratch schema
 * @param inBulk most rows are new, and go in by COPY; the tables that follow from others are left to `refreshAll`
 * @param few below so many rows of a table COPY costs more than it saves
 */
export function createTableStore(projections: readonly Projection[], schema = 'read', { inBulk = false, few = 20 } = {}): TableStore {
  const create = (table: Table) => createOneTable(table, schema, inBulk ? few : Number.POSITIVE_INFINITY)
  const stores = new Map([...tablesByName(projections)].map(([name, table]) => [name, create(table)]))
  const refreshes = projections.map((projection) => projection.refreshes.map((refresh) => bind(refresh, projection, schema)))
  /** @returns the keys of all rows that were written or removed, by table */
  const store = async (db: Database, writes: readonly RowWrite[]): Promise<Map<string, readonly Row[]>> => {
    const changes = await atOnce([...Map.groupBy(writes, ({ table }) => table)], ([name, ofTable]) => stores.get(name)!.change(db, ofTable))
    const keys = await (inBulk ? storeInBulk(db, changes) : atOnce(changes, (change) => change.store(db)))
    return new Map(changes.map(({ table }, index) => [table, keys[index]!]))
  }
  return {
    async apply(db, writes) {
      // Who reads in bulk reads what was traced long ago: nobody looks at these traces any more.
      if (inBulk) await store(db, writes)
      else {
        await withSpanOfBatch('project', writes, async () => {
          const touched = await store(db, writes)
          await atOnce(refreshes, async (ofProjection) => {
            for (const refresh of ofProjection) await refresh(db, touched)
          })
        })
      }
    },
    load: async (db, table, keys) => (keys.length > 0 ? stores.get(table)!.load(db, keys) : []),
  }
}

/** Where a table has rows already that were to be copied into it, all is stored once more, and into that table by the insert that looks first. */
async function storeInBulk(db: Database, changes: readonly Change[]): Promise<Row[][]> {
  for (;;) {
    try {
      const [, keys] = await Promise.all([db.rows(sql.unsafe`savepoint copied`), atOnce(changes, (change) => change.store(db))])
      return keys
    } catch (error) {
      const refused = isKeyTaken(error) ? changes.find(({ table }) => table === (error as { table?: string }).table) : undefined
      if (!refused?.isCopied()) throw error
      refused.copyNoMore()
      await db.rows(sql.unsafe`rollback to savepoint copied`)
    }
  }
}

/** So many keys of the sources that following tables are made of at a time. */
const CHUNK = 5_000

/**
 * Makes all rows of the tables that follow from others, where the others were filled without them. To repeat it changes nothing.
 * @param inTransaction runs each part by itself
 * @param inLongTransaction the same for one that may take minutes
 */
export async function refreshAll(
  projection: Projection,
  schema: string,
  inTransaction: <T>(work: (db: Database) => Promise<T>) => Promise<T>,
  inLongTransaction = inTransaction,
): Promise<void> {
  for (const refresh of projection.refreshes) {
    const { anew, writes } = refresh
    const here = tablesIn(projection, schema)
    const isEmpty = async (db: Database) => {
      for (const noun of writes) if ((await db.rows(sql.unsafe`select from ${here[noun]!.sql} limit 1`)).length > 0) return false
      return true
    }
    const isDone = anew && (await inLongTransaction(async (db) => (await isEmpty(db)) && (await anew(db, here).then(() => true))))
    if (isDone) continue
    const run = bind(refresh, projection, schema)
    for (const noun of refresh.anewFrom ?? refresh.from) {
      const table = projection.tables[noun]!
      for (let after: Row | undefined; ; ) {
        const keys = await inTransaction(async (db) => {
          const page = await db.rows<Row>(pageOfKeys(table, schema, after))
          if (page.length > 0) await run(db, new Map([[table.name, page]]))
          return page
        })
        if (keys.length < CHUNK) break
        after = keys.at(-1)
      }
    }
  }
}

function pageOfKeys({ name, key, columns }: Table, schema: string, after: Row | undefined): Query {
  const list = raw(key.map(quoted).join(', '))
  const values =
    after &&
    sql.join(
      key.map((column) => sql.fragment`${after[column] as string}::${raw(sqlTypes[columns[column]!])}`),
      sql.fragment`, `,
    )
  return sql.unsafe`
    select ${raw(key.map((column) => `${quoted(column)} as "${column}"`).join(', '))} from ${sql.identifier([schema, name])}
    where ${values ? sql.fragment`(${list}) > (${values})` : sql.fragment`true`} order by ${list} limit ${CHUNK}`
}

function tablesIn(projection: Projection, schema: string): Record<string, Table> {
  const here = Object.entries(projection.tables).map(([noun, table]) => [noun, { ...table, sql: sql.identifier([schema, table.name]) }])
  return Object.fromEntries(here)
}

/** A refresh over the tables where they are. */
function bind({ from, run }: Refresh, projection: Projection, schema: string) {
  const tables = tablesIn(projection, schema)
  return async (db: Database, touched: ReadonlyMap<string, readonly Row[]>) => {
    const keys = (noun: string) => touched.get(tables[noun]!.name) ?? []
    if (from.some((noun) => keys(noun).length > 0)) await run(db, tables, keys)
  }
}

/**
 * Has all parts of a transaction's work ask without waiting for each other, and ends when all have ended: none must go on when the transaction is over.
 * @throws what failed first; what fails after it does so because of that
 */
async function atOnce<T, R>(parts: readonly T[], work: (part: T) => Promise<R>): Promise<R[]> {
  const failures: unknown[] = []
  const results = await Promise.all(
    parts.map((part) =>
      work(part).catch((error): R => {
        failures.push(error)
        return undefined as R
      }),
    ),
  )
  if (failures.length > 0) throw failures[0]
  return results
}
