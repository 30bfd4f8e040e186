import type { UndoCursor } from '../schema/undo-events.ts'
import { type Database, sql } from '../src/platform/database.ts'
import type { Position } from '../src/platform/position.ts'
import { audit } from './audit.ts'
import { imports } from './imports.ts'
import { mailboxMessages } from './mailbox-messages.ts'

const { auditEntries } = audit.tables

/** All events of a command, or of what has one correlation id, that were in the log before a position. */
export type Undone = { readonly commandId?: string | undefined; readonly correlationId?: string | undefined; readonly before: Position }

export type UndoneStream = { readonly stream: string; readonly type: string; readonly cursor: UndoCursor }

/**
 * The streams that these events are in, each once, those that were written to last first: what was done last is undone first, so that an address that moved
 * from one to the other can move back.
 * @param types of the events that count
 * @param after the streams before it are left out
 */
export async function streamsOf(
  db: Database,
  { commandId, correlationId, before }: Undone,
  types: readonly string[],
  after: UndoCursor | null,
  limit: number,
): Promise<UndoneStream[]> {
  const among = (row: 'a' | 'b') => {
    const name = sql.identifier([row])
    // Of a stream's own few entries, no index of the others is to be asked: without statistics all that are undone would be gone through for each of them.
    const plain = row === 'a' ? sql.fragment`` : sql.fragment` || ''`
    const isOne =
      commandId === undefined
        ? sql.fragment`${name}.correlation_id${plain} = ${correlationId!}`
        : sql.fragment`${name}.command_id${plain} = ${commandId}`
    return sql.fragment`${isOne} and ${name}.operation is null and ${name}.type = any(${sql.array([...types], 'text')})
      and (${name}.commit_position, ${name}.prepare_position) < (${before.commit}::bigint, ${before.prepare}::bigint)`
  }
  const [commit, prepare] = after?.position.split('.') ?? []
  const isAfter = after
    ? sql.fragment`(a.recorded_at, a.commit_position, a.prepare_position) < (${after.recordedAt}::timestamptz, ${commit!}::bigint, ${prepare!}::bigint)`
    : sql.fragment`true`
  const rows = await db.rows<{ stream: string; type: string; recordedAt: Date; commit: string; prepare: string }>(sql.unsafe`
    select a.resource as stream, a.type, a.recorded_at as "recordedAt", a.commit_position::text as commit, a.prepare_position::text as prepare
    from ${auditEntries.sql} a
    where ${among('a')} and ${isAfter} and not exists (
      select from ${auditEntries.sql} b where b.resource = a.resource and b.recorded_at >= a.recorded_at and ${among('b')}
        and (b.commit_position, b.prepare_position) > (a.commit_position, a.prepare_position))
    order by a.recorded_at desc, a.commit_position desc, a.prepare_position desc limit ${limit}`)
  return rows.map(({ stream, type, recordedAt, commit, prepare }) => ({
    stream,
    type,
    cursor: { recordedAt: new Date(recordedAt).toISOString(), position: `${commit}.${prepare}` },
  }))
}

/** Whether a mail has come from anywhere else, too: from another file, or from another mailbox. @param source as its event names it */
export async function isBroughtElsewhere(db: Database, emailId: string, source: string): Promise<boolean> {
  const [rows] = await db.rows<{ isThere: boolean }>(sql.unsafe`
    select exists (select from ${imports.tables.importResults.sql} r
        where r.email_id = ${emailId} and r.outcome in ('stored', 'known') and 'import:' || r.import_id <> ${source})
      or exists (select from ${mailboxMessages.tables.mailboxMessages.sql} m
        where m.email_id = ${emailId} and m.standing in ('stored', 'known') and 'mailbox:' || m.mailbox_id <> ${source}) as "isThere"`)
  return rows!.isThere
}

/** How many streams these events are in. */
export async function countStreams(db: Database, { commandId, correlationId, before }: Undone, types: readonly string[]): Promise<number> {
  const isOne = commandId === undefined ? sql.fragment`a.correlation_id = ${correlationId!}` : sql.fragment`a.command_id = ${commandId}`
  const [row] = await db.rows<{ count: string }>(sql.unsafe`
    select count(distinct a.resource)::text as count from ${auditEntries.sql} a
    where ${isOne} and a.operation is null and a.type = any(${sql.array([...types], 'text')})
      and (a.commit_position, a.prepare_position) < (${before.commit}::bigint, ${before.prepare}::bigint)`)
  return Number(row!.count)
}
