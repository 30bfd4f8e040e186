import { type Static, Type } from '@sinclair/typebox'
import { contactFromMemory, contacts } from '../../projections/contacts.ts'
import type { Contact } from '../../schema/contact.ts'
import { contactEvents } from '../../schema/contact-events.ts'
import { History, type HistoryEntry } from '../../schema/event.ts'
import { Id } from '../../schema/shared.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { asOfParameter } from '../platform/http/queries.ts'
import { comparePositions, formatPosition, type Position } from '../platform/position.ts'
import { type QueryEndpoint, query } from '../platform/projection.ts'
import type { Moments } from '../platform/projections/moments.ts'
import { Moved } from '../platform/refusal.ts'
import { createMemoryTables, foldInMemory } from '../platform/rows.ts'
import { fold } from '../platform/runner.ts'
import type { Viewer } from '../platform/viewer.ts'
import { contact, erased, existing, isSeen } from './contact.ts'
import { ancestorsOf } from './merging.ts'

type Load = (stream: string) => Promise<RecordedEvent[]>

/** A contact as its events make it: the same projection that builds the read tables, folded in memory. Null before its first event. */
export const contactAt = (events: readonly RecordedEvent[], id: string): Static<typeof Contact> | null =>
  contactFromMemory(foldInMemory(contacts, events), id)

/** Whether somebody sees the contact: by whose it is now, also where it is asked how it was. */
export const sees = (viewer: Viewer, events: readonly RecordedEvent[]): boolean =>
  viewer.sees === 'all' || isSeen(fold(contact, events), viewer)

/** An erased contact has no past either, also as long as its key is there. @throws Refused */
export function refuseErased(events: readonly RecordedEvent[]): void {
  if (events.some((event) => event.erased) || events.at(-1)?.type === contactEvents.ContactErased.type) throw erased()
}

/** `GET /contacts/{id}`, and with `asOf` where there is no snapshot what its stream tells: all but what mail says of it. */
export const contactNowOrThen = (now: QueryEndpoint, load: Load): QueryEndpoint => ({
  ...now,
  description: 'With `asOf` and without a snapshot of that moment, its own events tell of it: what mail says of it is left out then.',
  async runFromLog(position, { params, viewer }) {
    const { id } = params as { id: string }
    const all = await load(`contact-${id}`)
    if (!sees(viewer, all)) return null
    refuseErased(all)
    const events = upTo(all, position)
    const found = contactAt(events, id)
    if (!found?.mergedInto) return found
    const ancestors = await ancestorsOf(
      { load: async (stream) => [...upTo(await load(stream), position)] },
      existing(fold(contact, events)),
    )
    throw new Moved({ id: ancestors.at(-1)?.id ?? found.mergedInto })
  },
})

const upTo = (events: readonly RecordedEvent[], position: Position | null) =>
  position === null ? events : events.filter((event) => comparePositions(event.position, position) <= 0)

/** `GET /contacts/{id}/history`: each event with its cause and what it changed, oldest first. */
export const contactHistory = (load: Load, { resolve }: Pick<Moments, 'resolve'>): QueryEndpoint =>
  query({
    operationId: 'getContactHistory',
    path: '/contacts/{id}/history',
    summary: 'Everything that happened to a contact: when, by whom, and what it changed',
    params: Type.Object({ id: Id }),
    querystring: Type.Object(asOfParameter),
    response: History,
    async run(_db, { params: { id }, query: { asOf }, viewer }) {
      const position = asOf === undefined ? null : await resolve(asOf)
      const all = await load(`contact-${id}`)
      const events = upTo(all, position)
      if (events.length === 0 || !sees(viewer, all)) return null
      refuseErased(all)
      return historyOf(events, id)
    },
  })

/** Each event of a contact with its cause and what it changed, oldest first. */
export function historyOf(events: readonly RecordedEvent[], id: string): Static<typeof History> {
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
}

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
