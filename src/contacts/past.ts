import { type Static, Type } from '@sinclair/typebox'
import { contactFromMemory, contacts } from '../../projections/contacts.ts'
import type { Contact } from '../../schema/contact.ts'
import { History, type HistoryEntry } from '../../schema/event.ts'
import { Id } from '../../schema/shared.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { checker } from '../platform/http/validation.ts'
import { comparePositions, formatPosition, parsePosition } from '../platform/position.ts'
import { type QueryEndpoint, query } from '../platform/projection.ts'
import { Invalid, Refused } from '../platform/refusal.ts'
import { createMemoryTables, foldInMemory } from '../platform/rows.ts'
import { fold } from '../platform/runner.ts'
import { normaliseValue } from '../platform/values.ts'
import { isVisible, type Viewer } from '../platform/viewer.ts'
import { contact } from './contact.ts'

type Load = (stream: string) => Promise<RecordedEvent[]>

/** A contact as its events make it: the same projection that builds the read tables, folded in memory. Null before its first event. */
export const contactAt = (events: readonly RecordedEvent[], id: string): Static<typeof Contact> | null =>
  contactFromMemory(foldInMemory(contacts, events), id)

/** Whether somebody sees the contact: by whose it is now, also where it is asked how it was. */
function sees(viewer: Viewer, events: readonly RecordedEvent[]): boolean {
  if (viewer.sees === 'all') return true
  const state = fold(contact, events)
  return state.status !== 'unknown' && isVisible(viewer, state)
}

const timeFaults = checker(Type.String({ format: 'date-time' }))

/** The events that had been recorded at a moment: a position, or a time (before the first event that was recorded later). @throws Invalid */
export function until(events: readonly RecordedEvent[], asOf: string): readonly RecordedEvent[] {
  const position = parsePosition(asOf)
  if (!position && timeFaults(asOf).length > 0) {
    const message = 'must be a time with its zone, like 2026-03-01T09:30:00Z, or a position, like 8471.8471'
    throw new Invalid([{ path: '/querystring/asOf', message }])
  }
  const time = position ? Number.NaN : Date.parse(normaliseValue.instant(asOf) as string)
  const later = events.findIndex((event) => (position ? comparePositions(event.position, position) > 0 : Date.parse(event.created) > time))
  return later === -1 ? events : events.slice(0, later)
}

/** `GET /contacts/{id}` as the tables answer it now, and with `?asOf` as its stream answers it for then. */
export const contactNowOrThen = (now: QueryEndpoint, load: Load): QueryEndpoint => ({
  ...now,
  querystring: Type.Object({
    ...now.querystring.properties,
    asOf: Type.Optional(
      Type.String({ description: 'A time (RFC 3339) or a position: the contact as it was then.', examples: ['2026-03-01T09:30:00Z'] }),
    ),
  }),
  async run(db, input) {
    const { asOf } = input.query as { asOf?: string }
    if (asOf === undefined) return now.run(db, input)
    const { id } = input.params as { id: string }
    const all = await load(`contact-${id}`)
    if (!sees(input.viewer, all)) return null
    const events = until(all, asOf)
    if (events.some(({ erased }) => erased)) throw new Refused('erased', 'What this was about was erased.', 410)
    return contactAt(events, id)
  },
})

/** `GET /contacts/{id}/history`: each event with its cause and what it changed, oldest first. */
export const contactHistory = (load: Load): QueryEndpoint =>
  query({
    operationId: 'getContactHistory',
    path: '/contacts/{id}/history',
    summary: 'Everything that happened to a contact: when, by whom, and what it changed',
    params: Type.Object({ id: Id }),
    querystring: Type.Object({}),
    response: History,
    async run(_db, { params: { id }, viewer }) {
      const events = await load(`contact-${id}`)
      if (events.length === 0 || !sees(viewer, events)) return null
      const tables = createMemoryTables(contacts)
      let before: object = {}
      const data = events.map((event): Static<typeof HistoryEntry> => {
        tables.apply(event)
        const after = contactFromMemory(tables, id) ?? {}
        const changes = differences(before, after)
        before = after
        const { at, actor, commandId, $correlationId, $causationId } = event.meta
        return {
          eventId: event.id,
          type: event.type,
          revision: event.revision,
          position: formatPosition(event.position),
          recordedAt: event.created,
          at,
          actor,
          commandId,
          correlationId: $correlationId,
          causationId: $causationId,
          changes,
          data: event.data as Record<string, unknown>,
        }
      })
      return { data }
    },
  })

/** What every event changes is no news. */
const UNTOLD = new Set(['id', 'revision', 'createdAt', 'updatedAt'])

type Change = { field: string; from: unknown; to: unknown }

function differences(before: object, after: object): Change[] {
  const old = before as Record<string, unknown>
  const now = after as Record<string, unknown>
  const fields = [...new Set([...Object.keys(old), ...Object.keys(now)])].filter((field) => !UNTOLD.has(field))
  return fields.flatMap((field): Change[] => {
    const from = old[field] ?? null
    const to = now[field] ?? null
    if (JSON.stringify(from) === JSON.stringify(to)) return []
    if (Array.isArray(from ?? to) && Array.isArray(to ?? from))
      return listDifferences(field, (from ?? []) as Listed[], (to ?? []) as Listed[])
    return [{ field: `/${field}`, from, to }]
  })
}

type Listed = { id: string }

function listDifferences(field: string, from: readonly Listed[], to: readonly Listed[]): Change[] {
  const ids = [...new Set([...from, ...to].map(({ id }) => id))]
  return ids.flatMap((id): Change[] => {
    const old = from.find((item) => item.id === id) ?? null
    const now = to.find((item) => item.id === id) ?? null
    return JSON.stringify(old) === JSON.stringify(now) ? [] : [{ field: `/${field}/${id}`, from: old, to: now }]
  })
}
