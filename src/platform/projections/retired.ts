import { type Pool, sql } from '../database.ts'
import type { Projection } from '../projection.ts'
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

const KEPT = '1 day'

/** Drops what has been kept for a rollback for long enough, and what no code has asked for that long. */
export async function dropRetired(pool: Pool, projections: readonly Projection[], kept = KEPT): Promise<void> {
  const names = sql.array(
    projections.map(({ name }) => name),
    'text',
  )
  const old = sql.fragment`since < clock_timestamp() - ${kept}::interval
    and (place = 'retired' and state = 'kept' or place = 'read' and state = 'outdated' and name <> all(${names}))`
  if ((await pool.rows(sql.unsafe`select from smartcrm.projections where ${old}`)).length === 0) return
  await changeStates(pool, async (db) => {
    const gone = await db.rows<ProjectionRow>(sql.unsafe`delete from smartcrm.projections where ${old} returning name, place, tables`)
    for (const { place, tables } of gone) await dropTables(db, tables, place)
  })
}
