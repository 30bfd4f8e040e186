import { lockCheckpoint } from '../checkpoint.ts'
import { type Database, type Pool, sql } from '../database.ts'
import type { RecordedEvent, StoredEvent } from '../event.ts'
import type { Projection } from '../projection.ts'
import { isFaultOfData, Unapplicable } from '../projector-fault.ts'
import { Refused } from '../refusal.ts'
import { createInterpreter } from '../rows.ts'
import { createTableStore } from '../table-store.ts'
import { changeStates } from './states.ts'

/*
 * An event that a projection cannot apply is parked for it, with every later event of its stream, so that the others go on and the order within the
 * stream is kept. What is parked are pointers into the log, never what the events say.
 */

/** An event that is to be parked. @property fault why; left out where it only waits behind another */
export type Parking = { readonly projection: string; readonly event: RecordedEvent; readonly fault?: unknown }

/** Which streams are parked for which projection. */
export type ParkedStreams = { has(projection: string, stream: string): boolean; readonly size: number; readonly version: number }

/** Of the projections at one checkpoint. */
export async function parkedStreams(db: Database, checkpoint: string, version: number): Promise<ParkedStreams> {
  const rows = await db.rows<{ projection: string; stream: string }>(sql.unsafe`
    select distinct e.projection, e.stream from smartcrm.parked_events e
    join smartcrm.projections p on p.name = e.projection and p.place = e.place where p.checkpoint = ${checkpoint}`)
  const keys = new Set(rows.map(({ projection, stream }) => `${projection} ${stream}`))
  return { has: (projection, stream) => keys.has(`${projection} ${stream}`), size: keys.size, version }
}

/** In the transaction in which the checkpoint moves over them. */
export async function park(db: Database, checkpoint: string, events: readonly Parking[]): Promise<void> {
  const rows = events.map(({ projection, event: { stream, revision, id, type, position }, fault }) => ({
    projection,
    stream,
    revision,
    event_id: id,
    type,
    commit_position: String(position.commit),
    prepare_position: String(position.prepare),
    error: fault === undefined ? null : (fault as Error).message,
  }))
  await db.rows(sql.unsafe`
    insert into smartcrm.parked_events (projection, place, stream, revision, event_id, type, commit_position, prepare_position, error)
    select k.projection, p.place, k.stream, k.revision, k.event_id, k.type, k.commit_position, k.prepare_position, k.error
    from json_to_recordset(${JSON.stringify(rows)}::json) as k (projection text, stream text, revision bigint, event_id uuid, type text,
      commit_position bigint, prepare_position bigint, error text)
    join smartcrm.projections p on p.name = k.projection and p.checkpoint = ${checkpoint}
    on conflict do nothing`)
  await db.rows(sql.unsafe`update smartcrm.checkpoints set parked_version = parked_version + 1 where name = ${checkpoint}`)
}

/** One event that is parked for what answers of a projection. */
export type ParkedEvent = {
  readonly stream: string
  readonly revision: number
  readonly eventId: string
  readonly type: string
  readonly position: string
  readonly error: string | null
  readonly parkedAt: string
}

/** In the order of the log. @param limit how many at the most */
export const readParked = (db: Database, projection: string, limit: number): Promise<ParkedEvent[]> =>
  db.rows<ParkedEvent>(sql.unsafe`
    select stream, revision, event_id as "eventId", type, commit_position || '.' || prepare_position as position, error, parked_at as "parkedAt"
    from smartcrm.parked_events where projection = ${projection} and place = 'read'
    order by commit_position, prepare_position limit ${limit}`)

/** What was wrong with an event may quote it. @param streams whose subjects were erased */
export const forgetFaults = (db: Database, streams: readonly string[]) =>
  db.rows(sql.unsafe`
    update smartcrm.parked_events set error = 'What it says was erased.' where stream = any(${sql.array([...streams], 'text')}) and error is not null`)

type Log = {
  readStream(stream: string): Promise<StoredEvent[]>
  decode(events: readonly StoredEvent[]): Promise<RecordedEvent[]>
}
export type Replayed = { readonly replayed: number; readonly left: readonly { readonly stream: string; readonly error: string }[] }

/**
 * Puts what is parked for a projection into its tables, a stream at a time and each in its order. Whoever follows the log waits meanwhile, so what comes
 * later stays behind it. A stream that still cannot be applied stays parked as a whole.
 * @throws Refused when there is no such projection; Unavailable when log or keys are away
 */
export async function replay(pool: Pool, projection: Projection, log: Log): Promise<Replayed> {
  const { name, version } = projection
  const streams = await pool.rows<{ stream: string }>(sql.unsafe`
    select stream from smartcrm.parked_events where projection = ${name} and place = 'read' group by stream order by min(commit_position)`)
  const interpret = createInterpreter([projection])
  const store = createTableStore([projection])
  const left: { stream: string; error: string }[] = []
  let replayed = 0

  const replayStream = (stream: string) =>
    changeStates(pool, async (db) => {
      const [row] = await db.rows<{ checkpoint: string; version: number }>(
        sql.unsafe`select checkpoint, version from smartcrm.projections where name = ${name} and place = 'read'`,
      )
      if (row?.version !== version)
        throw new Refused('projection-outdated', `This SmartCRM has another version of ${name} than its tables are of.`)
      await lockCheckpoint(db, row.checkpoint)
      const parked = await db.rows<{ revision: number }>(sql.unsafe`
        delete from smartcrm.parked_events where projection = ${name} and place = 'read' and stream = ${stream} returning revision`)
      const revisions = new Set(parked.map(({ revision }) => revision))
      const events = await log.decode((await log.readStream(stream)).filter(({ revision }) => revisions.has(revision)))
      for (const event of events) {
        try {
          await store.apply(db, interpret(event))
        } catch (fault) {
          throw isMomentary(fault) ? fault : new Unapplicable(event, name, fault)
        }
      }
      await db.rows(sql.unsafe`update smartcrm.checkpoints set parked_version = parked_version + 1 where name = ${row.checkpoint}`)
      return events.length
    })

  for (const { stream } of streams) {
    try {
      replayed += await replayStream(stream)
    } catch (error) {
      if (!(error instanceof Unapplicable)) throw error
      left.push({ stream, error: error.message })
    }
  }
  return { replayed, left }
}

/** What is not the event's fault: everything that Postgres says, but that it refuses what it was given. */
const isMomentary = (error: unknown): boolean => 'code' in (error as object) && !isFaultOfData(error)
