import { type Database, type Query, sql } from './database.ts'
import { isKeyTaken } from './postgres-errors.ts'
import type { Projection, Refresh, Row, RowWrite, Table } from './projection.ts'
import { createMemoryTable, isOneRow, keyText, tablesByName } from './rows.ts'
import { compose, quoted, raw, sqlTypes } from './table-statements.ts'
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
 * Stores the tables of projections. However many rows of a table a batch touches, each step is one statement with one JSON parameter; a step
 * that has nothing to do is left out. The meaning of the writes is in rows.ts alone: here rows are only loaded and stored. The tables that
 * follow from others are refreshed after all that, once a batch.
 * @param schema where the tables are: `read`, or a scratch schema
 * @param inBulk most rows are new, and go in by COPY; the tables that follow from others are left to `refreshAll`
 * @param few below so many rows of a table COPY costs more than it saves
 */
export function createTableStore(projections: readonly Projection[], schema = 'read', { inBulk = false, few = 20 } = {}): TableStore {
  const create = (table: Table) => createOneTableStore(table, schema, inBulk ? few : Number.POSITIVE_INFINITY)
  const stores = new Map([...tablesByName(projections)].map(([name, table]) => [name, create(table)]))
  const refreshes = projections.map((projection) => projection.refreshes.map((refresh) => bind(refresh, projection, schema)))
  return {
    async apply(db, writes) {
      const work = async () => {
        const touched = new Map<string, readonly Row[]>()
        const store = async ([name, ofTable]: [string, RowWrite[]]) => {
          touched.set(name, await stores.get(name)!.apply(db, ofTable))
        }
        const tables = [...Map.groupBy(writes, ({ table }) => table)]
        // A COPY has the connection for itself.
        if (inBulk) for (const table of tables) await store(table)
        else {
          await atOnce(tables, store)
          await atOnce(refreshes, async (ofProjection) => {
            for (const refresh of ofProjection) await refresh(db, touched)
          })
        }
      }
      // Who reads in bulk reads what was traced long ago: nobody looks at these traces any more.
      await (inBulk ? work() : withSpanOfBatch('project', writes, work))
    },
    load: async (db, table, keys) => (keys.length > 0 ? stores.get(table)!.load(db, keys) : []),
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

function createOneTableStore(table: Table, schema: string, few: number) {
  const statements = compose(table, schema)
  const load = (db: Database, keys: readonly Row[]) => db.rows<Row>(statements.load(keys))
  const store = async (db: Database, rows: readonly Row[]) => {
    if (rows.length > 0) await db.rows(statements.store(rows))
  }
  const insert = createInsert(statements, store, few)
  return {
    load,
    /** Gives the keys of all rows that were written or removed. */
    async apply(db: Database, writes: readonly RowWrite[]): Promise<Row[]> {
      const memory = createMemoryTable(table)
      const awaited = rowsToLoad(table, writes)
      const loaded = awaited.length > 0 ? await load(db, awaited) : []
      for (const row of loaded) memory.load(row)

      for (const write of writes) memory.apply(write)

      const touched = new Map<string, Row>()
      const removals = writes.filter(({ verb }) => verb === 'remove')
      const groups = removals.filter((write) => !isOneRow(table, write)).map(({ row }) => row)
      for (const [length, prefixes] of Map.groupBy(groups, (row) => Object.keys(row).length)) {
        for (const key of await db.rows<Row>(statements.removeGroups(length, prefixes))) touched.set(keyText(table, key), key)
      }
      const removed = new Map(removals.filter((write) => isOneRow(table, write)).map(({ row }) => [keyText(table, row), row]))
      const gone = [...removed].filter(([key]) => !memory.get(key)).map(([, row]) => row)
      if (gone.length > 0) await db.rows(statements.remove(gone))
      const kept = memory.rows()
      const known = new Set([...removed.keys(), ...loaded.map((row) => keyText(table, row))])
      const { old = [], fresh = [] } = Object.groupBy(kept, (row) => (known.has(keyText(table, row)) ? 'old' : 'fresh'))
      await store(db, old)
      await insert(db, fresh)
      for (const write of writes) if (isOneRow(table, write)) touched.set(keyText(table, write.row), write.row)
      return [...touched.values()]
    },
  }
}

const MOST_PASSED_OVER = 64

/**
 * Puts rows into a table of which it is not known whether it has them; in bulk hardly ever. COPY takes half the time of an insert that looks first, and says
 * so when a key is there: then the rows are stored by that insert, and where it happens again and again COPY is not tried for a while.
 */
function createInsert(
  { copy, lines }: ReturnType<typeof compose>,
  store: (db: Database, rows: readonly Row[]) => Promise<void>,
  few: number,
) {
  let passOver = 0
  let refused = 0
  return async (db: Database, rows: readonly Row[]): Promise<void> => {
    if (!db.copy || rows.length < few) return store(db, rows)
    if (passOver > 0) {
      passOver -= 1
      return store(db, rows)
    }
    await db.rows(sql.unsafe`savepoint copied`)
    try {
      await db.copy(copy, lines(rows))
      refused = 0
    } catch (error) {
      if (!isKeyTaken(error)) throw error
      await db.rows(sql.unsafe`rollback to savepoint copied`)
      await store(db, rows)
      refused += 1
      passOver = Math.min(2 ** refused, MOST_PASSED_OVER)
    }
    await db.rows(sql.unsafe`release savepoint copied`)
  }
}

/** The keys whose first write in the batch is a `patch` or `merge`: those wait for the row, `put` and `remove` forget what came before. */
function rowsToLoad(table: Table, writes: readonly RowWrite[]): Row[] {
  if (!writes.some(({ verb }) => verb === 'patch' || verb === 'merge')) return []
  const first = new Map<string, RowWrite>()
  for (const write of writes) {
    if (!isOneRow(table, write)) continue
    const key = keyText(table, write.row)
    if (!first.has(key)) first.set(key, write)
  }
  return [...first.values()].filter(({ verb }) => verb === 'patch' || verb === 'merge').map(({ row }) => row)
}

/**
 * Has all parts of a transaction's work ask without waiting for each other, and ends when all have ended: none must go on when the transaction is over.
 * @throws what failed first; what fails after it does so because of that
 */
async function atOnce<T>(parts: readonly T[], work: (part: T) => Promise<void>): Promise<void> {
  const failures: unknown[] = []
  await Promise.all(parts.map((part) => work(part).catch((error) => failures.push(error))))
  if (failures.length > 0) throw failures[0]
}
