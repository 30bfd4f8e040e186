import type { FragmentSqlToken } from 'slonik'
import { type SourceKind, sourceKinds } from '../schema/enrichment.ts'
import type { BulkFilter, FetchedPage, Spending } from '../schema/enrichment-events.ts'
import { type Database, sql } from '../src/platform/database.ts'
import type { Viewer } from '../src/platform/viewer.ts'
import { contacts } from './contacts.ts'
import { emails } from './emails.ts'
import { enrichment } from './enrichment.ts'
import { isOwnRow } from './visibility.ts'

const { tables } = enrichment

/** Pages that were read lately, by the address that was asked for: also of one that led to none. @param since RFC 3339 */
export async function cachedPages(db: Database, addresses: readonly string[], since: string): Promise<Map<string, FetchedPage[]>> {
  if (addresses.length === 0) return new Map()
  const rows = await db.rows<{ address: string; enrichmentId: string; pages: FetchedPage[] }>(sql.unsafe`
    select distinct on (r.address) r.address, r.enrichment_id as "enrichmentId", r.pages
    from unnest(${sql.array([...addresses], 'text')}) a (address)
    join ${tables.enrichmentReads.sql} r on "left"(r.address, 500) = "left"(a.address, 500) and r.address = a.address
    where r.read_at > ${since}::timestamptz order by r.address, r.read_at desc`)
  return new Map(rows.map(({ address, enrichmentId, pages }) => [address, pages.map((page) => ({ ...page, cachedFrom: enrichmentId }))]))
}

type MailRow = { emailId: string; sent: boolean; at: Date; subject: string; textOwn: string; people: People }
type People = Record<string, { address?: string } | { address?: string }[] | undefined>

/** The newest mails that a contact takes part in, with everybody's addresses. */
export async function historyOf(db: Database, contactId: string, limit = 20) {
  const { emails: mails, emailTexts, emailParties, addressOwners } = emails.tables
  const rows = await db.rows<MailRow>(sql.unsafe`
    select e.email_id as "emailId", e.sent, e.at, e.subject, "left"(t.text_own, 20000) as "textOwn", e.people
    from (
      select distinct p.at, p.email_id from ${addressOwners.sql} o join ${emailParties.sql} p using (address)
      where o.contact_id = ${contactId} order by p.at desc, p.email_id desc limit ${limit}
    ) p join ${mails.sql} e using (email_id) join ${emailTexts.sql} t using (email_id) order by e.at desc, e.email_id desc`)
  return rows.map(({ at, people, ...row }) => ({
    ...row,
    at: new Date(at).toISOString(),
    addresses: [...new Set(Object.values(people).flatMap((party) => [party ?? []].flat().flatMap(({ address }) => address ?? [])))],
  }))
}

/** What is known of the policy: the order of sources, and since when what is created is enriched by itself. */
export async function policyNow(db: Database): Promise<{ order: SourceKind[]; onCreationSince: string | null }> {
  const [row] = await db.rows<{ order: SourceKind[] | null; since: Date | null }>(
    sql.unsafe`select source_order as "order", on_creation_since as since from ${tables.enrichmentPolicies.sql}`,
  )
  return { order: row?.order ?? [...sourceKinds], onCreationSince: row?.since ? new Date(row.since).toISOString() : null }
}

/** The month's spending as the tables know it; null where nothing was spent. */
export async function spendingOf(db: Database, month: string): Promise<Spending | null> {
  const [row] = await db.rows<{ spending: Spending }>(sql.unsafe`select spending from ${tables.spendings.sql} where month = ${month}`)
  return row?.spending ?? null
}

/** How many enrichments are in which state. */
export const enrichmentCounts = (db: Database): Promise<readonly { state: string; count: number }[]> =>
  db.rows(sql.unsafe`select state, count(*) from ${tables.enrichments.sql} group by state`)

/** What one enrichment has cost on average lately, in millionths of a dollar; null where there were none. */
export async function averageCost(db: Database): Promise<number | null> {
  const [row] = await db.rows<{ average: number | null }>(sql.unsafe`
    select avg(micro_usd)::float8 as average from (
      select micro_usd from ${tables.enrichments.sql} where state = 'enriched' order by requested_at desc limit 200) recent`)
  return row?.average ?? null
}

export type Candidate = { contactId: string; createdAt: string; emails: string[]; urls: number }

/**
 * Contacts that a bulk of somebody may be about, in the order of their ids, after one. Archived ones and those that opted out are never among them.
 * @param bulkId what was asked for by this one does not count as asked for lately
 */
export async function candidates(
  db: Database,
  viewer: Viewer,
  filter: BulkFilter,
  bulkId: string | null,
  after: string | null,
  limit: number,
  now: string,
): Promise<Candidate[]> {
  const { company, createdAfter, createdBefore, contactIds, notEnrichedForDays = 30 } = filter
  const since = new Date(Date.parse(now) - notEnrichedForDays * 86_400_000).toISOString()
  const conditions = [
    sql.fragment`not c.archived and c.merged_into is null`,
    isOwnRow(viewer, sql.fragment`c`),
    sql.fragment`not exists (select from ${tables.enrichmentContacts.sql} n where n.contact_id = c.contact_id and not n.enrichable)`,
    sql.fragment`not exists (
      select from ${tables.enrichments.sql} e where e.contact_id = c.contact_id and e.state <> 'failed' and e.requested_at > ${since}::timestamptz
        and e.bulk_id is distinct from ${bulkId}::uuid)`,
    ...(company === undefined ? [] : [sql.fragment`smartcrm.plain(c.company) = smartcrm.plain(${company})`]),
    ...(createdAfter === undefined ? [] : [sql.fragment`c.created_at > ${createdAfter}::timestamptz`]),
    ...(createdBefore === undefined ? [] : [sql.fragment`c.created_at < ${createdBefore}::timestamptz`]),
    ...(contactIds === undefined ? [] : [sql.fragment`c.contact_id = any(${sql.array(contactIds, 'uuid')})`]),
    ...(after === null ? [] : [sql.fragment`c.contact_id > ${after}::uuid`]),
  ]
  return selectCandidates(db, sql.fragment`${sql.join(conditions, sql.fragment` and `)} order by c.contact_id limit ${limit}`)
}

async function selectCandidates(db: Database, which: FragmentSqlToken): Promise<Candidate[]> {
  const { contacts: contactTable, contactMethods } = contacts.tables
  const rows = await db.rows<Omit<Candidate, 'createdAt'> & { createdAt: Date }>(sql.unsafe`
    select c.contact_id as "contactId", c.created_at as "createdAt",
      array(select normalized from ${contactMethods.sql} m where m.contact_id = c.contact_id and m.type = 'email' and normalized is not null) as emails,
      (select count(*) from ${contactMethods.sql} m where m.contact_id = c.contact_id and m.type in ('url', 'social')) as urls
    from ${contactTable.sql} c where ${which}`)
  return rows.map((row) => ({ ...row, createdAt: new Date(row.createdAt).toISOString() }))
}

/** Contacts that were created since then and never enriched, in the order of their creation, after one. */
export function createdSince(db: Database, since: string, after: Candidate | null, limit: number): Promise<Candidate[]> {
  const next = after
    ? sql.fragment`and (c.created_at, c.contact_id) > (${after.createdAt}::timestamptz, ${after.contactId}::uuid)`
    : sql.fragment``
  return selectCandidates(
    db,
    sql.fragment`not c.archived and c.merged_into is null and c.created_at >= ${since}::timestamptz ${next}
      and not exists (select from ${tables.enrichments.sql} e where e.contact_id = c.contact_id)
      order by c.created_at, c.contact_id limit ${limit}`,
  )
}
