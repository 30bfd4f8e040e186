import type { FragmentSqlToken } from 'slonik'
import type { Party } from '../schema/email.ts'
import type { EmailParty, EmailSummary } from '../schema/email-resources.ts'
import { type Database, sql } from '../src/platform/database.ts'
import type { Paging } from '../src/platform/page.ts'
import type { Viewer } from '../src/platform/viewer.ts'
import { contacts } from './contacts.ts'
import { type Search, toParts } from './email-search.ts'
import { emails } from './emails.ts'
import { addressesSeen, isEmailSeen, isOwnRow } from './visibility.ts'
import { spellingsOf } from './words.ts'

const { tables } = emails
const and = (conditions: readonly FragmentSqlToken[]) => sql.join([...conditions], sql.fragment` and `)

export type EmailFilters = {
  readonly contact?: string | undefined
  readonly address?: string | undefined
  readonly thread?: string | undefined
  readonly hasAttachment?: boolean | undefined
}

/** The addresses that a contact has. */
export const addressesOfContact = (contactId: string) =>
  sql.fragment`select distinct address from ${tables.addressOwners.sql} where contact_id = ${contactId}`
/** In how many mails any of these addresses takes part. */
export async function countMails(db: Database, addresses: readonly string[]): Promise<number> {
  const [row] = await db.rows<{ count: number }>(sql.unsafe`
    select count(distinct email_id) from ${tables.emailParties.sql} where address = any(${sql.array([...addresses], 'text')})`)
  return Number(row!.count)
}

export const spellings = (address: string) => sql.fragment`select unnest(${sql.array(spellingsOf(address), 'text')}) as address`

/**
 * What each filter is as a source, which lists its mails in the order of an index, and as a condition on a row `s`, for a source that is another's.
 * Conditions are scalar, so that the planner asks each about the rows of a page instead of joining whole tables.
 */
function filtersOf({ thread, contact, address, hasAttachment }: EmailFilters) {
  const threadId = sql.fragment`(select thread_id from ${tables.threadMembers.sql} where email_id = ${thread ?? null}::uuid)`
  const ofParty = (addresses: FragmentSqlToken) => sql.fragment`(
    select true from ${tables.emailParties.sql} p where p.email_id = s.email_id and p.address in (${addresses}) limit 1)`
  return [
    thread !== undefined && {
      source: inOrderOf(sql.fragment`${tables.threadMembers.sql} s`, sql.fragment`s.thread_id = ${threadId}`),
      condition: sql.fragment`(select thread_id from ${tables.threadMembers.sql} m where m.email_id = s.email_id) = ${threadId}`,
    },
    contact !== undefined && { source: byAddress(addressesOfContact(contact)), condition: ofParty(addressesOfContact(contact)) },
    address !== undefined && { source: byAddress(spellings(address)), condition: ofParty(spellings(address)) },
    hasAttachment !== undefined && {
      source: inOrderOf(sql.fragment`${tables.emails.sql} s`, sql.fragment`s.has_attachments = ${hasAttachment}`),
      condition: sql.fragment`(select has_attachments from ${tables.emails.sql} h where h.email_id = s.email_id) = ${hasAttachment}`,
    },
  ].filter((filter) => filter !== false)
}

type Source = (conditions: readonly FragmentSqlToken[], page: Paging) => FragmentSqlToken

const inOrderOf =
  (table: FragmentSqlToken, own: FragmentSqlToken): Source =>
  (conditions, page) =>
    sql.fragment`(select ${page.columns} from ${table} where ${and([own, ...conditions, page.after])} ${page.order})`

/** A page of each address's mails, and of these the first: a mail of several of them once. */
export const byAddress =
  (addresses: FragmentSqlToken): Source =>
  (conditions, page) =>
    sql.fragment`(
    select distinct p.* from (${addresses}) a, lateral (
      select ${page.columns} from ${tables.emailParties.sql} s where ${and([sql.fragment`s.address = a.address`, ...conditions, page.after])} ${page.order}
    ) p ${page.order})`

const everything = inOrderOf(sql.fragment`${tables.emails.sql} s`, sql.fragment`true`)
const found = inOrderOf(sql.fragment`found s`, sql.fragment`true`)

/** So many mails are looked through for a search before all else: words that many mails have are soon met. */
const NEAR = 500

/**
 * The page of a search. Where the next mails of the list, looked through one by one, do not fill it, it is told whether all that match are few enough to be
 * gathered and sorted; else going on through the mails in their order meets enough of them.
 * @param first the source's own condition, for a source that is another's
 * @returns what it needs in the `with` before it, and the keys
 */
function searched(
  search: Search,
  source: Source,
  first: readonly FragmentSqlToken[],
  conditions: readonly FragmentSqlToken[],
  page: Paging,
) {
  const isFull = sql.fragment`(select count(*) from near) = ${page.count}`
  const next = source(conditions, { ...page, order: page.first(NEAR) })
  return {
    needs: sql.fragment`${search.found},
      near as materialized (select * from (${next}) s where ${search.matches(sql.fragment`s.cursor_1`)} ${page.order}), `,
    keys: sql.fragment`
      (select * from near where ${isFull}) union all
      ${found([sql.fragment`not (${isFull})`, search.areFew, ...first, ...conditions], page)} union all
      ${source([sql.fragment`not (${isFull})`, sql.fragment`not (${search.areFew})`, ...conditions, search.matches(sql.fragment`s.email_id`)], page)}`,
  }
}

/** The keys by which lists of mails are paged, of a row `s`. */
export const emailKeys = [
  { sql: sql.fragment`s.at`, kind: 'instant' as const },
  { sql: sql.fragment`s.email_id`, kind: 'uuid' as const },
]

/** With more addresses than that, going through all mails in their order soon meets enough of those that somebody sees. */
const FEW_ADDRESSES = 1_000
const hasFew = sql.fragment`(select few from seen_few)`

/** All that somebody sees, in its order. It needs `seen_few` before it. */
const allSeen =
  (viewer: Viewer): Source =>
  (conditions, page) =>
    sql.fragment`
    ${byAddress(addressesSeen(viewer))([hasFew, ...conditions], page)} union all
    ${everything([sql.fragment`not ${hasFew}`, isEmailSeen(viewer, sql.fragment`s.email_id`), ...conditions], page)}`

/** One page of the mails that somebody sees: their keys are found first, in the order of an index, and only the page's own rows are read whole. */
export async function listSummaries(
  db: Database,
  viewer: Viewer,
  page: Paging,
  {
    filters = {},
    conditions = [],
    search,
  }: { filters?: EmailFilters; conditions?: readonly FragmentSqlToken[]; search?: Search | undefined },
) {
  const [first, ...rest] = filtersOf(filters)
  const isAnybodys = viewer.sees === 'all'
  const source = first?.source ?? (isAnybodys ? everything : allSeen(viewer))
  const seen = isAnybodys ? [] : [isEmailSeen(viewer, sql.fragment`s.email_id`)]
  const others = [...(first || search ? seen : []), ...rest.map(({ condition }) => condition), ...conditions]
  const fewness = sql.fragment`seen_few as materialized (
    select count(*) <= ${FEW_ADDRESSES} as few from (select from (${addressesSeen(viewer)}) a limit ${FEW_ADDRESSES + 1}) a), `
  const { needs, keys } = search
    ? searched(search, source, first ? [first.condition] : [], others, page)
    : { needs: sql.fragment``, keys: source(others, page) }
  const rows = await db.rows<SummaryRow>(sql.unsafe`
    with ${isAnybodys ? sql.fragment`` : fewness}${needs} page as (${keys})
    select page.*, ${summaryColumns(viewer)}${search ? sql.fragment`, ${search.highlights}` : sql.fragment``}
    from page join ${tables.emails.sql} e on e.email_id = page.cursor_1 ${page.order}`)
  return page.page(rows, toSummary)
}

/** Who has which of a mail's addresses now, of `e`, a row of `emails`, as far as somebody sees them: contacts' names are joined, not copied. */
const contactsOfEmail = (viewer: Viewer) => sql.fragment`(
  select coalesce(json_agg(json_build_object('address', p.address, 'id', c.contact_id, 'name', c.name) order by c.contact_id), '[]')
  from ${tables.emailParties.sql} p join ${tables.addressOwners.sql} o using (address)
  join ${contacts.tables.contacts.sql} c on c.contact_id = o.contact_id where p.email_id = e.email_id and ${isOwnRow(viewer, sql.fragment`c`)}) as "contacts"`

/** What `toSummary` reads, of `e`, a row of `emails`. */
export const summaryColumns = (viewer: Viewer) => sql.fragment`
  e.email_id as id, e.sent, e.date, e.subject, e.preview, e.people, e.has_attachments as "hasAttachments", ${contactsOfEmail(viewer)},
  (select thread_id from ${tables.threadMembers.sql} m where m.email_id = e.email_id) as "threadId"`

type Named = { address: string; id: string; name: string }
export type People = { from: Party[]; sender?: Party; replyTo: Party[]; to: Party[]; cc: Party[]; bcc: Party[] }
export type SummaryRow = Pick<EmailSummary, 'id' | 'date' | 'subject' | 'preview' | 'hasAttachments' | 'threadId'> & {
  sent: boolean
  people: People
  contacts: Named[]
  subjectFound?: string
  textFound?: string
}

/** Adds to a party the contact that has its address. */
export const withContact =
  (contacts: readonly Named[]) =>
  (party: Party): EmailParty => {
    const contact = contacts.find(({ address }) => address === party.address)
    return contact ? { ...party, contact: { id: contact.id, name: contact.name } } : party
  }

export function toSummary(row: SummaryRow): EmailSummary {
  const { id, threadId, sent, date, subject, people, contacts, preview, hasAttachments, subjectFound, textFound } = row
  const shown = (parties: Party[]) => parties.slice(0, 10).map(withContact(contacts))
  return {
    id,
    threadId,
    direction: sent ? 'sent' : 'received',
    date,
    subject,
    from: shown(people.from),
    to: shown(people.to),
    recipients: people.to.length + people.cc.length + people.bcc.length,
    preview,
    hasAttachments,
    ...(subjectFound !== undefined && { highlights: { subject: toParts(subjectFound), text: toParts(textFound ?? '') } }),
  }
}
