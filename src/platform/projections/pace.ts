import { setTimeout as delay } from 'node:timers/promises'
import { type Pool, sql } from '../database.ts'

/** Postgres tells of its transactions about once a second. */
const LOOK_MS = 1_000
/** More a second than who waits and polls makes by itself: somebody is at work. */
const BUSY_TRANSACTIONS = 20
/** While somebody else works, so many times as long as a batch took is rested after it. */
const REST = 1
/** A batch that is read in bulk may take a second. */
const MAX_REST_MS = 2_000

/**
 * Lets those who ask and command go first: while Postgres has other work to do than ours, we rest as long as we work. Before there are tables that
 * answer, nobody can ask, and who waits for them (`npm start` looks ten times a second) is served best by having them soon.
 * @returns to be waited for after every batch; takes how long that took, in milliseconds, and how many transactions it was
 */
export function createPace(pool: Pool): (tookMs: number, transactions?: number) => Promise<void> {
  let last: { at: number; count: number } | null = null
  let own = 0
  let isBusy = false

  const look = async () => {
    const [row] = await pool.rows<{ count: number; answers: boolean }>(sql.unsafe`
      select xact_commit as count, exists (select from smartcrm.projections where place = 'read') as answers
      from pg_stat_database where datname = current_database()`)
    const now = { at: performance.now(), count: row!.count }
    if (last) isBusy = row!.answers && ((now.count - last.count - own) * 1_000) / (now.at - last.at) > BUSY_TRANSACTIONS
    last = now
    own = 1
  }

  return async (tookMs, transactions = 1) => {
    own += transactions
    if (!last || performance.now() - last.at >= LOOK_MS) await look()
    if (isBusy) await delay(Math.min(tookMs * REST, MAX_REST_MS))
  }
}
