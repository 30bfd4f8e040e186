import { type Static, Type } from '@sinclair/typebox'
import { contactFromMemory, contacts } from '../../projections/contacts.ts'
import { enrichment } from '../../projections/enrichment.ts'
import { enrichedFromMemory } from '../../projections/enrichment-memory.ts'
import { Blame } from '../../schema/causes.ts'
import { contactEvents } from '../../schema/contact-events.ts'
import type { SourceKind } from '../../schema/enrichment.ts'
import { Id } from '../../schema/shared.ts'
import { POLICY_ID, policy } from '../enrichment/policy.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { asOfParameter } from '../platform/http/queries.ts'
import { type QueryEndpoint, query } from '../platform/projection.ts'
import type { Moments } from '../platform/projections/moments.ts'
import { createMemoryTables } from '../platform/rows.ts'
import { fold } from '../platform/runner.ts'
import { aroundOf, causesOf } from './causes.ts'
import { differences } from './differences.ts'
import { refuseErased, sees, upTo } from './past.ts'

type Load = (stream: string) => Promise<RecordedEvent[]>
type Blamed = { readonly field: string; readonly value: unknown; readonly event: RecordedEvent }

/**
 * Which event each field of a contact is as it is by: of each thing that is shown of it, the one that changed it last. What is gone from a list is told no
 * more; a field of its own that was emptied is. Pure.
 * @param order of the sources of enrichment, which decides what is shown of what was found
 */
export function blameOf(id: string, events: readonly RecordedEvent[], order: readonly SourceKind[]): Blamed[] {
  const own = createMemoryTables(contacts)
  const found = createMemoryTables(enrichment)
  const notes = new Map<string, string>()
  const blamed = new Map<string, Blamed>()
  let before: object = {}
  for (const event of events) {
    own.apply(event)
    found.apply(event)
    if (event.type === contactEvents.NoteAdded.type) {
      const { noteId, text } = event.data as ReturnType<typeof contactEvents.NoteAdded>['data']
      notes.set(noteId, text)
    }
    if (event.type === contactEvents.NoteRemoved.type) notes.delete((event.data as { noteId: string }).noteId)
    const { enriched, locked, enrichable } = enrichedFromMemory(found, order)
    const after = {
      ...contactFromMemory(own, id),
      notes: [...notes].map(([id, text]) => ({ id, text })),
      ...Object.fromEntries(Object.entries(enriched).map(([field, value]) => [`enriched/${field}`, value])),
      ...Object.fromEntries(locked.map((field) => [`locked/${field}`, true])),
      ...(!enrichable && { enrichable }),
    }
    for (const { field, to } of differences(before, after)) {
      if (to === null && field.split('/').length > 2) blamed.delete(field)
      else blamed.set(field, { field, value: field === '/enrichable' ? (to ?? true) : to, event })
    }
    before = after
  }
  return [...blamed.values()]
}

/** `GET /contacts/{id}/blame`: of each field, which event set it, by whom and why. From the contact's own stream, which is never behind. */
export const contactBlame = (load: Load, { resolve }: Pick<Moments, 'resolve'>): QueryEndpoint =>
  query({
    operationId: 'getContactBlame',
    path: '/contacts/{id}/blame',
    summary: 'Why a contact is as it is: of each field the event that set it, by whom, when, and what that followed from',
    params: Type.Object({ id: Id }),
    querystring: Type.Object(asOfParameter),
    response: Blame,
    async run(db, { params: { id }, query: { asOf }, viewer }): Promise<Static<typeof Blame> | null> {
      const position = asOf === undefined ? null : await resolve(asOf)
      const [all, policies] = await Promise.all([load(`contact-${id}`), load(`enrichmentpolicy-${POLICY_ID}`)])
      const events = upTo(all, position)
      if (events.length === 0 || !sees(viewer, all)) return null
      refuseErased(all)
      const blamed = blameOf(id, events, fold(policy, upTo(policies, position)).order)
      const causeOf = await causesOf(
        db,
        blamed.map(({ event }) => event),
      )
      return { data: blamed.map(({ field, value, event }) => ({ field, value, ...aroundOf(event), cause: causeOf(event) })) }
    },
  })
