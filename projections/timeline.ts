import { type Static, Type } from '@sinclair/typebox'
import type { FragmentSqlToken } from 'slonik'
import { type TimelineEntry, TimelinePage, type timelineKinds } from '../schema/contact.ts'
import { contactEvents } from '../schema/contact-events.ts'
import { Id } from '../schema/shared.ts'
import { sql } from '../src/platform/database.ts'
import type { RecordedEvent } from '../src/platform/event.ts'
import { pageParameters, paging } from '../src/platform/page.ts'
import { projection, query, table } from '../src/platform/projection.ts'
import { addressesOfContact, byAddress } from './email-lists.ts'
import { emails } from './emails.ts'
import { type Restriction, restrictionsOf } from './mail-visibility.ts'
import { familyOf, goneOrMoved, seesContact } from './visibility.ts'

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
  version: 3,
  tables: {
    timeline: table(
      ['contactId', 'revision'],
      {
        contactId: 'uuid',
        revision: 'integer',
        eventId: 'uuid',
        kind: 'text',
        at: 'instant',
        actor: 'text',
        details: 'json',
      },
      'contact_id, at, revision, event_id',
    ),
    // A removal says only an id: what was removed is looked up here, so these rows stay.
    timelineMethods: table(['contactId', 'methodId'], { contactId: 'uuid', methodId: 'uuid', method: 'json' }),
    // Which notes are gone: what they said is shown no more.
    timelineNotes: table(['contactId', 'noteId'], { contactId: 'uuid', noteId: 'uuid' }),
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
    ContactAssigned: ({ timeline }, { contactId, owner, team }, event) => [
      timeline.put(entry('assigned', contactId, event, { owner, team })),
    ],
    ContactArchived: ({ timeline }, { contactId }, event) => [timeline.put(entry('archived', contactId, event))],
    ContactRestored: ({ timeline }, { contactId }, event) => [timeline.put(entry('restored', contactId, event))],
    NoteAdded: ({ timeline, timelineNotes }, { contactId, noteId, text }, event) => [
      timeline.put(entry('note', contactId, event, { noteId, text })),
      timelineNotes.remove({ contactId, noteId }),
    ],
    NoteRemoved: ({ timeline, timelineNotes }, { contactId, noteId }, event) => [
      timeline.put(entry('note-removed', contactId, event, { noteId })),
      timelineNotes.put({ contactId, noteId }),
    ],
    ContactEnriched: ({ timeline }, { contactId, enrichmentId, values }, event) => [
      timeline.put(entry('enriched', contactId, event, { enrichmentId, fields: [...new Set(values.map(({ field }) => field))] })),
    ],
    ContactValueAccepted: ({ timeline }, { contactId, valueId }, event) => [
      timeline.put(entry('value-accepted', contactId, event, { valueId })),
    ],
    ContactValueRejected: ({ timeline }, { contactId, valueId }, event) => [
      timeline.put(entry('value-rejected', contactId, event, { valueId })),
    ],
    ContactValueReopened: ({ timeline }, { contactId, valueId }, event) => [
      timeline.put(entry('value-reopened', contactId, event, { valueId })),
    ],
    ContactFieldSet: ({ timeline }, { contactId, field, values }, event) => [
      timeline.put(entry('field-set', contactId, event, { fields: [field], values })),
    ],
    ContactFieldReleased: ({ timeline }, { contactId, field }, event) => [
      timeline.put(entry('field-released', contactId, event, { fields: [field] })),
    ],
    ContactFieldLocked: ({ timeline }, { contactId, field }, event) => [
      timeline.put(entry('field-locked', contactId, event, { fields: [field] })),
    ],
    ContactFieldUnlocked: ({ timeline }, { contactId, field }, event) => [
      timeline.put(entry('field-unlocked', contactId, event, { fields: [field] })),
    ],
    ContactEnrichmentUndone: ({ timeline }, { contactId, enrichmentId }, event) => [
      timeline.put(entry('enrichment-undone', contactId, event, { enrichmentId })),
    ],
    ContactEnrichmentRedone: ({ timeline }, { contactId, enrichmentId }, event) => [
      timeline.put(entry('enrichment-redone', contactId, event, { enrichmentId })),
    ],
    ContactEnrichableChanged: ({ timeline }, { contactId, enrichable }, event) => [
      timeline.put(entry('enrichable-changed', contactId, event, { enrichable })),
    ],
    ContactMergedInto: ({ timeline }, { contactId, into }, event) => [timeline.put(entry('merged-into', contactId, event, { into }))],
    // What came of it is not written a second time: it is the other's, and goes with him.
    ContactMerged: ({ timeline, timelineMethods }, { contactId, from, methods }, event) => [
      timeline.put(entry('merged', contactId, event, { from })),
      ...methods.map((method) => timelineMethods.put({ contactId, methodId: method.id, method })),
    ],
    ContactUnmerged: ({ timeline, timelineMethods }, { contactId, from, methodIds, methods }, event) => [
      timeline.put(entry('unmerged', contactId, event, { from })),
      ...methodIds.map((methodId) => timelineMethods.remove({ contactId, methodId })),
      ...methods.map((method) => timelineMethods.put({ contactId, methodId: method.id, method })),
    ],
    ContactUnmergedFrom: ({ timeline }, { contactId, into }, event) => [timeline.put(entry('unmerged-from', contactId, event, { into }))],
    ContactErased: ({ timeline, timelineMethods }, { contactId }) => [
      timeline.remove({ contactId }),
      timelineMethods.remove({ contactId }),
    ],
  },
})

type Row = Pick<TimelineEntry, 'kind' | 'at' | 'actor' | 'eventId'> & {
  revision: number | null
  contactId: string | null
  details: Partial<TimelineEntry>
  removed: TimelineEntry['method'] | null
}

const toEntry = ({ kind, at, actor, eventId, revision, contactId, details, removed }: Row): TimelineEntry => ({
  kind,
  at,
  actor,
  eventId,
  ...(revision !== null && { revision }),
  ...(contactId !== null && { contactId }),
  ...details,
  ...(removed && { method: removed }),
})

/** An entry as somebody sees it: of a mail that is not shared whole, no text and perhaps no subject. */
function seenEntry(entry: TimelineEntry, restricted: ReadonlyMap<string, Restriction>): TimelineEntry {
  const restriction = entry.emailId === undefined ? undefined : restricted.get(entry.emailId)
  if (!restriction) return entry
  const { text: _text, subject, ...metadata } = entry
  return restriction === 'subject' && subject !== undefined ? { ...metadata, subject } : metadata
}

/** What a contact's entries and its mails are ordered by together; what one command did has one time, and the order of its revisions. */
const orderOf = (row: FragmentSqlToken, revision: FragmentSqlToken, id: FragmentSqlToken) => ({
  keys: [
    { sql: sql.fragment`${row}.at`, kind: 'instant' as const },
    { sql: revision, kind: 'integer' as const },
    { sql: id, kind: 'uuid' as const },
  ],
  descending: true,
})

const getContactTimeline = query({
  operationId: 'getContactTimeline',
  path: '/contacts/{id}/timeline',
  summary: 'Read what happened with a contact, the newest first; mails by the addresses that it has now',
  params: Type.Object({ id: Id }),
  querystring: Type.Object(pageParameters),
  response: TimelinePage,
  moves: true,
  async run(db, { params: { id }, query, viewer, actor }): Promise<Static<typeof TimelinePage> | null> {
    if (!(await seesContact(db, viewer, id))) return goneOrMoved(db, viewer, id)
    const scope = ['timeline', id]
    const entries = paging(query, { ...orderOf(sql.fragment`t`, sql.fragment`t.revision`, sql.fragment`t.event_id`), scope })
    const mails = paging(query, { ...orderOf(sql.fragment`s`, sql.fragment`-1::bigint`, sql.fragment`s.email_id`), scope })
    const rows = await db.rows<Row>({
      ...sql.unsafe`
        with family as materialized (${familyOf(id)}), page as (
          (select e.* from family f, lateral (
            select ${entries.columns} from ${timeline.tables.timeline.sql} t where t.contact_id = f.contact_id and ${entries.after} ${entries.order}
          ) e ${entries.order})
          union all ${byAddress(addressesOfContact(id))([], mails)} ${entries.order}
        )
        select p.*, coalesce(t.kind, case when e.sent then 'email-sent' else 'email-received' end) as kind, p.cursor_0 as at,
          coalesce(t.actor, e.actor) as actor, coalesce(t.event_id, e.event_id) as "eventId", t.revision,
          nullif(t.contact_id, ${id}::uuid) as "contactId",
          coalesce(case when n.note_id is null then t.details else t.details - 'text' end,
            jsonb_build_object('emailId', e.email_id, 'subject', e.subject, 'text', e.preview)) as details, m.method as removed
        from page p
          left join lateral (
            select t.* from family f join ${timeline.tables.timeline.sql} t using (contact_id) where t.revision = p.cursor_1 and t.event_id = p.cursor_2 offset 0
          ) t on p.cursor_1 >= 0
          left join ${timeline.tables.timelineMethods.sql} m
            on t.kind = 'method-removed' and m.contact_id = t.contact_id and m.method_id = (t.details ->> 'methodId')::uuid
          left join ${timeline.tables.timelineNotes.sql} n
            on t.kind = 'note' and n.contact_id = t.contact_id and n.note_id = (t.details ->> 'noteId')::uuid
          left join ${emails.tables.emails.sql} e on p.cursor_1 < 0 and e.email_id = p.cursor_2
        ${entries.order}`,
      name: `get-contact-timeline ${query.cursor === undefined ? 'first' : 'next'}`,
    })
    // Who has no first entry was never created.
    if (rows.length === 0 && query.cursor === undefined) return goneOrMoved(db, viewer, id)
    const restricted = await restrictionsOf(
      db,
      actor,
      rows.flatMap(({ details }) => details.emailId ?? []),
    )
    return entries.page(rows, (row) => seenEntry(toEntry(row), restricted))
  },
})

export const timelineQueries = [getContactTimeline]
