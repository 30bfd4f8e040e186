import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { connectedMailboxes } from '../../projections/mailboxes.ts'
import { SYNC_QUEUE } from '../../schema/sync.ts'
import { keysAtRest } from '../platform/jobs-store.ts'
import type { Logger } from '../platform/log.ts'
import { isTableMissing } from '../platform/postgres-errors.ts'
import { uuidv5 } from '../platform/uuid.ts'
import type { Services } from '../services.ts'

/**
 * Has every connected mailbox looked at in its time, if nobody is at it. All workers do so: the id of such a job is made of mailbox and time, so it is
 * enqueued once whoever asks, and no leader is needed.
 */
export function startSchedule({ jobs, pool, google, syncing }: Services, log: Logger): { close(): Promise<void> } {
  const closing = new AbortController()
  const { signal } = closing
  const { everyMs } = syncing

  const enqueueDue = async () => {
    const slot = Math.floor(Date.now() / everyMs)
    const resting = await keysAtRest(pool, SYNC_QUEUE, await connectedMailboxes(pool))
    const due = resting.map((mailboxId) => ({
      id: uuidv5(`sync ${slot}`, mailboxId),
      queue: SYNC_QUEUE,
      key: mailboxId,
      data: { mailboxId },
      correlationId: randomUUID(),
      causationId: mailboxId,
    }))
    if (due.length > 0) await pool.transaction((db) => jobs.enqueue(db, due))
  }
  const running = (async () => {
    while (google && !signal.aborted) {
      await enqueueDue().catch((err) => {
        // At the very first start the tables are still being built, and there is no mailbox either.
        if (!isTableMissing(err)) log.warn({ err }, 'mailboxes could not be scheduled; trying again')
      })
      await delay(everyMs, undefined, { signal }).catch(() => {})
    }
  })()
  return {
    async close() {
      closing.abort()
      await running
    },
  }
}
