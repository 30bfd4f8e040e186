import { type Database, sql } from '../src/platform/database.ts'
import { imports } from './imports.ts'
import { mailboxMessages } from './mailbox-messages.ts'

const { mailboxMessages: messages } = mailboxMessages.tables
const { importResults: results } = imports.tables

const PAGE = 500

/** Mails, and the keys of messages that could not be read, in pages; `total`: how many mails there are in all. */
type Brought = { readonly emailIds: readonly string[]; readonly keyIds: readonly string[]; readonly total: number }

const isOnly = sql.fragment`
  not exists (select from ${messages.sql} o where o.email_id = m.email_id and o.mailbox_id <> m.mailbox_id and o.standing in ('stored', 'known'))
  and not exists (select from ${results.sql} r where r.email_id = m.email_id)`

/**
 * What a mailbox alone has brought: mails that no other mailbox holds and no file held, and messages that are kept though they could not be read.
 * To be asked of tables that hold all that the log says.
 */
export async function* onlyBroughtBy(db: Database, mailboxId: string): AsyncGenerator<Brought> {
  const [counted] = await db.rows<{ total: number }>(
    sql.unsafe`select count(distinct m.email_id) as total from ${messages.sql} m where m.mailbox_id = ${mailboxId} and m.email_id is not null and ${isOnly}`,
  )
  for (let last = ''; ; ) {
    const rows = await db.rows<{ messageId: string; emailId: string | null; keyId: string | null; only: boolean }>(sql.unsafe`
      select m.message_id as "messageId", m.email_id as "emailId", m.raw_key_id as "keyId", ${isOnly} as only from ${messages.sql} m
      where m.mailbox_id = ${mailboxId} and m.message_id > ${last} order by m.message_id limit ${PAGE}`)
    const emailIds = [...new Set(rows.flatMap(({ emailId, only }) => (emailId !== null && only ? [emailId] : [])))]
    const keyIds = rows.flatMap(({ keyId }) => keyId ?? [])
    if (rows.length > 0) yield { emailIds, keyIds, total: counted!.total }
    if (rows.length < PAGE) return
    last = rows.at(-1)!.messageId
  }
}
