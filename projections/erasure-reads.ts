import type { Party } from '../schema/email.ts'
import { type Database, sql } from '../src/platform/database.ts'
import { emails } from './emails.ts'
import { enrichment } from './enrichment.ts'
import { imports } from './imports.ts'
import { mailboxMessages } from './mailbox-messages.ts'
import { allOwnAddresses } from './mailboxes.ts'

/*
 * Where a person is, for who erases him. To be asked of tables that hold all that the log says.
 */

const { emails: mails, emailParties } = emails.tables
const { imports: importTable, importResults } = imports.tables
const { mailboxMessages: messages } = mailboxMessages.tables
const { enrichments } = enrichment.tables

const ids = (list: readonly string[]) => sql.array([...list], 'uuid')

/** One's own addresses, as far as anybody ever said: those of mailboxes, and those that imports were given. */
export async function ownAddresses(db: Database): Promise<Set<string>> {
  const rows = await db.rows<{ address: string }>(
    sql.unsafe`select distinct jsonb_array_elements_text(me::jsonb) as address from ${importTable.sql} where jsonb_typeof(me::jsonb) = 'array'`,
  )
  return new Set([...(await allOwnAddresses(db)), ...rows.map(({ address }) => address)])
}

export type MailWith = { readonly emailId: string; readonly keyId: string; readonly addresses: readonly string[] }
type People = Record<string, Party | Party[] | undefined>

/** The mails that one of these addresses takes part in, with everybody's, in the order of their ids. @param after only those behind this one */
export async function mailsWith(db: Database, addresses: readonly string[], after: string | null, limit: number): Promise<MailWith[]> {
  const rows = await db.rows<{ emailId: string; keyId: string; people: People }>(sql.unsafe`
    select e.email_id as "emailId", e.key_id as "keyId", e.people from (
      select distinct email_id from ${emailParties.sql}
      where address = any(${sql.array([...addresses], 'text')}) and (${after}::uuid is null or email_id > ${after}::uuid)
      order by email_id limit ${limit}) p join ${mails.sql} e using (email_id) order by e.email_id`)
  return rows.map(({ people, ...row }) => ({
    ...row,
    addresses: [...new Set(Object.values(people).flatMap((party) => [party ?? []].flat().flatMap(({ address }) => address ?? [])))],
  }))
}

/** Everybody's addresses in mails, in order. @param after only those behind this one */
export async function addressesInMails(db: Database, after: string, limit: number): Promise<string[]> {
  const rows = await db.rows<{ address: string }>(
    sql.unsafe`select distinct address from ${emailParties.sql} where address > ${after} order by address limit ${limit}`,
  )
  return rows.map(({ address }) => address)
}

/** Mails that are in no list any more, since somebody or a rule took them away, and that the log still has. */
export const removedMails = (db: Database, after: string | null, limit: number): Promise<readonly { emailId: string }[]> =>
  db.rows(sql.unsafe`
    select b.email_id as "emailId" from (
      select email_id from ${importResults.sql} where email_id is not null
      union select email_id from ${messages.sql} where email_id is not null) b
    where (${after}::uuid is null or b.email_id > ${after}::uuid) and not exists (select from ${mails.sql} e where e.email_id = b.email_id)
    order by b.email_id limit ${limit}`)

/** The enrichments of these contacts. */
export async function enrichmentsOf(db: Database, contactIds: readonly string[]): Promise<string[]> {
  const rows = await db.rows<{ id: string }>(
    sql.unsafe`select enrichment_id as id from ${enrichments.sql} where contact_id = any(${ids(contactIds)}) order by 1`,
  )
  return rows.map(({ id }) => id)
}

/** Imports of files of contacts that made or changed one of these contacts. */
export const importsOf = (
  db: Database,
  contactIds: readonly string[],
): Promise<readonly { importId: string; keyId: string; isOver: boolean; isRemoved: boolean }[]> =>
  db.rows(sql.unsafe`
    select i.import_id as "importId", i.key_id as "keyId", i.state = 'finished' as "isOver", i.upload_removed as "isRemoved"
    from ${importTable.sql} i where i.kind in ('csv', 'vcard') and exists (
      select from ${importResults.sql} r where r.import_id = i.import_id and r.contact_id = any(${ids(contactIds)}))
    order by i.import_id`)
