import type { Contact } from '../schema/contact.ts'
import { contactEvents, type Method } from '../schema/contact-events.ts'
import type { RecordedEvent } from '../src/platform/event.ts'
import { projection, table } from '../src/platform/projection.ts'
import type { MemoryTables } from '../src/platform/rows.ts'

/** What every event about a contact changes of it. */
const touched = ({ meta, revision }: RecordedEvent) => ({ updatedAt: meta.at, revision })

/** Contacts as they are now, and the ways to reach them. */
export const contacts = projection({
  name: 'contacts',
  version: 3,
  tables: {
    // Names are sorted as people look them up: case and accents aside. An entry of an index holds 2,700 bytes at most, so by their beginning.
    contacts: table(
      'contactId',
      {
        contactId: 'uuid',
        name: 'text',
        company: 'text',
        archived: 'boolean',
        createdAt: 'instant',
        updatedAt: 'instant',
        revision: 'integer',
        owner: 'text',
        team: 'text',
        /** The contact that it is part of; lists do not show it then. */
        mergedInto: 'uuid',
      },
      'archived, created_at, contact_id',
      'archived, updated_at, contact_id',
      'archived, "left"(smartcrm.plain(name), 100), contact_id',
      'using hash (smartcrm.plain(company))',
      'using btree (owner, contact_id) where owner is not null',
      'using btree (team, contact_id) where team is not null',
      'using btree (merged_into) where merged_into is not null',
    ),
    // All that are part of a contact, those too that came along with others.
    contactMerges: table(['contactId', 'fromId'], { contactId: 'uuid', fromId: 'uuid', mergedIn: 'integer', place: 'integer' }),
    // Methods are in the order of (addedIn, place): the revision that added them, and which one of that event they are.
    contactMethods: table(['contactId', 'methodId'], {
      contactId: 'uuid',
      methodId: 'uuid',
      addedIn: 'integer',
      place: 'integer',
      type: 'text',
      value: 'text',
      label: 'text',
      normalized: 'text',
      raw: 'text',
    }),
  },
  events: contactEvents,
  on: {
    ContactCreated: ({ contacts, contactMethods }, { contactId, name, company, methods, owner, team }, event) => [
      contacts.put({
        contactId,
        name,
        company: company ?? null,
        archived: false,
        createdAt: event.meta.at,
        owner: owner ?? null,
        team: team ?? null,
        ...touched(event),
      }),
      ...methods.map((method, place) => contactMethods.put({ contactId, addedIn: event.revision, place, ...columnsOf(method) })),
    ],
    ContactRenamed: ({ contacts }, { contactId, name }, event) => [contacts.patch({ contactId, name, ...touched(event) })],
    ContactCompanyChanged: ({ contacts }, { contactId, company }, event) => [contacts.patch({ contactId, company, ...touched(event) })],
    ContactMethodAdded: ({ contacts, contactMethods }, { contactId, method, place }, event) => [
      contacts.patch({ contactId, ...touched(event) }),
      contactMethods.put({ contactId, addedIn: place?.revision ?? event.revision, place: place?.place ?? 0, ...columnsOf(method) }),
    ],
    ContactMethodRemoved: ({ contacts, contactMethods }, { contactId, methodId }, event) => [
      contacts.patch({ contactId, ...touched(event) }),
      contactMethods.remove({ contactId, methodId }),
    ],
    ContactAssigned: ({ contacts }, { contactId, owner, team }, event) => [contacts.patch({ contactId, owner, team, ...touched(event) })],
    ContactArchived: ({ contacts }, { contactId }, event) => [contacts.patch({ contactId, archived: true, ...touched(event) })],
    ContactRestored: ({ contacts }, { contactId }, event) => [contacts.patch({ contactId, archived: false, ...touched(event) })],
    NoteAdded: ({ contacts }, { contactId }, event) => [contacts.patch({ contactId, ...touched(event) })],
    NoteRemoved: ({ contacts }, { contactId }, event) => [contacts.patch({ contactId, ...touched(event) })],
    // What enrichment finds is another read model's; the contact's revision is of all its events.
    ContactEnriched: ({ contacts }, { contactId }, event) => [contacts.patch({ contactId, ...touched(event) })],
    ContactValueAccepted: ({ contacts }, { contactId }, event) => [contacts.patch({ contactId, ...touched(event) })],
    ContactValueRejected: ({ contacts }, { contactId }, event) => [contacts.patch({ contactId, ...touched(event) })],
    ContactValueReopened: ({ contacts }, { contactId }, event) => [contacts.patch({ contactId, ...touched(event) })],
    ContactFieldSet: ({ contacts }, { contactId }, event) => [contacts.patch({ contactId, ...touched(event) })],
    ContactFieldReleased: ({ contacts }, { contactId }, event) => [contacts.patch({ contactId, ...touched(event) })],
    ContactFieldLocked: ({ contacts }, { contactId }, event) => [contacts.patch({ contactId, ...touched(event) })],
    ContactFieldUnlocked: ({ contacts }, { contactId }, event) => [contacts.patch({ contactId, ...touched(event) })],
    ContactEnrichmentUndone: ({ contacts }, { contactId }, event) => [contacts.patch({ contactId, ...touched(event) })],
    ContactEnrichmentRedone: ({ contacts }, { contactId }, event) => [contacts.patch({ contactId, ...touched(event) })],
    ContactEnrichableChanged: ({ contacts }, { contactId }, event) => [contacts.patch({ contactId, ...touched(event) })],
    // Its methods stay: they say what it was, and nothing that lists contacts finds it.
    ContactMergedInto: ({ contacts }, { contactId, into }, event) => [contacts.patch({ contactId, mergedInto: into, ...touched(event) })],
    ContactMerged: ({ contacts, contactMethods, contactMerges }, data, event) => [
      contacts.patch({ contactId: data.contactId, ...said(data), ...touched(event) }),
      ...data.methods.map((method, place) =>
        contactMethods.put({ contactId: data.contactId, addedIn: event.revision, place, ...columnsOf(method) }),
      ),
      ...[data.from, ...data.brought.map(({ contactId }) => contactId)].map((fromId, place) =>
        contactMerges.put({ contactId: data.contactId, fromId, mergedIn: event.revision, place }),
      ),
    ],
    ContactUnmerged: ({ contacts, contactMethods, contactMerges }, data, event) => [
      contacts.patch({ contactId: data.contactId, ...said(data), ...touched(event) }),
      ...data.methodIds.map((methodId) => contactMethods.remove({ contactId: data.contactId, methodId })),
      ...data.methods.map((method, place) =>
        contactMethods.put({ contactId: data.contactId, addedIn: event.revision, place, ...columnsOf(method) }),
      ),
      ...data.gone.map((fromId) => contactMerges.remove({ contactId: data.contactId, fromId })),
    ],
    ContactUnmergedFrom: ({ contacts, contactMethods }, { contactId, withheld }, event) => [
      contacts.patch({ contactId, mergedInto: null, ...touched(event) }),
      ...withheld.map((methodId) => contactMethods.remove({ contactId, methodId })),
    ],
    ContactErased: ({ contacts, contactMethods, contactMerges }, { contactId }) => [
      contacts.remove({ contactId }),
      contactMethods.remove({ contactId }),
      contactMerges.remove({ contactId }),
    ],
  },
})

/** What a merge changes, or puts back, of the contact's own fields: only what it names. */
const said = ({ name, company, owner, team }: { name?: string; company?: string | null; owner?: string | null; team?: string | null }) => ({
  ...(name !== undefined && { name }),
  ...(company !== undefined && { company }),
  ...(owner !== undefined && { owner }),
  ...(team !== undefined && { team }),
})

const columnsOf = ({ id, type, value, label, normalized, raw }: Method) => ({
  methodId: id,
  type,
  value,
  label: label ?? null,
  normalized: normalized ?? null,
  raw: raw ?? null,
})

export type ContactRow = {
  contactId: string
  name: string
  company: string | null
  archived: boolean
  createdAt: string
  updatedAt: string
  revision: number
  owner: string | null
  team: string | null
  mergedInto: string | null
}

export type MergeRow = { fromId: string; mergedIn: number; place: number }

export type MethodRow = {
  methodId: string
  addedIn: number
  place: number
  type: Method['type']
  value: string
  label: string | null
  normalized: string | null
  raw: string | null
}

/** What mail says of a contact: another read model's, and so absent where the contact is folded in memory. */
export type MailStatistics = Pick<Contact, 'emailsReceived' | 'emailsSent' | 'lastEmailAt'>

/** The contact that the rows say. The rows of its methods and merges may come in any order. */
export function toContact(
  row: ContactRow,
  methodRows: readonly MethodRow[],
  mergeRows: readonly MergeRow[],
  mail: MailStatistics = {},
): Contact {
  const { contactId, name, company, archived, createdAt, updatedAt, revision, owner, team, mergedInto } = row
  const merged = mergeRows.toSorted((a, b) => a.mergedIn - b.mergedIn || a.place - b.place)
  const inOrder = methodRows.toSorted((a, b) => a.addedIn - b.addedIn || a.place - b.place)
  return {
    id: contactId,
    name,
    company,
    methods: inOrder.map(toMethod),
    archived,
    createdAt,
    updatedAt,
    revision,
    ...(owner !== null && { owner }),
    ...(team !== null && { team }),
    ...(merged.length > 0 && { merged: merged.map(({ fromId }) => fromId) }),
    ...(mergedInto !== null && { mergedInto }),
    ...mail,
  }
}

const toMethod = ({ methodId, type, value, label, normalized, raw }: MethodRow): Method => ({
  id: methodId,
  type,
  value,
  ...(label !== null && { label }),
  ...(normalized !== null && { normalized }),
  ...(raw !== null && { raw }),
})

/** The contact as it is in tables folded in memory, for a command's answer or the past; null when there is none. */
export function contactFromMemory(tables: MemoryTables<typeof contacts>, id: string): Contact | null {
  const row = tables.rows('contacts').find(({ contactId }) => contactId === id)
  const methodRows = tables.rows('contactMethods').filter(({ contactId }) => contactId === id)
  const mergeRows = tables.rows('contactMerges').filter(({ contactId }) => contactId === id)
  return row ? toContact(row as ContactRow, methodRows as MethodRow[], mergeRows as MergeRow[]) : null
}
