import { setTimeout as delay } from 'node:timers/promises'
import type { Client } from 'pg'
import type { Pool } from '../database.ts'
import type { Logger } from '../log.ts'
import { isDeadlock, isLockTaken, isTableMissing } from '../postgres-errors.ts'
import { statement } from './statement.ts'
import { forgetStatistics, STATISTICS, type StoredTable, storedTables } from './tables.ts'
import { turnWriteAheadLog } from './write-ahead-log.ts'

export type Rewritten = {
  readonly tables: number
  /** Larger ones that nobody has written to since they were last rewritten. */
  readonly untouched: number
  /** What could not be made sure of, a sentence each, for a person. Empty: what was deleted before this began is physically gone from the database. */
  readonly left: readonly string[]
  /** Whether another rewrite may do what this one could not. */
  readonly again: boolean
}

export type RewriteOptions = {
  readonly log: Logger
  readonly signal?: AbortSignal
  /** How long a table's lock is waited for: whoever else wants the table meanwhile waits as long. */
  readonly lockMs?: number
  /** How long transactions are waited for that may still see what was deleted, and how long each table's lock is tried for. */
  readonly patienceMs?: number
  /** Smaller tables are always rewritten: that takes less than finding out whether it has to be. */
  readonly smallBytes?: number
  /** Only these tables, as SQL names them, and the write-ahead log. */
  readonly only?: readonly string[]
  /** So long Postgres may take to count what was written to a table. */
  readonly countMs?: number
}

/**
 * Makes what rows said that were deleted or changed before this began physically gone from the database: from tables, what is stored out of line, indexes,
 * what Postgres remembers of columns' values, and the write-ahead log. A deleted row's bytes stay in the page, and vacuuming leaves them there, so each
 * table is written anew (VACUUM FULL, which does the rest of it too). Any number of processes may be at it.
 *
 * Others wait for a table while it is being written anew, some seconds a gigabyte, and no longer than `lockMs` for that to begin. So the smallest come
 * first, and each lets everybody through before it is tried again.
 * @throws a connection error when Postgres is away, what `signal` says when it aborts; called again it does all of it again
 */
export async function rewriteDatabase(pool: Pool, options: RewriteOptions): Promise<Rewritten> {
  const { signal, lockMs = 1_500, patienceMs = 30_000, smallBytes = 16 * 2 ** 20, countMs = 12_000, only, log } = options
  const client = await pool.connect()
  try {
    await statement(client, "select set_config('lock_timeout', $1, false), set_config('statement_timeout', '0', false)", [`${lockMs}ms`])
    const startedAt = performance.now()
    const left = await waitForReaders(client, patienceMs, signal)
    const rewrite = async (table: StoredTable) => {
      const fault = await rewriteTable(client, table, { patienceMs, ...(signal && { signal }) })
      if (fault) left.push(fault)
    }
    const tables = (await storedTables(client)).filter(({ name }) => name !== STATISTICS && (only?.includes(name) ?? true))
    const large = new Set(tables.filter(({ sizeBytes }) => sizeBytes > smallBytes).map(({ oid }) => oid))
    for (const table of tables) if (!large.has(table.oid)) await rewrite(table)
    let untouched = 0
    if (large.size > 0) {
      await delay(Math.max(0, countMs - (performance.now() - startedAt)), undefined, { ...(signal && { signal }) })
      for (const table of (await storedTables(client)).filter(({ oid }) => large.has(oid))) {
        if (table.rewritten === table.fingerprint) untouched += 1
        else await rewrite(table)
      }
    }
    // What was remembered of them was deleted just now.
    left.push(...(await waitForReaders(client, patienceMs, signal)))
    for (const table of await storedTables(client)) if (table.name === STATISTICS) await rewrite(table)
    const again = left.length > 0
    left.push(...(await turnWriteAheadLog(client)))
    const rewritten = { tables: tables.length - untouched, untouched, left, again }
    log.info({ ...rewritten, seconds: Math.round((performance.now() - startedAt) / 1000) }, 'rewrote the tables')
    return rewritten
  } finally {
    await client.end().catch(() => {})
  }
}

/** A deleted row is kept, by a rewrite too, as long as some transaction may see it. @returns a sentence if one goes on for longer than is waited */
async function waitForReaders(client: Client, patienceMs: number, signal?: AbortSignal): Promise<string[]> {
  const [row] = await statement<{ now: string }>(client, 'select pg_current_xact_id()::xid as now')
  for (const until = performance.now() + patienceMs; ; ) {
    const [first] = await statement<{ what: string }>(
      client,
      `select what from (
         select backend_xmin as xmin, format('a transaction of %s that began at %s', coalesce(nullif(application_name, ''), usename), xact_start) as what
         from pg_stat_activity where pid <> pg_backend_pid() and (datname = current_database() or backend_type = 'walsender')
         union all select backend_xid, format('a transaction of %s that began at %s', coalesce(nullif(application_name, ''), usename), xact_start)
         from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()
         union all select transaction, 'the prepared transaction ' || gid from pg_prepared_xacts where database = current_database()
         union all select xmin, 'the replication slot ' || slot_name from pg_replication_slots
         union all select catalog_xmin, 'the replication slot ' || slot_name from pg_replication_slots) seen
       where xmin is not null and age(xmin) > age($1::xid) limit 1`,
      [row!.now],
    )
    if (!first) return []
    if (performance.now() > until) return [`Deleted rows are kept for ${first.what}: end it, and rewrite again.`]
    await delay(100, undefined, { ...(signal && { signal }) })
  }
}

type Trying = { readonly patienceMs: number; readonly signal?: AbortSignal }

/** @returns a sentence if it could not be done */
async function rewriteTable(
  client: Client,
  { oid, name, filenode, fingerprint }: StoredTable,
  { patienceMs, signal }: Trying,
): Promise<string | null> {
  for (const until = performance.now() + patienceMs; ; ) {
    signal?.throwIfAborted()
    try {
      if (name !== STATISTICS) await forgetStatistics(client, oid).catch(unlessOlder)
      await statement(client, `vacuum (full${name === STATISTICS ? '' : ', analyze'}) ${name}`)
      break
    } catch (error) {
      const { code, message } = error as { code?: string; message: string }
      // Dropped meanwhile, and its file with it.
      if (isTableMissing(error)) return null
      if (code === undefined) throw error
      if (!isLockTaken(error) && !isDeadlock(error)) return `${name} could not be rewritten: ${message}.`
      if (performance.now() > until) return `${name} could not be rewritten: others held it all the time.`
    }
    // Whoever waited behind us goes first.
    await delay(200 + Math.random() * 800, undefined, { ...(signal && { signal }) })
  }
  const [now] = await statement<{ filenode: string }>(client, 'select pg_relation_filenode($1::oid)::int8 as filenode', [oid])
  if (Number(now!.filenode) === filenode) return `${name} could not be rewritten: this role may not (it has to own the table).`
  await statement(
    client,
    `insert into smartcrm.rewritten_tables (relation, fingerprint) values ($1, $2)
       on conflict (relation) do update set fingerprint = excluded.fingerprint, at = excluded.at`,
    [oid, fingerprint],
  )
  return null
}

/** Before Postgres 18 analysing alone has to do: it leaves what is remembered of a table that is empty now. */
function unlessOlder(error: { code?: string }): void {
  if (error.code !== '42883' && error.code !== '42501') throw error
}
