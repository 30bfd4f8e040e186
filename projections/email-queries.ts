import { type Static, Type } from '@sinclair/typebox'
import type { Attachment } from '../schema/email.ts'
import { Email, EmailPage } from '../schema/email-resources.ts'
import { Id } from '../schema/shared.ts'
import { type Database, prepared, sql } from '../src/platform/database.ts'
import { pageParameters, paging } from '../src/platform/page.ts'
import { query } from '../src/platform/projection.ts'
import { everybody, type Viewer } from '../src/platform/viewer.ts'
import { contacts } from './contacts.ts'
import { emailKeys, listSummaries, type SummaryRow, summaryColumns, withContact } from './email-lists.ts'
import { searchOf } from './email-search.ts'
import { emails } from './emails.ts'
import { withInstants } from './instants.ts'
import { isWhole, restrictedEmail, restrictionsOf, seenBy } from './mail-visibility.ts'
import { goneOrMoved, isEmailSeen, seesContact, survivorOf } from './visibility.ts'

const { tables } = emails

export const addressFilter = Type.Optional(
  Type.String({
    minLength: 3,
    maxLength: 320,
    pattern: '^[^\\u0000]*$',
    description: 'Only with this e-mail address among those who take part.',
  }),
)
const contactFilter = Type.Optional({
  ...Id,
  description: 'Only those that a contact takes part in, by any of the addresses that it has now.',
})

const listParameters = {
  ...pageParameters,
  sort: Type.Optional(
    Type.Unsafe<'date' | '-date'>({ type: 'string', enum: ['date', '-date'], default: '-date', description: '`-` for descending.' }),
  ),
  address: addressFilter,
  thread: Type.Optional({ ...Id, description: 'Only those of this thread; the id of any of its mails will do.' }),
  dateAfter: Type.Optional(Type.String({ format: 'date-time', description: 'Only those later than this. RFC 3339.' })),
  dateBefore: Type.Optional(Type.String({ format: 'date-time', description: 'Only those earlier than this. RFC 3339.' })),
  hasAttachment: Type.Optional(
    Type.Unsafe<'true' | 'false'>({ type: 'string', enum: ['true', 'false'], description: 'Only those with one, or without.' }),
  ),
  q: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 200,
      pattern: '^[^\\u0000]*$',
      description:
        'Searches subjects, texts, people and names of attachments by how words begin; case and accents do not count. Every word (of up to 8) has to be found. The answer shows where. Mails that are not shared whole are not searched.',
    }),
  ),
}
type ListParameters = Static<ReturnType<typeof Type.Object<typeof listParameters>>> & { contact?: string }

async function list(db: Database, viewer: Viewer, actor: string | undefined, { limit, cursor, sort = '-date', ...asked }: ListParameters) {
  if (asked.contact !== undefined && !(await seesContact(db, viewer, asked.contact))) return { data: [], nextCursor: null }
  const scope = ['emails', sort, Object.entries(asked).sort()]
  const page = paging(
    { limit: limit ?? 25, ...(cursor !== undefined && { cursor }) },
    { keys: emailKeys, descending: sort === '-date', scope },
  )
  const { hasAttachment, dateAfter, dateBefore, q, ...filters } = withInstants(asked, ['dateAfter', 'dateBefore'])
  const whole = q === undefined ? null : await isWhole(db, actor)
  const mails = await listSummaries(db, viewer, page, {
    filters: { ...filters, hasAttachment: hasAttachment && hasAttachment === 'true' },
    conditions: [
      ...(dateAfter ? [sql.fragment`s.at > ${dateAfter}::timestamptz`] : []),
      ...(dateBefore ? [sql.fragment`s.at < ${dateBefore}::timestamptz`] : []),
      ...(whole ? [whole] : []),
    ],
    search: q === undefined ? undefined : searchOf(q),
  })
  return seenBy(db, actor, mails)
}

const listEmails = query({
  operationId: 'listEmails',
  path: '/emails',
  summary: 'List, filter and search mails',
  params: Type.Object({}),
  querystring: Type.Object({ ...listParameters, contact: contactFilter }),
  response: EmailPage,
  run: async (db, { query: { contact, ...query }, viewer, actor }) =>
    list(db, viewer, actor, { ...query, ...(contact !== undefined && { contact: await survivorOf(db, contact) }) }),
})

const listContactEmails = query({
  operationId: 'listContactEmails',
  path: '/contacts/{id}/emails',
  summary: 'List, filter and search the mails that a contact takes part in',
  params: Type.Object({ id: Id }),
  querystring: Type.Object(listParameters),
  response: EmailPage,
  moves: true,
  async run(db, { params: { id }, query, viewer, actor }) {
    if (!(await seesContact(db, viewer, id))) return goneOrMoved(db, viewer, id)
    const page = await list(db, viewer, actor, { ...query, contact: id })
    if (page.data.length > 0) return page
    const known = await db.rows(sql.unsafe`select from ${contacts.tables.contacts.sql} where contact_id = ${id} and merged_into is null`)
    return known.length > 0 ? page : goneOrMoved(db, viewer, id)
  },
})

type EmailRow = SummaryRow & {
  text: string
  textOwn: string
  html: unknown
  raw: { sizeBytes: number }
  details: Pick<Email, 'messageId' | 'inReplyTo' | 'references' | 'dateHeader' | 'dateReceived' | 'headers' | 'defects' | 'source'>
  attachments: (Omit<Attachment, 'contentId'> & { contentId: string | null })[]
}

const emailSeen = (viewer: Viewer, id: string | null) => sql.unsafe`
    select ${summaryColumns(viewer)}, t.text, t.text_own as "textOwn", e.html, e.raw, e.details, (
      select coalesce(json_agg(json_build_object('id', attachment_id, 'name', name, 'type', type, 'sizeBytes', size_bytes, 'sha256', sha256,
        'disposition', disposition, 'contentId', content_id) order by place), '[]')
      from ${tables.emailAttachments.sql} a where a.email_id = e.email_id) as attachments
    from ${tables.emails.sql} e join ${tables.emailTexts.sql} t using (email_id)
    where e.email_id = ${id} and ${isEmailSeen(viewer, sql.fragment`e.email_id`)}`
const emailById = prepared('get-email', emailSeen(everybody, null))

const getEmail = query({
  operationId: 'getEmail',
  path: '/emails/{id}',
  summary: 'Read a mail',
  params: Type.Object({ id: Id }),
  querystring: Type.Object({}),
  response: Email,
  async run(db, { params: { id }, viewer, actor }) {
    const [row] = await db.rows<EmailRow>(viewer.sees === 'all' ? emailById(id) : emailSeen(viewer, id))
    if (!row) return null
    const restriction = (await restrictionsOf(db, actor, [id])).get(id)
    return restriction ? restrictedEmail(toEmail(row), restriction) : toEmail(row)
  },
})

function toEmail({ id, threadId, sent, date, subject, text, textOwn, html, raw, details, people, contacts, attachments }: EmailRow): Email {
  const { messageId, inReplyTo, references, dateHeader, dateReceived, headers, defects, source } = details
  const shown = withContact(contacts)
  return {
    id,
    threadId,
    direction: sent ? 'sent' : 'received',
    date,
    subject,
    from: people.from.map(shown),
    ...(people.sender && { sender: shown(people.sender) }),
    replyTo: people.replyTo.map(shown),
    to: people.to.map(shown),
    cc: people.cc.map(shown),
    bcc: people.bcc.map(shown),
    text,
    textOwn,
    hasHtml: html !== null,
    sizeBytes: raw.sizeBytes,
    attachments: attachments.map(({ contentId, ...attachment }) => ({ ...attachment, ...(contentId !== null && { contentId }) })),
    ...(messageId !== undefined && { messageId }),
    inReplyTo,
    references,
    dateHeader,
    dateReceived,
    headers,
    defects,
    source,
  }
}

export const emailQueries = [listEmails, getEmail, listContactEmails]
