import { setTimeout as delay } from 'node:timers/promises'
import { Fenced, moveCheckpoint, readCheckpoint } from '../checkpoint.ts'
import { type Database, type Pool, sql } from '../database.ts'
import type { RecordedEvent, StoredEvent } from '../event.ts'
import type { Term } from '../lease.ts'
import type { Logger } from '../log.ts'
import { comparePositions, formatPosition, type Position, START } from '../position.ts'
import { isLockTaken } from '../postgres-errors.ts'
import type { Projection } from '../projection.ts'
import { createProjector, ProjectionHalted } from '../projector.ts'
import { Unapplicable } from '../projector-fault.ts'
import { refreshedTables } from '../rows.ts'
import { refreshAll } from '../table-store.ts'
import { compareTables } from './compare.ts'
import { inWords } from './difference.ts'
import { join } from './join.ts'
import { createMoments } from './moments.ts'
import { createPace } from './pace.ts'
import { parkedStreams } from './parked.ts'
import { measureSnapshot, readSnapshot, type Snapshot } from './snapshots.ts'
import { changeStates, detach, type ProjectionRow, readRows, setState } from './states.ts'
import { indexStatements } from './tables.ts'
import { countRows, createSample, verifySample } from './verify.ts'
import { withProof } from './verify-tables.ts'

/** The log, as much of it as projections need. See EventStore and Codec. */
export type Log = {
  tail(): Promise<Position | null>
  readAll(after: Position | null, limit: number): Promise<StoredEvent[]>
  readStream(stream: string): Promise<StoredEvent[]>
  subscribe(after: Position | null, signal: AbortSignal): AsyncIterable<StoredEvent>
  decode(events: readonly StoredEvent[]): Promise<RecordedEvent[]>
}

export type BuildOptions = {
  readonly pool: Pool
  readonly log: Logger
  readonly source: Log
  readonly projections: readonly Projection[]
  readonly declared: ReadonlySet<string>
  readonly checkpoint: string
}

const JOIN_AGAIN_MS = 200
const BULK = { limits: { events: 2_000, bytes: 8 * 2 ** 20 }, fillMs: 300 }
const INDEX_MEMORY = '256MB'

/**
 * Takes the projections that share a position beside the live one to it: reads the log in bulk, makes indexes and the tables that follow from others,
 * catches up, verifies, and joins. Where it was killed, or another process took over, it goes on from the stored state.
 * @throws Fenced when another process works on them
 */
export async function build(options: BuildOptions, term: Term): Promise<void> {
  const { pool, log, source, checkpoint } = options
  const sample = createSample()
  const pace = createPace(pool)
  const decode = (events: readonly StoredEvent[]) => {
    sample.look(events)
    return source.decode(events)
  }
  /** Where it is to end, if it is not to become one with what is live. */
  const snapshot = await snapshotAt(pool, checkpoint)
  const subscribe: Log['subscribe'] = snapshot
    ? (after, signal) => upTo(snapshot.position, source.subscribe(after, signal))
    : source.subscribe

  const members = async () => {
    const rows = (await readRows(pool)).filter((row) => row.checkpoint === checkpoint)
    return options.projections.flatMap((projection) => {
      const row = rows.find(({ name, version }) => name === projection.name && version === projection.version)
      return row ? [{ projection, row }] : []
    })
  }
  const follow = async (inBulk: boolean) => {
    const end = snapshot?.position ?? (await source.tail()) ?? START
    const isThere = (position: Position) => comparePositions(position, end) >= 0
    const projector = createProjector({ ...options, subscribe, decode, isThere, inBulk, ...(inBulk && { pace, ...BULK }) })
    await projector.lead(term)
    return projector
  }
  /** In this term only. @param isLong its row is locked at the end, or else the lease that is in it could not be renewed meanwhile */
  const fencing =
    (isLong: boolean) =>
    async <T>(work: (db: Database) => Promise<T>): Promise<T> => {
      const began = performance.now()
      const { position } = await here()
      const fence = (db: Database) => moveCheckpoint(db, checkpoint, term.epoch, position, position)
      const result = await pool.transaction(async (db) => {
        if (!isLong) await fence(db)
        const done = await work(db)
        if (isLong) await fence(db)
        return done
      })
      await pace(performance.now() - began)
      return result
    }
  const here = async () => {
    const at = await readCheckpoint(pool, checkpoint)
    if (at?.epoch !== term.epoch) throw new Fenced()
    return at
  }
  const enter = async (state: ProjectionRow['state']) => {
    await here()
    await changeStates(pool, async (db) => {
      for (const { row } of await members()) await setState(db, row, state)
    })
  }

  const finish = async () => {
    for (const { projection, row } of await members()) {
      const analyze = async (isWanted: (name: string) => boolean) => {
        for (const { name } of Object.values(projection.tables))
          if (isWanted(name)) await pool.rows(sql.unsafe`analyze ${sql.identifier([row.place, name])}`)
      }
      const following = new Set(refreshedTables(projection))
      for (const table of Object.values(projection.tables)) {
        for (const statement of indexStatements(table, row.place)) {
          await here()
          await pool.transaction(async (db) => {
            await db.rows(sql.unsafe`select set_config('maintenance_work_mem', ${INDEX_MEMORY}, true)`)
            await db.rows(statement)
          })
        }
      }
      await analyze((name) => !following.has(name))
      await refreshAll(projection, row.place, fencing(false), fencing(true))
      await analyze((name) => following.has(name))
    }
  }

  const verify = async () => {
    const { position, parkedVersion } = await here()
    const parked = await parkedStreams(pool, checkpoint, parkedVersion)
    // What a process before this one has read is not in this one's sample.
    if (sample.streams.length === 0) sample.look(await source.readAll(null, 1_000))
    const built = (await members()).filter(({ row }) => row.place === 'building')
    const projections = built.map(({ projection }) => projection)
    const isLeftOut = ({ name }: Projection, stream: string) => parked.has(name, stream)
    const wrong = await verifySample({ ...source, pool, projections, place: 'building', position, streams: sample.streams, isLeftOut })
    if (wrong) throw new ProjectionHalted(wrong.projection, new Error(`not switched, since ${wrong.what}`))
    for (const { projection, row } of built) {
      log.info(
        { projection: projection.name, version: row.version, rows: await countRows(pool, row.tables, row.place) },
        'the new tables are verified',
      )
    }
  }

  /** What somebody asked for is not switched to before every row of it was compared with a second reading of the log. */
  const prove = async () => {
    const proving = (await members()).filter(({ row }) => row.place === 'building' && row.proves)
    if (proving.length === 0) return
    const { position } = await here()
    const at = await createMoments(pool, { ...source, end: source.tail }).at(position)
    const projections = proving.map(({ projection }) => projection)
    await withProof({ pool, projections, owner: checkpoint, signal: term.signal, position: at, progress: () => {} }, async (place) => {
      for (const { name, tables } of projections) {
        for (const table of Object.values(tables)) {
          await here()
          const { difference } = await compareTables(pool, { place: 'building', table }, { place, table })
          if (difference)
            throw new ProjectionHalted(name, new Error(`not switched, since it is not what the log makes: ${inWords(difference)}`))
        }
      }
    })
  }

  const takeThere = async () => {
    let isVerified = false
    while (!term.signal.aborted) {
      const [first] = await members()
      if (first?.row.state === 'reading') {
        await follow(true)
        if (!term.signal.aborted) await enter('finishing')
      } else if (first?.row.state === 'finishing') {
        await finish()
        if (snapshot) await measureSnapshot(pool, snapshot.place)
        await enter(snapshot ? 'frozen' : 'catching-up')
      } else if (first?.row.state === 'catching-up') {
        const projector = await follow(false)
        if (term.signal.aborted) return
        if (!isVerified) {
          await verify()
          await prove()
        }
        isVerified = true
        if (await join({ ...source, pool, checkpoint, term, apply: projector.applyAll }).catch(orLater)) return
        await delay(JOIN_AGAIN_MS)
      } else return
    }
  }

  try {
    await takeThere()
  } catch (error) {
    const halted = haltedBy(error)
    if (!halted) throw error
    log.error({ err: error, checkpoint, projection: halted.projection }, 'a projection is halted; the one that answers goes on')
    await changeStates(pool, async (db) => {
      for (const { row } of await members()) {
        // A snapshot is whole or of no use.
        if (snapshot) await setState(db, row, 'halted', halted.reason)
        else if (halted.projection === undefined || halted.projection === row.name) await detach(db, row, 'halted', halted.reason)
      }
    })
  }
}

async function snapshotAt(pool: Pool, checkpoint: string): Promise<Snapshot | null> {
  const row = (await readRows(pool)).find((row) => row.checkpoint === checkpoint)
  return row ? readSnapshot(pool, row.place) : null
}

/** Not one event beyond. The last one is there for ever: no heartbeat is chosen to end with. */
async function* upTo(end: Position, events: AsyncIterable<StoredEvent>): AsyncGenerator<StoredEvent> {
  for await (const event of events) {
    const order = comparePositions(event.position, end)
    if (order > 0) throw new Error(`the log has no event at ${formatPosition(end)}, which this was to end with`)
    yield event
    if (order === 0) return
  }
}

/** Readers that are slow keep the switch waiting; it is tried again. */
const orLater = (error: unknown): boolean => {
  if (isLockTaken(error)) return false
  throw error
}

/** What ends a build until somebody has looked: of one projection, or, without a name, of all. */
function haltedBy(error: unknown): { projection?: string; reason: string } | null {
  const { cause } = error as { cause?: unknown }
  if (error instanceof ProjectionHalted) return { projection: error.projection, reason: error.message }
  if (!(error instanceof Unapplicable)) return null
  return { ...(cause instanceof ProjectionHalted && { projection: cause.projection }), reason: error.message }
}
