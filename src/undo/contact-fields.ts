import { contactEvents, type Method } from '../../schema/contact-events.ts'
import type { NewEvent } from '../../schema/define.ts'
import type { Field } from '../../schema/enrichment.ts'
import type { RecordedEvent } from '../platform/event.ts'
import type { Mark, Track, Write } from './fields.ts'
import { mergeWrites } from './merge-fields.ts'

type Events = typeof contactEvents
type Data<T extends keyof Events> = ReturnType<Events[T]>['data']

/** `said`: whether anybody has said anything of it. Where nobody has, what enrichment finds is shown. */
type Company = { readonly company: string | null; readonly said: boolean }

/** A method that somebody removed has been turned down, which is more than that it is not there: enrichment does not bring it back. */
const TURNED_DOWN = 1

/** `shown`: what stays shown of a locked field. */
type Lock = { readonly shown: readonly string[] | null }

const own = ({ revision }: RecordedEvent, since?: number): Mark => ({ revision: since ?? revision, place: 0 })
const write = (field: string, value: unknown, mark: Mark): Write => ({ field, value, mark })
const decision = (valueId: string, value: 'none' | 'accepted' | 'rejected', mark: Mark) => [write(`decisions/${valueId}`, value, mark)]

/** What each event says of the fields of a contact. No default: an event of which nobody has said how it is undone does not compile. */
const writes: { [T in keyof Events]: (data: Data<T>, event: RecordedEvent, upTo: readonly RecordedEvent[]) => readonly Write[] } = {
  ContactCreated: ({ name, company, methods, owner = null, team = null }, event) => [
    write('status', 'active', own(event)),
    write('name', name, own(event)),
    write('company', { company: company ?? null, said: Boolean(company) } satisfies Company, own(event)),
    write('assigned', { owner, team }, own(event)),
    ...methods.map((method, place) => write(`methods/${method.id}`, method, { revision: event.revision, place })),
  ],
  ContactRenamed: ({ name }, event) => [write('name', name, own(event))],
  ContactCompanyChanged: ({ company, since }, event) => [write('company', { company, said: true } satisfies Company, own(event, since))],
  ContactMethodAdded: ({ method, place }, event) => [write(`methods/${method.id}`, method, place ?? own(event))],
  ContactMethodRemoved: ({ methodId, undone }, event) => [
    write(`methods/${methodId}`, null, { ...own(event), place: undone ? 0 : TURNED_DOWN }),
  ],
  ContactAssigned: ({ owner, team }, event) => [write('assigned', { owner, team }, own(event))],
  ContactArchived: ({ withdrawn }, event) => [write('status', withdrawn ? 'withdrawn' : 'archived', own(event))],
  ContactRestored: (_, event) => [write('status', 'active', own(event))],
  NoteAdded: ({ noteId, text }, event) => [write(`notes/${noteId}`, text, own(event))],
  NoteRemoved: ({ noteId }, event) => [write(`notes/${noteId}`, null, own(event))],
  ContactEnriched: ({ enrichmentId }, event) => [write(`enrichments/${enrichmentId}`, true, own(event))],
  ContactEnrichmentUndone: ({ enrichmentId }, event) => [write(`enrichments/${enrichmentId}`, false, own(event))],
  ContactEnrichmentRedone: ({ enrichmentId }, event) => [write(`enrichments/${enrichmentId}`, true, own(event))],
  ContactValueAccepted: ({ valueId, since }, event) => decision(valueId, 'accepted', own(event, since)),
  ContactValueRejected: ({ valueId, since }, event) => decision(valueId, 'rejected', own(event, since)),
  ContactValueReopened: ({ valueId }, event) => decision(valueId, 'none', own(event)),
  ContactFieldSet: ({ field, values, since }, event) => [write(`own/${field}`, values, own(event, since))],
  // Of the company, which is the contact's own, only an undo says this.
  ContactFieldReleased: ({ field }, event) => [
    field === 'company' ? write('company', { company: null, said: false }, own(event)) : write(`own/${field}`, null, own(event)),
  ],
  ContactFieldLocked: ({ field, since, shown }, event) => [
    write(`locked/${field}`, { shown: shown ?? null } satisfies Lock, own(event, since)),
  ],
  ContactFieldUnlocked: ({ field }, event) => [write(`locked/${field}`, false, own(event))],
  ContactEnrichableChanged: ({ enrichable }, event) => [write('enrichable', enrichable, own(event))],
  // Nothing of it is brought back (see plan-contact.ts).
  ContactErased: () => [],
  ContactMergedInto: (_, event, upTo) => mergeWrites(event, upTo),
  ContactMerged: (_, event, upTo) => mergeWrites(event, upTo),
  ContactUnmerged: (_, event, upTo) => mergeWrites(event, upTo),
  ContactUnmergedFrom: (_, event, upTo) => mergeWrites(event, upTo),
}

type Writes = (data: unknown, event: RecordedEvent, upTo: readonly RecordedEvent[]) => readonly Write[]

/** @param events all of the contact's */
export const contactWrites =
  (events: readonly RecordedEvent[]) =>
  (event: RecordedEvent): readonly Write[] =>
    (writes as unknown as Record<string, Writes>)[event.type]!(event.data, event, events.slice(0, event.revision + 1))

/** Before anything was said: a contact that is not there is one that was withdrawn. */
const initial: Readonly<Record<string, unknown>> = {
  status: 'withdrawn',
  company: { company: null, said: false } satisfies Company,
  assigned: { owner: null, team: null },
  enrichments: false,
  decisions: 'none',
  locked: false,
  enrichable: true,
}
export const kindOf = (field: string): string => field.split('/')[0]!
const idOf = (field: string): string => field.slice(field.indexOf('/') + 1)
export const contactInitial = (field: string): unknown => initial[kindOf(field)] ?? null

/** Those for which it takes the permission to decide of enrichments. */
export const ofEnrichment: ReadonlySet<string> = new Set(['own', 'locked', 'enrichments', 'decisions', 'enrichable'])

/** In which order fields are put back: an address makes room before it is given, and a contact is active first and archived last. */
const order = ['status', 'name', 'company', 'assigned', 'methods', 'notes', 'own', 'locked', 'enrichments', 'decisions', 'enrichable']
export const inTurn = (a: Track, b: Track): number =>
  turnOf(a) - turnOf(b) || (a.run!.before.mark?.place ?? 0) - (b.run!.before.mark?.place ?? 0)
const turnOf = ({ field, run }: Track) => {
  const kind = kindOf(field)
  if (kind === 'status' && run!.before.value !== 'active') return order.length
  return order.indexOf(kind) + (kind === 'methods' && run!.before.value !== null ? 0.5 : 0)
}

/** The events that put a field back to what it was before. */
export function putBackContact(contactId: string, { field, value: now, run }: Track): NewEvent[] {
  const { value: to, mark } = run!.before
  const since = mark ? { since: mark.revision } : {}
  const id = idOf(field)
  const about = field.includes('/') && { field: id as Field }
  const make: Record<string, () => NewEvent[]> = {
    status: () => [
      to === 'active'
        ? contactEvents.ContactRestored({ contactId })
        : contactEvents.ContactArchived({ contactId, ...(to === 'withdrawn' && { withdrawn: true }) }),
    ],
    name: () => [contactEvents.ContactRenamed({ contactId, name: to as string })],
    company: () => {
      const { company, said } = to as Company
      if (said) return [contactEvents.ContactCompanyChanged({ contactId, company, ...since })]
      const isThere = (now as Company).company !== null
      return [
        ...(isThere ? [contactEvents.ContactCompanyChanged({ contactId, company: null })] : []),
        contactEvents.ContactFieldReleased({ contactId, field: 'company' }),
      ]
    },
    assigned: () => [contactEvents.ContactAssigned({ contactId, ...(to as { owner: string | null; team: string | null }) })],
    methods: () => [
      to === null
        ? contactEvents.ContactMethodRemoved({ contactId, methodId: id, ...(mark?.place !== TURNED_DOWN && { undone: true }) })
        : contactEvents.ContactMethodAdded({ contactId, method: to as Method, ...(mark && { place: mark }) }),
    ],
    notes: () => [
      to === null
        ? contactEvents.NoteRemoved({ contactId, noteId: id })
        : contactEvents.NoteAdded({ contactId, noteId: id, text: to as string }),
    ],
    own: () => [
      to === null
        ? contactEvents.ContactFieldReleased({ contactId, ...(about as { field: Field }) })
        : contactEvents.ContactFieldSet({ contactId, ...(about as { field: Field }), values: to as string[], ...since }),
    ],
    locked: () => [
      to
        ? contactEvents.ContactFieldLocked({
            contactId,
            ...(about as { field: Field }),
            ...((to as Lock).shown && { shown: [...(to as Lock).shown!] }),
            ...since,
          })
        : contactEvents.ContactFieldUnlocked({ contactId, ...(about as { field: Field }) }),
    ],
    enrichments: () => [
      to
        ? contactEvents.ContactEnrichmentRedone({ contactId, enrichmentId: id })
        : contactEvents.ContactEnrichmentUndone({ contactId, enrichmentId: id }),
    ],
    decisions: () => [
      to === 'none'
        ? contactEvents.ContactValueReopened({ contactId, valueId: id })
        : to === 'accepted'
          ? contactEvents.ContactValueAccepted({ contactId, valueId: id, ...since })
          : contactEvents.ContactValueRejected({ contactId, valueId: id, ...since }),
    ],
    enrichable: () => [contactEvents.ContactEnrichableChanged({ contactId, enrichable: to as boolean })],
  }
  return make[kindOf(field)]!()
}
