import { deepStrictEqual, ok } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { contactEvents } from '../../schema/contact-events.ts'
import type { NewEvent } from '../../schema/define.ts'
import { commands } from '../../src/commands.ts'
import { archiveContact, deleteContact, restoreContact } from '../../src/contacts/archive.ts'
import { assignContact } from '../../src/contacts/assign.ts'
import {
  addContactMethod,
  addressesOf,
  contact,
  createContact,
  removeContactMethod,
  updateContact,
  upsertContact,
} from '../../src/contacts/contact.ts'
import { notEnriched } from '../../src/contacts/enriched-state.ts'
import { addNote } from '../../src/contacts/note.ts'
import type { Command } from '../../src/platform/decider.ts'
import { Refused } from '../../src/platform/refusal.ts'
import { fold } from '../../src/platform/runner.ts'
import { contextWith, decide, given, id, rules, subject } from '../support/given.ts'

const {
  ContactCreated,
  ContactRenamed,
  ContactCompanyChanged,
  ContactMethodAdded,
  ContactMethodRemoved,
  ContactAssigned,
  ContactArchived,
  ContactRestored,
  NoteAdded,
  ContactErased,
} = contactEvents

const contactId = subject
const ada = { id: id(51), type: 'email', value: 'Ada@example.com', normalized: 'ada@example.com' } as const
const phone = { id: id(52), type: 'phone', value: '+442079460123', raw: '+44 20 7946 0123' } as const
const created = ContactCreated({ contactId, name: 'Ada', company: 'Engines Ltd', methods: [ada, phone] })
const archived = ContactArchived({ contactId })
const assigned = ContactAssigned({ contactId, owner: 'grace', team: 'navy' })
const restored = ContactRestored({ contactId })
const removed = ContactMethodRemoved({ contactId, methodId: ada.id })
const emailAgain = { type: 'email', value: 'ADA@EXAMPLE.COM' } as const
const url = { type: 'url', value: 'https://example.com', label: 'home' } as const

t.test('creating', async (t) => {
  const rule = rules(t)
  rule('a contact is created with its trimmed name, company and methods', () =>
    given()
      .when(createContact, {
        name: ' Ada ',
        company: ' Engines Ltd ',
        methods: [{ type: 'email', value: ' Ada@example.com ', label: ' work ' }, url],
      })
      .then(
        ContactCreated({
          contactId,
          name: 'Ada',
          company: 'Engines Ltd',
          methods: [
            { id: id(1), type: 'email', value: 'Ada@example.com', normalized: 'ada@example.com', label: 'work' },
            { id: id(2), ...url },
          ],
        }),
      ),
  )
  rule('a name is enough', () =>
    given()
      .when(createContact, { name: 'Ada' })
      .then(ContactCreated({ contactId, name: 'Ada', methods: [] })),
  )
  rule('the same address twice is one method', () =>
    given()
      .when(createContact, { name: 'Ada', methods: [{ type: 'email', value: 'ada@example.com' }, emailAgain] })
      .then(
        ContactCreated({
          contactId,
          name: 'Ada',
          methods: [{ id: id(1), type: 'email', value: 'ada@example.com', normalized: 'ada@example.com' }],
        }),
      ),
  )
  rule('a contact that exists is not created again', () => given(created).when(createContact, { name: 'Ada' }).refused('contact-exists'))
  rule('nor one that is archived', () => given(created, archived).when(createContact, { name: 'Ada' }).refused('contact-exists'))
  rule('nor one that was restored', () => given(created, archived, restored).when(createContact, { name: 'Ada' }).refused('contact-exists'))
})

t.test('changing name and company', async (t) => {
  const rule = rules(t)
  rule('an active contact is renamed', () =>
    given(created)
      .when(updateContact, { name: ' Grace ' })
      .then(ContactRenamed({ contactId, name: 'Grace' })),
  )
  rule('name and company change together', () =>
    given(created)
      .when(updateContact, { name: 'Grace', company: 'Navy' })
      .then(ContactRenamed({ contactId, name: 'Grace' }), ContactCompanyChanged({ contactId, company: 'Navy' })),
  )
  rule('null removes the company', () =>
    given(created)
      .when(updateContact, { company: null })
      .then(ContactCompanyChanged({ contactId, company: null })),
  )
  rule('the same again changes nothing', () => given(created).when(updateContact, { name: 'Ada ', company: ' Engines Ltd' }).thenNothing())
  rule('no company is no company already', () =>
    given(created, ContactCompanyChanged({ contactId, company: null }))
      .when(updateContact, { company: null })
      .thenNothing(),
  )
  rule('an empty patch changes nothing', () => given(created).when(updateContact, {}).thenNothing())
  rule('an unknown contact is not found', () => given().when(updateContact, { name: 'Grace' }).refused('contact-not-found', 404))
  rule('an archived contact refuses a new name', () =>
    given(created, archived).when(updateContact, { name: 'Grace' }).refused('contact-not-active'),
  )
  rule('even its own name', () => given(created, archived).when(updateContact, { name: 'Ada' }).refused('contact-not-active'))
  rule('a restored contact takes one', () =>
    given(created, archived, restored)
      .when(updateContact, { name: 'Grace' })
      .then(ContactRenamed({ contactId, name: 'Grace' })),
  )
})

t.test('creating or updating by address', async (t) => {
  const rule = rules(t)
  rule('an unknown contact is created', () =>
    given()
      .when(upsertContact, { name: 'Ada' })
      .then(ContactCreated({ contactId, name: 'Ada', methods: [] })),
  )
  rule('an active one is brought up to date', () =>
    given(created)
      .when(upsertContact, { name: 'Ada King', company: 'Ockham', methods: [emailAgain, url] })
      .then(
        ContactRenamed({ contactId, name: 'Ada King' }),
        ContactCompanyChanged({ contactId, company: 'Ockham' }),
        ContactMethodAdded({ contactId, method: { id: id(2), ...url } }),
      ),
  )
  rule('what is not said stays', () =>
    given(created)
      .when(upsertContact, { name: 'Ada', methods: [emailAgain] })
      .thenNothing(),
  )
  rule('an archived one refuses', () => given(created, archived).when(upsertContact, { name: 'Ada' }).refused('contact-not-active'))
})

t.test('methods', async (t) => {
  const rule = rules(t)
  rule('a method is added', () =>
    given(created)
      .when(addContactMethod, url)
      .then(ContactMethodAdded({ contactId, method: { id: id(1), ...url } })),
  )
  rule('an address that it has already changes nothing, however it is written', () =>
    given(created).when(addContactMethod, emailAgain).thenNothing(),
  )
  rule('nor does a phone number', () => given(created).when(addContactMethod, { type: 'phone', value: '+44 (0)20 79460123' }).thenNothing())
  rule('another extension of a number is another method', () =>
    given(created)
      .when(addContactMethod, { type: 'phone', value: '+44 20 7946 0123 ext. 7' })
      .then(
        ContactMethodAdded({ contactId, method: { id: id(1), type: 'phone', value: '+442079460123', raw: '+44 20 7946 0123 ext. 7' } }),
      ),
  )
  rule('a removed one can be added again', () =>
    given(created, removed)
      .when(addContactMethod, { type: 'email', value: 'ada@example.com' })
      .then(
        ContactMethodAdded({ contactId, method: { id: id(1), type: 'email', value: 'ada@example.com', normalized: 'ada@example.com' } }),
      ),
  )
  rule('an unknown contact has no methods', () => given().when(addContactMethod, url).refused('contact-not-found', 404))
  rule('an archived contact takes none', () => given(created, archived).when(addContactMethod, url).refused('contact-not-active'))

  const params = { methodId: ada.id }
  rule('a method is removed', () => given(created).when(removeContactMethod, {}, { params }).then(removed))
  rule('removing it again changes nothing', () => given(created, removed).when(removeContactMethod, {}, { params }).thenNothing())
  rule('a method that it never had is not found', () =>
    given(created)
      .when(removeContactMethod, {}, { params: { methodId: id(77) } })
      .refused('method-not-found', 404),
  )
  rule('nothing is removed from an unknown contact', () =>
    given().when(removeContactMethod, {}, { params }).refused('contact-not-found', 404),
  )
  rule('nor from an archived one', () => given(created, archived).when(removeContactMethod, {}, { params }).refused('contact-not-active'))
})

t.test('notes', async (t) => {
  const rule = rules(t)
  const note = NoteAdded({ contactId, noteId: id(0), text: 'Met.' })
  rule('a note is written', () => given(created).when(addNote, { text: 'Met.' }).then(note))
  rule('the same text again is another note', () => given(created, note).when(addNote, { text: 'Met.' }).then(note))
  rule('an archived contact takes notes', () => given(created, archived).when(addNote, { text: 'Met.' }).then(note))
  rule('an unknown one does not', () => given().when(addNote, { text: 'Met.' }).refused('contact-not-found', 404))
})

t.test('archiving and restoring', async (t) => {
  const rule = rules(t)
  for (const command of [archiveContact, deleteContact]) {
    rule(`${command.operationId} archives an active contact`, () => given(created).when(command, {}).then(archived))
    rule(`${command.operationId} again changes nothing`, () => given(created, archived).when(command, {}).thenNothing())
    rule(`${command.operationId} archives a restored one again`, () => given(created, archived, restored).when(command, {}).then(archived))
    rule(`${command.operationId} does not find an unknown one`, () => given().when(command, {}).refused('contact-not-found', 404))
  }
  rule('an archived contact is restored', () => given(created, archived).when(restoreContact, {}).then(restored))
  rule('an active one stays as it is', () => given(created).when(restoreContact, {}).thenNothing())
  rule('a restored one too', () => given(created, archived, restored).when(restoreContact, {}).thenNothing())
  rule('an unknown one is not found', () => given().when(restoreContact, {}).refused('contact-not-found', 404))
})

t.test('assigning', async (t) => {
  const rule = rules(t)
  rule('a contact is given to somebody', () => given(created).when(assignContact, { owner: 'grace', team: 'navy' }).then(assigned))
  rule('without a team it is in none', () =>
    given(created, assigned)
      .when(assignContact, { owner: 'grace' })
      .then(ContactAssigned({ contactId, owner: 'grace', team: null })),
  )
  rule('to whom has it already changes nothing', () =>
    given(created, assigned).when(assignContact, { owner: 'grace', team: 'navy' }).thenNothing(),
  )
  rule('an archived one, too', () => given(created, archived).when(assignContact, { owner: 'grace', team: 'navy' }).then(assigned))
  rule('to nobody', () =>
    given(created, assigned)
      .when(assignContact, { owner: null })
      .then(ContactAssigned({ contactId, owner: null, team: null })),
  )
  rule('an unknown one is not found', () => given().when(assignContact, { owner: 'grace' }).refused('contact-not-found', 404))
  rule('what somebody makes is his and his team’s', () => {
    const context = { ...contextWith(), viewer: { sees: 'own', owner: 'grace', team: 'navy' } as const }
    const made = ContactCreated({ contactId, name: 'Ada', methods: [], owner: 'grace', team: 'navy' })
    deepStrictEqual(decide(createContact, { name: 'Ada' }, [], context), [made])
    deepStrictEqual(decide(upsertContact, { name: 'Ada' }, [], context), [made])
  })
  rule('who sees only his own, or his team’s, sees no other', () => {
    const state = fold(contact, [created, assigned])
    const seen = (sees: 'all' | 'team' | 'own', owner: string | null, team: string | null) =>
      contact.isVisible!(state, { sees, owner, team })
    deepStrictEqual(seen('all', null, null), true)
    deepStrictEqual(seen('own', 'grace', null), true)
    deepStrictEqual(seen('own', 'ada', 'navy'), false)
    deepStrictEqual(seen('team', 'ada', 'navy'), true)
    deepStrictEqual(seen('team', 'ada', 'army'), false)
    deepStrictEqual(contact.isVisible!(fold(contact, [created]), { sees: 'team', owner: 'ada', team: 'navy' }), false, 'what is nobody’s')
  })
})
const value = {
  id: id(70),
  field: 'jobTitle' as const,
  value: 'Analyst',
  confidence: 0.9,
  evidence: 'Ada is our Analyst.',
  isSupported: true,
  source: { kind: 'mail' as const, vendor: 'mail', readAt: '2026-03-01T09:30:00.000Z', model: 'gpt-5-mini', promptVersion: '1' },
}
const enrichedSamples = {
  ContactEnriched: contactEvents.ContactEnriched({ contactId, enrichmentId: id(71), values: [value] }),
  ContactValueAccepted: contactEvents.ContactValueAccepted({ contactId, valueId: id(70) }),
  ContactValueRejected: contactEvents.ContactValueRejected({ contactId, valueId: id(70) }),
  ContactValueReopened: contactEvents.ContactValueReopened({ contactId, valueId: id(70) }),
  ContactFieldSet: contactEvents.ContactFieldSet({ contactId, field: 'jobTitle', values: ['Countess'] }),
  ContactFieldReleased: contactEvents.ContactFieldReleased({ contactId, field: 'jobTitle' }),
  ContactFieldLocked: contactEvents.ContactFieldLocked({ contactId, field: 'jobTitle' }),
  ContactFieldUnlocked: contactEvents.ContactFieldUnlocked({ contactId, field: 'jobTitle' }),
  ContactEnrichmentUndone: contactEvents.ContactEnrichmentUndone({ contactId, enrichmentId: id(71) }),
  ContactEnrichmentRedone: contactEvents.ContactEnrichmentRedone({ contactId, enrichmentId: id(71) }),
  ContactEnrichableChanged: contactEvents.ContactEnrichableChanged({ contactId, enrichable: false }),
}
/** What each makes of the enrichment of a contact of which nothing was found before. */
const enrichedThen: Record<keyof typeof enrichedSamples, object> = {
  ContactEnriched: { enrichments: [id(71)], values: { [id(70)]: { field: 'jobTitle', enrichmentId: id(71), decision: 'none' } } },
  ContactValueAccepted: {},
  ContactValueRejected: {},
  ContactValueReopened: {},
  ContactFieldSet: { own: { jobTitle: ['Countess'] } },
  ContactFieldReleased: {},
  ContactFieldLocked: { locked: ['jobTitle'] },
  ContactFieldUnlocked: {},
  ContactEnrichmentUndone: { undone: [id(71)] },
  ContactEnrichmentRedone: {},
  ContactEnrichableChanged: { enrichable: false },
}
const mapObject = <K extends string, V, W>(object: Record<K, V>, to: (value: V) => W) =>
  Object.fromEntries(Object.entries<V>(object).map(([key, value]) => [key, to(value)])) as Record<K, W>

const mergeId = id(80)
const mergedAway = contactEvents.ContactMergedInto({ contactId, into: id(81), mergeId, chosen: [] })
const merge = contactEvents.ContactMerged({
  contactId,
  from: id(82),
  mergeId,
  brought: [],
  methods: [{ id: id(60), ...url }],
  known: [],
  name: 'Grace',
  values: [],
  words: [],
})
const mergeSamples = {
  ContactMergedInto: mergedAway,
  ContactMerged: merge,
  ContactUnmerged: contactEvents.ContactUnmerged({
    contactId,
    from: id(82),
    mergeId,
    gone: [id(82)],
    methodIds: [],
    withheld: [],
    valueIds: [],
    methods: [],
    fields: [],
    kept: [],
  }),
  ContactUnmergedFrom: contactEvents.ContactUnmergedFrom({
    contactId,
    into: id(81),
    mergeId,
    archived: false,
    withheld: [phone.id],
    name: 'Ada',
    methods: [ada],
  }),
}

t.test('the state', async (t) => {
  const rule = rules(t)
  const samples: Record<keyof typeof contactEvents, NewEvent> = {
    ContactCreated: created,
    ContactRenamed: ContactRenamed({ contactId, name: 'Grace' }),
    ContactCompanyChanged: ContactCompanyChanged({ contactId, company: null }),
    ContactMethodAdded: ContactMethodAdded({ contactId, method: { id: id(60), ...url } }),
    ContactMethodRemoved: removed,
    ContactAssigned: assigned,
    ContactArchived: archived,
    ContactRestored: restored,
    NoteAdded: NoteAdded({ contactId, noteId: id(61), text: 'Met.' }),
    NoteRemoved: contactEvents.NoteRemoved({ contactId, noteId: id(61) }),
    ...enrichedSamples,
    ...mergeSamples,
    ContactErased: ContactErased({ contactId, erasureId: contactId }),
  }
  rule('every event of a contact has a sample here', () => deepStrictEqual(Object.keys(samples), Object.keys(contactEvents)))
  const known = { status: 'active', name: 'Ada', company: 'Engines Ltd', methods: [ada, phone], removed: [], owner: null, team: null }
  const expected: Record<keyof typeof contactEvents, object> = {
    ContactCreated: known,
    ContactRenamed: { ...known, name: 'Grace' },
    ContactCompanyChanged: { ...known, company: null },
    ContactMethodAdded: { ...known, methods: [ada, phone, { id: id(60), ...url }] },
    ContactMethodRemoved: { ...known, methods: [phone], removed: [ada.id] },
    ContactAssigned: { ...known, owner: 'grace', team: 'navy' },
    ContactArchived: { ...known, status: 'archived' },
    ContactRestored: known,
    NoteAdded: known,
    NoteRemoved: known,
    ...mapObject(enrichedThen, (enriched) => ({ ...known, enriched: { ...notEnriched, ...enriched } })),
    ContactMergedInto: { ...known, mergedInto: { into: id(81), mergeId } },
    ContactMerged: {
      ...known,
      name: 'Grace',
      methods: [ada, phone, { id: id(60), ...url }],
      merges: [{ from: id(82), mergeId, brought: [], took: { name: { was: 'Ada', became: 'Grace' } }, words: {}, known: [] }],
    },
    ContactUnmerged: { ...known, merges: [], settled: [mergeId] },
    ContactUnmergedFrom: { ...known, methods: [ada], removed: [phone.id] },
    ContactErased: { status: 'erased', erasureId: contactId },
  }
  for (const [type, event] of Object.entries(samples))
    rule(`after ${type}`, () => {
      deepStrictEqual(fold(contact, [created, event]), expected[type as keyof typeof expected])
      if (type !== 'ContactCreated' && type !== 'ContactErased')
        deepStrictEqual(fold(contact, [event]), { status: 'unknown' }, 'without a contact it means nothing')
    })
  rule('an archived contact that is restored is as it was', () => deepStrictEqual(fold(contact, [created, archived, restored]), known))
  rule('an archived contact keeps its addresses', () =>
    deepStrictEqual(addressesOf(fold(contact, [created, archived])), ['ada@example.com']),
  )
  rule('a contact that is part of another has no addresses, and takes no command', () => {
    deepStrictEqual(addressesOf(fold(contact, [created, mergedAway])), [])
    const bodies: Record<string, object> = {
      addContactMethod: url,
      addNote: { text: 'Met.' },
      assignContact: { owner: null },
      setContactField: { values: [] },
      setContactEnrichable: { enrichable: false },
    }
    const params = { methodId: ada.id, field: 'jobTitle', valueId: id(70), enrichmentId: id(71) }
    for (const command of commands.filter(({ decider, operationId }) => decider === contact && operationId !== 'createContact')) {
      const body = bodies[command.operationId] ?? (command.operationId === 'upsertContactByEmail' ? { name: 'Ada' } : {})
      given(created, mergedAway)
        .when(command as Command, body as never, { params })
        .refused('contact-merged')
    }
    given(created, mergedAway).when(createContact, { name: 'Ada' }).refused('contact-exists')
  })
  rule("an event that is not a contact's is refused, not passed over", () => {
    t.throws(() => fold(contact, [{ type: 'MailboxConnected', data: {} }]), /does not know MailboxConnected/)
  })
})

t.test('any command in any state that can be reached, decided again after its events', async (t) => {
  const rule = rules(t)
  const methodInput = fc.oneof(
    fc.record({ type: fc.constant('email' as const), value: fc.constantFrom('a@example.com', 'A@Example.com', 'b@example.com') }),
    fc.record({ type: fc.constant('phone' as const), value: fc.constantFrom('+44 20 7946 0123', '+442079460123 ext. 1', '123') }),
    fc.record(
      { type: fc.constantFrom('url' as const, 'other' as const), value: fc.constantFrom('x', 'y') },
      { requiredKeys: ['type', 'value'] },
    ),
  )
  const fields = {
    name: fc.constantFrom('Ada', ' Ada', 'Grace'),
    company: fc.constantFrom('Engines', 'Navy '),
    methods: fc.array(methodInput, { maxLength: 3 }),
  }
  const bodies: Record<string, fc.Arbitrary<object>> = {
    createContact: fc.record(fields, { requiredKeys: ['name'] }),
    upsertContactByEmail: fc.record(fields, { requiredKeys: ['name'] }),
    updateContact: fc.record({ name: fields.name, company: fc.option(fields.company) }, { requiredKeys: [] }),
    addContactMethod: methodInput,
    addNote: fc.record({ text: fc.constant('Met.') }),
    assignContact: fc.record({ owner: fc.option(fc.constant('grace')), team: fc.option(fc.constant('navy')) }, { requiredKeys: ['owner'] }),
    setContactField: fc.record({ values: fc.array(fc.constantFrom('Countess', ' Analyst'), { maxLength: 2 }) }),
    setContactEnrichable: fc.record({ enrichable: fc.boolean() }),
  }
  const step = fc
    .constantFrom(...commands.filter(({ decider }) => decider === contact))
    .chain((command) => fc.tuple(fc.constant(command as Command), bodies[command.operationId] ?? fc.constant({}), fc.nat(5)))
  // A removal names one of the first methods that the contact has, or had, or one that it never had.
  const paramsFor = (events: readonly NewEvent[], choice: number) => {
    const state = fold(contact, events)
    const ids = !('methods' in state) ? [] : [...state.methods.map(({ id }) => id), ...state.removed]
    const field = ['jobTitle', 'interests', 'company', 'shoeSize'][choice % 4]!
    return { methodId: ids[choice] ?? id(77), field, valueId: id(70), enrichmentId: id(71) }
  }

  rule('yields nothing, or a refusal where it made what may be made only once', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), step, (history, [command, body, choice]) => {
        let events: readonly NewEvent[] = []
        for (const [index, [past, pastBody, pastChoice]] of history.entries()) {
          const decided = decide(past, pastBody, events, contextWith(paramsFor(events, pastChoice), index + 1))
          if (!(decided instanceof Refused)) events = [...events, ...decided]
        }
        const context = contextWith(paramsFor(events, choice))
        const first = decide(command, body, events, context)
        if (first instanceof Refused) {
          ok(decide(command, body, events, context) instanceof Refused)
          return
        }
        for (const { data } of first) deepStrictEqual((data as { contactId: string }).contactId, subject)
        const again = decide(command, body, [...events, ...first], context)
        if (command === createContact) deepStrictEqual(again instanceof Refused && again.code, 'contact-exists')
        else if (command === addNote) deepStrictEqual(again, first)
        else deepStrictEqual(again, [], command.operationId)
      }),
      { numRuns: 500 },
    )
  })
})
