import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import { PgBoss } from 'pg-boss'
import type { Database, Pool } from './database.ts'
import type { JobType, NewJob } from './jobs.ts'
import { allowRetries, CANCEL_CHANNEL, notify, putInOrder, WAKE_CHANNEL } from './jobs-store.ts'
import type { Logger } from './log.ts'
import type { Traced } from './tracing.ts'
import { uuidv5 } from './uuid.ts'

/** What a job's row holds of it. */
export type Envelope = Traced & { readonly data: unknown; readonly correlationId: string; readonly causationId: string }

/** Jobs, wherever they are enqueued, looked at or worked on. */
export type Jobs = {
  readonly types: readonly JobType[]
  readonly pool: Pool
  /** Connects, and makes what is missing in the database; whoever does anything with jobs awaits this first. @throws a connection error when Postgres is away */
  ready(): Promise<PgBoss>
  /** @throws Error when there is no such queue, or the data does not fit its schema */
  check(job: Pick<NewJob, 'queue' | 'key' | 'data'>): JobType
  /** Enqueues in the caller's transaction, after `ready`. A job whose id is there already is not enqueued again. @throws as `check` */
  enqueue(db: Database, jobs: readonly NewJob[]): Promise<void>
  /** Tries a job that failed for good, or that waits for its next attempt, at once. @returns false when it is in another state by now */
  retry(type: JobType, id: string): Promise<boolean>
  /** Ends a job for good; one that runs is told to stop, and the job that its type names puts in order what it leaves. @returns false when it is over */
  cancel(type: JobType, id: string): Promise<boolean>
  close(): Promise<void>
}

export type JobsOptions = {
  readonly url: string
  readonly pool: Pool
  readonly log: Logger
  readonly types: readonly JobType<never>[]
  /** A job whose worker has not been heard of for so long, and is looked for so often, in seconds, is another worker's. At least 10 and 1. */
  readonly lostAfterSeconds?: number
  readonly lookEverySeconds?: number
}

const YEARS_SECONDS = 60 * 365 * 86_400

/** Opens the queues. Nothing connects before `ready`, so this never fails. */
export function openJobs(options: JobsOptions): Jobs {
  const { url, pool, log, lostAfterSeconds = 12, lookEverySeconds = 6 } = options
  const types = options.types as readonly JobType[]
  const checks = new Map(
    types.map((type): [string, { type: JobType; check: TypeCheck<JobType['schema']> }] => [
      type.queue,
      { type, check: TypeCompiler.Compile(type.schema) },
    ]),
  )
  let boss: Promise<PgBoss> | null = null

  const start = async () => {
    const made = new PgBoss({
      connectionString: url,
      application_name: 'smartcrm-jobs',
      max: 3,
      // pg's own bound, which pg-boss hands on: nothing waits without one.
      ...{ query_timeout: 60_000 },
      schedule: false,
      registerInstance: false,
      openTelemetry: { enabled: false },
      // Any process looks for jobs whose worker was lost; a claim in the database keeps them from doing so all at once.
      superviseIntervalSeconds: lookEverySeconds,
      monitorIntervalSeconds: lookEverySeconds,
    })
    made.on('error', (err) => log.warn({ err }, 'pg-boss failed at something; it tries again by itself'))
    made.on('warning', ({ message }) => log.warn({ warning: message }, 'pg-boss warns'))
    try {
      await made.start()
      const there = new Set((await made.getQueues()).map(({ name }) => name))
      for (const { queue, ordered } of types) {
        if (!there.has(queue)) await made.createQueue(queue, { policy: ordered ? 'key_strict_fifo' : 'standard' })
      }
      return made
    } catch (error) {
      await made.stop({ graceful: false }).catch(() => {})
      throw error
    }
  }

  const ready = () => {
    boss ??= start().catch((error) => {
      boss = null
      throw error
    })
    return boss
  }

  const check: Jobs['check'] = ({ queue, key, data }) => {
    const known = checks.get(queue)
    if (!known) throw new Error(`There is no queue ${queue}.`)
    if (key === '') throw new Error(`A job of ${queue} has no key.`)
    const [fault] = known.check.Errors(data)
    if (fault) throw new Error(`The data of a job of ${queue} does not fit its schema: ${fault.path} ${fault.message}.`)
    return known.type
  }

  const insertOf = ({ id, key, data, correlationId, causationId, traceparent }: NewJob, { retries }: JobType) => ({
    id,
    singletonKey: key,
    data: { data, correlationId, causationId, ...(traceparent && { traceparent }) } satisfies Envelope,
    retryLimit: retries,
    retryDelay: 0,
    retryBackoff: false,
    heartbeatSeconds: lostAfterSeconds,
    // A job ends by its worker's silence, not by its age; and none is forgotten, waiting or failed, but by `sweep`.
    expireInSeconds: YEARS_SECONDS,
    retentionSeconds: YEARS_SECONDS,
    deleteAfterSeconds: 0,
  })

  const jobs: Jobs = {
    types,
    pool,
    ready,
    check,
    async enqueue(db, jobs) {
      const boss = await ready()
      for (const [queue, ofQueue] of Map.groupBy(jobs, ({ queue }) => queue)) {
        const unique = new Map(ofQueue.map((job) => [job.id, insertOf(job, check(job))]))
        const inserted = await boss.insert(queue, [...unique.values()], { db: onBehalfOf(db), returnId: true })
        if (!inserted) continue
        const isNew = new Set(inserted)
        await putInOrder(
          db,
          queue,
          [...unique.keys()].filter((id) => isNew.has(id)),
        )
        await notify(db, WAKE_CHANNEL, queue)
      }
    },
    async retry({ queue, retries }, id) {
      const boss = await ready()
      return pool.transaction(async (db) => {
        await boss.retry(queue, id, { db: onBehalfOf(db) })
        const [row] = await allowRetries(db, queue, id, retries)
        await notify(db, WAKE_CHANNEL, queue)
        return row !== undefined
      })
    },
    async cancel({ queue, afterCancel }, id) {
      const boss = await ready()
      return pool.transaction(async (db) => {
        // One that failed for good can only be cancelled as one that is to be tried again.
        await boss.retry(queue, id, { db: onBehalfOf(db) })
        const { affected } = (await boss.cancel(queue, id, { db: onBehalfOf(db) })) as { affected: number }
        if (affected > 0 && afterCancel) {
          const [job] = await boss.findJobs<Envelope>(queue, { id, db: onBehalfOf(db) })
          const { data, correlationId } = job!.data
          // In the same transaction: what is cancelled is put in order, whoever dies now.
          const after = { id: uuidv5('cancelled', id), queue: afterCancel, key: job!.singletonKey!, data: data as object }
          await jobs.enqueue(db, [{ ...after, correlationId, causationId: id }])
        }
        await notify(db, CANCEL_CHANNEL, id)
        // What waited behind it may go on.
        await notify(db, WAKE_CHANNEL, queue)
        return affected > 0
      })
    },
    async close() {
      const started = await boss?.catch(() => null)
      await started?.stop({ graceful: false })
    },
  }
  return jobs
}

/** pg-boss's statements on our own connection, so that they are part of our transaction. */
export const onBehalfOf = (db: Database) => ({ executeSql: (text: string, values: unknown[] = []) => asRows(db.rows, text, values) })

const asRows = async (rows: Database['rows'], sql: string, values: unknown[]) => ({
  rows: await rows<object>({ sql, values, type: 'SLONIK_TOKEN_QUERY' } as unknown as Parameters<Database['rows']>[0]),
})
