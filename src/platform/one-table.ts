import type { Database } from './database.ts'
import type { Row, RowWrite, Table } from './projection.ts'
import { createMemoryTable, isOneRow, keyText } from './rows.ts'
import { compose } from './table-statements.ts'

/** What the writes of a batch come to in one table. */
export type Change = {
  readonly table: string
  /** May be called again, if the transaction went back to before. @returns the keys of all rows that were written or removed */
  store(db: Database): Promise<Row[]>
  /** Rows of which it is not known whether they are there are stored by COPY, which fails where one is. */
  isCopied(): boolean
  /** One is there: from now on those of this change, and for a while those of the next, are stored by an insert that looks first. */
  copyNoMore(): void
}

const MOST_PASSED_OVER = 64

/**
 * One table, changed a batch at a time. Each step is one statement with one JSON parameter; COPY takes half the time of the insert, and what it is not
 * certain of it finds out by failing. Where it fails again and again it is not tried for a while.
 * @param few below so many rows COPY costs more than it saves
 */
export function createOneTable(table: Table, schema: string, few: number) {
  const statements = compose(table, schema)
  const load = (db: Database, keys: readonly Row[]) => db.rows<Row>(statements.load(keys))
  let passOver = 0
  let refused = 0

  return {
    load,
    /** Loads what the writes build on, and folds them. Nothing is stored yet. */
    async change(db: Database, writes: readonly RowWrite[]): Promise<Change> {
      const memory = createMemoryTable(table)
      const awaited = rowsToLoad(table, writes)
      const loaded = awaited.length > 0 ? await load(db, awaited) : []
      for (const row of loaded) memory.load(row)

      for (const write of writes) memory.apply(write)

      const removals = writes.filter(({ verb }) => verb === 'remove')
      const groups = removals.filter((write) => !isOneRow(table, write)).map(({ row }) => row)
      const removed = new Map(removals.filter((write) => isOneRow(table, write)).map(({ row }) => [keyText(table, row), row]))
      const gone = [...removed].filter(([key]) => !memory.get(key)).map(([, row]) => row)
      const known = new Set([...removed.keys(), ...loaded.map((row) => keyText(table, row))])
      const { old = [], fresh = [] } = Object.groupBy(memory.rows(), (row) => (known.has(keyText(table, row)) ? 'old' : 'fresh'))
      let isCopied = fresh.length >= few && passOver === 0
      if (fresh.length >= few && passOver > 0) passOver -= 1

      return {
        table: table.name,
        isCopied: () => isCopied,
        copyNoMore() {
          isCopied = false
          refused += 1
          passOver = Math.min(2 ** refused, MOST_PASSED_OVER)
        },
        async store(db) {
          const touched = new Map<string, Row>()
          for (const [length, prefixes] of Map.groupBy(groups, (row) => Object.keys(row).length)) {
            for (const key of await db.rows<Row>(statements.removeGroups(length, prefixes))) touched.set(keyText(table, key), key)
          }
          if (gone.length > 0) await db.rows(statements.remove(gone))
          if (old.length > 0) await db.rows(statements.store(old))
          if (isCopied) {
            await db.copy!(statements.copy, statements.lines(fresh))
            refused = 0
          } else if (fresh.length > 0) await db.rows(statements.store(fresh))
          for (const write of writes) if (isOneRow(table, write)) touched.set(keyText(table, write.row), write.row)
          return [...touched.values()]
        },
      }
    },
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
