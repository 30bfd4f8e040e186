import type { FragmentSqlToken } from 'slonik'
import type { Job } from '../../schema/job.ts'
import { type Database, sql } from './database.ts'
import type { JobType } from './jobs.ts'
import type { Envelope } from './jobs-queue.ts'
import { paging } from './page.ts'

type Row = {
  id: string
  queue: string
  key: string
  state: string
  envelope: Envelope
  attempts: number
  created: string
  started: string | null
  finished: string | null
  next: string | null
  output: Record<string, unknown> | null
  progress: { done: number; total: number | null; note: string | null } | null
  progressAt: string | null
}

/** pg-boss's states by our names for them. */
const states: Readonly<Record<string, string>> = {
  waiting: 'created',
  retrying: 'retry',
  running: 'active',
  done: 'completed',
  failed: 'failed',
  cancelled: 'cancelled',
}
const names = Object.fromEntries(Object.entries(states).map(([name, state]) => [state, name]))

const columns = sql.fragment`
  j.id, j.name as queue, j.singleton_key as key, j.state::text as state, j.data as envelope, j.output,
  case when j.started_on is null then j.retry_count else j.retry_count + 1 end as attempts,
  j.created_on as created, j.started_on as started, j.completed_on as finished,
  case when j.state < 'active' and j.start_after > now() then j.start_after end as next,
  case when p.job_id is not null then json_build_object('done', p.done, 'total', p.total, 'note', p.note) end as progress, p.at as "progressAt"`

/** A condition on jobs by their keys, for whom not to show all of them; null: all. */
export type OnlyKeys = FragmentSqlToken | null
const only = (keys: OnlyKeys) => (keys ? sql.fragment`j.singleton_key in (${keys})` : sql.fragment`true`)

/** One job; null when there is none of these types with that id. @param keys a select of the keys of those that may be shown */
export async function findJob(db: Database, types: readonly JobType[], id: string, keys: OnlyKeys = null): Promise<Job | null> {
  const [row] = await db.rows<Row>(sql.unsafe`
    select ${columns} from pgboss.job j left join smartcrm.job_progress p on p.job_id = j.id
    where j.name = any(${queuesOf(types)}) and j.id = ${id} and ${only(keys)}`)
  return row ? render(types, row) : null
}

/** What a job was given, as long as it is kept; else null. */
export async function dataOf(db: Database, queue: string, id: string): Promise<unknown> {
  const [row] = await db.rows<{ envelope: Envelope }>(
    sql.unsafe`select data as envelope from pgboss.job where name = ${queue} and id = ${id}`,
  )
  return row ? row.envelope.data : null
}

export type JobFilters = { state?: string; queue?: string; key?: string; limit?: number; cursor?: string }

/** A page of jobs, the newest first. */
export async function listJobs(
  db: Database,
  types: readonly JobType[],
  { limit, cursor, state, queue, key }: JobFilters,
  keys: OnlyKeys = null,
) {
  const pages = paging(
    { ...(limit !== undefined && { limit }), ...(cursor !== undefined && { cursor }) },
    {
      // Microseconds order jobs, and an instant in JSON has none; in this form text order is time order.
      keys: [
        { sql: sql.fragment`to_char(j.created_on at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US')`, kind: 'text' },
        { sql: sql.fragment`j.id`, kind: 'uuid' },
      ],
      descending: true,
      scope: { state, queue, key },
    },
  )
  // The newest of each queue are read from an index, and only those are sorted.
  const rows = await db.rows<Row>(sql.unsafe`
    select found.* from unnest(${queuesOf(types.filter((type) => queue === undefined || type.queue === queue))}) q(name) cross join lateral (
      select ${columns}, ${pages.columns} from pgboss.job j left join smartcrm.job_progress p on p.job_id = j.id
      where j.name = q.name and ${pages.after} and ${only(keys)}
        ${state === undefined ? sql.fragment`` : sql.fragment`and j.state = ${states[state]!}::pgboss.job_state`}
        ${key === undefined ? sql.fragment`` : sql.fragment`and j.singleton_key = ${key}`}
      order by j.created_on desc, j.id desc limit ${(limit ?? 25) + 1}) found
    ${pages.order}`)
  return pages.page(rows, (row) => render(types, row))
}

const queuesOf = (types: readonly JobType[]) =>
  sql.array(
    types.map(({ queue }) => queue),
    'text',
  )

/** Only what the type lets be shown. */
function render(types: readonly JobType[], row: Row): Job {
  const { id, queue, key, envelope, attempts, output, progress } = row
  const { shown, result } = types.find((type) => type.queue === queue)!
  const state = names[row.state]!
  return {
    id,
    queue,
    key,
    state,
    attempts,
    progress: progress && { ...progress, at: row.progressAt! },
    result: state === 'done' ? pick(output, Object.keys(result.properties)) : null,
    error: state === 'failed' || state === 'retrying' ? errorOf(output) : null,
    data: pick(envelope.data as Record<string, unknown>, shown),
    createdAt: row.created,
    startedAt: row.started,
    finishedAt: row.finished,
    nextAttemptAt: row.next,
    correlationId: envelope.correlationId,
    causationId: envelope.causationId,
  }
}

const pick = (from: Record<string, unknown> | null, fields: readonly string[]) =>
  Object.fromEntries(fields.flatMap((field) => (from && Object.hasOwn(from, field) ? [[field, from[field]]] : [])))

/** What a worker stored; what pg-boss stores by itself is about workers that were lost. */
function errorOf(output: Record<string, unknown> | null): Job['error'] {
  const { code, message } = output ?? {}
  if (typeof code === 'string' && typeof message === 'string') return { code, message }
  return { code: 'worker-lost', message: 'The worker ended in the middle of this job.' }
}

/** Why the work of a key does not go on, and when it is tried again by itself. */
export type JobTrouble = { readonly code: string; readonly message: string; readonly nextAttemptAt: string | null }

/** What the jobs of these keys are held up by, as far as they are; by key. Also before there is any job at all, and its table. */
export async function troubles(db: Database, queue: string, keys: readonly string[]): Promise<Map<string, JobTrouble>> {
  const [table] = await db.rows<{ there: boolean }>(sql.unsafe`select to_regclass('pgboss.job') is not null as there`)
  if (!table!.there) return new Map()
  const rows = await db.rows<Pick<Row, 'key' | 'state' | 'output'> & { next: Date | null }>(sql.unsafe`
    select distinct on (singleton_key) singleton_key as key, state::text as state, output, case when state = 'retry' then start_after end as next
    from pgboss.job where name = ${queue} and singleton_key = any(${sql.array([...keys], 'text')}) and state in ('retry', 'failed')
    order by singleton_key, state desc, created_on`)
  return new Map(rows.map(({ key, output, next }) => [key, { ...errorOf(output)!, nextAttemptAt: next && new Date(next).toISOString() }]))
}
