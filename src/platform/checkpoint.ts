import type { FragmentSqlToken } from 'slonik'
import { type Database, type Query, sql } from './database.ts'
import { formatPosition, type Position } from './position.ts'

/** Another owner took the lease over: whatever this one still wants to write, it must not. */
export class Fenced extends Error {
  constructor() {
    super('Another process holds the lease now.')
    this.name = 'Fenced'
  }
}

/** The position that all live tables share. */
export const LIVE = 'live'

/** The channel on which every move of the live position is told: `<commit>.<prepare>`, or nothing where it has to be read anew. */
export const POSITION_CHANNEL = 'smartcrm_position'

/**
 * How long a transaction that moves a checkpoint may sit idle between two statements, in milliseconds. A frozen process would otherwise keep the
 * row locked, and nobody could take over. The server's clock counts, so it works while this process does not.
 */
const IDLE_MS = 5_000
/** To be selected in a transaction. */
export const boundIdle = (idleMs = IDLE_MS) => sql.fragment`set_config('idle_in_transaction_session_timeout', ${String(idleMs)}, true)`

/** Time constant of the measured speed, in seconds. */
const SPEED_SECONDS = 10

/** Positions are read as text: they may grow past what a JavaScript number holds. */
export const selectPosition = sql.fragment`commit_position::text as commit, prepare_position::text as prepare`
export type PositionRow = { commit: string; prepare: string }
export const toPosition = ({ commit, prepare }: PositionRow): Position => ({ commit: BigInt(commit), prepare: BigInt(prepare) })

export type Checkpoint = {
  readonly position: Position
  readonly epoch: number
  readonly parkedVersion: number
  /** How many events were handled on the way to the position. */
  readonly events: number
}

/** @returns null when there is no such checkpoint */
export async function readCheckpoint(db: Database, name: string): Promise<Checkpoint | null> {
  return read(db, name, sql.fragment``)
}

/** The same, locked until the transaction ends: nobody moves it meanwhile. */
export async function lockCheckpoint(db: Database, name: string): Promise<Checkpoint | null> {
  await db.rows(sql.unsafe`select ${boundIdle()}`)
  return read(db, name, sql.fragment`for update`)
}

async function read(db: Database, name: string, locking: typeof selectPosition): Promise<Checkpoint | null> {
  const [row] = await db.rows<PositionRow & Omit<Checkpoint, 'position'>>(sql.unsafe`
    select ${selectPosition}, epoch, parked_version as "parkedVersion", events from smartcrm.checkpoints where name = ${name} ${locking}`)
  return row ? { position: toPosition(row), epoch: row.epoch, parkedVersion: row.parkedVersion, events: row.events } : null
}

/**
 * What a checkpoint's speed has faded to after so many seconds (a negative number); all in SQL. Postgres refuses to compute what is too small for a float8
 * (22003), and would take a checkpoint that stood still for two hours for one that cannot be moved: so what is next to nothing is cut off.
 */
export const faded = (speed: FragmentSqlToken, seconds: FragmentSqlToken): FragmentSqlToken =>
  sql.fragment`trunc(${speed}::numeric * exp(greatest(least(${seconds}, 0)::float8 / ${SPEED_SECONDS}, -50))::numeric, 6)::float8`

/** What a move tells of the checkpoint. */
export type Moved = Pick<Checkpoint, 'parkedVersion'>

/**
 * Moves the checkpoint, as the first statement of the transaction that writes the rows: its row is locked until then, so of two projectors that both
 * believe to lead, one waits here and then finds that the position or the epoch is no longer what it was. Tells the listeners when it commits.
 * @param events how many were handled on the way
 * @throws Fenced when the checkpoint is not at `from` in this epoch
 */
export async function moveCheckpoint(
  db: Database,
  name: string,
  epoch: number,
  from: Position,
  to: Position,
  events = 0,
  idleMs = IDLE_MS,
): Promise<Moved> {
  const told = name === LIVE ? sql.fragment`, pg_notify(${POSITION_CHANNEL}, ${formatPosition(to)})` : sql.fragment``
  const move: Query = {
    ...sql.unsafe`
      update smartcrm.checkpoints set commit_position = ${to.commit}, prepare_position = ${to.prepare}, events = events + ${events}, trouble = null,
        speed = ${faded(sql.fragment`speed`, sql.fragment`extract(epoch from moved_at - clock_timestamp())`)} + ${events / SPEED_SECONDS}::float8,
        moved_at = clock_timestamp()
      where name = ${name} and epoch = ${epoch} and commit_position = ${from.commit} and prepare_position = ${from.prepare}
      returning parked_version as "parkedVersion", ${boundIdle(idleMs)} ${told}`,
    name: name === LIVE ? 'checkpoint-move-live' : 'checkpoint-move',
  }
  const [moved] = await db.rows<Moved>(move)
  if (!moved) throw new Fenced()
  return moved
}

/** Says why the checkpoint does not move, for whoever looks after it; the next move takes it back. */
export async function tellTrouble(db: Database, name: string, epoch: number, trouble: string): Promise<void> {
  await db.rows(sql.unsafe`update smartcrm.checkpoints set trouble = ${trouble} where name = ${name} and epoch = ${epoch}`)
}
