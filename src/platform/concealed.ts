import { createHmac, createSecretKey } from 'node:crypto'
import { type Pool, sql } from './database.ts'
import { unreachable } from './master-keys.ts'
import type { Position } from './position.ts'

/** Told when something is to be shown no more. */
export const CONCEALED_CHANNEL = 'smartcrm_concealed'

/** Of a value by its digest. @property revision of the stream that says so @property until null: it is hidden, whenever it was written */
export type Concealment = { readonly digest: string; readonly revision: number; readonly until: Position | null }

/**
 * Values that are to be shown no more, wherever events hold them: by their HMAC alone, since nobody is to learn of whom from a list of the forgotten.
 * The whole list is held in memory and kept in line as destroyed keys are (key-watch.ts).
 */
export type Concealed = {
  /** Nothing is hidden, so nothing need be looked at. */
  isEmpty(): boolean
  /** @param at of the event that holds it; left out: of something that is being written just now */
  has(value: string, at?: Pick<Position, 'commit'>): boolean
  digestOf(value: string): string
  /** Hides, or hides no more; tells all processes. An older revision changes nothing. @throws Unavailable */
  put(concealment: Concealment): Promise<void>
  /** Learns what has changed. @throws Unavailable */
  look(): Promise<void>
}

/** Values that were looked up and are not hidden: the same few thousand people write most of all mail. */
const REMEMBERED = 20_000

/** @param secret keys the HMAC @throws Unavailable */
export async function openConcealed(pool: Pool, secret: Buffer): Promise<Concealed> {
  const key = createSecretKey(secret)
  const hidden = new Map<string, bigint | null>()
  const open = new Set<string>()
  let since: string | null = null

  const digestOf = (value: string) => createHmac('sha256', key).update(value).digest('hex')

  const look = async () => {
    // Transactions end in another order than they begin in, so what was looked for in the ten minutes before is looked for again.
    const [found] = await pool
      .rows<{ now: string; rows: { digest: string; until: string | null }[] }>(sql.unsafe`
        select clock_timestamp()::text as now, coalesce((
          select json_agg(json_build_object('digest', digest, 'until', until_commit::text)) from vault.concealed
          where ${since}::timestamptz is null or changed_at > ${since}::timestamptz - interval '10 minutes'), '[]') as rows`)
      .catch(unreachable)
    for (const { digest, until } of found!.rows) hidden.set(digest, until === null ? null : BigInt(until))
    if (found!.rows.length > 0) open.clear()
    since = found!.now
  }
  await look()

  return {
    isEmpty: () => hidden.size === 0,
    digestOf,
    has(value, at) {
      if (hidden.size === 0 || open.has(value)) return false
      const until = hidden.get(digestOf(value))
      if (until === undefined) {
        if (open.size >= REMEMBERED) open.clear()
        open.add(value)
        return false
      }
      return until === null || (at !== undefined && at.commit <= until)
    },
    async put({ digest, revision, until }) {
      await pool
        .transaction(async (db) => {
          await db.rows(sql.unsafe`
            insert into vault.concealed as c (digest, revision, until_commit) values (${digest}, ${revision}, ${until?.commit ?? null})
            on conflict (digest) do update set revision = excluded.revision, until_commit = excluded.until_commit, changed_at = clock_timestamp()
              where c.revision < excluded.revision`)
          await db.rows(sql.unsafe`select pg_notify(${CONCEALED_CHANNEL}, '')`)
        })
        .catch(unreachable)
      await look()
    },
    look,
  }
}
