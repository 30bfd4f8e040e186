import { type Static, Type } from '@sinclair/typebox'
import { type EmailSummary, Thread, ThreadPage, type ThreadSummary } from '../schema/email-resources.ts'
import { Id } from '../schema/shared.ts'
import { type Database, prepared, sql } from '../src/platform/database.ts'
import { pageParameters, paging } from '../src/platform/page.ts'
import { query } from '../src/platform/projection.ts'
import { addressesOfContact, emailKeys, listSummaries, type SummaryRow, spellings, summaryColumns, toSummary } from './email-lists.ts'
import { addressFilter } from './email-queries.ts'
import { emails } from './emails.ts'

const { threads, threadMembers, emailParties, emails: emailTable } = emails.tables

const keys = [
  { sql: sql.fragment`s.last_at`, kind: 'instant' as const },
  { sql: sql.fragment`s.thread_id`, kind: 'uuid' as const },
]

const columns = sql.fragment`
  t.thread_id as id, t.emails, t.first_at as "firstEmailAt", t.last_at as "lastEmailAt",
  (select subject from ${emailTable.sql} f where f.email_id = t.first_email) as subject`
type ThreadRow = Omit<Static<typeof ThreadSummary>, 'lastEmail'>

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
  async run(db, { query }) {
    const { contact, address } = query
    const page = paging(query, { keys, descending: true, scope: ['threads', contact, address] })
    const filters = [contact !== undefined && addressesOfContact(contact), address !== undefined && spellings(address)]
    const conditions = filters
      .filter((addresses) => addresses !== false)
      .map(
        (addresses) => sql.fragment`s.thread_id in (
          select m.thread_id from (${addresses}) a join ${emailParties.sql} p using (address) join ${threadMembers.sql} m using (email_id))`,
      )
    const rows = await db.rows<ThreadRow & { last: SummaryRow }>(sql.unsafe`
      with page as (
        select ${page.columns} from ${threads.sql} s where ${sql.join([...conditions, page.after], sql.fragment` and `)} ${page.order})
      select page.*, ${columns}, l.last from page join ${threads.sql} t on t.thread_id = page.cursor_1, lateral (
        select to_json(e) as last from (select ${summaryColumns} from ${emailTable.sql} e where e.email_id = t.last_email) e) l ${page.order}`)
    return page.page(rows, ({ id, subject, emails, firstEmailAt, lastEmailAt, last }) => {
      const date = last.date && new Date(last.date).toISOString()
      return { id, subject, emails, firstEmailAt, lastEmailAt, lastEmail: toSummary({ ...last, date }) }
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
  async run(db, { params: { id }, query }) {
    const thread = await threadOf(db, id)
    if (!thread) return null
    const page = paging(query, { keys: emailKeys, descending: false, scope: ['thread', id] })
    const mails: { data: EmailSummary[]; nextCursor: string | null } = await listSummaries(db, page, { filters: { thread: id } })
    return { ...thread, ...mails }
  },
})

const threadByEmail = prepared(
  'get-thread',
  sql.unsafe`select ${columns} from ${threadMembers.sql} m join ${threads.sql} t using (thread_id) where m.email_id = ${null}`,
)

async function threadOf(db: Database, emailId: string): Promise<ThreadRow | undefined> {
  const [thread] = await db.rows<ThreadRow>(threadByEmail(emailId))
  return thread
}

export const threadQueries = [listThreads, getThread]
