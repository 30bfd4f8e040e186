import { Type } from '@sinclair/typebox'
import { type PositionRow, toPosition } from '../checkpoint.ts'
import { type Pool, sql } from '../database.ts'
import type { StoredEvent } from '../event.ts'
import { HEARTBEAT_STREAM } from '../event-store.ts'
import { checker } from '../http/validation.ts'
import { comparePositions, formatPosition, type Position, parsePosition, START } from '../position.ts'
import { Invalid } from '../refusal.ts'
import { normaliseValue } from '../values.ts'

type Log = { readAll(after: Position | null, limit: number): Promise<StoredEvent[]>; end(): Promise<Position | null> }

export type Moments = {
  /**
   * The place in the log that a moment means: of the last event that had been recorded by then, heartbeats aside. A time means: before the first event
   * that was recorded later.
   * @param asOf a position, or a time with its zone (RFC 3339)
   * @returns null for a moment that is still to come: all that there is
   * @throws Invalid naming `/querystring/asOf`, unless another path is given; Unavailable
   */
  resolve(asOf: string, path?: string): Promise<Position | null>
  /** The last event at or before a position, heartbeats aside. @throws Unavailable */
  at(position: Position): Promise<Position>
}

const PAGE = 1_000
const KNOWN = 1_000
const FORMAT = 'must be a time with its zone, like 2026-03-01T09:30:00Z, or a position, like 8471.8471'

/** Whether tables follow from it, and it stays in the log for ever. */
export const isLasting = ({ type, stream }: Pick<StoredEvent, 'type' | 'stream'>) => !type.startsWith('$') && stream !== HEARTBEAT_STREAM

/**
 * Finds places in the log. How far it is to a time, the witnessed stretches tell (witness.ts), so that only some pages are read; where there are none yet, the
 * log is read from its start. What was found once does not change.
 */
export function createMoments(pool: Pool, log: Log): Moments {
  const known = new Map<string, Position>()
  let end: Position = START

  const remember = (key: string, position: Position) => {
    if (known.size >= KNOWN) known.delete(known.keys().next().value!)
    known.set(key, position)
    return position
  }

  const isThere = async (position: Position) => {
    if (comparePositions(position, end) > 0) end = (await log.end()) ?? START
    return comparePositions(position, end) <= 0
  }

  /** @returns isClosed: something later is there already, so nothing can come before it any more */
  const walk = async (from: Position | null, isLater: (event: StoredEvent) => boolean) => {
    let last = from ?? START
    for (let after = from; ; ) {
      const page = await log.readAll(after, PAGE)
      for (const event of page.filter(isLasting)) {
        if (isLater(event)) return { position: last, isClosed: true }
        last = event.position
      }
      if (page.length < PAGE) return { position: last, isClosed: false }
      after = page.at(-1)!.position
    }
  }

  const at = async (position: Position) => {
    const key = formatPosition(position)
    const found = known.get(key)
    if (found) return found
    const [near] = await pool.rows<PositionRow>(sql.unsafe`
      select commit_position::text as commit, prepare_position::text as prepare from smartcrm.witnessed_stretches
      where (commit_position, prepare_position) <= (${position.commit}, ${position.prepare}) order by commit_position desc, prepare_position desc limit 1`)
    const { position: there } = await walk(near ? toPosition(near) : null, (event) => comparePositions(event.position, position) > 0)
    return remember(key, there)
  }

  const atTime = async (time: string) => {
    const found = known.get(time)
    if (found) return found
    const [near] = await pool.rows<PositionRow>(sql.unsafe`
      select commit_position::text as commit, prepare_position::text as prepare from smartcrm.witnessed_stretches
      where latest <= ${time}::timestamptz order by latest desc, commit_position desc, prepare_position desc limit 1`)
    const ms = Date.parse(time)
    const { position, isClosed } = await walk(near ? toPosition(near) : null, ({ created }) => Date.parse(created) > ms)
    return isClosed ? remember(time, position) : position
  }

  return {
    at,
    async resolve(asOf, path = '/querystring/asOf') {
      const position = parsePosition(asOf)
      if (position) return position.commit < 2n ** 63n && (await isThere(position)) ? at(position) : null
      const time = instantOf(asOf)
      if (time === null) throw new Invalid([{ path, message: FORMAT }])
      return Date.parse(time) > Date.now() ? null : atTime(time)
    },
  }
}

const faultsOfTime = checker(Type.String({ format: 'date-time' }))

/** The instant in its one spelling; null when it is none. */
const instantOf = (text: string): string | null => (faultsOfTime(text).length > 0 ? null : (normaliseValue.instant(text) as string))
