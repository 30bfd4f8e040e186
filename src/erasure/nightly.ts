import { setTimeout as delay } from 'node:timers/promises'
import { isRewriteDue } from '../platform/erasure/rewrite-due.ts'
import type { Logger } from '../platform/log.ts'
import { uuidv5 } from '../platform/uuid.ts'
import type { Services } from '../services.ts'
import { REWRITE_QUEUE } from './rewrite-job.ts'

/** Namespace of the ids of these jobs (UUIDv5). */
const NAMESPACE = 'b9f1c8a4-6a0e-4c0b-9f57-2f4e0c1d7a36'
const DAY_MS = 24 * 60 * 60_000
const LOOK_MS = 60_000

/** The last moment up to `now` that had this time of day. @param minutes since midnight, UTC */
export function lastTime(minutes: number, now: Date): Date {
  const today = new Date(now).setUTCHours(0, minutes, 0, 0)
  return new Date(today <= now.getTime() ? today : today - DAY_MS)
}

/**
 * Enqueues the rewriting if something was erased before the last time for it: also when nobody was there at that time. The job's id is made of that time, so
 * it is enqueued once, whichever workers ask.
 */
export async function enqueueRewrite({ jobs, pool }: Pick<Services, 'jobs' | 'pool'>, minutes: number, now: Date): Promise<void> {
  const time = lastTime(minutes, now)
  if (!(await isRewriteDue(pool, time))) return
  const id = uuidv5(time.toISOString(), NAMESPACE)
  await pool.transaction((db) => jobs.enqueue(db, [{ id, queue: REWRITE_QUEUE, key: id, data: {}, correlationId: id, causationId: id }]))
}

/** Looks every minute. That several workers do so harms nobody. */
export function startNightly(services: Services, log: Logger, minutes: number): { close(): Promise<void> } {
  const closing = new AbortController()
  const { signal } = closing
  const running = (async () => {
    while (!signal.aborted) {
      await enqueueRewrite(services, minutes, new Date()).catch((err) => {
        log.warn({ err }, 'the rewriting of what was erased could not be scheduled; trying again')
      })
      await delay(LOOK_MS, undefined, { signal, ref: false }).catch(() => {})
    }
  })()
  return {
    async close() {
      closing.abort()
      await running
    },
  }
}
