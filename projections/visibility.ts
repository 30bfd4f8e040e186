import type { FragmentSqlToken } from 'slonik'
import { type Database, sql } from '../src/platform/database.ts'
import { Moved } from '../src/platform/refusal.ts'
import type { Viewer } from '../src/platform/viewer.ts'
import { contacts } from './contacts.ts'
import { emails } from './emails.ts'

const { contacts: contactTable } = contacts.tables
const { emailParties, addressOwners } = emails.tables

/*
 * What somebody sees, as `isVisible` (src/platform/viewer.ts) has it, in SQL: a contact or import that belongs to him, or to his team; a mail in which an
 * address of such a contact takes part. Who sees all gets `true`, which costs nothing.
 */

/** A condition on a row of a table that has the columns `owner` and `team`. @param row its alias */
export function isOwnRow({ sees, owner, team }: Viewer, row: FragmentSqlToken): FragmentSqlToken {
  if (sees === 'all') return sql.fragment`true`
  const isOwn = sql.fragment`${row}.owner = ${owner}`
  return sees === 'team' ? sql.fragment`(${isOwn} or ${row}.team = ${team})` : isOwn
}

/** The addresses of the contacts that somebody sees. */
export const addressesSeen = (viewer: Viewer): FragmentSqlToken => sql.fragment`
  select distinct o.address from ${contactTable.sql} v join ${addressOwners.sql} o using (contact_id) where ${isOwnRow(viewer, sql.fragment`v`)}`

/** A condition on a mail. @param emailId the SQL of its id */
export const isEmailSeen = (viewer: Viewer, emailId: FragmentSqlToken): FragmentSqlToken =>
  viewer.sees === 'all'
    ? sql.fragment`true`
    : sql.fragment`exists (
    select from ${emailParties.sql} vp join ${addressOwners.sql} vo using (address) join ${contactTable.sql} v using (contact_id)
    where vp.email_id = ${emailId} and ${isOwnRow(viewer, sql.fragment`v`)})`

/** Whether somebody sees a mail, as far as the tables know. */
export async function seesEmail(db: Database, viewer: Viewer, emailId: string): Promise<boolean> {
  if (viewer.sees === 'all') return true
  return (await db.rows(sql.unsafe`select where ${isEmailSeen(viewer, sql.fragment`${emailId}::uuid`)}`)).length > 0
}

/** Whether somebody sees a contact, as far as the tables know. */
export async function seesContact(db: Database, viewer: Viewer, contactId: string): Promise<boolean> {
  if (viewer.sees === 'all') return true
  const rows = await db.rows(
    sql.unsafe`select from ${contactTable.sql} c where contact_id = ${contactId} and ${isOwnRow(viewer, sql.fragment`c`)}`,
  )
  return rows.length > 0
}

/** The contact that another is part of by now, itself where it is none's; the SQL of its id. Merges are few, and chains of them short. */
export const survivor = (contactId: FragmentSqlToken | string): FragmentSqlToken => sql.fragment`(
  with recursive chain as (
    select contact_id, merged_into from ${contactTable.sql} where contact_id = ${contactId}::uuid
    union all select c.contact_id, c.merged_into from chain join ${contactTable.sql} c on c.contact_id = chain.merged_into
  ) select contact_id from chain where merged_into is null)`

/** The contact by whose id it is found now: its own, unless it was merged into another. */
export async function survivorOf(db: Database, contactId: string): Promise<string> {
  const [found] = await db.rows<{ id: string | null }>(sql.unsafe`select ${survivor(contactId)} as id`)
  return found?.id ?? contactId
}

/** Says that there is no such contact, by null; unless it is part of another one by now, which whoever asks sees. @throws Moved */
export async function goneOrMoved(db: Database, viewer: Viewer, id: string): Promise<null> {
  const [found] = await db.rows<{ id: string }>(sql.unsafe`
    select contact_id as id from ${contactTable.sql} c where contact_id = ${survivor(id)} and contact_id <> ${id} and ${isOwnRow(viewer, sql.fragment`c`)}`)
  if (found) throw new Moved(found)
  return null
}

/** A contact that is asked for by its own id, and all that are part of it: a select of their ids (`contact_id`), of none where it is itself part of another. */
export const familyOf = (contactId: string): FragmentSqlToken => sql.fragment`
  select contact_id from ${contactTable.sql} where contact_id = ${contactId} and merged_into is null
  union all select m.from_id from ${contacts.tables.contactMerges.sql} m join ${contactTable.sql} c using (contact_id)
    where m.contact_id = ${contactId} and c.merged_into is null`
