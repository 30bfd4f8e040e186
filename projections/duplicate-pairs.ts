import type { FragmentSqlToken } from 'slonik'
import { duplicateReasons } from '../schema/duplicate.ts'
import { type Database, sql } from '../src/platform/database.ts'
import type { Refresh, Row, Table } from '../src/platform/projection.ts'

/** What more than so many have in common tells nobody from another: a switchboard's number, a name that everybody has. */
const MOST = 50

type Tables = Record<'duplicateKeys' | 'duplicatePairs' | 'dismissedDuplicates' | 'archivedContacts', Table>

/**
 * `told`, `reasoned` and `pairs`, to stand in a `with` behind `found`: what each pair that is shown to anybody is found by, and how much that says.
 * @param companyOf joins the company's key of a contact of `found`, by the name it is given
 */
function pairsOfFound(
  { duplicateKeys, dismissedDuplicates, archivedContacts }: Tables,
  companyOf: (keys: Table['sql'], contact: FragmentSqlToken, as: FragmentSqlToken) => FragmentSqlToken,
) {
  const weight = sql.fragment`case r.reason ${sql.join(
    Object.entries(duplicateReasons).map(([reason, weight]) => sql.fragment`when ${reason} then ${weight}::float8`),
    sql.fragment` `,
  )} end`
  const isArchived = (id: FragmentSqlToken) => sql.fragment`exists (select from ${archivedContacts.sql} a where a.contact_id = ${id})`
  return sql.fragment`told as (
        select f.contact_id, f.other_id, case f.kind
          when 'phone' then 'same-phone' when 'alias' then 'alias-address' when 'profile' then 'same-profile' when 'website' then 'same-website'
          when 'local' then 'same-local-part'
          else case when a.key = b.key then 'same-name-and-company' when (a.key is null or b.key is null) and f.key like '% %' then 'same-name' end
        end as reason
        from found f
          ${companyOf(duplicateKeys.sql, sql.fragment`f.contact_id`, sql.fragment`a`)}
          ${companyOf(duplicateKeys.sql, sql.fragment`f.other_id`, sql.fragment`b`)}
      ), reasoned as (
        select distinct t.contact_id, t.other_id, t.reason from told t where reason is not null
          and (reason <> 'same-local-part' or not exists (
            select from told o where o.contact_id = t.contact_id and o.other_id = t.other_id and o.reason = 'alias-address'))
      ), pairs as (
        select contact_id, other_id, jsonb_agg(reason order by reason) as reasons,
          round(1000 * (1 - exp(sum(ln(1 - ${weight})))))::bigint as score
        from reasoned r
        where not exists (select from ${dismissedDuplicates.sql} d where d.contact_id = r.contact_id and d.other_id = r.other_id)
          and not (${isArchived(sql.fragment`r.contact_id`)} and ${isArchived(sql.fragment`r.other_id`)})
        group by contact_id, other_id
      )`
}

/**
 * The pairs of those who have a key in common, computed anew for everybody who has one that the batch touched, or for whom one has become too common or
 * rare enough by it. Without those that nobody is shown, so that no list has to pass over them: whoever was said not to be the same, and two archived ones.
 */
export const refreshPairs: Refresh<Tables> = {
  writes: ['duplicatePairs'],
  from: ['duplicateKeys', 'dismissedDuplicates', 'archivedContacts'],
  anewFrom: ['duplicateKeys'],
  async anew(db, tables) {
    const { duplicateKeys, duplicatePairs } = tables
    await db.rows(sql.unsafe`
      with few as materialized (
        select kind, key from ${duplicateKeys.sql} where kind <> 'company' group by kind, key having count(*) between 2 and ${MOST}
      ), found as materialized (
        select distinct k.contact_id, o.contact_id as other_id, kind, key
        from few join ${duplicateKeys.sql} k using (kind, key) join ${duplicateKeys.sql} o using (kind, key) where k.contact_id < o.contact_id
      ), ${pairsOfFound(
        tables,
        (keys, contact, as) =>
          sql.fragment`left join ${keys} ${as} on f.kind = 'name' and ${as}.contact_id = ${contact} and ${as}.source = 'company'`,
      )}
      insert into ${duplicatePairs.sql} (contact_id, other_id, score, reasons) select contact_id, other_id, score, reasons from pairs`)
  },
  async run(db, tables, touched) {
    const { duplicateKeys, duplicatePairs } = tables
    const rows = touched('duplicateKeys')
    const spoken = [...touched('dismissedDuplicates'), ...touched('archivedContacts')]
    const others = spoken.flatMap(({ contactId, otherId }) => [contactId, otherId ?? contactId] as string[])
    const sharing = await idsOfSharing(db, tables, rows, others)
    if (sharing.size === 0) return
    const shared = rows.filter(({ contactId }) => sharing.has(contactId as string))
    const few = sql.fragment`(select count(*) from (
      select from ${duplicateKeys.sql} c where c.kind = k.kind and c.key = k.key limit ${MOST + 1}) c) <= ${MOST}`
    await db.rows(sql.unsafe`
      with touched as (
        ${keysOf(shared)}
      ), keys as (
        select kind, key, count(*) as changed from touched where kind <> 'company' group by kind, key
      ), concerned as materialized (
        select contact_id from touched
        union select unnest(${sql.array(
          [...new Set(others)].filter((id) => sharing.has(id)),
          'uuid',
        )})
        union select m.contact_id from keys k, lateral (
          select contact_id from ${duplicateKeys.sql} m where m.kind = k.kind and m.key = k.key limit ${MOST}::bigint + k.changed + 1
        ) m where (select count(*) from (
          select from ${duplicateKeys.sql} c where c.kind = k.kind and c.key = k.key limit ${MOST}::bigint + k.changed + 1) c) <= ${MOST}::bigint + k.changed
      ), found as materialized (
        select distinct least(c.contact_id, o.contact_id) as contact_id, greatest(c.contact_id, o.contact_id) as other_id, k.kind, k.key
        from concerned c, lateral (
          select kind, key from ${duplicateKeys.sql} k where k.contact_id = c.contact_id and k.kind <> 'company' and ${few} offset 0
        ) k, lateral (
          select contact_id from ${duplicateKeys.sql} o where o.kind = k.kind and o.key = k.key and o.contact_id <> c.contact_id offset 0
        ) o
      ), ${pairsOfFound(
        tables,
        (keys, contact, as) =>
          sql.fragment`left join lateral (
            select key from ${keys} k where f.kind = 'name' and k.contact_id = ${contact} and k.source = 'company' offset 0) ${as} on true`,
      )}, known as (
        select p.* from concerned c, lateral (
          select p.ctid, contact_id, other_id from ${duplicatePairs.sql} p where p.contact_id = c.contact_id offset 0) p
        union select p.* from concerned c, lateral (
          select p.ctid, contact_id, other_id from ${duplicatePairs.sql} p where p.other_id = c.contact_id offset 0) p
      ), gone as (
        delete from ${duplicatePairs.sql} where ctid = any(array(select k.ctid from known k
          where not exists (select from pairs n where n.contact_id = k.contact_id and n.other_id = k.other_id)))
      )
      insert into ${duplicatePairs.sql} as p (contact_id, other_id, score, reasons) select contact_id, other_id, score, reasons from pairs
      on conflict (contact_id, other_id) do update set score = excluded.score, reasons = excluded.reasons
        where (p.score, p.reasons) is distinct from (excluded.score, excluded.reasons)`)
  },
}

const keysOf = (rows: readonly Row[]) => {
  const column = (name: string) => rows.map((row) => row[name] as string)
  return sql.fragment`select * from unnest(${sql.array(column('contactId'), 'uuid')}, ${sql.array(column('kind'), 'text')}, ${sql.array(column('key'), 'text')})
    t (contact_id, kind, key)`
}

/**
 * Of those that the batch touched, who has anything in common with somebody, or is in a pair already: hardly any that are new. Each is looked up by an
 * index whatever Postgres thinks how large the tables are, which grow a thousandfold in an import, before anybody has counted them.
 */
async function idsOfSharing(
  db: Database,
  { duplicateKeys, duplicatePairs }: Tables,
  rows: readonly Row[],
  others: readonly string[],
): Promise<Set<string>> {
  const found = await db.rows<{ id: string }>(sql.unsafe`
    with touched as (
      ${keysOf(rows)}
    ), who as (
      select contact_id from touched union select unnest(${sql.array(others, 'uuid')})
    ), keys as (
      select contact_id, kind, key from touched
      union select w.contact_id, k.* from who w, lateral (select kind, key from ${duplicateKeys.sql} k where k.contact_id = w.contact_id offset 0) k
    )
    select k.contact_id as id from keys k, lateral (
      select from ${duplicateKeys.sql} o where o.kind = k.kind and o.key = k.key and o.contact_id <> k.contact_id limit 1) o where k.kind <> 'company'
    union select w.contact_id from who w, lateral (select from ${duplicatePairs.sql} p where p.contact_id = w.contact_id limit 1) p
    union select w.contact_id from who w, lateral (select from ${duplicatePairs.sql} p where p.other_id = w.contact_id limit 1) p`)
  return new Set(found.map(({ id }) => id))
}
