import { faded, type PositionRow, selectPosition, toPosition } from '../checkpoint.ts'
import { type Pool, sql } from '../database.ts'
import { type EventStore, HEARTBEAT_STREAM } from '../event-store.ts'
import { comparePositions, formatPosition, type Position, START } from '../position.ts'
import { REACTORS } from '../reactor.ts'
import { sharedAnswer } from '../shared-answer.ts'
import { within } from '../within.ts'
import type { ProjectionRow, State } from './states.ts'

/** How far something that follows the log has come, by Postgres and by the log, whatever process works at it. */
export type PositionProgress = {
  readonly position: Position
  /** Whether a process holds its lease at this moment. */
  readonly isLed: boolean
  /** Why it does not move, in words; null while it does. */
  readonly trouble: string | null
  /** How many events were handled on the way to the position. */
  readonly events: number
  /** Now: it decays while nothing comes. */
  readonly eventsPerSecond: number
  readonly movedSecondsAgo: number
  /** Age of the oldest event of the log, the server's own aside, that is not handled yet; 0 when there is none, null when the log cannot be asked. */
  readonly lagSeconds: number | null
}

export type ProjectionProgress = PositionProgress &
  Pick<ProjectionRow, 'name' | 'place' | 'version' | 'reason' | 'since'> & {
    readonly state: Exclude<State, 'frozen'>
    readonly parked: { readonly events: number; readonly streams: number }
    /** Of the log, from 0 to 1; null unless it is on its way to the live position, or when the log cannot be asked. */
    readonly progress: number | null
    /** Until it is at the end of the log, at the speed of now; null where that cannot be told. */
    readonly secondsLeft: number | null
  }

export type Progress = {
  /** In the order of their names; what is kept for a rollback among them (see `place`). */
  readonly projections: readonly ProjectionProgress[]
  /** The one position of all reactors; null where there are none. */
  readonly reactors: PositionProgress | null
  /** Age of the newest heartbeat of the log; null when there never was one, or the log cannot be asked. */
  readonly heartbeatSeconds: number | null
  /** Why the log cannot be asked, in words; null when it answers. */
  readonly logFault: string | null
}

type Log = Pick<EventStore, 'readAll' | 'readLast' | 'end'>

const FRESH_MS = 1_000
/** Who asks whether all is well must be told in good time that the log is away. */
const LOG_MS = 1_500
const PAGE = 10
/** Slower than this is not on the way anywhere. */
const LEAST_SPEED = 0.001

/**
 * Tells how far the projections and the reactors are. Several who ask within a second share an answer.
 * @returns a function that rejects with a connection error when Postgres is away; a log that is away is told in what it returns
 */
export function createProgress(pool: Pool, log: Log): (isChanged?: boolean) => Promise<Progress> {
  const oldestAfter = createOldest(log)

  const ask = async (rows: readonly Row[]): Promise<Told> => {
    const positions = new Map(rows.map(toPosition).map((position) => [formatPosition(position), position]))
    const [oldest, heartbeat, end] = await Promise.all([
      oldestAfter([...positions.values()]),
      log.readLast(HEARTBEAT_STREAM),
      rows.some(isOnItsWay) ? log.end() : null,
    ])
    return { oldest, heartbeat: heartbeat && Date.parse(heartbeat.created), end, fault: null }
  }

  return sharedAnswer(async () => {
    const rows = await readPositions(pool)
    const told = await within(LOG_MS, ask(rows), () => new Error(`The event store does not answer within ${LOG_MS / 1_000} s.`)).catch(
      ({ message }: Error): Told => ({ oldest: null, heartbeat: null, end: null, fault: message }),
    )
    const reactors = rows.find(({ checkpoint }) => checkpoint === REACTORS)
    return {
      projections: rows.flatMap((row) => (row.name === null ? [] : [projectionProgress(row, told)])),
      reactors: reactors ? positionProgress(reactors, told) : null,
      heartbeatSeconds: told.heartbeat === null ? null : ageSeconds(told.heartbeat),
      logFault: told.fault,
    }
  }, FRESH_MS)
}

type Row = PositionRow &
  Omit<ProjectionProgress, 'position' | 'lagSeconds' | 'progress' | 'secondsLeft' | 'parked' | 'name'> & {
    readonly checkpoint: string
    /** Null where no projection is at the checkpoint. */
    readonly name: string | null
    readonly parkedEvents: number
    readonly parkedStreams: number
  }

/** What the log tells. @property oldest the times of what is to be handled next, by position; null where there is nothing */
type Told = {
  readonly oldest: ReadonlyMap<string, number | null> | null
  readonly heartbeat: number | null
  readonly end: Position | null
  readonly fault: string | null
}

/** The speed begins at nothing, so while it is young it is put right by how much of its weight is there. */
const readPositions = (pool: Pool) =>
  pool.rows<Row>(sql.unsafe`
    select c.name as checkpoint, ${selectPosition}, c.owner is not null and c.lease_until > now as "isLed", c.trouble, c.events,
      ${faded(sql.fragment`c.speed`, sql.fragment`extract(epoch from c.moved_at - now)`)}
        / (1 - ${faded(sql.fragment`1`, sql.fragment`least(extract(epoch from c.began_at - now), -0.1)`)}) as "eventsPerSecond",
      greatest(extract(epoch from now - c.moved_at), 0)::float8 as "movedSecondsAgo",
      p.name, p.place, p.version, p.state, p.reason, p.since,
      coalesce(e.events, 0) as "parkedEvents", coalesce(e.streams, 0) as "parkedStreams"
    from clock_timestamp() as now, smartcrm.checkpoints c
    left join smartcrm.projections p on p.checkpoint = c.name and p.place in ('read', 'building', 'retired')
    left join (
      select projection, place, count(*) as events, count(distinct stream) as streams from smartcrm.parked_events group by 1, 2
    ) e on e.projection = p.name and e.place = p.place
    where p.name is not null or c.name = ${REACTORS}
    order by p.name, p.place`)

function positionProgress(row: Row, { oldest }: Told): PositionProgress {
  const { isLed, trouble, events, eventsPerSecond, movedSecondsAgo } = row
  const position = toPosition(row)
  const next = oldest?.get(formatPosition(position))
  const lagSeconds = next === undefined ? null : next === null ? 0 : ageSeconds(next)
  return { position, isLed, trouble, events, eventsPerSecond, movedSecondsAgo, lagSeconds }
}

function projectionProgress(row: Row, told: Told): ProjectionProgress {
  const { place, version, state, reason, since, parkedEvents, parkedStreams } = row
  const one = positionProgress(row, told)
  const parked = { events: parkedEvents, streams: parkedStreams }
  return { name: row.name!, place, version, state, reason, since, ...one, parked, ...left(row, one, told) }
}

/** Positions grow about as the log's bytes do, so what is left is as many events as there were a byte until now. */
function left(row: Row, { position, events, eventsPerSecond, lagSeconds }: PositionProgress, { end }: Told) {
  if (!isOnItsWay(row) || !end || lagSeconds === null) return { progress: null, secondsLeft: null }
  if (lagSeconds === 0) return { progress: 1, secondsLeft: row.state === 'finishing' ? null : 0 }
  const progress = Math.min(Number(position.commit) / Number(end.commit), 1)
  const isTold = row.state !== 'finishing' && events > 0 && progress > 0 && eventsPerSecond > LEAST_SPEED
  return { progress, secondsLeft: isTold ? (events / progress - events) / eventsPerSecond : null }
}

const isOnItsWay = ({ state }: Pick<Row, 'state'>) => state === 'reading' || state === 'finishing' || state === 'catching-up'

/** The server's clock may be a little before ours. */
const ageSeconds = (at: number) => Math.max(Date.now() - at, 0) / 1_000

/**
 * Finds when the first event after each position, the server's own aside, was recorded. What was found once is not asked for again while somebody
 * stands there.
 */
function createOldest(log: Log): (positions: readonly Position[]) => Promise<ReadonlyMap<string, number | null>> {
  let known = new Map<string, { after: Position | null; at: number | null }>()

  const look = async (position: Position) => {
    let { after, at } = known.get(formatPosition(position)) ?? {
      after: comparePositions(position, START) === 0 ? null : position,
      at: null,
    }
    while (at === null) {
      const page = await log.readAll(after, PAGE)
      const next = page.find(({ type }) => !type.startsWith('$'))
      if (next) at = Date.parse(next.created)
      after = page.at(-1)?.position ?? after
      if (page.length < PAGE) break
    }
    return [formatPosition(position), { after, at }] as const
  }

  return async (positions) => {
    const found = await Promise.all(positions.map(look))
    known = new Map(found)
    return new Map(found.map(([position, { at }]) => [position, at]))
  }
}
