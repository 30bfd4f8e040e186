import { type Database, type Pool, sql } from '../database.ts'
import { isTableMissing } from '../postgres-errors.ts'
import type { Forms } from './forms.ts'
import type { Scanning } from './scan.ts'

type Column = { readonly name: string; readonly kind: 'text' | 'bytes' | 'words' }
type Table = {
  readonly schema: string
  readonly name: string
  readonly pages: number
  readonly columns: readonly Column[]
  readonly isReadable: boolean
}

/** So many pages of 8 KiB are looked through by one statement. */
const PAGES = 2_000

/**
 * Every column of every table, by statements that count: no row leaves Postgres. A table that goes away meanwhile is no matter.
 */
export async function scanTables(pool: Pool, forms: readonly Forms[], scanning: Scanning): Promise<void> {
  const why = await isOverheard(pool)
  if (why) return scanning.unread('tables', Object.assign(new Error(), { code: why }))
  for (const table of await allTables(pool)) {
    scanning.signal?.throwIfAborted()
    const place = `table ${table.schema}.${table.name}`
    if (!table.isReadable) {
      scanning.unread(place, Object.assign(new Error(), { code: 'this role may not read it' }))
      continue
    }
    scanning.place()
    try {
      for (let page = 0; page <= table.pages; page += PAGES) {
        scanning.signal?.throwIfAborted()
        await scanPages(pool, table, place, page, forms, scanning)
      }
    } catch (error) {
      scanning.signal?.throwIfAborted()
      if (isTableMissing(error)) continue
      const { code } = error as { code?: string }
      // No answer of Postgres's: it is away.
      if (!code || !/^[0-9A-Z]{5}$/.test(code)) throw error
      scanning.unread(place, error)
    }
  }
}

/** Where Postgres writes into its own log what it is asked, asking would write there what must not be anywhere. @returns why, if so */
async function isOverheard(db: Database): Promise<string | null> {
  const [row] = await db.rows<{ name: string | null }>(sql.unsafe`
    select case when current_setting('log_parameter_max_length', true) = '0' then null
      when current_setting('log_statement') = 'all' then 'log_statement'
      when current_setting('log_min_duration_statement') <> '-1' then 'log_min_duration_statement'
      when current_setting('log_min_duration_sample', true) <> '-1' and current_setting('log_statement_sample_rate', true) <> '0' then 'log_min_duration_sample'
    end as name`)
  return row!.name && `Postgres would log what is looked for, by its setting ${row!.name}`
}

/** Postgres's own hold nothing of ours but what it remembers of columns' values, comments, and large objects. */
const OF_POSTGRES = ['pg_statistic', 'pg_statistic_ext_data', 'pg_description', 'pg_largeobject']

async function allTables(db: Database): Promise<Table[]> {
  return db.rows<Table>(sql.unsafe`
    select n.nspname as schema, c.relname as name, (pg_relation_size(c.oid) / current_setting('block_size')::int)::int as pages,
      has_table_privilege(c.oid, 'select') and has_schema_privilege(n.oid, 'usage') as "isReadable",
      array(
        select json_build_object('name', a.attname, 'kind',
          case when a.atttypid = 'bytea'::regtype then 'bytes' when a.atttypid = 'tsvector'::regtype then 'words' else 'text' end)
        from pg_attribute a join pg_type t on t.oid = a.atttypid
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
          -- Numbers, truth values, times, uuids and the like cannot say it.
          and not (t.typcategory in ('N', 'B', 'D', 'T') or t.typname in ('uuid', '_uuid', 'xid', 'cid', 'tid'))
        order by a.attnum) as columns
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm') and c.relpersistence <> 't'
      and (n.nspname !~ '^(pg_|information_schema$)' or n.nspname = 'pg_catalog' and c.relname = any(${sql.array(OF_POSTGRES, 'text')}))
    order by n.nspname, c.relname`)
}

/** How often each kind is in each column, as the names `<column>/<form>` of one row. */
async function scanPages(
  pool: Pool,
  table: Table,
  place: string,
  from: number,
  forms: readonly Forms[],
  { found, read }: Scanning,
): Promise<void> {
  const name = sql.identifier([table.schema, table.name])
  const last = from + PAGES >= table.pages ? '4294967294' : String(from + PAGES)
  for (const column of table.columns) {
    const id = sql.identifier([column.name])
    const counts = forms.map((form) => sql.fragment`count(*) filter (where ${matches(column, form)})`)
    const value = column.kind === 'bytes' ? sql.fragment`t.${id}` : sql.fragment`t.${id}::text`
    const [row] = await pool.rows<{ counts: number[]; bytes: number }>(sql.unsafe`
      select array[${sql.join(counts, sql.fragment`, `)}]::int[] as counts, coalesce(sum(length(v)), 0)::int8 as bytes
      from (
        select ${value} as v${column.kind === 'text' ? sql.fragment`, lower(t.${id}::text) as l` : column.kind === 'words' ? sql.fragment`, lower(t.${id}::text) as l, tsvector_to_array(t.${id}) as w` : sql.fragment``}
        from ${name} t where t.ctid >= ${`(${from},0)`}::tid and t.ctid < ${`(${last},0)`}::tid offset 0) x`)
    read(row!.bytes)
    for (const [index, count] of row!.counts.entries())
      if (count > 0) found({ place: `${place} column ${column.name}`, kind: forms[index]!.kind, count })
  }
}

/** A search of letters, of bytes, or of words: a text of which all words are in a list of words counts too, and where a whole value is one of its words. */
function matches({ kind }: Column, { plain, exact, words, eachWord }: Forms) {
  if (kind === 'bytes') {
    const parts = [...new Set([...plain, ...exact])].map((form) => sql.fragment`position(${sql.binary(Buffer.from(form))} in v) > 0`)
    return sql.fragment`(${sql.join(parts, sql.fragment` or `)})`
  }
  const parts = [
    ...plain.map((form) => sql.fragment`strpos(l collate "C", ${form} collate "C") > 0`),
    ...exact.map((form) => sql.fragment`strpos(v collate "C", ${form} collate "C") > 0`),
    ...(kind === 'text' && eachWord && words.length > 0 ? [sql.fragment`l = any(${sql.array([...words], 'text')})`] : []),
    ...(kind === 'words' && words.length > 0 ? [sql.fragment`w @> ${sql.array([...words], 'text')}`] : []),
  ]
  return sql.fragment`(${sql.join(parts, sql.fragment` or `)})`
}
