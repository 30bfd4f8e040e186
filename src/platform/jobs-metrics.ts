import { sql } from './database.ts'
import type { Jobs } from './jobs-queue.ts'
import { gauge, type Metrics } from './metrics.ts'
import { sharedAnswer } from './shared-answer.ts'

type Count = { queue: string; state: string; jobs: number; oldest: number }
type Duration = { queue: string; jobs: number; p50: number; p95: number; p99: number }

/** A scrape asks once for all; several at once share an answer. */
const FRESH_MS = 2_000
const WINDOW_SECONDS = 300

/** How many jobs are in which state, how old, and how long they took lately: from the table, so the same whichever process is asked. */
export function jobMetrics(metrics: Metrics, jobs: Jobs): void {
  const queues = sql.array(
    jobs.types.map(({ queue }) => queue),
    'text',
  )
  const counts = sharedAnswer(async () => {
    await jobs.ready()
    return jobs.pool.rows<Count>(sql.unsafe`
      select name as queue, state::text as state, count(*) as jobs, extract(epoch from now() - min(created_on))::float8 as oldest
      from pgboss.job where name = any(${queues}) group by 1, 2`)
  }, FRESH_MS)
  const durations = sharedAnswer(async () => {
    await jobs.ready()
    const seconds = sql.fragment`extract(epoch from completed_on - started_on)`
    return jobs.pool.rows<Duration>(sql.unsafe`
      select name as queue, count(*) as jobs,
        percentile_cont(0.5) within group (order by ${seconds}) as p50,
        percentile_cont(0.95) within group (order by ${seconds}) as p95,
        percentile_cont(0.99) within group (order by ${seconds}) as p99
      from pgboss.job
      where name = any(${queues}) and state = 'completed' and completed_on > now() - ${WINDOW_SECONDS} * interval '1 second' group by 1`)
  }, FRESH_MS)

  gauge(metrics, {
    name: 'smartcrm_jobs',
    help: 'Jobs by queue and state (created, retry, active, completed, cancelled, failed).',
    labels: ['queue', 'state'],
    async tell(sample) {
      for (const { queue, state, jobs } of await counts()) sample({ queue, state }, jobs)
    },
  })
  gauge(metrics, {
    name: 'smartcrm_jobs_oldest_seconds',
    help: 'Age of the oldest job by queue and state.',
    labels: ['queue', 'state'],
    async tell(sample) {
      for (const { queue, state, oldest } of await counts()) sample({ queue, state }, oldest)
    },
  })
  gauge(metrics, {
    name: 'smartcrm_jobs_finished_recently',
    help: `Jobs done in the last ${WINDOW_SECONDS} s.`,
    labels: ['queue'],
    async tell(sample) {
      for (const { queue, jobs } of await durations()) sample({ queue }, jobs)
    },
  })
  gauge(metrics, {
    name: 'smartcrm_job_duration_seconds',
    help: `How long jobs took in the last ${WINDOW_SECONDS} s.`,
    labels: ['queue', 'quantile'],
    async tell(sample) {
      for (const { queue, p50, p95, p99 } of await durations()) {
        sample({ queue, quantile: '0.5' }, p50)
        sample({ queue, quantile: '0.95' }, p95)
        sample({ queue, quantile: '0.99' }, p99)
      }
    },
  })
}
