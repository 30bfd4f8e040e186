import { Type } from '@sinclair/typebox'
import type { FragmentSqlToken } from 'slonik'
import { type AuditEntry, AuditPage } from '../schema/audit.ts'
import type { Read } from '../schema/audit-events.ts'
import { allEvents } from '../schema/events.ts'
import { Id } from '../schema/shared.ts'
import { type Database, sql } from '../src/platform/database.ts'
import type { RecordedEvent } from '../src/platform/event.ts'
import { pageParameters, paging, type SortKey } from '../src/platform/page.ts'
import { projection, query, type RowWrite, table } from '../src/platform/projection.ts'
import { withInstants } from './instants.ts'

const { HeartbeatRecorded: _pulse, ...told } = allEvents

/** Who did what, and who was shown what: of every event what is around it, and nothing of what it says. So it stays when what an event says is erased. */
export const audit = projection({
  name: 'audit',
  version: 2,
  tables: {
    // A row an event; of one that records reads, a row each of these. `item` counts them.
    auditEntries: table(
      ['eventId', 'item'],
      {
        eventId: 'uuid',
        item: 'integer',
        commitPosition: 'integer',
        preparePosition: 'integer',
        recordedAt: 'instant',
        at: 'instant',
        actor: 'text',
        type: 'text',
        operation: 'text',
        resource: 'text',
        commandId: 'text',
        correlationId: 'text',
        causationId: 'text',
      },
      'recorded_at, commit_position, prepare_position, item',
      'actor, recorded_at, commit_position, prepare_position, item',
      'resource, recorded_at, commit_position, prepare_position, item',
      'command_id, recorded_at, commit_position, prepare_position, item',
      'correlation_id, recorded_at, commit_position, prepare_position, item',
      'causation_id, recorded_at, commit_position, prepare_position, item',
    ),
  },
  events: told,
  on: Object.fromEntries(Object.keys(told).map((type) => [type, entriesOf])) as never,
  ofErased: true,
})
const { auditEntries: entryTable } = audit.tables

function entriesOf(_tables: unknown, data: unknown, event: RecordedEvent): RowWrite[] {
  const { id, type, stream, position, created, meta } = event
  const { at, actor, commandId, $correlationId, $causationId } = meta
  const around = {
    eventId: id,
    commitPosition: Number(position.commit),
    preparePosition: Number(position.prepare),
    recordedAt: created,
    type,
    correlationId: $correlationId,
    causationId: $causationId,
  }
  if (type !== 'ReadsRecorded') return [entryTable.put({ ...around, item: 0, at, actor, operation: null, resource: stream, commandId })]
  return (data as { reads: Read[] }).reads.map(({ at, actor, operation, resource, requestId }, item) =>
    entryTable.put({ ...around, item, at, actor, operation, resource, commandId: requestId }),
  )
}

const keys: SortKey[] = [
  { sql: sql.fragment`a.recorded_at`, kind: 'instant' },
  { sql: sql.fragment`a.commit_position`, kind: 'integer' },
  { sql: sql.fragment`a.prepare_position`, kind: 'integer' },
  { sql: sql.fragment`a.item`, kind: 'integer' },
]

const text = (maxLength: number, description: string, examples: string[]) =>
  Type.Optional(Type.String({ minLength: 1, maxLength, pattern: '^[^\\u0000]*$', description, examples }))
const instant = (description: string) => Type.Optional(Type.String({ format: 'date-time', description: `${description} RFC 3339.` }))

type Row = Omit<AuditEntry, 'position'> & { commit: number; prepare: number }

const listAudit = query({
  operationId: 'listAudit',
  path: '/audit',
  summary: 'Who did what, and who was shown what, the newest first',
  params: Type.Object({}),
  querystring: Type.Object({
    ...pageParameters,
    actor: text(100, 'Only of this one.', ['key:0d7a5c2b9e11']),
    command: Type.Optional({ ...Id, description: 'Only of this command; of what was read, this request.' }),
    correlation: Type.Optional({
      ...Id,
      description: 'Only what followed from the same request, import or run: with this correlation id.',
    }),
    resource: text(100, 'Only about this: the name of its stream.', ['contact-6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11']),
    from: instant('Only what was recorded then or later.'),
    to: instant('Only what was recorded earlier than this.'),
  }),
  response: AuditPage,
  async run(db, { query }) {
    const { limit: _limit, cursor: _cursor, ...filters } = query
    const page = paging(query, { keys, descending: true, scope: ['audit', Object.entries(filters).sort()] })
    const { actor, command, correlation, resource, from, to } = withInstants(filters, ['from', 'to'])
    const conditions: FragmentSqlToken[] = [
      page.after,
      ...(actor === undefined ? [] : [sql.fragment`a.actor = ${actor}`]),
      ...(command === undefined ? [] : [sql.fragment`a.command_id = ${command}`]),
      ...(correlation === undefined ? [] : [sql.fragment`a.correlation_id = ${correlation}`]),
      ...(resource === undefined ? [] : [sql.fragment`a.resource = ${resource}`]),
      ...(from === undefined ? [] : [sql.fragment`a.recorded_at >= ${from}::timestamptz`]),
      ...(to === undefined ? [] : [sql.fragment`a.recorded_at < ${to}::timestamptz`]),
    ]
    const rows = await db.rows<Row>(sql.unsafe`
      select a.event_id as "eventId", a.commit_position as commit, a.prepare_position as prepare, a.recorded_at as "recordedAt", a.at, a.actor, a.type,
        a.operation, a.resource, a.command_id as "commandId", a.correlation_id as "correlationId",
        a.causation_id as "causationId", ${page.columns}
      from ${entryTable.sql} a where ${sql.join(conditions, sql.fragment` and `)} ${page.order}`)
    return page.page(rows, toEntry)
  },
})

const toEntry = ({
  eventId,
  commit,
  prepare,
  recordedAt,
  at,
  actor,
  type,
  operation,
  resource,
  commandId,
  correlationId,
  causationId,
}: Row): AuditEntry => ({
  eventId,
  position: `${commit}.${prepare}`,
  recordedAt,
  at,
  actor,
  type,
  operation,
  resource,
  commandId,
  correlationId,
  causationId,
})

export type Shown = Pick<AuditEntry, 'recordedAt' | 'at' | 'actor' | 'operation' | 'resource'>

/** Who was shown any of these, the oldest first of each. @param resources names of streams */
export const shownTo = (db: Database, resources: readonly string[]): Promise<readonly Shown[]> =>
  db.rows<Shown>(sql.unsafe`
    select a.recorded_at as "recordedAt", a.at, a.actor, a.operation, a.resource
    from ${entryTable.sql} a where a.resource = any(${sql.array([...resources], 'text')}) and a.operation is not null
    order by a.resource, a.recorded_at, a.commit_position, a.prepare_position, a.item`)

export const auditQueries = [listAudit]
