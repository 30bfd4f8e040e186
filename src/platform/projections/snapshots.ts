import { randomBytes } from 'node:crypto'
import { type PositionRow, toPosition } from '../checkpoint.ts'
import { type Database, type Pool, sql } from '../database.ts'
import type { Position } from '../position.ts'
import type { Projection } from '../projection.ts'
import { Refused, Unavailable } from '../refusal.ts'
import { beginReading, changeStates, newCheckpoint } from './states.ts'
import type { SnapshotPlace } from './tables.ts'

/*
 * A snapshot is one more place of tables: all of them as they were when an event had been recorded and nothing after it. Whoever leads projections fills it
 * as it fills tables that are built anew (build.ts), and leaves it frozen.
 */

/** A snapshot. */
export type Snapshot = {
  readonly place: SnapshotPlace
  /** Of the last event that is in it. */
  readonly position: Position
  readonly state: 'reading' | 'finishing' | 'ready' | 'halted'
  /** Why it is halted. */
  readonly reason: string | null
  /** How much of the way is read, from 0 to 1. */
  readonly progress: number
  readonly madeAt: string
  readonly usedAt: string
  /** Null until it is ready. */
  readonly sizeBytes: number | null
}

/** After a key was destroyed some process may hold it for so long, in seconds: what is read meanwhile may show what was erased. */
const FORGET_SECONDS = 15
/** So many may be built at once: each reads the whole log. */
const BUILT_AT_ONCE = 3
/** Whoever compares something with a snapshot says so often enough that it is still wanted (see `keepUsed`). */
const ABANDONED = '10 minutes'
const KEPT_OF_OTHER_VERSION = '1 day'

/** What was erased since stays erased: a snapshot that was begun before, or just after, is none any more. */
const isSound = sql.fragment`not exists (
  select from vault.keys where destroyed_at > s.made_at - ${FORGET_SECONDS} * interval '1 second')`

const columnsOf = (projections: readonly Projection[]) => ({
  names: sql.array(
    projections.map(({ name }) => name),
    'text',
  ),
  versions: sql.array(
    projections.map(({ version }) => version),
    'int4',
  ),
})

/** It has the tables of all of these, in exactly their versions. */
const isWhole = (projections: readonly Projection[]) => {
  const { names, versions } = columnsOf(projections)
  return sql.fragment`(select count(*) from smartcrm.projections p join unnest(${names}, ${versions}) m (name, version)
    on m.name = p.name and m.version = p.version where p.place = s.place) = ${projections.length}::int`
}

type Row = Omit<Snapshot, 'position' | 'progress'> & PositionRow & { readonly reached: string | null }

const selectSnapshot = sql.fragment`
  select s.place, s.commit_position::text as commit, s.prepare_position::text as prepare, s.made_at as "madeAt", s.used_at as "usedAt",
    s.size_bytes as "sizeBytes", p.reason, p.reached,
    case when p.states && '{halted}' or p.states is null then 'halted' when p.states && '{reading}' then 'reading'
      when p.states && '{finishing}' then 'finishing' else 'ready' end as state
  from smartcrm.snapshots s left join lateral (
    select array_agg(p.state) as states, min(p.reason) as reason, min(c.commit_position)::text as reached
    from smartcrm.projections p join smartcrm.checkpoints c on c.name = p.checkpoint where p.place = s.place) p on true`

const toSnapshot = ({ commit, prepare, reached, ...row }: Row): Snapshot => {
  const position = toPosition({ commit, prepare })
  const isRead = row.state === 'ready' || row.state === 'finishing' || position.commit === 0n
  return { ...row, position, progress: isRead ? 1 : Math.min(Number(reached ?? 0) / Number(position.commit), 1) }
}

/** Those that answer queries, or are to, the newest first. */
export async function listSnapshots(db: Database): Promise<Snapshot[]> {
  const rows = await db.rows<Row>(sql.unsafe`${selectSnapshot} where s.owner is null and ${isSound} order by s.made_at desc`)
  return rows.map(toSnapshot)
}

/** One by its place; null when there is none (any more). */
export async function readSnapshot(db: Database, place: string): Promise<Snapshot | null> {
  const [row] = await db.rows<Row>(sql.unsafe`${selectSnapshot} where s.place = ${place}`)
  return row ? toSnapshot(row) : null
}

/** Where queries as of a position are answered; null: nowhere. That it was used is noted. */
export async function placeOf(db: Database, projections: readonly Projection[], position: Position): Promise<SnapshotPlace | null> {
  const [found] = await db.rows<{ place: SnapshotPlace }>({
    ...sql.unsafe`
      with found as (
        select s.place, s.used_at from smartcrm.snapshots s
        where s.owner is null and s.commit_position = ${position.commit} and s.prepare_position = ${position.prepare} and ${isSound}
          and ${isWhole(projections)} and not exists (select from smartcrm.projections p where p.place = s.place and p.state <> 'frozen')
      ), used as (
        update smartcrm.snapshots s set used_at = clock_timestamp() from found
        where s.place = found.place and found.used_at < clock_timestamp() - interval '1 minute')
      select place from found`,
    name: 'snapshot-place',
  })
  return found?.place ?? null
}

/** A new place with the tables of these, empty, to be filled to a position. @param parks see beginBuild */
async function make(
  db: Database,
  projections: readonly Projection[],
  kind: 'asof' | 'proof' | 'trial',
  position: Position,
  owner: string | null,
  parks = true,
): Promise<SnapshotPlace> {
  const place: SnapshotPlace = `${kind}_${randomBytes(6).toString('hex')}`
  await db.rows(sql.unsafe`create schema ${sql.identifier([place])}`)
  await db.rows(sql.unsafe`
    insert into smartcrm.snapshots (place, owner, commit_position, prepare_position) values (${place}, ${owner}, ${position.commit}, ${position.prepare})`)
  const checkpoint = await newCheckpoint(db)
  for (const projection of projections) await beginReading(db, projection, place, checkpoint, parks)
  return place
}

/**
 * The snapshot as of a position: the one that there is, or a new one, which whoever leads projections fills. One that halted is begun anew.
 * @param position of an event that is not a heartbeat (see moments.ts)
 * @throws Refused when too many are being built; Unavailable when keys were destroyed just now
 */
export async function askForSnapshot(pool: Pool, projections: readonly Projection[], position: Position): Promise<Snapshot> {
  const made = await changeStates(pool, async (db) => {
    const [before] = await db.rows<Row & { isGood: boolean }>(sql.unsafe`
      select t.*, ${isSound} and ${isWhole(projections)} and t.state <> 'halted' as "isGood" from (${selectSnapshot}) t join smartcrm.snapshots s using (place)
      where s.owner is null and s.commit_position = ${position.commit} and s.prepare_position = ${position.prepare}`)
    if (before?.isGood) return before.place
    const [now] = await db.rows<{ built: number; isFresh: boolean }>(sql.unsafe`
      select (select count(distinct p.place) from smartcrm.projections p join smartcrm.snapshots s using (place)
          where s.owner is null and p.state in ('reading', 'finishing')) as built,
        exists (select from vault.keys where destroyed_at > clock_timestamp() - ${FORGET_SECONDS} * interval '1 second') as "isFresh"`)
    if (now!.isFresh) throw new Unavailable('Somebody was erased just now.', { retryAfterSeconds: FORGET_SECONDS })
    if (now!.built >= BUILT_AT_ONCE)
      throw new Refused('snapshots-building', `${BUILT_AT_ONCE} snapshots are being built: ask again when one is ready.`, 409, {}, 10)
    if (before) await forget(db, [before.place])
    return make(db, projections, 'asof', position, null)
  })
  return (await readSnapshot(pool, made))!
}

/** A place to compare something with, for its owner alone. @param kind a trial is filled by who made it, and by nobody else */
export const makeScratch = (
  pool: Pool,
  projections: readonly Projection[],
  kind: 'proof' | 'trial',
  position: Position,
  owner: string,
): Promise<SnapshotPlace> => changeStates(pool, (db) => make(db, projections, kind, position, owner, kind === 'proof'))

/** Whoever is at it is fenced, and nobody finds it any more; its tables go by `dropForgotten`. */
async function forget(db: Database, places: readonly string[]): Promise<void> {
  const gone = sql.array([...places], 'text')
  await db.rows(sql.unsafe`delete from smartcrm.projections where place = any(${gone})`)
  await db.rows(sql.unsafe`delete from smartcrm.snapshots where place = any(${gone})`)
}

/** Drops snapshots, whoever is at work on them or reads them. Again changes nothing. */
export async function dropSnapshots(pool: Pool, places: readonly string[]): Promise<void> {
  if (places.length > 0) await changeStates(pool, (db) => forget(db, places))
  await dropForgotten(pool)
}

/** Drops every snapshot that shows what was erased since it was begun. */
export async function dropUnsound(pool: Pool): Promise<void> {
  const rows = await pool.rows<{ place: string }>(sql.unsafe`select s.place from smartcrm.snapshots s where not ${isSound}`)
  await dropSnapshots(
    pool,
    rows.map(({ place }) => place),
  )
}

/** Not under the lock of changes, since who still reads or indexes such tables is waited for. */
async function dropForgotten(pool: Pool): Promise<void> {
  const schemas = await pool.rows<{ name: string }>(sql.unsafe`
    select nspname as name from pg_namespace where nspname ~ '^(asof|proof|trial)_[0-9a-f]{12}$'
      and not exists (select from smartcrm.snapshots s where s.place = nspname)`)
  for (const { name } of schemas) await pool.rows(sql.unsafe`drop schema if exists ${sql.identifier([name])} cascade`)
}

/** What was asked for last is kept. @property bytes of all together; the one that was used last is kept, however large */
export type SnapshotLimits = { readonly count: number; readonly bytes: number }

/**
 * Drops the snapshots that are too many or too large, those first that were not used for longest; those that show what was erased since; those that no
 * code has asked for that could read them; and what was left behind by who compared something.
 */
export async function boundSnapshots(pool: Pool, projections: readonly Projection[], { count, bytes }: SnapshotLimits): Promise<void> {
  const rows = await pool.rows<{ place: string; isGone: boolean; sizeBytes: number | null }>(sql.unsafe`
    select s.place, s.size_bytes as "sizeBytes",
      s.owner is not null and s.used_at < clock_timestamp() - ${ABANDONED}::interval
        or s.owner is null and (not ${isSound} or not ${isWhole(projections)} and s.used_at < clock_timestamp() - ${KEPT_OF_OTHER_VERSION}::interval) as "isGone"
    from smartcrm.snapshots s where s.owner is null or s.used_at < clock_timestamp() - ${ABANDONED}::interval order by s.used_at desc`)
  const kept = rows.filter(({ isGone }) => !isGone)
  let size = 0
  const tooMuch = kept.filter(({ sizeBytes }, index) => {
    if (sizeBytes === null) return false
    size += sizeBytes
    return index > 0 && (index >= count || size > bytes)
  })
  const gone = [...rows.filter(({ isGone }) => isGone), ...tooMuch].map(({ place }) => place)
  if (gone.length > 0) await dropSnapshots(pool, gone)
}

/** Notes how much room a snapshot that is ready takes. */
export const measureSnapshot = (db: Database, place: string) =>
  db.rows(sql.unsafe`
    update smartcrm.snapshots set size_bytes = (
      select coalesce(sum(pg_total_relation_size(c.oid)), 0) from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = ${place} and c.relkind = 'r') where place = ${place}`)

/** Says that whoever made it is still at it. */
export const keepUsed = (db: Database, place: string) =>
  db.rows(sql.unsafe`update smartcrm.snapshots set used_at = clock_timestamp() where place = ${place}`)
