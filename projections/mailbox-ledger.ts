import { Type } from '@sinclair/typebox'
import { Id } from '../schema/shared.ts'
import { type Ledger, LedgerEntry, LedgerPage, type MailboxRun, MailboxRunPage, SYNC_QUEUE, type SyncStatus } from '../schema/sync.ts'
import { type Database, sql } from '../src/platform/database.ts'
import { type JobTrouble, troubles } from '../src/platform/jobs-view.ts'
import { pageParameters, paging, type SortKey } from '../src/platform/page.ts'
import { query } from '../src/platform/projection.ts'
import { mailboxMessages } from './mailbox-messages.ts'

const { mailboxMessages: messages, mailboxRuns: runs } = mailboxMessages.tables

const iso = (at: Date | null) => at && new Date(at).toISOString()

type RunProgress = { mailboxId: string; running: boolean; listing: boolean; settled: number; seconds: number; at: Date | null }

/** How far mailboxes are, by their ids: each has an answer. An index alone is counted. */
export async function syncStatuses(db: Database, mailboxIds: readonly string[]): Promise<Map<string, SyncStatus>> {
  const ids = sql.array([...mailboxIds], 'uuid')
  const counts = await db.rows<{ mailboxId: string; standing: keyof Ledger; count: number }>(sql.unsafe`
    select mailbox_id as "mailboxId", standing, count(*) as count from ${messages.sql} where mailbox_id = any(${ids}) group by 1, 2`)
  const progress = await db.rows<RunProgress>(sql.unsafe`
    select mailbox_id as "mailboxId", bool_or(finished_at is null) as running, bool_or(finished_at is null and not is_listed) as listing,
      coalesce(sum(stored + known + excluded + failed) filter (where finished_at is null), 0)::float8 as settled,
      coalesce(extract(epoch from max(at) filter (where finished_at is null) - min(started_at) filter (where finished_at is null)), 0)::float8 as seconds,
      max(at) as at
    from ${runs.sql} where mailbox_id = any(${ids}) group by 1`)
  const errors = await troubles(db, SYNC_QUEUE, mailboxIds)
  return new Map(
    mailboxIds.map((id) => {
      const ledger = { listed: 0, stored: 0, known: 0, excluded: 0, failed: 0, pending: 0 }
      for (const { mailboxId, standing, count } of counts) {
        if (mailboxId !== id) continue
        ledger[standing] = count
        ledger.listed += count
      }
      return [
        id,
        statusOf(
          ledger,
          progress.find(({ mailboxId }) => mailboxId === id),
          errors.get(id) ?? null,
        ),
      ]
    }),
  )
}

function statusOf(ledger: Ledger, run: RunProgress | undefined, lastError: JobTrouble | null): SyncStatus {
  const state = !run ? 'waiting' : run.listing ? 'listing' : run.running || ledger.pending > 0 ? 'fetching' : 'up-to-date'
  const isKnown = state === 'fetching' && run!.settled > 0 && run!.seconds > 0
  const secondsLeft = state === 'up-to-date' ? 0 : isKnown ? Math.ceil((ledger.pending * run!.seconds) / run!.settled) : null
  return { ledger, progress: { state, secondsLeft, at: iso(run?.at ?? null) }, lastError }
}

type EntryRow = Omit<LedgerEntry, 'retryAt' | 'listedAt' | 'settledAt'> & Record<'retryAt' | 'listedAt' | 'settledAt', Date | null>

const listMailboxLedger = query({
  operationId: 'listMailboxLedger',
  path: '/mailboxes/{id}/ledger',
  summary: 'What became of each message of a mailbox',
  params: Type.Object({ id: Id }),
  querystring: Type.Object({
    ...pageParameters,
    outcome: Type.Optional(Type.Union(LedgerEntry.properties.outcome.anyOf, { description: 'Only those that came to this.' })),
    rule: Type.Optional(Type.String({ maxLength: 100, pattern: '^[^\\u0000]*$', description: 'Only those that this rule keeps out.' })),
  }),
  response: LedgerPage,
  async run(db, { params: { id }, query }) {
    const { outcome, rule } = query
    const keys: SortKey[] = [{ sql: sql.fragment`m.message_id`, kind: 'text' }]
    const page = paging(query, { keys, descending: false, scope: ['ledger', id, outcome, rule] })
    const conditions = [
      sql.fragment`m.mailbox_id = ${id}`,
      page.after,
      ...(outcome === undefined ? [] : [sql.fragment`m.standing = ${outcome}`]),
      ...(rule === undefined ? [] : [sql.fragment`m.standing = 'excluded' and m.rule = ${rule}`]),
    ]
    const rows = await db.rows<EntryRow>(sql.unsafe`
      select m.message_id as "messageId", m.thread_id as "threadId", m.standing as outcome, m.email_id as "emailId", m.rule, m.by, m.code, m.reason,
        coalesce(m.attempts, 0) as attempts, m.retry_at as "retryAt", m.raw is not null as "hasRaw", coalesce(m.labels, '[]') as labels,
        coalesce(m.deleted, false) as deleted, m.listed_at as "listedAt", m.settled_at as "settledAt", ${page.columns}
      from ${messages.sql} m where ${sql.join(conditions, sql.fragment` and `)} ${page.order}`)
    return page.page(rows, ({ retryAt, listedAt, settledAt, ...row }) => ({
      ...shown(row),
      retryAt: iso(retryAt),
      listedAt: iso(listedAt),
      settledAt: iso(settledAt),
    }))
  },
})

/** Without what the page selects for itself. */
const shown = <R extends object>(row: R): R => Object.fromEntries(Object.entries(row).filter(([name]) => !name.startsWith('cursor_'))) as R

type RunRow = Omit<MailboxRun, 'counts' | 'state' | 'startedAt' | 'finishedAt' | 'from'> &
  MailboxRun['counts'] & { startedAt: Date; finishedAt: Date | null; from: Date | null }

const listMailboxRuns = query({
  operationId: 'listMailboxRuns',
  path: '/mailboxes/{id}/runs',
  summary: 'The runs that fetched from a mailbox, the newest first',
  params: Type.Object({ id: Id }),
  querystring: Type.Object(pageParameters),
  response: MailboxRunPage,
  async run(db, { params: { id }, query }) {
    const keys: SortKey[] = [{ sql: sql.fragment`r.number`, kind: 'integer' }]
    const page = paging(query, { keys, descending: true, scope: ['runs', id] })
    const rows = await db.rows<RunRow>(sql.unsafe`
      select r.sync_id as id, r.number, r.kind, r.actor, r.job_id as "jobId", r.from_time as "from", r.compared, r.listed, r.stored, r.known, r.excluded,
        r.failed, r.changed, r.fault, r.started_at as "startedAt", r.finished_at as "finishedAt", ${page.columns}
      from ${runs.sql} r where r.mailbox_id = ${id} and ${page.after} ${page.order}`)
    return page.page(rows, (row) => {
      const { listed, stored, known, excluded, failed, changed, from, startedAt, finishedAt, ...run } = shown(row)
      return {
        ...run,
        state: finishedAt ? 'finished' : 'running',
        from: iso(from),
        counts: { listed, stored, known, excluded, failed, changed },
        startedAt: iso(startedAt)!,
        finishedAt: iso(finishedAt),
      } as MailboxRun
    })
  },
})

export const mailboxLedgerQueries = [listMailboxLedger, listMailboxRuns]
