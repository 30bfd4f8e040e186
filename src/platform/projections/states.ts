import { randomBytes } from 'node:crypto'
import { type Checkpoint, lockCheckpoint, POSITION_CHANNEL } from '../checkpoint.ts'
import { type Database, type Pool, sql } from '../database.ts'
import type { Logger } from '../log.ts'
import { START } from '../position.ts'
import { isDeadlock } from '../postgres-errors.ts'
import type { Projection } from '../projection.ts'
import { Refused } from '../refusal.ts'
import { tablesByName } from '../rows.ts'
import { createTables, dropStandIns, dropTables, moveTables, type Place, standIn } from './tables.ts'

/** See migrations/0006_projections.sql for what each means. */
export type State = 'live' | 'reading' | 'finishing' | 'catching-up' | 'paused' | 'halted' | 'outdated' | 'kept' | 'refused' | 'frozen'

/** What there is of a projection in one place. */
export type ProjectionRow = {
  readonly name: string
  readonly place: Place
  readonly version: number
  readonly tables: readonly string[]
  readonly checkpoint: string
  readonly state: State
  readonly reason: string | null
  readonly parks: boolean
  readonly proves: boolean
  readonly since: string
  /** How many of its tables somebody dropped. */
  readonly missing: number
}

/** Told whenever a row of smartcrm.projections changes. */
export const PROJECTIONS_CHANNEL = 'smartcrm_projections'

/** The states in which somebody is to work on it. */
export const moving = sql.fragment`('reading', 'finishing', 'catching-up')`

export const readRows = (db: Database): Promise<ProjectionRow[]> =>
  db.rows<ProjectionRow>(sql.unsafe`
    select name, place, version, tables, checkpoint, state, reason, parks, proves, since,
      (select count(*) from unnest(tables) t where to_regclass(format('%I.%I', place, t)) is null) as missing
    from smartcrm.projections order by name, place`)

export const tableNamesOf = (projection: Projection): string[] => [...tablesByName([projection]).keys()].sort()

/** So often a change that met others who wait for what it holds is tried again. */
const TRIES = 5

/**
 * Changes of states exclude each other; those who only follow the log are not kept waiting by it. Readers of positions and states are told.
 * @param change may be called again, when Postgres took back what it did (a reader or a batch of the old tables may wait for this one, and this one for it)
 */
export async function changeStates<T>(pool: Pool, change: (db: Database) => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await pool.transaction(async (db) => {
        await db.rows(sql.unsafe`lock table smartcrm.projections in share row exclusive mode`)
        const result = await change(db)
        await db.rows(sql.unsafe`
          delete from smartcrm.checkpoints c where c.name like 'beside-%' and not exists (select from smartcrm.projections p where p.checkpoint = c.name)`)
        await db.rows(sql.unsafe`select pg_notify(${PROJECTIONS_CHANNEL}, ''), pg_notify(${POSITION_CHANNEL}, '')`)
        return result
      })
    } catch (error) {
      if (!isDeadlock(error) || tries === TRIES) throw error
    }
  }
}

/** Whoever leads there begins anew with what there is now. */
export const beginEpoch = (db: Database, checkpoint: string) =>
  db.rows(sql.unsafe`
    update smartcrm.checkpoints set epoch = epoch + 1, owner = null, lease_until = '-infinity', trouble = null where name = ${checkpoint}`)

export const setState = (
  db: Database,
  { name, place }: Pick<ProjectionRow, 'name' | 'place'>,
  state: State,
  reason: string | null = null,
) =>
  db.rows(sql.unsafe`
    update smartcrm.projections set state = ${state}, reason = ${reason}, since = clock_timestamp() where name = ${name} and place = ${place}`)

/** A new position beside the live one. @param at where it stands; the start of the log unless given */
export async function newCheckpoint(db: Database, at?: Pick<Checkpoint, 'position' | 'events'>): Promise<string> {
  const name = `beside-${randomBytes(6).toString('hex')}`
  const { commit, prepare } = at?.position ?? START
  await db.rows(sql.unsafe`
    insert into smartcrm.checkpoints (name, commit_position, prepare_position, events) values (${name}, ${commit}, ${prepare}, ${at?.events ?? 0})`)
  return name
}

/** Gives a projection a position of its own, where it stands, and leaves those that it shared one with to go on without it. */
export async function detach(db: Database, row: ProjectionRow, state: State, reason: string | null): Promise<void> {
  const at = await lockCheckpoint(db, row.checkpoint)
  const checkpoint = await newCheckpoint(db, at!)
  await db.rows(sql.unsafe`
    update smartcrm.projections set checkpoint = ${checkpoint}, state = ${state}, reason = ${reason}, since = clock_timestamp()
    where name = ${row.name} and place = ${row.place}`)
  await beginEpoch(db, row.checkpoint)
}

/**
 * Begins to build tables of these projections beside what there is; all of them together, from the start of the log. One that was being built already
 * begins anew.
 * @param parks whether an event that cannot be applied is parked; else it halts the projection that it is of
 * @param proves whether all of it is compared with a second reading of the log before it is switched to
 */
export async function beginBuild(db: Database, projections: readonly Projection[], parks = false, proves = false): Promise<void> {
  const rows = await readRows(db)
  const checkpoint = await newCheckpoint(db)
  for (const projection of projections) {
    const { name, version } = projection
    const before = rows.find((row) => row.name === name && row.place === 'building')
    if (before) await dropTables(db, before.tables, 'building')
    await db.rows(sql.unsafe`delete from smartcrm.projections where name = ${name} and place = 'building'`)
    await db.rows(
      sql.unsafe`delete from smartcrm.projections where name = ${name} and place = 'retired' and state = 'refused' and version < ${version}`,
    )
    await beginReading(db, projection, 'building', checkpoint, parks)
  }
  if (proves) await db.rows(sql.unsafe`update smartcrm.projections set proves = true where checkpoint = ${checkpoint}`)
}

/** Empty tables of a projection in a place, to be filled from the start of the log by whoever leads at the checkpoint. */
export async function beginReading(db: Database, projection: Projection, place: Place, checkpoint: string, parks: boolean): Promise<void> {
  const { name, version } = projection
  await createTables(db, projection, place)
  await db.rows(sql.unsafe`
    insert into smartcrm.projections (name, place, version, tables, checkpoint, state, parks)
    values (${name}, ${place}, ${version}, ${sql.array(tableNamesOf(projection), 'text')}, ${checkpoint}, 'reading', ${parks})`)
}

/**
 * Makes of what there is what this code needs: tables that are missing, or of an older version, are begun to be built; those of exactly this version that
 * another one left behind go on. Safe from many processes at once, and to repeat.
 */
export async function settle(pool: Pool, projections: readonly Projection[], log: Logger): Promise<void> {
  if (isSettled(projections, await readRows(pool))) return
  await changeStates(pool, async (db) => {
    const rows = await readRows(db)
    if (isSettled(projections, rows)) return
    const missing = projections.filter((projection) => needs(projection, rows) === 'build')
    for (const { name, version } of missing) log.info({ projection: name, version }, 'the tables of a projection are built from the log')
    if (missing.length > 0) await beginBuild(db, missing)
    for (const projection of projections) {
      const row = rows.find(({ name, place }) => name === projection.name && place === 'read')
      if (!row) continue
      if (needs(projection, rows) === 'revival') await setState(db, row, 'catching-up')
      if (row.version < projection.version) await standIn(db, projection, row.version)
    }
  })
}

const isSettled = (projections: readonly Projection[], rows: readonly ProjectionRow[]) =>
  projections.every((projection) => needs(projection, rows) === null)

function needs({ name, version }: Projection, rows: readonly ProjectionRow[]): 'build' | 'revival' | null {
  const at = (place: Place) => rows.find((row) => row.name === name && row.place === place)
  const [read, building, retired] = [at('read'), at('building'), at('retired')]
  if (read?.version === version && read.missing === 0) return read.state === 'outdated' ? 'revival' : null
  if (read && read.version > version) return null
  if (building && building.version >= version && building.missing === 0) return null
  return retired?.state === 'refused' && retired.version === version ? null : 'build'
}

const known = (rows: readonly ProjectionRow[], name: string, place: 'read' | 'retired'): ProjectionRow => {
  const row = rows.find((row) => row.name === name && row.place === place)
  if (row && (place === 'read' || row.missing === 0)) return row
  const [code, what] =
    place === 'read'
      ? ['projection-not-found', `There is no projection ${name}.`]
      : ['projection-not-retired', `Nothing of ${name} is kept to go back to.`]
  throw new Refused(code, what, place === 'read' ? 404 : 409)
}

/** What is being built, or else what answers: the one that pausing and resuming are about. */
const inHand = (rows: readonly ProjectionRow[], name: string) =>
  rows.find((row) => row.name === name && row.place === 'building') ?? known(rows, name, 'read')

/** Builds the tables of a projection anew beside the live ones. @throws Refused when what answers is of a newer version */
export const rebuild = (pool: Pool, projections: readonly Projection[], parks = false, proves = false): Promise<void> =>
  changeStates(pool, async (db) => {
    const rows = await readRows(db)
    const newer = projections.find(({ name, version }) =>
      rows.some((row) => row.name === name && row.place === 'read' && row.version > version),
    )
    if (newer) throw new Refused('projection-newer', `The tables of ${newer.name} are of a newer version than this SmartCRM has.`)
    await beginBuild(db, projections, parks, proves)
  })

/** Stops the projection where it is: what is being built of it, or else what answers, which goes on answering as it is. Again changes nothing. */
export const pause = (pool: Pool, name: string): Promise<void> =>
  changeStates(pool, async (db) => {
    const row = inHand(await readRows(db), name)
    if (row.state !== 'paused') await detach(db, row, 'paused', null)
  })

/** Lets a paused or halted projection go on. Again changes nothing. @throws Refused where no code goes on with it */
export const resume = (pool: Pool, name: string): Promise<void> =>
  changeStates(pool, async (db) => {
    const row = inHand(await readRows(db), name)
    if (row.state !== 'paused' && row.state !== 'halted') {
      if (row.state === 'outdated')
        throw new Refused('projection-outdated', `${name} needs a SmartCRM that has version ${row.version} of it.`)
      return
    }
    // What is being built may always be read on in bulk: indexes that are there already do not harm, and what follows from other tables is made last.
    await setState(db, row, row.place === 'read' ? 'catching-up' : 'reading')
    await beginEpoch(db, row.checkpoint)
  })

/**
 * Goes back to the tables that the last switch replaced: they answer at once, and catch up. What answered until now is kept instead, and is not
 * built again by itself.
 * @returns the version that answers now
 */
export const rollback = (pool: Pool, projections: readonly Projection[], name: string): Promise<number> =>
  changeStates(pool, async (db) => {
    const rows = await readRows(db)
    const [read, retired] = [known(rows, name, 'read'), known(rows, name, 'retired')]
    const building = rows.find((row) => row.name === name && row.place === 'building')
    if (building) await dropTables(db, building.tables, 'building')
    await db.rows(sql.unsafe`delete from smartcrm.projections where name = ${name} and place = 'building'`)
    // By way of a third place, since both may have the same names.
    if (read.state === 'live') await detach(db, read, 'outdated', null)
    await db.rows(sql.unsafe`update smartcrm.projections set place = 'moving' where name = ${name} and place = 'read'`)
    await dropStandIns(db, retired.tables)
    await moveTables(db, read.tables, 'read', 'building')
    await moveTables(db, retired.tables, 'retired', 'read')
    await moveTables(db, read.tables, 'building', 'retired')
    // Others that were replaced with it may stand at the same position.
    const checkpoint = await newCheckpoint(db, (await lockCheckpoint(db, retired.checkpoint))!)
    await db.rows(sql.unsafe`
      update smartcrm.projections set place = 'read', state = 'catching-up', checkpoint = ${checkpoint}, since = clock_timestamp()
      where name = ${name} and place = 'retired'`)
    await db.rows(
      sql.unsafe`update smartcrm.projections set place = 'retired', state = 'refused', since = clock_timestamp() where name = ${name} and place = 'moving'`,
    )
    const mine = projections.find((projection) => projection.name === name)
    if (mine && mine.version > retired.version) await standIn(db, mine, retired.version)
    return retired.version
  })
