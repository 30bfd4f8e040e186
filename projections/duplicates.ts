import type { FragmentSqlToken } from 'slonik'
import { contactEvents, type Method } from '../schema/contact-events.ts'
import { duplicateReasons } from '../schema/duplicate.ts'
import { duplicateEvents } from '../schema/duplicate-events.ts'
import { sql } from '../src/platform/database.ts'
import { projection, type Refresh, type RowWrite, type Table, table } from '../src/platform/projection.ts'
import { type Key, keysOfCompany, keysOfMethod, keysOfName } from './duplicate-keys.ts'

const {
  ContactCreated,
  ContactRenamed,
  ContactCompanyChanged,
  ContactMethodAdded,
  ContactMethodRemoved,
  ContactArchived,
  ContactRestored,
  ContactMergedInto,
  ContactMerged,
  ContactUnmerged,
  ContactUnmergedFrom,
  ContactErased,
} = contactEvents

/** What more than so many have in common tells nobody from another: a switchboard's number, a name that everybody has. */
const MOST = 50

type Tables = Record<'duplicateKeys' | 'duplicatePairs' | 'dismissedDuplicates' | 'archivedContacts', Table>

/** `told`, `reasoned` and `pairs`, to stand in a `with` behind `found`: what each pair that is shown to anybody is found by, and how much that says. */
function pairsOfFound({ duplicateKeys, dismissedDuplicates, archivedContacts }: Tables) {
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
          left join ${duplicateKeys.sql} a on f.kind = 'name' and a.contact_id = f.contact_id and a.source = 'company'
          left join ${duplicateKeys.sql} b on f.kind = 'name' and b.contact_id = f.other_id and b.source = 'company'
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
const refreshPairs: Refresh<Tables> = {
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
      ), ${pairsOfFound(tables)}
      insert into ${duplicatePairs.sql} (contact_id, other_id, score, reasons) select contact_id, other_id, score, reasons from pairs`)
  },
  async run(db, tables, touched) {
    const { duplicateKeys, duplicatePairs } = tables
    const rows = touched('duplicateKeys')
    const spoken = [...touched('dismissedDuplicates'), ...touched('archivedContacts')]
    const others = [...new Set(spoken.flatMap(({ contactId, otherId }) => [contactId, otherId ?? contactId] as string[]))]
    const column = (name: string) => rows.map((row) => row[name] as string)
    const few = sql.fragment`(select count(*) from (
      select from ${duplicateKeys.sql} c where c.kind = k.kind and c.key = k.key limit ${MOST + 1}) c) <= ${MOST}`
    await db.rows(sql.unsafe`
      with touched as (
        select contact_id, kind, key from unnest(${sql.array(column('contactId'), 'uuid')}, ${sql.array(column('kind'), 'text')}, ${sql.array(column('key'), 'text')})
          t (contact_id, kind, key)
      ), keys as (
        select kind, key, count(*) as changed from touched where kind <> 'company' group by kind, key
      ), concerned as materialized (
        select contact_id from touched
        union select unnest(${sql.array(others, 'uuid')})
        union select m.contact_id from keys k, lateral (
          select contact_id from ${duplicateKeys.sql} m where m.kind = k.kind and m.key = k.key limit ${MOST}::bigint + k.changed + 1
        ) m where (select count(*) from (
          select from ${duplicateKeys.sql} c where c.kind = k.kind and c.key = k.key limit ${MOST}::bigint + k.changed + 1) c) <= ${MOST}::bigint + k.changed
      ), found as materialized (
        select distinct least(k.contact_id, o.contact_id) as contact_id, greatest(k.contact_id, o.contact_id) as other_id, k.kind, k.key
        from concerned c join ${duplicateKeys.sql} k using (contact_id), lateral (
          select contact_id from ${duplicateKeys.sql} o where o.kind = k.kind and o.key = k.key and o.contact_id <> k.contact_id offset 0
        ) o where k.kind <> 'company' and ${few}
      ), ${pairsOfFound(tables)}, known as (
        select p.contact_id, p.other_id from concerned join ${duplicatePairs.sql} p using (contact_id)
        union select p.contact_id, p.other_id from concerned c join ${duplicatePairs.sql} p on p.other_id = c.contact_id
      ), gone as (
        delete from ${duplicatePairs.sql} p using known k where p.contact_id = k.contact_id and p.other_id = k.other_id
          and not exists (select from pairs n where n.contact_id = p.contact_id and n.other_id = p.other_id)
      )
      insert into ${duplicatePairs.sql} as p (contact_id, other_id, score, reasons) select contact_id, other_id, score, reasons from pairs
      on conflict (contact_id, other_id) do update set score = excluded.score, reasons = excluded.reasons
        where (p.score, p.reasons) is distinct from (excluded.score, excluded.reasons)`)
  },
}

/** What contacts have in common by which they may be the same; who then may be; and who is said not to be. */
export const duplicates = projection({
  name: 'duplicates',
  version: 2,
  tables: {
    // `source` is where the key is from: name, company, or the id of a method. Who is part of another contact has none.
    duplicateKeys: table(
      ['contactId', 'source', 'kind', 'key'],
      { contactId: 'uuid', source: 'text', kind: 'text', key: 'text' },
      'kind, key, contact_id',
    ),
    // The smaller id is the first. `score` in thousandths.
    duplicatePairs: table(
      ['contactId', 'otherId'],
      { contactId: 'uuid', otherId: 'uuid', score: 'integer', reasons: 'json' },
      'score, contact_id, other_id',
      'other_id',
    ),
    dismissedDuplicates: table(['contactId', 'otherId'], { contactId: 'uuid', otherId: 'uuid' }),
    archivedContacts: table('contactId', { contactId: 'uuid' }),
  },
  events: {
    ContactCreated,
    ContactRenamed,
    ContactCompanyChanged,
    ContactMethodAdded,
    ContactMethodRemoved,
    ContactArchived,
    ContactRestored,
    ContactMergedInto,
    ContactMerged,
    ContactUnmerged,
    ContactUnmergedFrom,
    ContactErased,
    ...duplicateEvents,
  },
  on: {
    ContactCreated: (_tables, { contactId, ...said }) => keysSaid(contactId, said),
    ContactRenamed: (_tables, { contactId, name }) => anew(contactId, { name }),
    ContactCompanyChanged: (_tables, { contactId, company }) => anew(contactId, { company }),
    ContactMethodAdded: (_tables, { contactId, method }) => keysSaid(contactId, { methods: [method] }),
    ContactMethodRemoved: ({ duplicateKeys }, { contactId, methodId }) => [duplicateKeys.remove({ contactId, source: methodId })],
    ContactArchived: ({ archivedContacts }, { contactId }) => [archivedContacts.put({ contactId })],
    ContactRestored: ({ archivedContacts }, { contactId }) => [archivedContacts.remove({ contactId })],
    ContactMergedInto: ({ duplicateKeys }, { contactId }) => [duplicateKeys.remove({ contactId })],
    ContactMerged: (_tables, { contactId, name, company, methods }) => anew(contactId, { name, company, methods }),
    ContactUnmerged: ({ duplicateKeys }, { contactId, name, company, methods, methodIds }) => [
      ...methodIds.map((methodId) => duplicateKeys.remove({ contactId, source: methodId })),
      ...anew(contactId, { name, company, methods }),
    ],
    ContactUnmergedFrom: ({ duplicateKeys, archivedContacts }, { contactId, archived, ...said }) => [
      archived ? archivedContacts.put({ contactId }) : archivedContacts.remove({ contactId }),
      duplicateKeys.remove({ contactId }),
      ...keysSaid(contactId, said),
    ],
    ContactErased: ({ duplicateKeys, archivedContacts }, { contactId }) => [
      duplicateKeys.remove({ contactId }),
      archivedContacts.remove({ contactId }),
    ],
    DuplicateDismissed: ({ dismissedDuplicates }, { contactId, otherId }) => [dismissedDuplicates.put({ contactId, otherId })],
    DuplicateReconsidered: ({ dismissedDuplicates }, { contactId, otherId }) => [dismissedDuplicates.remove({ contactId, otherId })],
  },
  refresh: [refreshPairs],
})

type Said = { name?: string | undefined; company?: string | null | undefined; methods?: readonly Method[] }

function keysSaid(contactId: string, { name, company, methods = [] }: Said): RowWrite[] {
  const row = (source: string) => (key: Key) => duplicates.tables.duplicateKeys.put({ contactId, source, ...key })
  return [
    ...keysOfName(name ?? '').map(row('name')),
    ...keysOfCompany(company).map(row('company')),
    ...methods.flatMap((method) => keysOfMethod(method).map(row(method.id))),
  ]
}

/** The keys of what is said, in the place of those that were there; what is not named stays. */
function anew(contactId: string, said: Said): RowWrite[] {
  const { duplicateKeys } = duplicates.tables
  return [
    ...(said.name === undefined ? [] : [duplicateKeys.remove({ contactId, source: 'name' })]),
    ...(said.company === undefined ? [] : [duplicateKeys.remove({ contactId, source: 'company' })]),
    ...keysSaid(contactId, said),
  ]
}
