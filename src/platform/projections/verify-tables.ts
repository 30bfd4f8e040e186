import { setTimeout as delay } from 'node:timers/promises'
import { LIVE, readCheckpoint } from '../checkpoint.ts'
import { type Database, type Pool, sql } from '../database.ts'
import { comparePositions, type Position } from '../position.ts'
import type { Projection } from '../projection.ts'
import { createInterpreter } from '../rows.ts'
import { createTableStore } from '../table-store.ts'
import type { Log } from './build.ts'
import { compareTables } from './compare.ts'
import type { TableDifference } from './difference.ts'
import { createMoments } from './moments.ts'
import { parkedStreams } from './parked.ts'
import { dropSnapshots, keepUsed, makeScratch, readSnapshot } from './snapshots.ts'
import { readRows } from './states.ts'
import type { SnapshotPlace } from './tables.ts'

export type Verified = {
  /** Where the tables were that were compared. */
  readonly position: Position
  readonly rows: number
  readonly differences: readonly TableDifference[]
}

export type Verifying = {
  readonly pool: Pool
  readonly source: Pick<Log, 'readAll' | 'decode'> & { end(): Promise<Position | null> }
  readonly projections: readonly Projection[]
  /** For whom; what an earlier one of the same name has left behind is dropped. */
  readonly owner: string
  readonly signal: AbortSignal
  /** @param share from 0 to 1 */
  progress(share: number, note: string): void
}

/** The live tables cannot be compared with anything now. */
export class NotVerifiable extends Error {
  override readonly name = 'NotVerifiable'
}

const LOOK_MS = 250
const KEEP_MS = 30_000
const PAGE = 1_000

/**
 * Compares every row of the live tables with what the log makes anew. A proof is read beside them, by whoever leads projections; then, in one transaction
 * that sees the live tables as of one moment, it is brought to exactly their position and compared with them. Nobody waits for that.
 * @throws NotVerifiable when some of these are not live in this version, or the proof halted
 */
export async function verifyTables(verifying: Verifying): Promise<Verified> {
  const { projections, signal, progress } = verifying
  const from = await livePosition(verifying)
  return withProof({ ...verifying, position: from }, (place) =>
    beside({ ...verifying, place, from }, async (db, position) => {
      const differences: TableDifference[] = []
      let rows = 0
      for (const table of projections.flatMap(({ tables }) => Object.values(tables))) {
        signal.throwIfAborted()
        progress(1, `compares ${table.name}`)
        const compared = await compareTables(db, { place: 'read', table }, { place, table })
        rows += compared.rows
        if (compared.difference) differences.push(compared.difference)
      }
      return { position, rows, differences }
    }),
  )
}

/** Of the last event in the live tables, heartbeats aside. @throws NotVerifiable when some of these are not live in this version */
export async function livePosition({ pool, source, projections }: Pick<Verifying, 'pool' | 'source' | 'projections'>): Promise<Position> {
  await refuseUnlike(pool, projections)
  const { position } = (await readCheckpoint(pool, LIVE))!
  return createMoments(pool, source).at(position)
}

type Beside = Pick<Verifying, 'pool' | 'source' | 'projections'> & {
  readonly place: SnapshotPlace
  /** Where the tables in the place are. */
  readonly from: Position
}

/**
 * Does something with tables in a place and the live tables, both at one position, in one transaction that sees the latter as of one moment.
 * @param projections those in the place
 */
export const beside = <T>(
  { pool, source, projections, place, from }: Beside,
  work: (db: Database, position: Position) => Promise<T>,
): Promise<T> =>
  pool.transaction(async (db) => {
    await db.rows(sql.unsafe`set transaction isolation level repeatable read`)
    const live = (await readCheckpoint(db, LIVE))!.position
    await follow(db, { source, projections }, place, from, live)
    return work(db, live)
  })

/** Makes a proof up to a position, waits for it, gives it to `work` and drops it. @throws NotVerifiable when it halted */
export async function withProof<T>(
  { pool, projections, owner, signal, position, progress }: Omit<Verifying, 'source'> & { readonly position: Position },
  work: (place: SnapshotPlace) => Promise<T>,
): Promise<T> {
  const left = await pool.rows<{ place: string }>(sql.unsafe`select place from smartcrm.snapshots where owner = ${owner}`)
  await dropSnapshots(
    pool,
    left.map(({ place }) => place),
  )
  const place = await makeScratch(pool, projections, 'proof', position, owner)
  const keeping = setInterval(() => keepUsed(pool, place).catch(() => {}), KEEP_MS)
  try {
    for (;;) {
      const proof = await readSnapshot(pool, place)
      if (!proof || proof.state === 'halted')
        throw new NotVerifiable(`The proof could not be made: ${proof?.reason ?? 'somebody dropped it'}.`)
      if (proof.state === 'ready') break
      progress(proof.progress, 'reads the log')
      await delay(LOOK_MS, undefined, { signal })
    }
    return await work(place)
  } finally {
    clearInterval(keeping)
    await dropSnapshots(pool, [place]).catch(() => {})
  }
}

async function refuseUnlike(db: Database, projections: readonly Projection[]): Promise<void> {
  const rows = await readRows(db)
  const unlike = projections.filter(
    ({ name, version }) =>
      !rows.some((row) => row.name === name && row.version === version && row.place === 'read' && row.state === 'live'),
  )
  if (unlike.length > 0)
    throw new NotVerifiable(
      `Only live tables of this version can be verified; these are not: ${unlike.map(({ name }) => name).join(', ')}.`,
    )
}

/** What came meanwhile, applied to the proof as it was to the live tables. Its checkpoint stays, since it is dropped after this. */
async function follow(
  db: Database,
  { source, projections }: Pick<Verifying, 'source' | 'projections'>,
  place: SnapshotPlace,
  from: Position,
  to: Position,
): Promise<void> {
  const interpreters = projections.map((projection) => ({ name: projection.name, interpret: createInterpreter([projection]) }))
  const store = createTableStore(projections, place)
  const parked = await parkedStreams(db, LIVE, 0)
  for (let after: Position | null = from.commit === 0n ? null : from; comparePositions(after ?? from, to) < 0; ) {
    const page = await source.readAll(after, PAGE)
    if (page.length === 0) return
    after = page.at(-1)!.position
    const events = page.filter(({ type, position }) => !type.startsWith('$') && comparePositions(position, to) <= 0)
    const known = (await source.decode(events)).filter(({ known }) => known)
    await store.apply(
      db,
      known.flatMap((event) => interpreters.flatMap(({ name, interpret }) => (parked.has(name, event.stream) ? [] : interpret(event)))),
    )
  }
}
