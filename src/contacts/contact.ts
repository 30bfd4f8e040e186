import { type Static, Type } from '@sinclair/typebox'
import { contactEvents, type Method, MethodType } from '../../schema/contact-events.ts'
import { Id, line } from '../../schema/shared.ts'
import { type Context, command, type Decider, decider } from '../platform/decider.ts'
import { Refused } from '../platform/refusal.ts'
import { isVisible, type Viewer } from '../platform/viewer.ts'
import { type EnrichedState, enriched, notEnriched } from './enriched-state.ts'
import { type Known, mergedState } from './merged-state.ts'
import { faultsOfMethods, MAX_METHODS, methodFaults, newMethods, sameness } from './methods.ts'

const { ContactCreated, ContactRenamed, ContactCompanyChanged, ContactMethodAdded, ContactMethodRemoved, ContactRestored } = contactEvents

/** Of an erased one nothing else is known. */
export type Contact = { status: 'unknown' } | { status: 'erased'; erasureId: string } | Known

export const isKnown = (contact: Contact): contact is Known => contact.status !== 'unknown' && contact.status !== 'erased'

const change = (contact: Contact, to: (known: Known) => Partial<Known>): Contact =>
  isKnown(contact) ? { ...contact, ...to(contact) } : contact

const enrichment =
  <D>(step: (state: EnrichedState, data: D) => EnrichedState) =>
  (contact: Contact, data: D): Contact =>
    change(contact, (known) => ({ enriched: step(known.enriched ?? notEnriched, data) }))

const merging =
  <D>(step: (known: Known, data: D) => Known) =>
  (contact: Contact, data: D): Contact =>
    isKnown(contact) ? step(contact, data) : contact

const live = decider<Contact, typeof contactEvents>(
  'contact',
  contactEvents,
  { status: 'unknown' },
  {
    ContactCreated: (_, { name, company, methods, owner, team }) => ({
      status: 'active',
      name,
      company: company ?? null,
      methods,
      removed: [],
      owner: owner ?? null,
      team: team ?? null,
    }),
    ContactRenamed: (state, { name }) => change(state, () => ({ name })),
    ContactCompanyChanged: (state, { company }) => change(state, () => ({ company })),
    ContactMethodAdded: (state, { method }) =>
      change(state, ({ methods, removed }) => ({ methods: [...methods, method], removed: removed.filter((id) => id !== method.id) })),
    ContactMethodRemoved: (state, { methodId }) =>
      change(state, ({ methods, removed }) => ({ methods: methods.filter(({ id }) => id !== methodId), removed: [...removed, methodId] })),
    ContactAssigned: (state, { owner, team }) => change(state, () => ({ owner, team })),
    ContactArchived: (state, { withdrawn }) => change(state, () => ({ status: withdrawn ? 'withdrawn' : 'archived' })),
    ContactRestored: (state) => change(state, () => ({ status: 'active' })),
    NoteAdded: (state) => state,
    NoteRemoved: (state) => state,
    ContactEnriched: enrichment(enriched.ContactEnriched),
    ContactValueAccepted: enrichment(enriched.ContactValueAccepted),
    ContactValueRejected: enrichment(enriched.ContactValueRejected),
    ContactValueReopened: enrichment(enriched.ContactValueReopened),
    ContactFieldSet: enrichment(enriched.ContactFieldSet),
    ContactFieldReleased: enrichment(enriched.ContactFieldReleased),
    ContactFieldLocked: enrichment(enriched.ContactFieldLocked),
    ContactFieldUnlocked: enrichment(enriched.ContactFieldUnlocked),
    ContactEnrichmentUndone: enrichment(enriched.ContactEnrichmentUndone),
    ContactEnrichmentRedone: enrichment(enriched.ContactEnrichmentRedone),
    ContactEnrichableChanged: enrichment(enriched.ContactEnrichableChanged),
    ContactMergedInto: merging(mergedState.ContactMergedInto),
    ContactMerged: merging(mergedState.ContactMerged),
    ContactUnmerged: merging(mergedState.ContactUnmerged),
    ContactUnmergedFrom: merging(mergedState.ContactUnmergedFrom),
    ContactErased: (_, { erasureId }) => ({ status: 'erased', erasureId }),
  },
  (state, viewer) => state.status === 'unknown' || isSeen(state, viewer),
)

/** Whether there is one, and somebody sees it. Whose an erased one was is erased too, so only who sees all sees that there was one. */
export const isSeen = (state: Contact, viewer: Viewer): boolean =>
  state.status === 'erased' ? viewer.sees === 'all' : state.status !== 'unknown' && isVisible(viewer, state)

export const contact: Decider<Contact> = { ...live, isErased: ({ status }) => status === 'erased' }

/** The normal forms of the e-mail addresses that a contact has: those that it is the one owner of. One that is part of another has none. */
export const addressesOf = (state: Contact): string[] => (isKnown(state) && !state.mergedInto ? addressesAmong(state.methods) : [])

export const addressesAmong = (methods: readonly Method[]): string[] =>
  methods.flatMap(({ type, normalized }) => (type === 'email' && normalized ? [normalized] : []))

const Name = line(500, ['Ada Lovelace'])
const Company = line(500, ['Analytical Engines Ltd'])
export const MethodInput = Type.Object(
  { type: MethodType, value: line(2_000, ['ada@example.com']), label: Type.Optional(line(100, ['work'])) },
  { additionalProperties: false },
)
const Methods = Type.Array(MethodInput, { maxItems: MAX_METHODS })
const contactFields = { name: Name, company: Type.Optional(Company), methods: Type.Optional(Methods) }
const strict = { additionalProperties: false }

/** What every input that can make a contact looks like. */
export const ContactInput = Type.Object({ ...contactFields, id: Type.Optional(Id) }, strict)
export type ContactInput = Static<typeof ContactInput>
const ContactPut = Type.Object(contactFields, strict)

/** @throws Refused when there is none, or none any more */
export function existing(state: Contact): Known {
  if (state.status === 'erased') throw erased()
  if (state.status === 'unknown') throw new Refused('contact-not-found', 'There is no such contact.', 404)
  return state
}

/** @throws Refused when there is none, or it is part of another: whatever is to be done is done to that one */
export function known(state: Contact): Known {
  const contact = existing(state)
  if (contact.mergedInto)
    throw new Refused('contact-merged', 'The contact was merged into another one: ask for that.', 409, {
      survivor: contact.mergedInto.into,
    })
  return contact
}

export const erased = () => new Refused('erased', 'This contact was erased.', 410)

export function active(state: Contact): Known {
  const contact = known(state)
  if (contact.status !== 'active') throw new Refused('contact-not-active', 'The contact is archived. Restore it first.')
  return contact
}

const trimmed = (text: string | undefined) => text?.trim()

function created({ name, company, methods = [] }: Static<typeof ContactPut>, { id, newId, viewer: { owner, team } }: Context) {
  return [
    ContactCreated({
      contactId: id,
      name: name.trim(),
      ...(company && { company: company.trim() }),
      methods: newMethods(methods, [], newId, 1),
      ...(owner !== null && { owner }),
      ...(team !== null && { team }),
    }),
  ]
}

const changed = (
  { name, company }: { name?: string | undefined; company?: string | null | undefined },
  contact: Known,
  { id }: Context,
) => [
  ...(name !== undefined && name !== contact.name ? [ContactRenamed({ contactId: id, name })] : []),
  ...(company !== undefined && company !== contact.company ? [ContactCompanyChanged({ contactId: id, company })] : []),
]

const added = (methods: readonly Static<typeof MethodInput>[], contact: Known, { id, newId }: Context) =>
  newMethods(methods, contact.methods, newId, 1).map((method) => ContactMethodAdded({ contactId: id, method }))

/** That it was made had been taken back: it comes back as it is given now, and nothing of what was taken back with it. */
function madeAnew({ name, company, methods = [] }: Static<typeof ContactPut>, contact: Known, context: Context) {
  const { id, newId } = context
  const given = new Set(newMethods(methods, [], newId, 1).map(sameness))
  return [
    ContactRestored({ contactId: id }),
    ...changed({ name: name.trim(), company: company?.trim() ?? null }, contact, context),
    ...contact.methods
      .filter((method) => !given.has(sameness(method)))
      .map((method) => ContactMethodRemoved({ contactId: id, methodId: method.id, undone: true })),
    ...added(methods, contact, context),
  ]
}

export const createContact = command(contact, {
  operationId: 'createContact',
  method: 'POST',
  path: '/contacts',
  summary: 'Create a contact',
  body: ContactInput,
  success: 201,
  faults: faultsOfMethods,
  idOf: ({ id }, { newId }) => id ?? newId(0),
  decide: (body, state, context) => {
    if (state.status !== 'unknown')
      throw new Refused('contact-exists', 'There is a contact with this id already.', 409, { contactId: context.id })
    return created(body, context)
  },
})

/** Not an endpoint by itself: whom an upsert is about is found out first (see upsert.ts). */
export const upsertContact = command(contact, {
  operationId: 'upsertContactByEmail',
  method: 'PUT',
  path: '/contacts/by-email/{address}',
  summary: 'Create the contact that has an e-mail address, or update it',
  body: ContactPut,
  faults: faultsOfMethods,
  decide: (body, state, context) => {
    if (state.status === 'unknown') return created(body, context)
    if (state.status === 'withdrawn') return madeAnew(body, known(state), context)
    const contact = active(state)
    return [
      ...changed({ name: trimmed(body.name), company: trimmed(body.company) }, contact, context),
      ...added(body.methods ?? [], contact, context),
    ]
  },
})

export const updateContact = command(contact, {
  operationId: 'updateContact',
  method: 'PATCH',
  path: '/contacts/{id}',
  summary: 'Change name or company (a JSON merge patch, RFC 7396; null removes the company)',
  body: Type.Object({ name: Type.Optional(Name), company: Type.Optional(Type.Union([Company, Type.Null()])) }, strict),
  decide: ({ name, company }, state, context) =>
    changed({ name: trimmed(name), company: company === null ? null : trimmed(company) }, active(state), context),
})

export const addContactMethod = command(contact, {
  operationId: 'addContactMethod',
  method: 'POST',
  path: '/contacts/{id}/methods',
  summary: 'Add an e-mail address, phone number or another way to reach a contact',
  body: MethodInput,
  success: 201,
  faults: (body) => methodFaults('', body),
  decide: (body, state, context) => added([body], active(state), context),
})

export const removeContactMethod = command(contact, {
  operationId: 'removeContactMethod',
  method: 'DELETE',
  path: '/contacts/{id}/methods/{methodId}',
  summary: 'Remove a way to reach a contact',
  body: Type.Object({}, strict),
  decide: (_, state, { id, params }) => {
    const { methods, removed } = active(state)
    const methodId = params['methodId']!
    if (removed.includes(methodId)) return []
    if (!methods.some((method) => method.id === methodId)) throw new Refused('method-not-found', 'The contact has no such method.', 404)
    return [ContactMethodRemoved({ contactId: id, methodId })]
  },
})
