import { type Static, type TString, Type } from '@sinclair/typebox'
import type { FragmentSqlToken } from 'slonik'
import { Contact, ContactPage } from '../schema/contact.ts'
import { Id } from '../schema/shared.ts'
import { prepared, sql } from '../src/platform/database.ts'
import { type Paging, pageParameters, paging, type SortKey } from '../src/platform/page.ts'
import { query } from '../src/platform/projection.ts'
import { Invalid } from '../src/platform/refusal.ts'
import { isVisible } from '../src/platform/viewer.ts'
import { reachedBy, searchOf } from './contact-words.ts'
import { type ContactRow, contacts, type MailStatistics, type MergeRow, type MethodRow, toContact } from './contacts.ts'
import { emails } from './emails.ts'
import { enrichedOf, factsColumn } from './enrichment-queries.ts'
import { withInstants } from './instants.ts'
import { goneOrMoved, isOwnRow } from './visibility.ts'
import { type Term, termsOf } from './words.ts'

const { contacts: contactTable, contactMethods: methodTable, contactMerges: mergeTable } = contacts.tables

/** Rows and methods in one statement, so that both are of one moment. */
const columns = sql.fragment`c.contact_id as "contactId", c.name, c.company, c.archived, c.created_at as "createdAt", c.updated_at as "updatedAt", c.revision, c.owner, c.team, c.merged_into as "mergedInto"`
const methodRows = sql.fragment`(
  select coalesce(json_agg(m), '[]') from (
    select method_id as "methodId", added_in as "addedIn", place, type, value, label, normalized, raw
    from ${methodTable.sql} where contact_id = c."contactId"
  ) m) as "methodRows", (
  select coalesce(json_agg(json_build_object('fromId', from_id, 'mergedIn', merged_in, 'place', place)), '[]')
  from ${mergeTable.sql} where contact_id = c."contactId") as "mergeRows"`
const statistics = emails.tables.mailStatistics.sql
/** Who is new to one read model and not yet to the other is so for one batch at most; nothing has been said of mail then. */
const statisticsColumns = sql.fragment`
  coalesce(m.emails_received, 0) as "emailsReceived", coalesce(m.emails_sent, 0) as "emailsSent", m.last_email_at as "lastEmailAt"`
const withStatistics = sql.fragment`left join ${statistics} m on m.contact_id = c."contactId"`

type Row = ContactRow & Required<MailStatistics> & { methodRows: MethodRow[]; mergeRows: MergeRow[] }
const render = ({ emailsReceived, emailsSent, lastEmailAt, ...row }: Row) =>
  toContact(row, row.methodRows, row.mergeRows, { emailsReceived, emailsSent, lastEmailAt })

const contactById = prepared(
  'get-contact',
  sql.unsafe`
    select c.*, ${methodRows}, ${statisticsColumns}, ${factsColumn}
    from (select ${columns} from ${contactTable.sql} c where contact_id = ${null}) c ${withStatistics}`,
)

const getContact = query({
  operationId: 'getContact',
  path: '/contacts/{id}',
  summary: 'Read a contact',
  params: Type.Object({ id: Id }),
  querystring: Type.Object({}),
  response: Contact,
  moves: true,
  async run(db, { params: { id }, viewer }) {
    const [row] = await db.rows<Row & { facts: Parameters<typeof enrichedOf>[0] }>(contactById(id))
    if (row && row.mergedInto !== null) return goneOrMoved(db, viewer, id)
    if (!row || !isVisible(viewer, row)) return null
    const { facts, ...contact } = row
    const enriched = enrichedOf(facts)
    return { ...render(contact), ...(enriched && { enriched }) }
  },
})

const sortKeys: Record<'name' | 'createdAt' | 'updatedAt' | 'lastEmailAt', SortKey> = {
  name: { sql: sql.fragment`"left"(smartcrm.plain(c.name), 100)`, kind: 'text' },
  createdAt: { sql: sql.fragment`c.created_at`, kind: 'instant' },
  updatedAt: { sql: sql.fragment`c.updated_at`, kind: 'instant' },
  // Of the join with the statistics: those without mail stand before all others in time.
  lastEmailAt: { sql: sql.fragment`coalesce(s.last_email_at, timestamptz '0001-01-01 00:00:00+00')`, kind: 'instant' },
}
const idKey: SortKey = { sql: sql.fragment`c.contact_id`, kind: 'uuid' }
const statisticsIdKey: SortKey = { sql: sql.fragment`s.contact_id`, kind: 'uuid' }

const oneOf = <const V extends string>(values: readonly V[], options: object) =>
  Type.Unsafe<V>({ type: 'string', enum: values, ...options })
/** Postgres has no NUL in text. */
const text = (maxLength: number, description: string): TString =>
  Type.String({ minLength: 1, maxLength, pattern: '^[^\\u0000]*$', description })
const instant = (description: string) =>
  Type.String({ format: 'date-time', description: `${description} RFC 3339.`, examples: ['2026-03-01T09:30:00Z'] })

const sorts = ['name', '-name', 'createdAt', '-createdAt', 'updatedAt', '-updatedAt', 'lastEmailAt', '-lastEmailAt'] as const

const ListParameters = Type.Object({
  ...pageParameters,
  sort: Type.Optional(
    oneOf(sorts, {
      description:
        '`-` for descending. Without it the newest are first; with `q` those that match best, unless thousands match. Case and accents do not count.',
    }),
  ),
  q: Type.Optional(
    text(
      200,
      'Searches names, companies and methods: whole words, parts of words, phone digits, with typos and without accents. Every word (of up to 8) has to be found.',
    ),
  ),
  company: Type.Optional(text(500, 'Only of this company; case and accents do not count.')),
  archived: Type.Optional(
    oneOf(['false', 'true', 'any'], {
      default: 'false',
      description: 'Only those not archived (`false`), only the archived (`true`), or both (`any`).',
    }),
  ),
  method: Type.Optional(
    text(
      2_000,
      'Only those who can be reached by exactly this: an e-mail address in any case, a phone number in any punctuation, a URL, …',
    ),
  ),
  createdAfter: Type.Optional(instant('Only those created later than this.')),
  createdBefore: Type.Optional(instant('Only those created earlier than this.')),
  updatedAfter: Type.Optional(instant('Only those changed later than this; with `archived=any` all that there is to learn since.')),
})
type ListParameters = Static<typeof ListParameters>

const listContacts = query({
  operationId: 'listContacts',
  path: '/contacts',
  summary: 'List, filter and search contacts',
  params: Type.Object({}),
  querystring: ListParameters,
  response: ContactPage,
  async run(db, { query, viewer }) {
    const { limit: _limit, cursor, sort, q, archived = 'false', ...filters } = query
    const search = q === undefined ? null : searchOf(searchTerms(q))
    const scope = ['contacts', sort, q, archived, Object.entries(filters).sort()]
    const { keys, descending } = orderOf(sort, q)
    const page = paging(query, { keys, descending, scope })
    const byMail = keys[0] === sortKeys.lastEmailAt
    const joined = byMail
      ? sql.fragment`${contactTable.sql} c join ${statistics} s using (contact_id)`
      : sql.fragment`${contactTable.sql} c`
    const select = (page: Paging, from: FragmentSqlToken, conditions: readonly FragmentSqlToken[]) => (isArchived: boolean) =>
      sql.fragment`
      (select ${columns}, ${page.columns} from ${from}
      where ${byMail ? sql.fragment`s` : sql.fragment`c`}.archived = ${isArchived} and c.merged_into is null and ${and([isOwnRow(viewer, sql.fragment`c`), ...conditionsOf(filters), ...conditions, page.after])} ${page.order})`
    // Each is read in the order of an index, as far as the page goes; archived in (…) would not be.
    const states = archived === 'any' ? [false, true] : [archived === 'true']
    const selects = search
      ? [
          ...states.map(select(page, sql.fragment`found f join ${joined} using (contact_id)`, [search.areFew])),
          ...states.map(
            select(paging(query, { keys: keys[0]!.kind === 'integer' ? unranked : keys, descending, scope }), joined, [
              sql.fragment`not ${search.areFew}`,
              search.matches,
            ]),
          ),
        ]
      : states.map(select(page, joined, []))
    const isPlain = !search && viewer.sees === 'all' && Object.keys(filters).length === 0
    const rows = await db.rows<Row>({
      ...sql.unsafe`${search ? sql.fragment`with ${search.found}` : sql.fragment``}
        select c.*, ${methodRows}, ${statisticsColumns} from (${sql.join(selects, sql.fragment` union all `)}) c ${withStatistics} ${page.order}`,
      ...(isPlain && { name: `list-contacts ${sort ?? ''} ${archived} ${cursor === undefined ? 'first' : 'next'}` }),
    })
    return page.page(rows, render)
  },
})

function searchTerms(q: string): Term[] {
  const terms = termsOf(q)
  if (terms.length === 0)
    throw new Invalid([{ path: '/querystring/q', message: 'has nothing to search for: give it at least one letter or digit' }])
  return terms
}

/** Of more than can be ranked. */
const unranked: SortKey[] = [{ sql: sql.fragment`0::bigint`, kind: 'integer', constant: true }, idKey]

/** The best matches first where nothing else is asked for; among equals those whose whole name is most like what was searched. */
function orderOf(sort: ListParameters['sort'], q: string | undefined): { keys: SortKey[]; descending: boolean } {
  if (sort === undefined && q !== undefined) {
    const score = sql.fragment`round(1e6 * (f.score + 0.1 * similarity(smartcrm.plain(c.name), smartcrm.plain(${q}))))::bigint`
    return { keys: [{ sql: score, kind: 'integer' }, idKey], descending: true }
  }
  const [, minus, name] = /^(-?)(.*)$/.exec(sort ?? '-createdAt')!
  const key = sortKeys[name as keyof typeof sortKeys]
  return { keys: [key, key === sortKeys.lastEmailAt ? statisticsIdKey : idKey], descending: minus === '-' }
}

type Filters = Omit<ListParameters, 'limit' | 'cursor' | 'sort' | 'q' | 'archived'>

function conditionsOf(filters: Filters): FragmentSqlToken[] {
  const { company, method, createdAfter, createdBefore, updatedAfter } = withInstants(filters, [
    'createdAfter',
    'createdBefore',
    'updatedAfter',
  ])
  return [
    company !== undefined && sql.fragment`smartcrm.plain(c.company) = smartcrm.plain(${company})`,
    method !== undefined && sql.fragment`c.contact_id in (${reachedBy(method)})`,
    createdAfter !== undefined && sql.fragment`c.created_at > ${createdAfter}::timestamptz`,
    createdBefore !== undefined && sql.fragment`c.created_at < ${createdBefore}::timestamptz`,
    updatedAfter !== undefined && sql.fragment`c.updated_at > ${updatedAfter}::timestamptz`,
  ].filter((condition) => condition !== false)
}

const and = (conditions: readonly FragmentSqlToken[]) => sql.join([...conditions], sql.fragment` and `)

export const contactQueries = [listContacts, getContact]
