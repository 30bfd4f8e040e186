import { type Database, type Query, sql } from './database.ts'
import { formatPosition, type Position } from './position.ts'

/** Another owner took the lease over: whatever this one still wants to write, it must not. */
export class Fenced extends Error {
  constructor() {
    super('Another process holds the lease now.')
    this.name = 'Fenced'
  }
}

/** The channel on which every move of a checkpoint is told: `<commit>.<prepare>`. Those that are not live have one of their own, lest theirs be taken for it. */
export const channelOf = (checkpoint: string): string => (checkpoint === 'live' ? 'smartcrm_position' : `smartcrm_position_${checkpoint}`)

/**
 * How long a transaction that moves the checkpoint may sit idle between two statements, in milliseconds. A frozen process would otherwise keep the
 * row locked, and nobody could take over. The server's clock counts, so it works while this process does not.
 */
const IDLE_MS = 5_000

type Row = { commit: string; prepare: string; epoch: number }
type WatchedRow = Row & { completeCommit: string; completePrepare: string }
const toPosition = ({ commit, prepare }: Pick<Row, 'commit' | 'prepare'>): Position => ({
  commit: BigInt(commit),
  prepare: BigInt(prepare),
})

/** Positions are read as text: they may grow past what a JavaScript number holds. */
const selected = sql.fragment`commit_position::text as commit, prepare_position::text as prepare, epoch`

export type Checkpoint = {
  readonly position: Position
  readonly epoch: number
  /** Tables that are being built anew lack what they had before until they are here. */
  readonly completeAt: Position
}

/** @returns null when there is no such checkpoint */
export async function readCheckpoint(db: Database, name: string): Promise<Checkpoint | null> {
  const [row] = await db.rows<WatchedRow>(sql.unsafe`
    select ${selected}, complete_commit::text as "completeCommit", complete_prepare::text as "completePrepare"
    from smartcrm.checkpoints where name = ${name}`)
  if (!row) return null
  const completeAt = toPosition({ commit: row.completeCommit, prepare: row.completePrepare })
  return { position: toPosition(row), epoch: row.epoch, completeAt }
}

/**
 * Moves the checkpoint, as the first statement of the transaction that writes the rows: its row is locked until then, so of two projectors that both
 * believe to lead, one waits here and then finds that the position or the epoch is no longer what it was. Tells the listeners when it commits.
 * @throws Fenced when the checkpoint is not at `from` in this epoch
 */
export async function moveCheckpoint(
  db: Database,
  name: string,
  epoch: number,
  from: Position,
  to: Position,
  idleMs = IDLE_MS,
): Promise<void> {
  const move: Query = {
    ...sql.unsafe`
      update smartcrm.checkpoints set commit_position = ${to.commit}, prepare_position = ${to.prepare}
      where name = ${name} and epoch = ${epoch} and commit_position = ${from.commit} and prepare_position = ${from.prepare}
      returning set_config('idle_in_transaction_session_timeout', ${String(idleMs)}, true), pg_notify(${channelOf(name)}, ${formatPosition(to)})`,
    name: 'checkpoint-move',
  }
  if ((await db.rows(move)).length === 0) throw new Fenced()
}

/** Whether a projector holds the lease at this moment, by Postgres's clock. */
export async function isLed(db: Database, name = 'live'): Promise<boolean> {
  const rows = await db.rows(
    sql.unsafe`select from smartcrm.checkpoints where name = ${name} and owner is not null and lease_until > clock_timestamp()`,
  )
  return rows.length > 0
}
