import { type Checkpoint, Fenced, LIVE, lockCheckpoint, type Moved, moveCheckpoint } from '../checkpoint.ts'
import { type Database, type Pool, sql } from '../database.ts'
import type { StoredEvent } from '../event.ts'
import type { Term } from '../lease.ts'
import { comparePositions, type Position, START } from '../position.ts'
import { beginEpoch, changeStates, type ProjectionRow, readRows } from './states.ts'
import { dropStandIns, dropTables, moveTables } from './tables.ts'

export type Joining = {
  readonly pool: Pool
  /** The position of those that join. */
  readonly checkpoint: string
  readonly term: Term
  /** See EventStore. */
  readAll(after: Position | null, limit: number): Promise<StoredEvent[]>
  /** Applies events to those that join. */
  apply(db: Database, events: readonly StoredEvent[], moved: Moved): Promise<void>
}

/** So many events may still be missing at the last moment, while the live tables wait. */
const LAST = 1_000
/** For how long who reads the tables may keep the switch waiting, and with it whoever comes after, in milliseconds. */
const LOCK_MS = 250
/** An automatic vacuum gives way to who has waited for Postgres's `deadlock_timeout`, a second unless it was set; others may take as long as they like. */
const VACUUM_MS = 5_000

/**
 * Brings projections that have nearly caught up to the live position and joins them to it, in one transaction: what they still lack is applied while the
 * live tables stand still, tables that were built take the place of those that answered until now, and these are kept for a rollback.
 * @returns false when too much is missing, or the live tables are behind: to be tried again later
 * @throws Fenced when another process works on it; a lock timeout (55P03) when readers would be kept waiting
 */
export const join = (joining: Joining): Promise<boolean> => {
  const { pool, checkpoint, term } = joining
  return changeStates(pool, async (db) => {
    const rows = await readRows(db)
    const joined = rows.filter((row) => row.checkpoint === checkpoint)
    await interruptVacuums(
      db,
      rows.filter(({ name }) => joined.some((row) => row.name === name)),
    )
    const live = (await lockCheckpoint(db, LIVE))!
    const own = await lockCheckpoint(db, checkpoint)
    if (own?.epoch !== term.epoch) throw new Fenced()
    const isAlone = !rows.some((row) => row.checkpoint === LIVE)
    const distance = comparePositions(own.position, live.position)
    if (distance > 0 && !isAlone) return false
    if (distance > 0) await moveLive(db, own)
    if (distance < 0 && !(await applyMissing(db, joining, own.position, live.position))) return false
    await db.rows(sql.unsafe`select set_config('lock_timeout', ${`${LOCK_MS}ms`}, true)`)
    for (const row of joined) await settleIn(db, row, rows)
    await beginEpoch(db, LIVE)
    return true
  })
}

/**
 * A table that was just filled is vacuumed for as long as that takes, and the switch, which waits for nobody longer than readers can wait for it, would never
 * come. The lock that vacuums take (PostgreSQL manual, §13.3.1) is asked for first: readers do not notice, and an automatic one ends.
 */
async function interruptVacuums(db: Database, rows: readonly ProjectionRow[]): Promise<void> {
  await db.rows(sql.unsafe`select set_config('lock_timeout', ${`${VACUUM_MS}ms`}, true)`)
  for (const { tables, place } of rows) {
    const there = await db.rows<{ name: string }>(sql.unsafe`
      select tablename as name from pg_tables where schemaname = ${place} and tablename = any(${sql.array([...tables], 'text')})`)
    for (const { name } of there) await db.rows(sql.unsafe`lock table ${sql.identifier([place, name])} in share update exclusive mode`)
  }
}

const moveLive = (db: Database, { position: { commit, prepare }, events }: Checkpoint) =>
  db.rows(sql.unsafe`
    update smartcrm.checkpoints set commit_position = ${commit}, prepare_position = ${prepare}, events = ${events}, moved_at = clock_timestamp()
    where name = ${LIVE}`)

async function applyMissing(db: Database, { readAll, apply, checkpoint, term }: Joining, from: Position, to: Position): Promise<boolean> {
  const after = comparePositions(from, START) === 0 ? null : from
  const page = (await readAll(after, LAST)).filter(({ type }) => !type.startsWith('$'))
  const last = page.findIndex(({ position }) => comparePositions(position, to) === 0)
  if (last === -1) return false
  const events = page.slice(0, last + 1)
  await apply(db, events, await moveCheckpoint(db, checkpoint, term.epoch, from, to, events.length))
  return true
}

/** Tables that were built take the place of those that answered. What is kept stands where the live tables stood at that moment. */
async function settleIn(db: Database, row: ProjectionRow, rows: readonly ProjectionRow[]): Promise<void> {
  const { name, tables, place, checkpoint } = row
  if (place === 'building') {
    const replaced = rows.find((other) => other.name === name && other.place === 'read')
    const retired = rows.find((other) => other.name === name && other.place === 'retired')
    if (retired) await dropTables(db, retired.tables, 'retired')
    await db.rows(sql.unsafe`delete from smartcrm.projections where name = ${name} and place = 'retired'`)
    await dropStandIns(db, tables)
    if (replaced) {
      await moveTables(db, replaced.tables, 'read', 'retired')
      const at = replaced.checkpoint === LIVE ? checkpoint : replaced.checkpoint
      await db.rows(sql.unsafe`
        update smartcrm.projections set place = 'retired', state = 'kept', checkpoint = ${at}, since = clock_timestamp()
        where name = ${name} and place = 'read'`)
    }
    await moveTables(db, tables, 'building', 'read')
  }
  await db.rows(sql.unsafe`
    update smartcrm.projections set place = 'read', state = 'live', checkpoint = ${LIVE}, reason = null, parks = true, since = clock_timestamp()
    where name = ${name} and place = ${place}`)
}
