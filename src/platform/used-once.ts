import { type Database, sql } from './database.ts'

/**
 * Uses something up that is good once. Those that would not be good any more are forgotten.
 * @param goodUntil an instant
 * @returns false when it was used before
 */
export async function useOnce(db: Database, id: string, goodUntil: string): Promise<boolean> {
  const used = await db.rows(sql.unsafe`
    with forgotten as (delete from smartcrm.used_once where good_until < now() - interval '1 minute')
    insert into smartcrm.used_once (id, good_until) values (${id}::uuid, ${goodUntil}::timestamptz) on conflict do nothing returning 1`)
  return used.length > 0
}

export async function wasUsed(db: Database, id: string): Promise<boolean> {
  return (await db.rows(sql.unsafe`select from smartcrm.used_once where id = ${id}::uuid`)).length > 0
}
