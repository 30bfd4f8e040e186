import { type Static, Type } from '@sinclair/typebox'
import { type EmailSummary, Thread, ThreadPage, type ThreadSummary } from '../schema/email-resources.ts'
import { Id } from '../schema/shared.ts'
import { type Database, prepared, sql } from '../src/platform/database.ts'
import { pageParameters, paging } from '../src/platform/page.ts'
import { query } from '../src/platform/projection.ts'
import type { Viewer } from '../src/platform/viewer.ts'
import { addressesOfContact, emailKeys, listSummaries, type SummaryRow, spellings, summaryColumns, toSummary } from './email-lists.ts'
import { addressFilter } from './email-queries.ts'
import { emails } from './emails.ts'
import { type Restriction, restrictedSummary, restrictionsOf, seenBy } from './mail-visibility.ts'
import { addressesSeen, isEmailSeen, seesContact, survivorOf } from './visibility.ts'

const { threads, threadMembers, emailParties, emails: emailTable } = emails.tables

const keys = [
  { sql: sql.fragment`s.last_at`, kind: 'instant' as const },
  { sql: sql.fragment`s.thread_id`, kind: 'uuid' as const },
]

/**
 * Threads as somebody sees them, to stand in a `with`: those that have a mail that he sees, told by such mails alone. It costs as much as there are of
 * these, and nothing for who sees all.
 */
const threadsSeen = (viewer: Viewer, only = sql.fragment`true`) =>
  viewer.sees === 'all'
    ? sql.fragment`seen as not materialized (select * from ${threads.sql})`
    : sql.fragment`seen as materialized (
      select m.thread_id, count(*) as emails, min(m.at) as first_at, max(m.at) as last_at,
        (array_agg(m.email_id order by m.at, m.email_id))[1] as first_email, (array_agg(m.email_id order by m.at desc, m.email_id desc))[1] as last_email
      from (select distinct p.email_id from (${addressesSeen(viewer)}) a join ${emailParties.sql} p using (address)) e
        join ${threadMembers.sql} m using (email_id) where ${only} group by m.thread_id)`

const columns = sql.fragment`
  t.thread_id as id, t.emails, t.first_at as "firstEmailAt", t.last_at as "lastEmailAt",
  t.first_email as "firstEmail", (select subject from ${emailTable.sql} f where f.email_id = t.first_email) as subject`
type ThreadRow = Omit<Static<typeof ThreadSummary>, 'lastEmail'> & { firstEmail: string }

/** Without what only we need to know; with the subject if its first mail shows it. */
const shown = ({ firstEmail, subject, ...thread }: ThreadRow, restricted: ReadonlyMap<string, Restriction>) => ({
  ...thread,
  subject: restricted.get(firstEmail) === 'metadata' ? '' : subject,
})

const listThreads = query({
  operationId: 'listThreads',
  path: '/threads',
  summary: 'List threads of mails, those with the newest mails first',
  params: Type.Object({}),
  querystring: Type.Object({
    ...pageParameters,
    contact: Type.Optional({ ...Id, description: 'Only those that a contact takes part in, by any of the addresses that it has now.' }),
    address: addressFilter,
  }),
  response: ThreadPage,
  async run(db, { query, viewer, actor }) {
    const { address } = query
    const contact = query.contact === undefined ? undefined : await survivorOf(db, query.contact)
    if (contact !== undefined && !(await seesContact(db, viewer, contact))) return { data: [], nextCursor: null }
    const page = paging(query, { keys, descending: true, scope: ['threads', contact, address] })
    const filters = [contact !== undefined && addressesOfContact(contact), address !== undefined && spellings(address)]
    const conditions = filters
      .filter((addresses) => addresses !== false)
      .map(
        (addresses) => sql.fragment`s.thread_id in (
          select m.thread_id from (${addresses}) a join ${emailParties.sql} p using (address) join ${threadMembers.sql} m using (email_id)
          where ${isEmailSeen(viewer, sql.fragment`m.email_id`)})`,
      )
    const rows = await db.rows<ThreadRow & { last: SummaryRow }>(sql.unsafe`
      with ${threadsSeen(viewer)}, page as (
        select ${page.columns} from seen s where ${sql.join([...conditions, page.after], sql.fragment` and `)} ${page.order})
      select page.*, ${columns}, l.last from page join seen t on t.thread_id = page.cursor_1, lateral (
        select to_json(e) as last from (select ${summaryColumns(viewer)} from ${emailTable.sql} e where e.email_id = t.last_email) e) l ${page.order}`)
    const seen = rows.flatMap(({ firstEmail, last }) => [firstEmail, last.id])
    const restricted = await restrictionsOf(db, actor, seen)
    return page.page(rows, ({ id, subject, emails, firstEmailAt, lastEmailAt, firstEmail, last }) => {
      const date = last.date && new Date(last.date).toISOString()
      const restriction = restricted.get(last.id)
      const lastEmail = toSummary({ ...last, date })
      return {
        ...shown({ id, subject, emails, firstEmailAt, lastEmailAt, firstEmail }, restricted),
        lastEmail: restriction ? restrictedSummary(lastEmail, restriction) : lastEmail,
      }
    })
  },
})

const getThread = query({
  operationId: 'getThread',
  path: '/threads/{id}',
  summary: 'Read a thread: its mails, the oldest first',
  description: 'The id of any of its mails leads to it, so one that it was called by before it grew still does.',
  params: Type.Object({ id: Id }),
  querystring: Type.Object(pageParameters),
  response: Thread,
  async run(db, { params: { id }, query, viewer, actor }) {
    const thread = await threadOf(db, viewer, id)
    if (!thread) return null
    const page = paging(query, { keys: emailKeys, descending: false, scope: ['thread', id] })
    const mails: { data: EmailSummary[]; nextCursor: string | null } = await listSummaries(db, viewer, page, { filters: { thread: id } })
    return { ...shown(thread, await restrictionsOf(db, actor, [thread.firstEmail])), ...(await seenBy(db, actor, mails)) }
  },
})

const threadSeen = (viewer: Viewer, emailId: string | null) => {
  const threadId = sql.fragment`(select thread_id from ${threadMembers.sql} where email_id = ${emailId})`
  return sql.unsafe`with ${threadsSeen(viewer, sql.fragment`m.thread_id = ${threadId}`)} select ${columns} from seen t where t.thread_id = ${threadId}`
}
const threadByEmail = prepared(
  'get-thread',
  sql.unsafe`select ${columns} from ${threadMembers.sql} m join ${threads.sql} t using (thread_id) where m.email_id = ${null}`,
)

async function threadOf(db: Database, viewer: Viewer, emailId: string): Promise<ThreadRow | undefined> {
  const [thread] = await db.rows<ThreadRow>(viewer.sees === 'all' ? threadByEmail(emailId) : threadSeen(viewer, emailId))
  return thread
}

export const threadQueries = [listThreads, getThread]
