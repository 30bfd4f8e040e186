import { type Database, type Pool, sql } from './database.ts'
import { isKeyTaken } from './postgres-errors.ts'

/** A job in the hands of a worker. Every claim has another `retryCount`, so the two name the attempt: nothing is settled for one that was taken over. */
export type Attempt = { readonly id: string; readonly retryCount: number }

export type Progress = { readonly done: number; readonly total: number | null; readonly note: string | null }

/** Told when a queue has something to do; the payload is its name. */
export const WAKE_CHANNEL = 'smartcrm_jobs'
/** Told when a job is cancelled; the payload is its id. */
export const CANCEL_CHANNEL = 'smartcrm_jobs_cancelled'

/*
 * What pg-boss's own functions do not do, on its table as the pinned version has it. A change of that version has to look at these.
 */

export const notify = (db: Database, channel: string, payload: string) => db.rows(sql.unsafe`select pg_notify(${channel}, ${payload})`)

const ids = (attempts: readonly Attempt[]) =>
  sql.array(
    attempts.map(({ id }) => id),
    'uuid',
  )
const matching = (queue: string, attempts: readonly Attempt[]) => sql.fragment`
  name = ${queue} and state = 'active' and id = any(${ids(attempts)})
  and (id, retry_count) in (select * from unnest(${ids(attempts)}, ${sql.array(
    attempts.map(({ retryCount }) => retryCount),
    'int4',
  )}))`

/**
 * Gives the jobs that this transaction has just inserted the order in which they were given. pg-boss takes the oldest of a key first, and all of one
 * transaction are equally old to it; between those their ids, which mean nothing, would decide.
 */
export const putInOrder = (db: Database, queue: string, inserted: readonly string[]) =>
  db.rows(sql.unsafe`
    update pgboss.job j set created_on = statement_timestamp() + o.place * interval '1 microsecond'
    from unnest(${sql.array([...inserted], 'uuid')}) with ordinality o(id, place)
    where j.name = ${queue} and j.id = o.id`)

export type Claimed = Attempt & { readonly retryLimit: number; readonly data: unknown }

/**
 * Takes up jobs of an ordered queue: of each key that nothing holds the first, the oldest of these first. It is what pg-boss's `fetch` does, in a form
 * that costs the same whatever the planner believes: with the statistics of a table that was empty a moment ago that one compares every job with every
 * key, and takes a second where this takes milliseconds. That no two of a key are ever held at once is kept by pg-boss's unique index.
 */
export async function claimInOrder(db: Database, queue: string, limit: number): Promise<Claimed[]> {
  try {
    return await db.rows<Claimed>(sql.unsafe`
      with heads as materialized (
        select distinct on (singleton_key) id, singleton_key, created_on from pgboss.job
        where name = ${queue} and state < 'active' and not blocked and policy = 'key_strict_fifo' and start_after <= now()
        order by singleton_key, state desc, created_on, id
      ), free as materialized (
        select id from heads h
        where not exists (
          select from pgboss.job b
          where b.name = ${queue} and b.singleton_key = h.singleton_key and b.id <> h.id
            and b.state in ('active', 'retry', 'failed') and b.policy = 'key_strict_fifo')
        order by created_on limit ${limit}
      ), locked as materialized (
        select one.id from free cross join lateral (
          select j.id from pgboss.job j where j.name = ${queue} and j.id = free.id and j.state < 'active' for update skip locked) one
      )
      update pgboss.job j set state = 'active', started_on = now(), heartbeat_on = now(),
        retry_count = case when started_on is null then retry_count else retry_count + 1 end
      from locked where j.name = ${queue} and j.id = locked.id
      returning j.id, j.retry_count as "retryCount", j.retry_limit as "retryLimit", j.data`)
  } catch (error) {
    // Another worker took up one of the same key meanwhile: nothing now, then.
    if (isKeyTaken(error)) return []
    throw error
  }
}

/** Which of these attempts are still their worker's. */
export async function stillHeld(db: Database, queue: string, attempts: readonly Attempt[]): Promise<Set<string>> {
  const rows = await db.rows<{ id: string }>(sql.unsafe`select id from pgboss.job where ${matching(queue, attempts)}`)
  return new Set(rows.map(({ id }) => id))
}

/** The attempt is the last one: if it is failed now, that is for good. */
export const makeLast = (db: Database, queue: string, attempt: Attempt) =>
  db.rows(sql.unsafe`update pgboss.job set retry_limit = retry_count where ${matching(queue, [attempt])}`)

/** A job that waits to be tried again is tried in so many seconds. */
export const postpone = (db: Database, queue: string, id: string, seconds: number) =>
  db.rows(sql.unsafe`
    update pgboss.job set start_after = now() + ${seconds} * interval '1 second' where name = ${queue} and id = ${id} and state = 'retry'`)

/** A job that failed for good, or waits to be tried again, is tried at once, and may fail so often again. */
export const allowRetries = (db: Database, queue: string, id: string, retries: number) =>
  db.rows(sql.unsafe`
    update pgboss.job set retry_limit = retry_count + 1 + ${retries}::int, start_after = now() where name = ${queue} and id = ${id} and state = 'retry' returning id`)

/** As if the attempts had never begun: another worker may take them up at once, and none counts against its job. */
export const handBack = (db: Database, queue: string, attempts: readonly Attempt[]) =>
  db.rows(sql.unsafe`
    update pgboss.job set state = 'created', started_on = null, heartbeat_on = null where ${matching(queue, attempts)}
    returning pg_notify(${WAKE_CHANNEL}, ${queue})`)

/** The attempts are over without an outcome: their jobs go on behind all that wait by now, and may be tried so often again. */
export const sendBack = (db: Database, queue: string, attempts: readonly Attempt[], retries: number) =>
  db.rows(sql.unsafe`
    update pgboss.job set state = 'created', started_on = null, heartbeat_on = null, created_on = clock_timestamp(),
      retry_limit = retry_count + ${retries}::int
    where ${matching(queue, attempts)} returning pg_notify(${WAKE_CHANNEL}, ${queue})`)

/** Jobs that are done, and of which nothing is to be told. */
export const forget = (db: Database, queue: string, jobIds: readonly string[]) =>
  db.rows(sql.unsafe`
    with gone as (
      delete from pgboss.job where name = ${queue} and state = 'completed' and id = any(${sql.array([...jobIds], 'uuid')}) returning id)
    delete from smartcrm.job_progress p using gone where p.job_id = gone.id`)

/** Whether another job of the queue could be taken up if this one were over: one of its key, or of a key that nothing holds. */
export async function isAwaited(db: Database, queue: string, id: string): Promise<boolean> {
  const [row] = await db.rows<{ awaited: boolean }>(sql.unsafe`
    select exists (
      select from pgboss.job w where w.name = ${queue} and w.state < 'active' and not w.blocked and w.start_after <= now() and (
        w.singleton_key = (select singleton_key from pgboss.job where name = ${queue} and id = ${id})
        or not exists (
          select from pgboss.job a
          where a.name = ${queue} and a.singleton_key = w.singleton_key and a.id <> w.id and a.state in ('active', 'retry', 'failed')))
    ) as awaited`)
  return row!.awaited
}

/** Whether a job of this key is being worked on. */
export async function isWorkedOn(db: Database, queue: string, key: string): Promise<boolean> {
  return (await jobsOf(db, queue, key, ['active'])).length > 0
}

/** Whether a job of this key waits that nobody has begun, so that it will see all that there is by now. */
export async function isWaiting(db: Database, queue: string, key: string): Promise<boolean> {
  return (await jobsOf(db, queue, key, ['created', 'retry'])).length > 0
}

const jobsOf = (db: Database, queue: string, key: string, states: readonly string[]) =>
  db.rows(sql.unsafe`
    select from pgboss.job where name = ${queue} and singleton_key = ${key} and state::text = any(${sql.array([...states], 'text')}) limit 1`)

/** Which of these keys no job of the queue is about: none waits, runs, or failed. */
export async function keysAtRest(db: Database, queue: string, keys: readonly string[]): Promise<string[]> {
  const rows = await db.rows<{ key: string }>(sql.unsafe`
    select key from unnest(${sql.array([...keys], 'text')}) as key where not exists (
      select from pgboss.job j where j.name = ${queue} and j.singleton_key = key and j.state in ('created', 'retry', 'active', 'failed'))`)
  return rows.map(({ key }) => key)
}

export const storeProgress = (db: Database, progress: readonly (Progress & { readonly jobId: string })[]) =>
  db.rows(sql.unsafe`
    insert into smartcrm.job_progress (job_id, done, total, note)
    select "jobId", done, total, note from json_to_recordset(${JSON.stringify(progress)}::json) as x("jobId" uuid, done bigint, total bigint, note text)
    on conflict (job_id) do update set done = excluded.done, total = excluded.total, note = excluded.note, at = now()`)

/** Jobs that are over are kept so long; those that failed stay until somebody retries or cancels them. */
const KEPT_DAYS = 7

/** Forgets jobs that were over a week ago. */
export async function sweep(pool: Pool, queues: readonly string[]): Promise<void> {
  await pool.rows(sql.unsafe`
    delete from pgboss.job where name = any(${sql.array([...queues], 'text')}) and state in ('completed', 'cancelled')
      and completed_on < now() - ${KEPT_DAYS} * interval '1 day'`)
  await pool.rows(sql.unsafe`
    delete from smartcrm.job_progress p where at < now() - ${KEPT_DAYS} * interval '1 day' and not exists (
      select from pgboss.job j where j.name = any(${sql.array([...queues], 'text')}) and j.id = p.job_id)`)
}
