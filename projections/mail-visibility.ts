import type { FragmentSqlToken } from 'slonik'
import type { Email, EmailSummary } from '../schema/email-resources.ts'
import type { Visibility } from '../schema/mailbox-events.ts'
import { type Database, sql } from '../src/platform/database.ts'
import { emails } from './emails.ts'
import { imports } from './imports.ts'
import { mailboxMessages } from './mailbox-messages.ts'
import { mailboxes } from './mailboxes.ts'

const { emails: emailTable } = emails.tables
const { importResults } = imports.tables
const { mailboxMessages: messages } = mailboxMessages.tables
const { mailboxes: mailboxTable } = mailboxes.tables

/*
 * What somebody sees of mails: of those of a mailbox as much as it shares, but its owner all. A mail that came from several places is as visible as the
 * most open of them; files that were imported are open. A mailbox that is not known shares nothing but metadata.
 * All that is asked of how it is now, also of a mail as it was once: what is shared no more is not shown by asking for earlier.
 */

/** What is seen of a mail that is not seen whole. */
export type Restriction = Exclude<Visibility, 'everything'>

const restrictions: readonly (Restriction | null)[] = ['metadata', 'subject', null]

/** Of a row `m` of `mailboxes`, how much somebody sees: an index of `restrictions`. @param actor null: nobody whom we know */
const levelOf = (actor: string | null) =>
  sql.fragment`case when m.owner = ${actor} or m.visibility = 'everything' then 2 when m.visibility = 'subject' then 1 else 0 end`

const mailboxOf = (source: FragmentSqlToken) => sql.fragment`(case when ${source} like 'mailbox:%' then substr(${source}, 9)::uuid end)`

/** How much somebody sees of a mail. @param emailId the SQL of its id @param source of where it came from first */
const levelOfEmail = (actor: string | null, emailId: FragmentSqlToken, source: FragmentSqlToken) => sql.fragment`(
  select max(level) from (
    select case when ${source} not like 'mailbox:%' then 2
      else coalesce((select ${levelOf(actor)} from ${mailboxTable.now} m where m.mailbox_id = ${mailboxOf(source)}), 0) end as level
    union all select 2 from ${importResults.now} r where r.email_id = ${emailId}
    union all select coalesce((select ${levelOf(actor)} from ${mailboxTable.now} m where m.mailbox_id = b.mailbox_id), 0)
      from ${messages.now} b where b.email_id = ${emailId} and b.standing in ('stored', 'known')
  ) levels)`

/** Those of these mails that somebody does not see whole, by their ids. */
export async function restrictionsOf(
  db: Database,
  actor: string | undefined,
  emailIds: readonly string[],
): Promise<Map<string, Restriction>> {
  if (emailIds.length === 0) return new Map()
  const rows = await db.rows<{ id: string; level: number }>(sql.unsafe`
    select id, level from (
      select e.email_id as id, ${levelOfEmail(actor ?? null, sql.fragment`e.email_id`, sql.fragment`(e.details ->> 'source')`)} as level
      from ${emailTable.sql} e where e.email_id = any(${sql.array([...emailIds], 'uuid')})) e
    where level < 2`)
  return new Map(rows.map(({ id, level }) => [id, restrictions[level]!]))
}

/** The same of one mail, of which the tables may not know yet. @param source where it came from first, as its event says */
export async function restrictionOf(db: Database, actor: string, emailId: string, source: string): Promise<Restriction | null> {
  const [row] = await db.rows<{ level: number }>(
    sql.unsafe`select ${levelOfEmail(actor, sql.fragment`${emailId}::uuid`, sql.fragment`${source}::text`)} as level`,
  )
  return restrictions[row!.level]!
}

/**
 * A condition on a mail of a row `s`, that somebody sees it whole: who searches for words must not learn of a text by finding it.
 * @returns null where all mailboxes are open to him, so that nothing need be asked
 */
export async function isWhole(db: Database, actor: string | undefined): Promise<FragmentSqlToken | null> {
  const by = actor ?? null
  const closed = await db.rows(sql.unsafe`select from ${mailboxTable.now} m where ${levelOf(by)} < 2 limit 1`)
  if (closed.length === 0) return null
  const source = sql.fragment`(select v.details ->> 'source' from ${emailTable.sql} v where v.email_id = s.email_id)`
  return sql.fragment`${levelOfEmail(by, sql.fragment`s.email_id`, source)} = 2`
}

/** What mailboxes share, and with whom not at all: enough to tell what anybody sees of any of them. */
export const sharedMailboxes = (db: Database): Promise<readonly { mailboxId: string; owner: string; visibility: Visibility }[]> =>
  db.rows(sql.unsafe`select mailbox_id as "mailboxId", owner, visibility from ${mailboxTable.now}`)

const restrictedSubject = (restriction: Restriction, subject: string) => (restriction === 'metadata' ? '' : subject)

/** What is left of a mail in a list. */
export const restrictedSummary = ({ highlights: _, ...summary }: EmailSummary, restriction: Restriction): EmailSummary => ({
  ...summary,
  subject: restrictedSubject(restriction, summary.subject),
  preview: '',
  visibility: restriction,
})

/** What is left of a mail. */
export const restrictedEmail = (email: Email, restriction: Restriction): Email => ({
  ...email,
  subject: restrictedSubject(restriction, email.subject),
  text: '',
  textOwn: '',
  hasHtml: false,
  attachments: [],
  visibility: restriction,
})

/** A page of mails as somebody sees them. */
export async function seenBy<P extends { readonly data: readonly EmailSummary[] }>(
  db: Database,
  actor: string | undefined,
  page: P,
): Promise<P & { data: EmailSummary[] }> {
  const restricted = await restrictionsOf(
    db,
    actor,
    page.data.map(({ id }) => id),
  )
  const data = page.data.map((summary) => {
    const restriction = restricted.get(summary.id)
    return restriction ? restrictedSummary(summary, restriction) : summary
  })
  return { ...page, data }
}
