import type { FragmentSqlToken } from 'slonik'
import { type Database, sql } from '../src/platform/database.ts'
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
