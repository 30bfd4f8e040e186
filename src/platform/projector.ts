import { LIVE, type Moved } from './checkpoint.ts'
import { isOurs } from './codec.ts'
import { type Database, sql } from './database.ts'
import type { RecordedEvent, StoredEvent } from './event.ts'
import { createFollower, type Follower, type FollowerHealth, type FollowerOptions } from './follower.ts'
import type { Projection, RowWrite } from './projection.ts'
import { type ParkedStreams, type Parking, park, parkedStreams } from './projections/parked.ts'
import { type ProjectionRow, readRows } from './projections/states.ts'
import { isFaultOfData, Unapplicable } from './projector-fault.ts'
import { createInterpreter } from './rows.ts'
import { createTableStore } from './table-store.ts'

export type ProjectorOptions = Pick<
  FollowerOptions<never>,
  'pool' | 'log' | 'subscribe' | 'decode' | 'limits' | 'fillMs' | 'isThere' | 'rest' | 'pace'
> & {
  /** All that this code has; it leads those of them, in exactly its version, that are at the checkpoint. */
  readonly projections: readonly Projection[]
  /** Every type of event that is declared: those that no projection follows need not be decoded. Left out: all are decoded. */
  readonly declared?: ReadonlySet<string>
  readonly checkpoint?: string
  /** Tables that follow from others are left as they are: whoever reads in bulk makes them when all is there, and for the first time. */
  readonly inBulk?: boolean
}
export type ProjectorHealth = FollowerHealth
export type Projector = Follower & {
  /** What following them would do, in the caller's transaction, which has moved the checkpoint. Only while, or after, it led. */
  applyAll(db: Database, events: readonly StoredEvent[], moved: Moved): Promise<void>
}

/** An event that one projection cannot apply, where that halts it. */
export class ProjectionHalted extends Error {
  readonly projection: string
  constructor(projection: string, cause: unknown) {
    super((cause as Error).message, { cause })
    this.name = 'ProjectionHalted'
    this.projection = projection
  }
}

const TARGET = 'the read tables'

/** What an event means for one projection; or why that cannot be told. */
type Work = Parking & { readonly writes: readonly RowWrite[] }

/**
 * Folds the log into the tables of those projections that share a position. An event that one of them cannot apply is parked for it, with those that come
 * later in its stream, and the rest goes on; or, as it says of itself, it halts.
 */
export function createProjector(options: ProjectorOptions): Projector {
  const { pool, log, decode, projections, declared, checkpoint = LIVE, inBulk = false } = options
  let members = membersOf(projections, [], inBulk)
  let parked: ParkedStreams | null = null

  /** Applies what is not parked, and parks the rest. The order within a stream holds: behind a parked event of a projection all are parked. */
  const apply = async (db: Database, work: readonly Work[], { parkedVersion }: Moved) => {
    // Rows and checkpoint are lost together, should Postgres be cut off: what is read in bulk need not be on the disk before it goes on.
    if (inBulk) await db.rows({ ...sql.unsafe`select set_config('synchronous_commit', 'off', true)`, name: 'commit-later' })
    if (parked?.version !== parkedVersion) parked = await parkedStreams(db, checkpoint, parkedVersion)
    if (parked.size === 0 && work.every(({ fault }) => fault === undefined))
      return members.apply(
        db,
        work.flatMap(({ writes }) => writes),
      )
    const here = parked
    const parkedNow = new Set<string>()
    const parking = work.filter(({ projection, event, fault }) => {
      const key = `${projection} ${event.stream}`
      if (fault !== undefined) parkedNow.add(key)
      return parkedNow.has(key) || here.has(projection, event.stream)
    })
    for (const { projection, event, fault } of parking)
      if (!members.parks(projection)) throw new Unapplicable(event, TARGET, new ProjectionHalted(projection, fault))
    for (const { projection, event, fault } of parking)
      if (fault !== undefined)
        log.error({ err: fault, projection, stream: event.stream, revision: event.revision }, 'an event cannot be applied and is parked')
    const away = new Set(parking)
    await members.apply(
      db,
      work.flatMap((one) => (away.has(one) ? [] : one.writes)),
    )
    if (parking.length > 0) await park(db, checkpoint, parking)
  }

  /** Postgres refuses something about one event: whose part of it, is found out by trying each projection's alone. */
  const applyRefused = async (db: Database, work: readonly Work[], moved: Moved) => {
    const found: Work[] = []
    for (const one of work) {
      await db.rows(sql.unsafe`savepoint part`)
      const fault =
        one.fault ??
        (await members.apply(db, one.writes).then(
          () => undefined,
          (error: unknown) => error,
        ))
      if (fault !== undefined && one.fault === undefined && !isFaultOfData(fault)) throw fault
      await db.rows(sql.unsafe`rollback to savepoint part`)
      found.push(fault === undefined ? one : { ...one, fault })
    }
    await apply(db, found, moved)
  }

  const concerns = (type: string) => !declared?.has(type) || members.types.has(type)
  const interpret = (event: RecordedEvent) => members.interpret(event)
  const follower = createFollower<Work>({
    ...options,
    checkpoint,
    target: TARGET,
    async prepare() {
      const rows = (await readRows(pool)).filter((row) => row.checkpoint === checkpoint)
      members = membersOf(projections, rows, inBulk)
      parked = null
    },
    concerns,
    interpret,
    apply,
    applyRefused,
  })
  return {
    ...follower,
    async applyAll(db, events, moved) {
      const decoded = await decode(events.filter(({ type }) => concerns(type)))
      await apply(db, decoded.flatMap(interpret), moved)
    },
  }
}

/** Those of the projections that stand at a checkpoint, and how to work with them. */
function membersOf(projections: readonly Projection[], rows: readonly ProjectionRow[], inBulk: boolean) {
  const at = new Map(rows.map((row) => [row.name, row]))
  const here = projections.filter(({ name, version }) => at.get(name)?.version === version)
  const interpreters = here.map((projection) => ({ name: projection.name, interpret: createInterpreter([projection]) }))
  const store = createTableStore(here, rows[0]?.place ?? 'read', { inBulk })
  const parks = (name: string) => at.get(name)?.parks ?? true
  return {
    types: new Set(here.flatMap(({ eventTypes }) => [...eventTypes])),
    apply: store.apply,
    parks,
    interpret(event: RecordedEvent): Work[] {
      if (!event.known) {
        // What is built now is to hold for years: it must not lack what a newer version has written.
        if (isOurs(event.meta) && here.some(({ name }) => !parks(name))) throw new Error('its type is not known to this version')
        return []
      }
      return interpreters.flatMap(({ name: projection, interpret }): Work[] => {
        try {
          const writes = interpret(event)
          return writes.length > 0 ? [{ projection, event, writes }] : []
        } catch (fault) {
          return [{ projection, event, writes: [], fault }]
        }
      })
    },
  }
}
