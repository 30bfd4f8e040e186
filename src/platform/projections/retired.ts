import { type Pool, sql } from '../database.ts'
import { changeStates, type ProjectionRow, readRows } from './states.ts'
import { dropTables } from './tables.ts'

/**
 * Drops what is kept for a rollback: what was deleted from the live tables stays in those, since nobody writes to them. What somebody went back from is
 * remembered as such, and not built again.
 */
export async function emptyRetired(pool: Pool): Promise<void> {
  const isThere = (rows: readonly ProjectionRow[]) =>
    rows.filter(({ place, tables, missing }) => place === 'retired' && missing < tables.length)
  if (isThere(await readRows(pool)).length === 0) return
  await changeStates(pool, async (db) => {
    for (const { tables } of isThere(await readRows(db))) await dropTables(db, tables, 'retired')
    await db.rows(sql.unsafe`delete from smartcrm.projections where place = 'retired' and state = 'kept'`)
  })
}
