import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { contactFromMemory, contacts } from '../../projections/contacts.ts'
import { enrichment } from '../../projections/enrichment.ts'
import { factsFromMemory } from '../../projections/enrichment-facts.ts'
import { type ContactEvent, contactEvents, type Method } from '../../schema/contact-events.ts'
import type { NewEvent } from '../../schema/define.ts'
import { type EnrichedValue, fieldNames, sourceKinds } from '../../schema/enrichment.ts'
import { commands } from '../../src/commands.ts'
import { contact, isKnown } from '../../src/contacts/contact.ts'
import { recordEnriched } from '../../src/contacts/enriched.ts'
import type { Command } from '../../src/platform/decider.ts'
import type { RecordedEvent } from '../../src/platform/event.ts'
import { Refused } from '../../src/platform/refusal.ts'
import { foldInMemory } from '../../src/platform/rows.ts'
import { fold } from '../../src/platform/runner.ts'
import { contactInitial, contactWrites } from '../../src/undo/contact-fields.ts'
import { isSame, trackFields } from '../../src/undo/fields.ts'
import type { Plan } from '../../src/undo/plan.ts'
import { planContact } from '../../src/undo/plan-contact.ts'
import { contextWith, decide, id, rules, subject } from '../support/given.ts'
import { recorded } from '../support/projections.ts'

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
  NoteRemoved,
  ContactEnriched,
  ContactValueAccepted,
  ContactValueRejected,
  ContactValueReopened,
  ContactFieldSet,
  ContactFieldReleased,
  ContactFieldLocked,
  ContactFieldUnlocked,
  ContactEnrichmentUndone,
  ContactEnrichmentRedone,
  ContactEnrichableChanged,
  ContactErased,
} = contactEvents
const contactId = subject
const about = { contactId }
const all = { may: { emails: true, enrichment: true } }
const ada: Method = { id: id(50), type: 'email', value: 'Ada@example.com', normalized: 'ada@example.com' }
const phone: Method = { id: id(51), type: 'phone', value: '+442079460123', raw: '+44 20 7946 0123' }
const created = ContactCreated({ ...about, name: 'Ada', company: 'Engines', methods: [ada, phone] })
const value: EnrichedValue = {
  id: id(70),
  field: 'jobTitle',
  value: 'Analyst',
  confidence: 1,
  evidence: null,
  isSupported: true,
  source: { kind: 'mail', vendor: 'mail', readAt: '2026-03-01T09:30:00.000Z', model: 'm', promptVersion: '1' },
}
const enrichedEvent = ContactEnriched({ ...about, enrichmentId: id(71), values: [value] })
const accepted = ContactValueAccepted({ ...about, valueId: id(70) })
const note = NoteAdded({ ...about, noteId: id(61), text: 'Met.' })

/** Events of command 0, 1, … in turn: a list is one command's. */
function history(...steps: (NewEvent | readonly NewEvent[])[]): RecordedEvent[] {
  const events = steps.flatMap((step, command) => (Array.isArray(step) ? step : [step]).map((event: NewEvent) => ({ event, command })))
  return recorded(events.map(({ event }) => event)).map((event, index) => by(event, id(900 + events[index]!.command)))
}
const by = (event: RecordedEvent, commandId: string): RecordedEvent => ({ ...event, meta: { ...event.meta, commandId } })
const isBy = (...numbers: number[]) => {
  const ids = numbers.map((number) => id(900 + number))
  return ({ meta }: RecordedEvent) => ids.includes(meta.commandId)
}
const plan = (events: RecordedEvent[], isUndone: (event: RecordedEvent) => boolean, more: object = {}): Plan =>
  planContact(contactId, events, isUndone, { ...all, ...more })
/** These are undone by what merges and unmerges, or not at all. No other is left out. */
type OfMerge = 'ContactErased' | 'ContactMergedInto' | 'ContactMerged' | 'ContactUnmerged' | 'ContactUnmergedFrom'
const codesOf = ({ conflicts }: Plan) => conflicts.map(({ field, code }) => `${field} ${code}`)

t.test('what each event is undone by, where nothing was changed since', async (t) => {
  const rule = rules(t)
  /** What was before, and what undoes it then. No default: an event without a rule does not compile. */
  const book: Record<Exclude<ContactEvent['type'], OfMerge>, [before: NewEvent[], event: NewEvent, undoneBy: NewEvent[]]> = {
    ContactCreated: [[], created, [ContactArchived({ ...about, withdrawn: true })]],
    ContactRenamed: [[created], ContactRenamed({ ...about, name: 'Grace' }), [ContactRenamed({ ...about, name: 'Ada' })]],
    ContactCompanyChanged: [
      [created],
      ContactCompanyChanged({ ...about, company: null }),
      [ContactCompanyChanged({ ...about, company: 'Engines', since: 0 })],
    ],
    ContactMethodAdded: [
      [ContactCreated({ ...about, name: 'Ada', methods: [] })],
      ContactMethodAdded({ ...about, method: ada }),
      [ContactMethodRemoved({ ...about, methodId: ada.id, undone: true })],
    ],
    ContactMethodRemoved: [
      [created],
      ContactMethodRemoved({ ...about, methodId: phone.id }),
      [ContactMethodAdded({ ...about, method: phone, place: { revision: 0, place: 1 } })],
    ],
    ContactAssigned: [
      [created],
      ContactAssigned({ ...about, owner: 'grace', team: 'navy' }),
      [ContactAssigned({ ...about, owner: null, team: null })],
    ],
    ContactArchived: [[created], ContactArchived(about), [ContactRestored(about)]],
    ContactRestored: [[created, ContactArchived(about)], ContactRestored(about), [ContactArchived(about)]],
    NoteAdded: [[created], note, [NoteRemoved({ ...about, noteId: id(61) })]],
    NoteRemoved: [[created, note], NoteRemoved({ ...about, noteId: id(61) }), [note]],
    ContactEnriched: [[created], enrichedEvent, [ContactEnrichmentUndone({ ...about, enrichmentId: id(71) })]],
    ContactEnrichmentUndone: [
      [created, enrichedEvent],
      ContactEnrichmentUndone({ ...about, enrichmentId: id(71) }),
      [ContactEnrichmentRedone({ ...about, enrichmentId: id(71) })],
    ],
    ContactEnrichmentRedone: [
      [created, enrichedEvent, ContactEnrichmentUndone({ ...about, enrichmentId: id(71) })],
      ContactEnrichmentRedone({ ...about, enrichmentId: id(71) }),
      [ContactEnrichmentUndone({ ...about, enrichmentId: id(71) })],
    ],
    ContactValueAccepted: [[created, enrichedEvent], accepted, [ContactValueReopened({ ...about, valueId: id(70) })]],
    ContactValueRejected: [
      [created, enrichedEvent, accepted],
      ContactValueRejected({ ...about, valueId: id(70) }),
      [ContactValueAccepted({ ...about, valueId: id(70), since: 2 })],
    ],
    ContactValueReopened: [
      [created, enrichedEvent, ContactValueRejected({ ...about, valueId: id(70) })],
      ContactValueReopened({ ...about, valueId: id(70) }),
      [ContactValueRejected({ ...about, valueId: id(70), since: 2 })],
    ],
    ContactFieldSet: [
      [created],
      ContactFieldSet({ ...about, field: 'jobTitle', values: ['Countess'] }),
      [ContactFieldReleased({ ...about, field: 'jobTitle' })],
    ],
    ContactFieldReleased: [
      [created, ContactFieldSet({ ...about, field: 'jobTitle', values: ['Countess'] })],
      ContactFieldReleased({ ...about, field: 'jobTitle' }),
      [ContactFieldSet({ ...about, field: 'jobTitle', values: ['Countess'], since: 1 })],
    ],
    ContactFieldLocked: [
      [created],
      ContactFieldLocked({ ...about, field: 'jobTitle' }),
      [ContactFieldUnlocked({ ...about, field: 'jobTitle' })],
    ],
    ContactFieldUnlocked: [
      [created, ContactFieldLocked({ ...about, field: 'jobTitle' })],
      ContactFieldUnlocked({ ...about, field: 'jobTitle' }),
      [ContactFieldLocked({ ...about, field: 'jobTitle', since: 1 })],
    ],
    ContactEnrichableChanged: [
      [created],
      ContactEnrichableChanged({ ...about, enrichable: false }),
      [ContactEnrichableChanged({ ...about, enrichable: true })],
    ],
  }
  for (const [type, [before, event, undoneBy]] of Object.entries(book))
    rule(`${type} is undone`, () => {
      const events = history(...before, event)
      const done = plan(events, isBy(before.length))
      deepStrictEqual(done.events, undoneBy)
      deepStrictEqual(done.conflicts, [])
      const again = history(...before, event, [...undoneBy])
      deepStrictEqual(plan(again, isBy(before.length)).events, [], 'again there is nothing to do')
    })
})

t.test('what was changed since stays, and is named', async (t) => {
  const rule = rules(t)
  const [toGrace, toAugusta] = [ContactRenamed({ ...about, name: 'Grace' }), ContactRenamed({ ...about, name: 'Augusta' })]
  rule('a field that somebody changed since is a conflict, and no other is', () => {
    const done = plan(history(created, [toGrace, ContactCompanyChanged({ ...about, company: 'Navy' })], toAugusta), isBy(1))
    deepStrictEqual(done.events, [ContactCompanyChanged({ ...about, company: 'Engines', since: 0 })])
    deepStrictEqual(codesOf(done), ['name changed-since'])
    deepStrictEqual([done.conflicts[0]!.now, done.conflicts[0]!.by!.type], ['Augusta', 'ContactRenamed'])
  })
  rule('one that somebody changed back since is as it was', () =>
    deepStrictEqual(plan(history(created, toGrace, ContactRenamed({ ...about, name: 'Ada' })), isBy(1)), {
      putBack: [],
      conflicts: [],
      events: [],
      merges: [],
    }),
  )
  rule('several changes of one command go back before the first of them; another’s in between is where it ends', () => {
    const grace2 = ContactRenamed({ ...about, name: 'Grace II' })
    deepStrictEqual(plan(history(created, [toGrace, grace2]), isBy(1)).events, [ContactRenamed({ ...about, name: 'Ada' })])
    deepStrictEqual(plan(history(created, toGrace, toAugusta, grace2), isBy(1, 3)).events, [toAugusta])
  })
  rule('a contact that somebody changed since it was made is kept whole', () => {
    const done = plan(history([created, note], ContactCompanyChanged({ ...about, company: 'Navy' }), toGrace), isBy(0, 2))
    deepStrictEqual([done.events, codesOf(done)], [[], ['company changed-since']])
  })
  rule('one that was changed and changed back since it was made goes', () => {
    const done = plan(history(created, toGrace, ContactRenamed({ ...about, name: 'Ada' })), isBy(0))
    deepStrictEqual(done.events, [ContactArchived({ ...about, withdrawn: true })])
  })
  rule('one that was archived since is not archived again', () => {
    deepStrictEqual(codesOf(plan(history(created, ContactArchived(about)), isBy(0))), ['status changed-since'])
  })
  rule('what somebody accepted of an enrichment stays when that is undone', () => {
    const done = plan(history(created, enrichedEvent, accepted), isBy(1))
    deepStrictEqual(done.events, [ContactEnrichmentUndone({ ...about, enrichmentId: id(71) })])
    deepStrictEqual(codesOf(done), [`decisions/${id(70)} changed-since`])
  })
  rule('a method that was given again meanwhile is not there twice', () => {
    const removed = ContactMethodRemoved({ ...about, methodId: ada.id })
    const again = ContactMethodAdded({ ...about, method: { ...ada, id: id(59) } })
    deepStrictEqual(codesOf(plan(history(created, removed, again), isBy(1))), [`methods/${ada.id} there-already`])
    const done = plan(history(created, removed), isBy(1), { taken: ['ada@example.com'] })
    deepStrictEqual([done.events, codesOf(done)], [[], [`methods/${ada.id} address-taken`]])
  })
  rule('an address makes room before one is given', () => {
    const swap = [ContactMethodRemoved({ ...about, methodId: ada.id }), ContactMethodAdded({ ...about, method: { ...ada, id: id(58) } })]
    deepStrictEqual(
      plan(history(created, swap), isBy(1)).events.map(({ type }) => type),
      ['ContactMethodRemoved', 'ContactMethodAdded'],
    )
  })
  rule('what enrichment decides takes its permission', () => {
    const done = plan(history(created, ContactFieldLocked({ ...about, field: 'jobTitle' })), isBy(1), {
      may: { emails: true, enrichment: false },
    })
    deepStrictEqual([done.events, codesOf(done)], [[], ['locked/jobTitle not-allowed']])
  })
  rule('what was erased is not brought back', () => {
    const events = history(created, toGrace)
    deepStrictEqual(
      codesOf(
        plan(
          events.map((event) => ({ ...event, erased: true })),
          isBy(1),
        ),
      ),
      [' erased'],
    )
    const gone = history(created, toGrace, ContactErased({ ...about, erasureId: contactId }))
    for (const undone of [1, 2]) deepStrictEqual([plan(gone, isBy(undone)).events, codesOf(plan(gone, isBy(undone)))], [[], [' erased']])
  })
})

/** All that is shown of a contact and decides what is: without when it was changed last. */
function viewOf(events: readonly RecordedEvent[]) {
  const shown = contactFromMemory(foldInMemory(contacts, events), contactId)
  const facts = factsFromMemory(foldInMemory(enrichment, events), sourceKinds)
  const notes = trackFields(events, () => false, contactWrites(events), contactInitial)
    .values()
    .flatMap(({ field, value }) => (field.startsWith('notes/') && value !== null ? [`${field} ${value}`] : []))
  const { revision: _, updatedAt: __, ...rest } = shown ?? { revision: 0, updatedAt: '' }
  const key = (row: object) => JSON.stringify(row)
  const sorted = <T extends object>(rows: readonly T[]) => rows.toSorted((a, b) => (key(a) < key(b) ? -1 : 1))
  const state = fold(contact, events)
  // What an undone enrichment proposed says nothing any more, unless somebody decided of it.
  const values = facts.values.filter(({ enrichmentId, decision }) => decision !== null || !facts.undone.includes(enrichmentId))
  return {
    ...rest,
    status: state.status,
    notes: [...notes].toSorted(),
    values: sorted(values),
    own: sorted(
      facts.own.flatMap(({ field, values, ownIn, lockedIn, shown = null }) =>
        values === null && lockedIn === null ? [] : [{ field, values, ownIn: values === null ? null : ownIn, lockedIn, shown }],
      ),
    ),
    methodFacts: sorted(facts.methods),
    undone: facts.undone.filter((id) => values.some(({ enrichmentId }) => enrichmentId === id)).toSorted(),
  }
}

t.test('undoing and undoing that', async (t) => {
  const rule = rules(t)
  const methodInput = fc.oneof(
    fc.record({ type: fc.constant('email' as const), value: fc.constantFrom('a@example.com', 'b@example.com') }),
    fc.record({ type: fc.constant('phone' as const), value: fc.constantFrom('+442079460123', '123') }),
  )
  const fields = {
    name: fc.constantFrom('Ada', 'Grace'),
    company: fc.constantFrom('Engines', 'Navy'),
    methods: fc.array(methodInput, { maxLength: 2 }),
  }
  const bodies: Record<string, fc.Arbitrary<object>> = {
    createContact: fc.record(fields, { requiredKeys: ['name'] }),
    upsertContactByEmail: fc.record(fields, { requiredKeys: ['name'] }),
    updateContact: fc.record({ name: fields.name, company: fc.option(fields.company) }, { requiredKeys: [] }),
    addContactMethod: methodInput,
    addNote: fc.record({ text: fc.constantFrom('Met.', 'Called.') }),
    assignContact: fc.record({ owner: fc.option(fc.constant('grace')) }),
    setContactField: fc.record({ values: fc.array(fc.constantFrom('Countess', 'Analyst'), { maxLength: 1 }) }),
    setContactEnrichable: fc.record({ enrichable: fc.boolean() }),
  }
  const ofContacts = commands.filter(({ decider }) => decider === contact)
  type Step = { command: Command; body: object; choice: number } | { undoOf: number } | { enrich: number }
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 8,
      arbitrary: fc
        .constantFrom(...ofContacts)
        .chain((command) =>
          fc.record({ command: fc.constant(command), body: bodies[command.operationId] ?? fc.constant({}), choice: fc.nat(3) }),
        ),
    },
    { weight: 2, arbitrary: fc.record({ undoOf: fc.nat(12) }) },
    { weight: 2, arbitrary: fc.record({ enrich: fc.nat(2) }) },
  )

  const append = (events: RecordedEvent[], made: readonly NewEvent[], number: number) => [
    ...events,
    ...recorded([...events, ...made])
      .slice(events.length)
      .map((event) => by(event, id(900 + number))),
  ]
  const take = (events: RecordedEvent[], taken: Step, number: number): RecordedEvent[] => {
    if ('undoOf' in taken)
      return events.length === 0 ? events : append(events, plan(events, isBy(taken.undoOf % Math.max(1, number))).events, number)
    const context = { ...contextWith({}, number + 1) }
    const state = fold(contact, events)
    const known = isKnown(state) ? state : null
    if ('enrich' in taken) {
      const [enrichmentId, valueId] = [id(7_000 + number), id(8_000 + number)]
      const values = [{ ...value, id: valueId, field: fieldNames[taken.enrich]!, value: taken.enrich === 0 ? 'Analyst' : 'Engines' }]
      const made = decide(recordEnriched, { enrichmentId, values }, events, context)
      return made instanceof Refused ? events : append(events, made, number)
    }
    const ids = known ? [...known.methods.map(({ id }) => id), ...known.removed] : []
    const enriched = known?.enriched
    const params = {
      methodId: ids[taken.choice] ?? id(77),
      field: ['jobTitle', 'company', 'website'][taken.choice % 3]!,
      valueId: Object.keys(enriched?.values ?? {}).at(-1 - taken.choice) ?? id(78),
      enrichmentId: enriched?.enrichments.at(-1) ?? id(79),
    }
    const made = decide(taken.command, taken.body as never, events, { ...context, params })
    return made instanceof Refused ? events : append(events, made, number)
  }
  const grown = (steps: readonly Step[]) => steps.reduce((events: RecordedEvent[], taken, index) => take(events, taken, index), [])
  const create: Step = { command: ofContacts.find(({ operationId }) => operationId === 'createContact')!, body: { name: 'Ada' }, choice: 0 }
  const steps = fc.array(step, { maxLength: 12 }).map((more) => [create, ...more])

  rule('what came last is undone to just what was before', () => {
    let undone = 0
    fc.assert(
      fc.property(steps, step, (before, last) => {
        const events = grown(before)
        const after = take(events, last, before.length)
        if (after.length === events.length) return
        const { events: made, conflicts } = plan(after, isBy(before.length))
        deepStrictEqual(conflicts, [])
        undone += 1
        deepStrictEqual(viewOf(append(after, made, 99)), viewOf(events))
      }),
      { numRuns: 1_000 },
    )
    t.ok(undone > 300, `${undone} times`)
  })

  rule('any command is undone, and the undo of that is as if nothing had been, where nothing is in conflict', () => {
    let undone = 0
    fc.assert(
      fc.property(steps, fc.nat(12), (all, which) => {
        const events = grown(all)
        const { events: made, conflicts, putBack } = plan(events, isBy(which % all.length))
        for (const { field } of conflicts)
          deepStrictEqual(
            putBack.some((other) => other.field === field),
            false,
          )
        const after = append(events, made, 98)
        // What it was before the command, where that was not changed in between.
        const tracks = trackFields(after, () => false, contactWrites(after), contactInitial)
        for (const { field, to } of putBack) deepStrictEqual(isSame(tracks.get(field)!.value, to), true, field)
        const back = plan(after, isBy(98))
        deepStrictEqual(back.conflicts, [])
        if (made.length > 0) undone += 1
        deepStrictEqual(viewOf(append(after, back.events, 99)), viewOf(events))
      }),
      { numRuns: 1_000 },
    )
    t.ok(undone > 300, `${undone} times`)
  })
})
