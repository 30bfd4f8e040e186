import type { Party } from '../schema/email.ts'
import { type Database, sql } from '../src/platform/database.ts'
import { emails } from './emails.ts'
import { imports } from './imports.ts'
import { mailboxMessages } from './mailbox-messages.ts'

/*
 * What a sync run asks the tables. They may be behind, so nothing of it may decide whether something is lost: what they do not know is fetched again, and
 * then known by what it says.
 */
const { mailboxMessages: messages, mailboxRuns: runs } = mailboxMessages.tables

/** How a message stands. */
export type Standing = {
  readonly messageId: string
  readonly standing: 'stored' | 'known' | 'excluded' | 'failed' | 'pending'
  readonly emailId: string | null
  readonly rule: string | null
  readonly by: string | null
  readonly attempts: number
  readonly labels: readonly string[]
  readonly deleted: boolean
}

const columns = sql.fragment`m.message_id as "messageId", m.standing, m.email_id as "emailId", m.rule, m.by, coalesce(m.attempts, 0) as attempts,
  coalesce(m.labels, '[]') as labels, coalesce(m.deleted, false) as deleted`

/** Of these messages those that are known here, by their ids. */
export async function standingsOf(db: Database, mailboxId: string, ids: readonly string[]): Promise<Map<string, Standing>> {
  if (ids.length === 0) return new Map()
  const rows = await db.rows<Standing>(sql.unsafe`
    select ${columns} from ${messages.sql} m where m.mailbox_id = ${mailboxId} and m.message_id = any(${sql.array([...ids], 'text')})`)
  return new Map(rows.map((row) => [row.messageId, row]))
}

/** The number of the newest run that the tables know; 0: they know none. */
export async function newestRun(db: Database, mailboxId: string): Promise<number> {
  const [row] = await db.rows<{ number: number | null }>(
    sql.unsafe`select max(number) as number from ${runs.sql} where mailbox_id = ${mailboxId}`,
  )
  return row!.number ?? 0
}

/** Whether the run that a job was to make was made, and is over. */
export async function isOver(db: Database, jobId: string): Promise<boolean> {
  const rows = await db.rows(sql.unsafe`select from ${runs.sql} where job_id = ${jobId} and finished_at is not null`)
  return rows.length > 0
}

/** Failed messages, those first that have waited longest. @param dueAt only those that are to be tried again by then; an instant */
export const failedMessages = (db: Database, mailboxId: string, dueAt: string | null, limit: number): Promise<readonly Standing[]> =>
  db.rows(sql.unsafe`
    select ${columns} from ${messages.sql} m
    where m.mailbox_id = ${mailboxId} and m.standing = 'failed' and ${dueAt === null ? sql.fragment`true` : sql.fragment`m.retry_at <= ${dueAt}::timestamptz`}
    order by m.retry_at, m.message_id limit ${limit}`)

const PAGE = 500

/** Who is named in a mail: From, Sender and so on. */
export type People = {
  readonly from: readonly Party[]
  readonly sender?: Party
  readonly replyTo: readonly Party[]
  readonly to: readonly Party[]
  readonly cc: readonly Party[]
  readonly bcc: readonly Party[]
}

/** Who is named in mails, by their ids; of a mail that was removed there is nothing. */
export async function peopleOf(db: Database, emailIds: readonly string[]): Promise<Map<string, People>> {
  const rows = await db.rows<{ emailId: string; people: People }>(
    sql.unsafe`select email_id as "emailId", people from ${emails.tables.emails.sql} where email_id = any(${sql.array([...emailIds], 'uuid')})`,
  )
  return new Map(rows.map(({ emailId, people }) => [emailId, people]))
}

/** All messages of a mailbox, in pages; of stored ones with those who are named in them. */
export async function* allStandings(
  db: Database,
  mailboxId: string,
): AsyncGenerator<readonly (Standing & { readonly people: People | null })[]> {
  for (let last = ''; ; ) {
    const page = await db.rows<Standing & { people: People | null }>(sql.unsafe`
      select ${columns}, e.people from ${messages.sql} m left join ${emails.tables.emails.sql} e on e.email_id = m.email_id
      where m.mailbox_id = ${mailboxId} and m.message_id > ${last} order by m.message_id limit ${PAGE}`)
    if (page.length > 0) yield page
    if (page.length < PAGE) return
    last = page.at(-1)!.messageId
  }
}

/** What else has brought a mail: messages of any mailbox, by their ids; and whether a file has. */
export async function broughtBy(
  db: Database,
  emailId: string,
): Promise<{ messages: { mailboxId: string; messageId: string }[]; byFile: boolean }> {
  const brought = await db.rows<{ mailboxId: string; messageId: string }>(sql.unsafe`
    select mailbox_id as "mailboxId", message_id as "messageId" from ${messages.sql}
    where email_id = ${emailId} and standing in ('stored', 'known')`)
  const files = await db.rows(sql.unsafe`select from ${imports.tables.importResults.sql} where email_id = ${emailId} limit 1`)
  return { messages: [...brought], byFile: files.length > 0 }
}

/** Where a message is kept that could not be read; null when there is none. */
export async function unreadableRaw(
  db: Database,
  mailboxId: string,
  messageId: string,
): Promise<{ sha256: string; sizeBytes: number; keyId: string } | null> {
  const [row] = await db.rows<{ raw: { sha256: string; sizeBytes: number; keyId: string } }>(
    sql.unsafe`select raw from ${messages.sql} where mailbox_id = ${mailboxId} and message_id = ${messageId} and raw is not null`,
  )
  return row?.raw ?? null
}

/** What the ledgers refer to in the blob store under these keys: messages that could not be read. */
export const unreadableBlobs = (db: Database, keyIds: readonly string[]): Promise<readonly { keyId: string; sha256: string }[]> =>
  db.rows(sql.unsafe`
    select raw_key_id as "keyId", raw->>'sha256' as sha256 from ${messages.sql} where raw_key_id = any(${sql.array([...keyIds], 'uuid')})`)
