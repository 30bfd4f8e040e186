import { setTimeout as delay } from 'node:timers/promises'
import { type Pool, sql } from './database.ts'
import type { Logger } from './log.ts'
import { counter, type Metrics } from './metrics.ts'

export type CountsOptions = {
  readonly pool: Pool
  readonly log: Logger
  /** Who counts. */
  readonly role: string
  /** What this process has counted until now, by reason. */
  readonly counts: Readonly<Record<string, number>>
  readonly everyMs?: number
}

/**
 * Adds what this process counts to what is kept in Postgres. The projector and the worker have no address of their own to be asked at; like the state of
 * projections and jobs, this is then told by every API process, goes through restarts, and needs no further setting. While nothing is counted, nothing
 * is written.
 */
export function keepResubscriptions({ pool, log, role, counts, everyMs = 10_000 }: CountsOptions): { close(): void } {
  const closing = new AbortController()
  let kept: Readonly<Record<string, number>> | null = null

  const keep = async () => {
    const now = { ...counts }
    // The first time with what is 0 too, so that whoever looks at increases sees the first one.
    const grown = Object.entries(now).filter(([reason, count]) => kept === null || count > (kept[reason] ?? 0))
    if (grown.length === 0) return
    const reasons = sql.array(
      grown.map(([reason]) => reason.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)),
      'text',
    )
    const increases = sql.array(
      grown.map(([reason, count]) => count - (kept?.[reason] ?? 0)),
      'int8',
    )
    await pool.rows(sql.unsafe`
      insert into smartcrm.resubscriptions as r (role, reason, count)
      select ${role}, reason, count from unnest(${reasons}, ${increases}) as grown (reason, count)
      on conflict (role, reason) do update set count = r.count + excluded.count`)
    kept = now
  }
  const keepOn = async () => {
    while (!closing.signal.aborted) {
      await keep().catch((err) => log.warn({ err }, 'how often the log was subscribed to again could not be written; trying again'))
      await delay(everyMs, undefined, { signal: closing.signal }).catch(() => {})
    }
  }
  void keepOn()
  return { close: () => closing.abort() }
}

export function resubscriptionMetrics(metrics: Metrics, pool: Pool): void {
  counter(metrics, {
    name: 'smartcrm_subscription_resubscriptions_total',
    help: 'How often a subscription to the log had to be made again, by role and reason.',
    labels: ['role', 'reason'],
    async tell(sample) {
      const rows = await pool.rows<{ role: string; reason: string; count: number }>(
        sql.unsafe`select role, reason, count from smartcrm.resubscriptions order by role, reason`,
      )
      for (const { role, reason, count } of rows) sample({ role, reason }, count)
    },
  })
}
