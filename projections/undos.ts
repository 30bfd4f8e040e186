import { Type } from '@sinclair/typebox'
import { Id, oneOf } from '../schema/shared.ts'
import { UNDO_REACTOR, Undo, UndoPage } from '../schema/undo.ts'
import { type UndoCounts, type UndoOutcome, type UndoOutcomeKind, undoEvents, undoOutcomes } from '../schema/undo-events.ts'
import { type Database, sql } from '../src/platform/database.ts'
import { pageParameters, paging, type SortKey } from '../src/platform/page.ts'
import { projection, query, table } from '../src/platform/projection.ts'
import { reactorJobId } from '../src/platform/reactor.ts'
import type { MemoryTables } from '../src/platform/rows.ts'
import type { Viewer } from '../src/platform/viewer.ts'
import { isOwnRow } from './visibility.ts'

const none = Object.fromEntries(undoOutcomes.map((outcome) => [outcome, 0])) as UndoCounts

/** Undos, and what became of each stream that they are about. */
export const undos = projection({
  name: 'undos',
  version: 1,
  tables: {
    undos: table(
      'undoId',
      {
        undoId: 'uuid',
        jobId: 'uuid',
        commandId: 'uuid',
        correlationId: 'uuid',
        /** Of its first event: only what comes before it is undone. */
        position: 'text',
        may: 'json',
        dryRun: 'boolean',
        state: 'text',
        done: 'integer',
        counts: 'json',
        actor: 'text',
        owner: 'text',
        team: 'text',
        startedAt: 'instant',
        finishedAt: 'instant',
      },
      'started_at, undo_id',
    ),
    // `details`: fields, conflicts, and why it is kept.
    undoResults: table(
      ['undoId', 'item'],
      { undoId: 'uuid', item: 'integer', stream: 'text', outcome: 'text', revision: 'integer', details: 'json' },
      'undo_id, outcome, item',
    ),
  },
  events: undoEvents,
  on: {
    UndoStarted: ({ undos }, { undoId, commandId, correlationId, dryRun, may, viewer }, { id, meta, position }) => [
      undos.put({
        undoId,
        jobId: reactorJobId(UNDO_REACTOR, id),
        commandId: commandId ?? null,
        correlationId: correlationId ?? null,
        position: `${position.commit}.${position.prepare}`,
        may,
        dryRun,
        state: 'waiting',
        done: 0,
        counts: none,
        actor: meta.actor,
        owner: viewer.owner,
        team: viewer.team,
        startedAt: meta.at,
      }),
    ],
    UndoProgressed: ({ undos, undoResults }, { undoId, done, counts, outcomes }) => [
      undos.patch({ undoId, state: 'running', done, counts }),
      ...outcomes.map(({ stream, outcome, revision, ...details }, place) =>
        undoResults.put({ undoId, item: done - outcomes.length + place, stream, outcome, revision: revision ?? null, details }),
      ),
    ],
    UndoEnded: ({ undos }, { undoId, done, counts }, { meta }) => [
      undos.patch({ undoId, state: 'finished', done, counts, finishedAt: meta.at }),
    ],
  },
})
const { undos: undoTable, undoResults: resultTable } = undos.tables

const columns = sql.fragment`u.undo_id as "id", u.job_id as "jobId", u.command_id as "commandId", u.correlation_id as "correlationId", u.dry_run as "dryRun",
  u.state, u.done, u.counts, u.actor, u.started_at as "startedAt", u.finished_at as "finishedAt"`
type Row = Omit<Undo, 'startedAt' | 'finishedAt'> & { startedAt: Date | string; finishedAt: Date | string | null }
const render = ({ id, jobId, commandId, correlationId, dryRun, state, done, counts, actor, startedAt, finishedAt }: Row): Undo => ({
  id,
  jobId,
  commandId,
  correlationId,
  dryRun,
  state,
  done,
  counts,
  actor,
  startedAt: new Date(startedAt).toISOString(),
  finishedAt: finishedAt && new Date(finishedAt).toISOString(),
})

/** The undo as it is in tables folded in memory out of its stream. */
export function undoFromMemory(tables: MemoryTables<typeof undos>): Undo {
  const [row] = tables.rows('undos') as unknown as [Row & { undoId: string }]
  return render({ ...row, id: row.undoId })
}

const newestFirst: SortKey[] = [
  { sql: sql.fragment`u.started_at`, kind: 'instant' },
  { sql: sql.fragment`u.undo_id`, kind: 'uuid' },
]

const listUndos = query({
  operationId: 'listUndos',
  path: '/undos',
  summary: 'List undos, the newest first',
  params: Type.Object({}),
  querystring: Type.Object(pageParameters),
  response: UndoPage,
  async run(db, { query, viewer }) {
    const page = paging(query, { keys: newestFirst, descending: true, scope: ['undos'] })
    const rows = await db.rows<Row>(sql.unsafe`
      select ${columns}, ${page.columns} from ${undoTable.sql} u where ${page.after} and ${isOwnRow(viewer, sql.fragment`u`)} ${page.order}`)
    return page.page(rows, render)
  },
})

const getUndo = query({
  operationId: 'getUndo',
  path: '/undos/{id}',
  summary: 'An undo: how far it is, and what came of it',
  params: Type.Object({ id: Id }),
  querystring: Type.Object({}),
  response: Undo,
  async run(db, { params: { id }, viewer }) {
    const [row] = await db.rows<Row>(
      sql.unsafe`select ${columns} from ${undoTable.sql} u where undo_id = ${id} and ${isOwnRow(viewer, sql.fragment`u`)}`,
    )
    return row ? render(row) : null
  },
})

/** What an undo is about, as its first event says it. */
export type UndoScope = {
  commandId: string | null
  correlationId: string | null
  before: string
  may: { emails: boolean; enrichment: boolean }
}
export type UndoResultRow = Omit<UndoOutcome, 'revision'> & { revision: number | null }

export const resultParameters = {
  ...pageParameters,
  outcome: Type.Optional(oneOf(undoOutcomes, { description: 'Only those that came to this.' })),
}
type ResultQuery = { limit?: number; cursor?: string; outcome?: UndoOutcomeKind }

/** A page of what an undo came to, without the values of fields, which its streams tell; null where there is no such undo for the viewer. */
export async function undoResultsPage(db: Database, viewer: Viewer, undoId: string, query: ResultQuery) {
  const [scope] = await db.rows<UndoScope>(sql.unsafe`
    select command_id as "commandId", correlation_id as "correlationId", position as before, may
    from ${undoTable.sql} u where undo_id = ${undoId} and ${isOwnRow(viewer, sql.fragment`u`)}`)
  if (!scope) return null
  const { outcome } = query
  const keys: SortKey[] = [{ sql: sql.fragment`r.item`, kind: 'integer' }]
  const page = paging(query, { keys, descending: false, scope: ['undo-results', undoId, outcome] })
  const ofOutcome = outcome === undefined ? sql.fragment`true` : sql.fragment`r.outcome = ${outcome}`
  type Stored = Pick<UndoResultRow, 'stream' | 'outcome' | 'revision'> & { details: Omit<UndoOutcome, 'stream' | 'outcome' | 'revision'> }
  const rows = await db.rows<Stored>(sql.unsafe`
    select r.stream, r.outcome, r.revision, r.details, ${page.columns}
    from ${resultTable.sql} r where r.undo_id = ${undoId} and ${ofOutcome} and ${page.after} ${page.order}`)
  return {
    scope,
    ...page.page(rows, ({ stream, outcome, revision, details }): UndoResultRow => ({ stream, outcome, revision, ...details })),
  }
}

/** The ids of the undos that somebody sees, as text: jobs are known by them. */
export const undosSeen = (viewer: Viewer) =>
  sql.fragment`select u.undo_id::text from ${undoTable.sql} u where ${isOwnRow(viewer, sql.fragment`u`)}`

export const undoQueries = [listUndos, getUndo]
