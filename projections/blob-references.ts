import { type Database, sql } from '../src/platform/database.ts'
import type { Table } from '../src/platform/projection.ts'
import { emails } from './emails.ts'
import { importBlobs, imports } from './imports.ts'
import { mailboxMessages } from './mailbox-messages.ts'
import { unreadableBlobs } from './mailbox-standings.ts'

type Reference = { readonly keyId: string; readonly sha256: string }

/**
 * What refers to blobs under these keys, in all tables there are: the contents of mails, what imports still need, messages that could not be read. A mail that was removed refers to
 * nothing: only storing it again brings it back, and that puts all that it refers to again (src/emails/ingest.ts).
 */
export const blobReferences = async (db: Database, keyIds: readonly string[]): Promise<Reference[]> => [
  ...(await emailBlobs(db, keyIds)),
  ...(await importBlobs(db, keyIds)),
  ...(await unreadableBlobs(db, keyIds)),
]

const { emails: emailTable, emailAttachments } = emails.tables

const emailBlobs = (db: Database, keyIds: readonly string[]): Promise<Reference[]> =>
  db.rows(sql.unsafe`
    select e.key_id as "keyId", b.sha256
    from ${emailTable.sql} e, lateral (
      select e.raw->>'sha256' union select e.html->>'sha256'
      union select a.sha256 from ${emailAttachments.sql} a where a.email_id = e.email_id
    ) b (sha256)
    where e.key_id = any(${sql.array([...keyIds], 'uuid')}) and b.sha256 is not null`)

const PAGE = 500

/** All that is referred to, in the order of the keys. What changes meanwhile may be given or not. */
export async function* allBlobReferences(db: Database): AsyncGenerator<Reference> {
  const columns = [
    [emailTable, 'key_id'],
    [imports.tables.imports, 'key_id'],
    [mailboxMessages.tables.mailboxMessages, 'raw_key_id'],
  ] as [Table, string][]
  for (const [table, name] of columns) {
    const column = sql.identifier([name])
    let last = '00000000-0000-0000-0000-000000000000'
    for (;;) {
      const keys = await db.rows<{ keyId: string }>(
        sql.unsafe`select distinct ${column} as "keyId" from ${table.sql} where ${column} > ${last} order by 1 limit ${PAGE}`,
      )
      if (keys.length === 0) break
      yield* await blobReferences(
        db,
        keys.map(({ keyId }) => keyId),
      )
      last = keys.at(-1)!.keyId
    }
  }
}

/** Whose keys these are, as a person would look for it: `email <id>`, `import <id>`, `mailbox <id> message <its id there>`. */
export async function keyOwners(db: Database, keyIds: readonly string[]): Promise<Map<string, string>> {
  const ids = sql.array([...keyIds], 'uuid')
  const rows = await db.rows<{ keyId: string; owner: string }>(sql.unsafe`
    select key_id as "keyId", 'email ' || email_id as owner from ${emailTable.sql} where key_id = any(${ids})
    union all select key_id, 'import ' || import_id from ${imports.tables.imports.sql} where key_id = any(${ids})
    union all select raw_key_id, 'mailbox ' || mailbox_id || ' message ' || message_id
      from ${mailboxMessages.tables.mailboxMessages.sql} where raw_key_id = any(${ids})`)
  return new Map(rows.map(({ keyId, owner }) => [keyId, owner]))
}
