import { setTimeout as delay } from 'node:timers/promises'
import type { Database } from './platform/database.ts'
import type { Projection } from './platform/projection.ts'
import { askComplete, whileComplete } from './platform/projections/answers.ts'
import { Unavailable } from './platform/refusal.ts'
import type { Services } from './services.ts'

/** Longer than the heartbeat's interval, without which the checkpoint does not pass the event store's own events. */
const PATIENCE_MS = 30_000
const RETRY_MS = 500

export type Asking = {
  /** How long the tables may take to come to where the log ends now. */
  readonly patienceMs?: number
  readonly signal?: AbortSignal
}

/**
 * The tables when they hold all that the log says by now; every query of them is refused when they no longer do.
 * @throws Unavailable when they do not in time
 */
export async function completeTables(
  { pool, store }: Pick<Services, 'pool' | 'store'>,
  projections: readonly Projection[],
  { patienceMs = PATIENCE_MS, signal }: Asking = {},
): Promise<Database> {
  const end = await store.end()
  // Not even a heartbeat: this is not the log that these tables belong to.
  if (!end) throw new Unavailable('The log is empty.')
  for (const latest = performance.now() + patienceMs; ; ) {
    try {
      await askComplete(pool, projections, end, async () => {})
      return whileComplete(pool, projections, end)
    } catch (error) {
      if (!(error instanceof Unavailable) || performance.now() > latest) throw error
    }
    await delay(RETRY_MS, undefined, { signal })
  }
}
