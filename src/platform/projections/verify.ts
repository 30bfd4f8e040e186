import { isDeepStrictEqual } from 'node:util'
import { type Database, sql } from '../database.ts'
import type { RecordedEvent, StoredEvent } from '../event.ts'
import { comparePositions, type Position } from '../position.ts'
import type { Projection, Row, Table } from '../projection.ts'
import { foldInMemory, keyText, refreshedTables } from '../rows.ts'
import { createTableStore } from '../table-store.ts'
import type { Place } from './tables.ts'

const SAMPLED = 100

/** A fair sample of the streams that begin while it looks. */
export function createSample(size = SAMPLED) {
  const streams: string[] = []
  let begun = 0
  return {
    streams,
    look(events: readonly StoredEvent[]) {
      for (const { stream, revision } of events) {
        if (revision !== 0) continue
        begun += 1
        const at = streams.length < size ? streams.length : Math.floor(Math.random() * begun)
        if (at < size) streams[at] = stream
      }
    },
  }
}

type Verifying = {
  readonly pool: Database
  readonly projections: readonly Projection[]
  readonly place: Place
  /** How far the tables are. */
  readonly position: Position
  readonly streams: readonly string[]
  /** The projection lacks what this stream says, and rightly. */
  isLeftOut(projection: Projection, stream: string): boolean
  readStream(stream: string): Promise<StoredEvent[]>
  decode(events: readonly StoredEvent[]): Promise<RecordedEvent[]>
}

/**
 * Folds a sample of streams a second time, in memory and one event at a time, and compares with what the tables hold.
 * @returns what differs, in words that name table and stream but no value; null when nothing does
 */
export async function verifySample(verifying: Verifying): Promise<{ projection: string; what: string } | null> {
  const { pool, projections, place, position, streams, isLeftOut, readStream, decode } = verifying
  const store = createTableStore(projections, place)
  const types = new Set(projections.flatMap(({ eventTypes }) => [...eventTypes]))
  for (const stream of streams) {
    const stored = (await readStream(stream)).filter(({ type, position: at }) => types.has(type) && comparePositions(at, position) <= 0)
    const events = await decode(stored)
    for (const projection of projections) {
      if (isLeftOut(projection, stream)) continue
      const memory = foldInMemory(
        projection,
        events.filter(({ type }) => projection.eventTypes.has(type)),
      )
      for (const [noun, table] of Object.entries(projection.tables)) {
        if (!isOfOneStream(projection, table)) continue
        const expected = memory.rows(noun)
        const found = new Map((await store.load(pool, table.name, expected)).map((row) => [keyText(table, row), row]))
        const wrong = expected.filter((row) => !isDeepStrictEqual(found.get(keyText(table, row)), row))
        if (wrong.length > 0 && !(await isBeingConcealed(pool))) {
          const what = `${wrong.length} of ${expected.length} rows that ${stream} makes in ${table.name} are not as a second fold has them`
          return { projection: projection.name, what }
        }
      }
    }
  }
  return null
}

/**
 * Who reads an event does so without what is to be shown no more from the moment on that this was said; rows follow by an event that comes a little later. So
 * for a while they may rightly be other than a second fold has them.
 */
async function isBeingConcealed(db: Database): Promise<boolean> {
  const rows = await db.rows(sql.unsafe`select from vault.concealed where changed_at > clock_timestamp() - interval '10 minutes' limit 1`)
  return rows.length > 0
}

const isOfOneStream = (projection: Projection, table: Table): boolean =>
  !table.shared &&
  !refreshedTables(projection).includes(table.name) &&
  !Object.values(table.columns).some((kind) => kind === 'count' || kind === 'last')

/** How many rows each table has. */
export async function countRows(db: Database, tables: readonly string[], place: Place): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const name of tables) {
    const [row] = await db.rows<{ rows: number } & Row>(sql.unsafe`select count(*) as rows from ${sql.identifier([place, name])}`)
    counts[name] = row!.rows
  }
  return counts
}
