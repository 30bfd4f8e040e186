import { type Static, Type } from '@sinclair/typebox'
import { contactFromMemory, contacts } from '../../projections/contacts.ts'
import { enrichment } from '../../projections/enrichment.ts'
import { enrichedFromMemory } from '../../projections/enrichment-memory.ts'
import { mailStatisticsThen } from '../../projections/mail-statistics-then.ts'
import type { Cause } from '../../schema/causes.ts'
import type { Contact } from '../../schema/contact.ts'
import { contactEvents } from '../../schema/contact-events.ts'
import { History, type HistoryEntry } from '../../schema/event.ts'
import { Id } from '../../schema/shared.ts'
import { POLICY_ID, policy } from '../enrichment/policy.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { asOfParameter } from '../platform/http/queries.ts'
import { comparePositions, type Position } from '../platform/position.ts'
import { type QueryEndpoint, query } from '../platform/projection.ts'
import type { Moments } from '../platform/projections/moments.ts'
import { Moved } from '../platform/refusal.ts'
import { createMemoryTables, foldInMemory } from '../platform/rows.ts'
import { fold } from '../platform/runner.ts'
import type { Viewer } from '../platform/viewer.ts'
import { aroundOf, causesOf } from './causes.ts'
import { contact, erased, existing, isSeen } from './contact.ts'
import { differences } from './differences.ts'
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

/** `GET /contacts/{id}`, and with `asOf` where there is no snapshot what its stream tells, and the mails of the addresses that it had. */
export const contactNowOrThen = (now: QueryEndpoint, load: Load): QueryEndpoint => ({
  ...now,
  description:
    'With `asOf` and without a snapshot of that moment, its own events and those of its mails tell of it; where so many mails were taken away since that these cannot be looked through, 409 `snapshot-missing` names the request that makes one.',
  async runFromLog(db, position, { params, viewer }) {
    const { id } = params as { id: string }
    const loadThen = async (stream: string) => upTo(await load(stream), position)
    const all = await load(`contact-${id}`)
    if (!sees(viewer, all)) return null
    refuseErased(all)
    const events = upTo(all, position)
    const found = contactAt(events, id)
    if (!found) return null
    if (found.mergedInto) {
      const ancestors = await ancestorsOf({ load: async (stream) => [...(await loadThen(stream))] }, existing(fold(contact, events)))
      throw new Moved({ id: ancestors.at(-1)?.id ?? found.mergedInto })
    }
    const mail = await mailStatisticsThen(db, events, position, loadThen)
    if (!mail) return undefined
    const { order } = fold(policy, await loadThen(`enrichmentpolicy-${POLICY_ID}`))
    const { enriched } = enrichedFromMemory(foldInMemory(enrichment, events), order)
    return { ...found, ...mail, ...(Object.keys(enriched).length > 0 && { enriched }) }
  },
})

export const upTo = (events: readonly RecordedEvent[], position: Position | null) =>
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
    async run(db, { params: { id }, query: { asOf }, viewer }) {
      const position = asOf === undefined ? null : await resolve(asOf)
      const all = await load(`contact-${id}`)
      const events = upTo(all, position)
      if (events.length === 0 || !sees(viewer, all)) return null
      refuseErased(all)
      return historyOf(events, id, await causesOf(db, events))
    },
  })

/** Each event of a contact with its cause and what it changed, oldest first. @param causeOf what each followed from, in words */
export function historyOf(events: readonly RecordedEvent[], id: string, causeOf: (event: RecordedEvent) => Cause): Static<typeof History> {
  const tables = createMemoryTables(contacts)
  let before: object = {}
  const data = events.map((event): Static<typeof HistoryEntry> => {
    tables.apply(event)
    const after = contactFromMemory(tables, id) ?? {}
    const changes = differences(before, after)
    before = after
    return { ...aroundOf(event), cause: causeOf(event), changes, data: event.data as Record<string, unknown> }
  })
  return { data }
}
