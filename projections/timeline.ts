import { type Static, Type } from '@sinclair/typebox'
import { type TimelineEntry, TimelinePage, type timelineKinds } from '../schema/contact.ts'
import { contactEvents } from '../schema/contact-events.ts'
import { Id } from '../schema/shared.ts'
import { sql } from '../src/platform/database.ts'
import type { RecordedEvent } from '../src/platform/event.ts'
import { pageParameters, paging } from '../src/platform/page.ts'
import { projection, query, table } from '../src/platform/projection.ts'

type Kind = (typeof timelineKinds)[number]

/** An entry's row; `details` are the event's own words, as they were. */
const entry = (kind: Kind, contactId: string, { id, revision, meta }: RecordedEvent, details: object = {}) => ({
  contactId,
  revision,
  eventId: id,
  kind,
  at: meta.at,
  actor: meta.actor,
  details,
})

/** What happened with a contact. */
export const timeline = projection({
  name: 'timeline',
  version: 1,
  tables: {
    timeline: table(['contactId', 'revision'], {
      contactId: 'uuid',
      revision: 'integer',
      eventId: 'uuid',
      kind: 'text',
      at: 'instant',
      actor: 'text',
      details: 'json',
    }),
    // A removal says only an id: what was removed is looked up here, so these rows stay.
    timelineMethods: table(['contactId', 'methodId'], { contactId: 'uuid', methodId: 'uuid', method: 'json' }),
  },
  events: contactEvents,
  on: {
    ContactCreated: ({ timeline, timelineMethods }, { contactId, ...details }, event) => [
      timeline.put(entry('created', contactId, event, details)),
      ...details.methods.map((method) => timelineMethods.put({ contactId, methodId: method.id, method })),
    ],
    ContactRenamed: ({ timeline }, { contactId, name }, event) => [timeline.put(entry('renamed', contactId, event, { name }))],
    ContactCompanyChanged: ({ timeline }, { contactId, company }, event) => [
      timeline.put(entry('company-changed', contactId, event, { company })),
    ],
    ContactMethodAdded: ({ timeline, timelineMethods }, { contactId, method }, event) => [
      timeline.put(entry('method-added', contactId, event, { method })),
      timelineMethods.put({ contactId, methodId: method.id, method }),
    ],
    ContactMethodRemoved: ({ timeline }, { contactId, methodId }, event) => [
      timeline.put(entry('method-removed', contactId, event, { methodId })),
    ],
    ContactArchived: ({ timeline }, { contactId }, event) => [timeline.put(entry('archived', contactId, event))],
    ContactRestored: ({ timeline }, { contactId }, event) => [timeline.put(entry('restored', contactId, event))],
    NoteAdded: ({ timeline }, { contactId, noteId, text }, event) => [timeline.put(entry('note', contactId, event, { noteId, text }))],
  },
})

type Row = Pick<TimelineEntry, 'kind' | 'at' | 'actor' | 'eventId' | 'revision'> & {
  details: Partial<TimelineEntry>
  removed: TimelineEntry['method'] | null
}

const toEntry = ({ kind, at, actor, eventId, revision, details, removed }: Row): TimelineEntry => ({
  kind,
  at,
  actor,
  eventId,
  revision,
  ...details,
  ...(removed && { method: removed }),
})

const getContactTimeline = query({
  operationId: 'getContactTimeline',
  path: '/contacts/{id}/timeline',
  summary: 'Read what happened with a contact, the newest first',
  params: Type.Object({ id: Id }),
  querystring: Type.Object(pageParameters),
  response: TimelinePage,
  async run(db, { params: { id }, query }): Promise<Static<typeof TimelinePage> | null> {
    const keys = [{ sql: sql.fragment`t.revision`, kind: 'integer' as const }]
    const page = paging(query, { keys, descending: true, scope: ['timeline', id] })
    const rows = await db.rows<Row>({
      ...sql.unsafe`
        select t.kind, t.at, t.actor, t.event_id as "eventId", t.revision, t.details, m.method as removed, ${page.columns}
        from ${timeline.tables.timeline.sql} t left join ${timeline.tables.timelineMethods.sql} m
          on t.kind = 'method-removed' and m.contact_id = t.contact_id and m.method_id = (t.details ->> 'methodId')::uuid
        where t.contact_id = ${id} and ${page.after} ${page.order}`,
      name: `get-contact-timeline ${query.cursor === undefined ? 'first' : 'next'}`,
    })
    // Who has no first entry was never created.
    return rows.length === 0 && query.cursor === undefined ? null : page.page(rows, toEntry)
  },
})

export const timelineQueries = [getContactTimeline]
