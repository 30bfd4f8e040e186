import { LIVE, type PositionRow, readCheckpoint, selectPosition, toPosition } from '../checkpoint.ts'
import { type Database, type Pool, sql } from '../database.ts'
import { comparePositions, type Position } from '../position.ts'
import type { Projection } from '../projection.ts'
import { Unavailable } from '../refusal.ts'
import { readRows } from './states.ts'

/** How far all that answers has come. */
export type Answered = {
  readonly position: Position
  /** Within one of them it never goes back. */
  readonly epoch: number
  /** Grows with every change of what is parked, and when parked events are put in. */
  readonly parkedVersion: number
  /** All of it is at the live position. */
  readonly isOne: boolean
}

export async function readAnswered(db: Database): Promise<Answered> {
  const [row] = await db.rows<PositionRow & Omit<Answered, 'position'>>({
    ...sql.unsafe`
      select ${selectPosition}, (select epoch from smartcrm.checkpoints where name = ${LIVE}) as epoch, count(*) over () = 1 as "isOne",
        (select parked_version from smartcrm.checkpoints where name = ${LIVE}) as "parkedVersion"
      from smartcrm.checkpoints where name = ${LIVE} or name in (select checkpoint from smartcrm.projections where place = 'read')
      order by commit_position, prepare_position limit 1`,
    name: 'answered-position',
  })
  const { epoch, parkedVersion, isOne } = row!
  return { position: toPosition(row!), epoch, parkedVersion, isOne }
}

/**
 * Asks tables what only those may be asked that hold all that the log said up to `position`: whether there is something that nobody refers to. Meanwhile
 * none of them is replaced or paused.
 * @throws Unavailable when they are behind, lack events that could not be applied, or are not there in this version
 */
export const askComplete = <T>(
  pool: Pool,
  projections: readonly Projection[],
  position: Position,
  ask: (db: Database) => Promise<T>,
): Promise<T> =>
  pool.transaction(async (db) => {
    // Excluded by every change of states, and by nothing else.
    await db.rows(sql.unsafe`lock table smartcrm.projections in row exclusive mode`)
    const rows = await readRows(db)
    const isLive = projections.every(({ name, version }) =>
      rows.some((row) => row.name === name && row.version === version && row.state === 'live'),
    )
    if (!isLive) throw new Unavailable('The read tables are not there, not all at work, or those of another version of SmartCRM.')
    const names = sql.array(
      projections.map(({ name }) => name),
      'text',
    )
    const parked = await db.rows(sql.unsafe`select from smartcrm.parked_events where place = 'read' and projection = any(${names}) limit 1`)
    if (parked.length > 0) throw new Unavailable('The read tables lack events that could not be applied: replay them first.')
    if (comparePositions((await readCheckpoint(db, LIVE))!.position, position) < 0)
      throw new Unavailable('The read tables are behind the log.')
    return ask(db)
  })

/** The tables, of which every query by itself is asked like that. */
export const whileComplete = (pool: Pool, projections: readonly Projection[], position: Position): Database => ({
  rows: (query) => askComplete(pool, projections, position, (db) => db.rows(query)),
})
