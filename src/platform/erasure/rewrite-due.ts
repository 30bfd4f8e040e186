import { type Database, type Pool, sql } from '../database.ts'
import { type RewriteOptions, type Rewritten, rewriteDatabase } from './rewrite.ts'

/** Something was deleted that the next rewrite is to make physically gone. In the transaction of the deletion, or after it. */
export const askForRewrite = async (db: Database): Promise<void> =>
  void (await db.rows(sql.unsafe`update smartcrm.rewrite_due set asked_at = clock_timestamp()`))

/** Whether something waits for a rewrite. @param since has waited since then at least */
export async function isRewriteDue(db: Database, since?: Date): Promise<boolean> {
  const [row] = await db.rows<{ asked_at: string | null }>(sql.unsafe`select asked_at from smartcrm.rewrite_due`)
  return row!.asked_at !== null && (since === undefined || Date.parse(row!.asked_at) <= since.getTime())
}

/** Rewrites all and remembers that nothing of what was asked for before waits any more. @throws as `rewriteDatabase` */
export async function rewriteNow(pool: Pool, options: RewriteOptions): Promise<Rewritten> {
  const [row] = await pool.rows<{ now: string }>(sql.unsafe`select clock_timestamp()::text as now`)
  const rewritten = await rewriteDatabase(pool, options)
  // What was asked for meanwhile still waits; so does all of it where another try may do what this one could not.
  if (!rewritten.again)
    await pool.rows(sql.unsafe`
      update smartcrm.rewrite_due set done_at = clock_timestamp(), asked_at = case when asked_at > ${row!.now}::timestamptz then asked_at end`)
  return rewritten
}

/** @returns null where nothing waits for it */
export const rewriteIfDue = async (pool: Pool, options: RewriteOptions): Promise<Rewritten | null> =>
  (await isRewriteDue(pool)) ? rewriteNow(pool, options) : null
