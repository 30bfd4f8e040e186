import type { Client } from 'pg'
import { statement } from './statement.ts'

/** A table that has something in it, or of whose past values something is remembered. `name` is quoted as SQL wants it. */
export type StoredTable = {
  readonly oid: number
  readonly name: string
  readonly sizeBytes: number
  /** Of the file it is in; a rewritten table is in another. */
  readonly filenode: number
  /** Changes whenever a row was written or removed, as far as Postgres's statistics know; and whenever they were lost. */
  readonly fingerprint: string
  /** The fingerprint when it was last rewritten. */
  readonly rewritten: string | null
}

/** Where Postgres remembers columns' commonest values; rewriting all other tables changes it. */
export const STATISTICS = 'pg_catalog.pg_statistic'

/**
 * All tables that are not Postgres's own, with one that is: what it remembers of columns' commonest values. Partitions are tables; indexes and what is
 * stored out of line belong to theirs. The smallest first.
 */
export async function storedTables(client: Client): Promise<StoredTable[]> {
  const rows = await statement<StoredTable>(
    client,
    `
    select c.oid::int8 as oid, format('%I.%I', n.nspname, c.relname) as name, pg_table_size(c.oid) as "sizeBytes",
      pg_relation_filenode(c.oid)::int8 as filenode, r.fingerprint as rewritten,
      concat_ws(' ', s.n_tup_ins, s.n_tup_upd, s.n_tup_del, pg_postmaster_start_time(),
        (select stats_reset from pg_stat_bgwriter)) as fingerprint
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    left join pg_stat_all_tables s on s.relid = c.oid
    left join smartcrm.rewritten_tables r on r.relation = c.oid
    where c.relkind in ('r', 'm') and c.relpersistence <> 't'
      and (n.nspname !~ '^(pg_|information_schema$)' or c.oid = '${STATISTICS}'::regclass)
      and (pg_table_size(c.oid) > 0 or exists (select from pg_stats p where p.schemaname = n.nspname and p.tablename = c.relname))
    order by "sizeBytes", c.oid`,
  )
  return rows.map((row) => ({ ...row, oid: Number(row.oid), filenode: Number(row.filenode), sizeBytes: Number(row.sizeBytes) }))
}

/** What Postgres remembers of the values of a table's columns and its indexes' goes; analysing an empty table would leave it. From Postgres 18 on. */
export async function forgetStatistics(client: Client, oid: number): Promise<void> {
  await statement(
    client,
    `select pg_clear_attribute_stats(p.schemaname, p.tablename, p.attname, p.inherited)
     from pg_stats p
     join pg_class c on c.relname = p.tablename and c.relnamespace = p.schemaname::regnamespace
     where c.oid = $1 or c.oid in (select indexrelid from pg_index where indrelid = $1)`,
    [oid],
  )
}
