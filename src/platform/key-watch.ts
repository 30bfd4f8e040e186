import { CONCEALED_CHANNEL, type Concealed } from './concealed.ts'
import { type Database, type Pool, sql } from './database.ts'
import type { KeyLookup } from './key-lookup.ts'
import { type Listener, listen } from './listener.ts'
import type { Logger } from './log.ts'

const CHANNEL = 'smartcrm_keys_destroyed'
/** What was destroyed is asked for so often, should nothing be told. */
const LOOK_MS = 10_000

/** Destroys keys and tells all processes, in one transaction. @returns how many there still were */
export const destroyKeys = (pool: Pool, ids: readonly string[]): Promise<number> =>
  pool.transaction(async (db) => {
    const destroyed = await db.rows(sql.unsafe`
      update vault.keys set wrapped = null, destroyed_at = clock_timestamp()
      where id = any(${sql.array([...ids], 'uuid')}) and wrapped is not null returning id`)
    await db.rows(sql.unsafe`select pg_notify(${CHANNEL}, '')`)
    return destroyed.length
  })

/** Transactions end in another order than they begin in, so what was looked for in the ten minutes before is looked for again. */
async function destroyedSince(db: Database, since: string | null): Promise<{ ids: string[]; now: string }> {
  const [found] = await db.rows<{ ids: string[]; now: string }>(sql.unsafe`
    select clock_timestamp()::text as now, array(
      select id::text from vault.keys where destroyed_at > coalesce(${since}::timestamptz, now()) - interval '10 minutes') as ids`)
  return found!
}

/**
 * Keeps a process from holding keys that another has destroyed, and from showing what is to be shown no more. It hears of it at once, and looks for itself
 * now and then, since what is told while a connection is being made again is lost.
 */
export function watchKeys(
  pool: Pool,
  log: Logger,
  { forget }: Pick<KeyLookup, 'forget'>,
  concealed: Pick<Concealed, 'look'>,
): { close(): Promise<void> } {
  let since: string | null = null
  let isTold = false
  let looking: Promise<void> | null = null

  const lookOnce = async () => {
    isTold = false
    const { ids, now } = await destroyedSince(pool, since)
    forget(ids)
    since = now
    await concealed.look()
  }

  const look = () => {
    isTold = true
    looking ??= (async () => {
      try {
        while (isTold) await lookOnce()
      } catch (err) {
        log.warn({ err }, 'it is not known what was erased; asking again')
      } finally {
        looking = null
      }
    })()
  }

  const listener: Listener = listen(pool, log, [CHANNEL, CONCEALED_CHANNEL], look, look)
  const timer = setInterval(look, LOOK_MS)
  timer.unref()
  return {
    async close() {
      clearInterval(timer)
      await listener.close()
      await looking
    },
  }
}
