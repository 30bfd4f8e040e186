import { Type } from '@sinclair/typebox'
import type { FragmentSqlToken } from 'slonik'
import type { CausedEvent, CauseKind } from '../schema/causes.ts'
import { Causes } from '../schema/causes.ts'
import { Id } from '../schema/shared.ts'
import { type Database, sql } from '../src/platform/database.ts'
import { query } from '../src/platform/projection.ts'
import { isUuid } from '../src/platform/uuid.ts'
import { audit } from './audit.ts'

const { auditEntries } = audit.tables

/** How many consequences are shown, and how far causes are followed back: no chain that the service makes is nearly as long. */
const MOST = 1_000
const LONGEST = 100

type Row = Omit<CausedEvent, 'position' | 'causedBy'> & { commit: number; prepare: number }

const columns = sql.fragment`a.event_id as "eventId", a.commit_position as commit, a.prepare_position as prepare, a.recorded_at as "recordedAt", a.at, a.actor,
  a.type, a.resource as stream, a.command_id as "commandId", a.correlation_id as "correlationId", a.causation_id as "causationId"`
const inOrder = sql.fragment`a.recorded_at, a.commit_position, a.prepare_position, a.item`
/** What was read is no consequence of anything. */
const isEvent = sql.fragment`a.operation is null`

const render = ({ commit, prepare, ...row }: Row, causedBy: string | null): CausedEvent => ({
  ...row,
  recordedAt: new Date(row.recordedAt).toISOString(),
  at: new Date(row.at).toISOString(),
  position: `${commit}.${prepare}`,
  causedBy,
})

const byEvent = (db: Database, eventId: string) =>
  db.rows<Row>(sql.unsafe`select ${columns} from ${auditEntries.sql} a where a.event_id = ${eventId} and ${isEvent} limit 1`)

/** What an event followed from: an event, or the first event of a command. Of the two that claim an address and use it, the second. */
async function causeOf(db: Database, { causationId, commandId }: Row): Promise<Row | null> {
  if (isUuid(causationId)) {
    const [event] = await byEvent(db, causationId)
    if (event) return event
  }
  if (causationId === commandId) return null
  const [first] = await db
    .rows<Row>(sql.unsafe`
    select ${columns} from ${auditEntries.sql} a where a.command_id = ${causationId} and ${isEvent}
    order by ${inOrder} limit 20`)
    .then((rows) => [...rows].sort((a, b) => Number(isClaim(a)) - Number(isClaim(b))))
  return first ?? null
}
const isClaim = ({ stream }: Row) => stream.startsWith('claim-')

/** What followed at once from these: so many of each at most, for which the index has the order. */
const following = (db: Database, rows: readonly Row[], most: number) => {
  const ids = [...new Set(rows.flatMap(({ eventId, commandId }) => [eventId, commandId]))]
  return db.rows<Row>(sql.unsafe`
    select f.* from unnest(${sql.array(ids, 'text')}) c (id) cross join lateral (
      select ${columns} from ${auditEntries.sql} a where a.causation_id = c.id and a.command_id <> c.id and ${isEvent}
      order by ${inOrder} limit ${most}) f order by commit, prepare`)
}

const getEventCauses = query({
  operationId: 'getEventCauses',
  path: '/events/{id}/causes',
  summary: 'Why something happened, and what followed from it: from a request over an import to a contact and its enrichment',
  params: Type.Object({ id: Id }),
  querystring: Type.Object({}),
  response: Causes,
  async run(db, { params: { id } }) {
    const [event] = await byEvent(db, id)
    if (!event) return null
    const seen = new Set([id])
    const causes: Row[] = []
    for (let row: Row | null = event; causes.length < LONGEST; ) {
      row = await causeOf(db, row)
      if (!row || seen.has(row.eventId)) break
      seen.add(row.eventId)
      causes.unshift(row)
    }
    const consequences: CausedEvent[] = []
    let isCut = false
    for (let level: Row[] = [event]; level.length > 0 && !isCut; ) {
      const parents = new Map(level.flatMap(({ eventId, commandId }) => [[commandId, eventId] as const]).reverse())
      for (const { eventId } of level) parents.set(eventId, eventId)
      const found = (await following(db, level, MOST + 1)).filter(({ eventId }) => !seen.has(eventId))
      level = []
      for (const row of found) {
        if (seen.has(row.eventId)) continue
        if (consequences.length === MOST) {
          isCut = true
          break
        }
        seen.add(row.eventId)
        consequences.push(render(row, parents.get(row.causationId)!))
        level.push(row)
      }
    }
    return {
      event: render(event, causes.at(-1)?.eventId ?? null),
      causes: causes.map((row, index) => render(row, causes[index - 1]?.eventId ?? null)),
      consequences: consequences.sort((a, b) => compare(a.position, b.position)),
      truncated: isCut,
    }
  },
})

function compare(a: string, b: string): number {
  const [first, second] = [a, b].map((position) => position.split('.').map(Number)) as [number[], number[]]
  return first[0]! - second[0]! || first[1]! - second[1]!
}

const kinds: Readonly<Record<string, CauseKind>> = {
  ImportStarted: 'import',
  EmailReceived: 'mail',
  EmailSent: 'mail',
  SyncStarted: 'mailbox',
  EnrichmentRequested: 'enrichment',
  UndoStarted: 'undo',
}

/** What kind of thing these ids of events and commands are of, as far as the tables know, and the stream that tells of it. */
export async function kindsOf(db: Database, ids: readonly string[]): Promise<Map<string, { kind: CauseKind; resource: string }>> {
  if (ids.length === 0) return new Map()
  const isAny = (column: FragmentSqlToken, kind: 'text' | 'uuid') => sql.fragment`${column} = any(${sql.array([...ids], kind)})`
  const types = sql.array(Object.keys(kinds), 'text')
  const rows = await db.rows<{ id: string; type: string; resource: string }>(sql.unsafe`
    select a.command_id as id, a.type, a.resource from ${auditEntries.sql} a where ${isAny(sql.fragment`a.command_id`, 'text')} and a.type = any(${types})
    union all
    select a.event_id::text, a.type, a.resource from ${auditEntries.sql} a where ${isAny(sql.fragment`a.event_id`, 'uuid')} and a.type = any(${types})`)
  return new Map(rows.map(({ id, type, resource }) => [id, { kind: kinds[type]!, resource }]))
}

export const causeQueries = [getEventCauses]
