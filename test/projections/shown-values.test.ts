import { deepStrictEqual, ok } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { contacts } from '../../projections/contacts.ts'
import { enrichment } from '../../projections/enrichment.ts'
import { factsFromMemory } from '../../projections/enrichment-facts.ts'
import { type EnrichmentFacts, sameness, shownValues, verdicts } from '../../projections/shown-values.ts'
import { contactEvents } from '../../schema/contact-events.ts'
import type { NewEvent } from '../../schema/define.ts'
import { type EnrichedValue, type Field, fields, type ShownValue, type SourceKind, sourceKinds } from '../../schema/enrichment.ts'
import { foldInMemory } from '../../src/platform/rows.ts'
import { id, rules } from '../support/given.ts'
import { recorded } from '../support/projections.ts'

const contactId = id(1)
const value = (
  number: number,
  field: Field,
  text: string,
  kind: SourceKind = 'company-page',
  more: Partial<EnrichedValue> = {},
): EnrichedValue => ({
  id: id(number),
  field,
  value: text,
  confidence: 0.5,
  evidence: text,
  isSupported: true,
  source: { kind, vendor: kind === 'mail' ? 'mail' : 'apify', readAt: '2026-03-01T09:30:00.000Z', model: 'gpt-5-mini', promptVersion: '1' },
  ...more,
})
const {
  ContactCreated,
  ContactCompanyChanged,
  ContactMethodAdded,
  ContactMethodRemoved,
  ContactEnriched,
  ContactValueAccepted,
  ContactValueRejected,
} = contactEvents
const { ContactFieldSet, ContactFieldReleased, ContactFieldLocked, ContactFieldUnlocked, ContactEnrichmentUndone } = contactEvents

/** The facts as the projection's rows have them after these events of a contact. */
function factsAfter(events: readonly NewEvent[], order: readonly SourceKind[] = sourceKinds): EnrichmentFacts {
  return factsFromMemory(foldInMemory(enrichment, recorded(events, 1, `contact-${contactId}`)), order)
}
const shown = (events: readonly NewEvent[], order?: readonly SourceKind[]) =>
  shownValues(factsAfter(events, order)) as Record<string, ShownValue & ShownValue[]>
const why = (events: readonly NewEvent[], number: number) => Object.values(verdicts(factsAfter(events)).get(id(number))!).join(' ')
/** As the command puts it: with the values that are shown of the field just then. */
const lockAfter = (events: readonly NewEvent[], field: Field, order?: readonly SourceKind[]) =>
  ContactFieldLocked({ contactId, field, shown: [shown(events, order)[field] ?? []].flat().flatMap(({ valueId }) => valueId ?? []) })
const created = ContactCreated({ contactId, name: 'Ada', methods: [] })
const found = (enrichmentId: number, ...values: EnrichedValue[]) => ContactEnriched({ contactId, enrichmentId: id(enrichmentId), values })

t.test('what is shown of a field', async (t) => {
  const rule = rules(t)
  const page = found(100, value(10, 'location', 'Leeds'), value(11, 'location', 'York', 'mail'))
  rule('is the best source’s, by the order of sources', () => {
    deepStrictEqual(shown([created, page])['location']!.value, 'Leeds')
    deepStrictEqual(shown([created, page], ['mail', 'company-page'])['location']!.value, 'York')
    deepStrictEqual(why([created, page], 11), 'proposed other-source')
  })
  rule('is the newest of a source', () => {
    const again = [created, page, found(101, value(20, 'location', 'Hull'))]
    deepStrictEqual(shown(again)['location']!.value, 'Hull')
    deepStrictEqual(why(again, 10), 'proposed superseded')
  })
  rule('is not what has no evidence', () => {
    const unsupported = [created, found(100, value(10, 'location', 'Leeds', 'company-page', { isSupported: false }))]
    deepStrictEqual(shown(unsupported), {})
    deepStrictEqual(why(unsupported, 10), 'proposed no-evidence')
    deepStrictEqual(shown([...unsupported, ContactValueAccepted({ contactId, valueId: id(10) })])['location']!.value, 'Leeds')
  })
  rule('is what a person said, before and after', () => {
    const said = ContactFieldSet({ contactId, field: 'location', values: ['Paris'] })
    for (const events of [
      [created, said, page],
      [created, page, said],
    ]) {
      deepStrictEqual(shown(events)['location'], { value: 'Paris', valueId: null, by: 'person', source: null })
      deepStrictEqual(why(events, 10), 'proposed own-value')
    }
    deepStrictEqual(shown([created, page, ContactFieldSet({ contactId, field: 'location', values: [] })]), {}, 'also that there is none')
    deepStrictEqual(shown([created, said, page, ContactFieldReleased({ contactId, field: 'location' })])['location']!.value, 'Leeds')
  })
  rule('is what somebody accepted, until a person says otherwise', () => {
    const accepted = [created, page, ContactValueAccepted({ contactId, valueId: id(11) })]
    deepStrictEqual(shown(accepted)['location']!.value, 'York')
    deepStrictEqual(shown([...accepted, found(101, value(20, 'location', 'Hull'))])['location']!.value, 'York')
    const said = ContactFieldSet({ contactId, field: 'location', values: ['Paris'] })
    deepStrictEqual(shown([...accepted, said])['location']!.value, 'Paris')
    deepStrictEqual(shown([created, said, ...accepted.slice(1)])['location']!.value, 'York', 'the later word counts')
  })
  rule('is not what somebody rejected, nor the same found again', () => {
    const events = [created, page, ContactValueRejected({ contactId, valueId: id(10) }), found(101, value(20, 'location', ' LEEDS '))]
    deepStrictEqual(shown(events)['location']!.value, 'York')
    deepStrictEqual([why(events, 10), why(events, 20)], ['rejected rejected', 'proposed rejected-before'])
    deepStrictEqual(shown([...events, ContactValueAccepted({ contactId, valueId: id(20) })])['location']!.value, ' LEEDS ')
  })
  rule('is not changed while it is locked', () => {
    const hull = found(101, value(20, 'location', 'Hull'))
    // An older event of a lock does not say what was shown.
    for (const lock of [lockAfter([created, page], 'location'), ContactFieldLocked({ contactId, field: 'location' })]) {
      const locked = [created, page, lock, hull]
      deepStrictEqual(why(locked, 20), 'proposed locked')
      deepStrictEqual(shown(locked)['location']!.value, 'Leeds', 'a newer value of the same source does not take it away either')
      deepStrictEqual(shown([...locked, ContactFieldUnlocked({ contactId, field: 'location' })])['location']!.value, 'Hull')
    }
  })
  rule('while it is locked is what was shown, also where another source comes to count for more, and nothing where nothing was', () => {
    const locked = [created, page, lockAfter([created, page], 'location')]
    deepStrictEqual(shown(locked, ['mail', 'company-page'])['location']!.value, 'Leeds')
    deepStrictEqual(why(locked, 11), 'proposed locked', 'what was proposed before is held back, too')
    const empty = [created, lockAfter([created], 'location'), page]
    deepStrictEqual(shown(empty), {})
    const rejected = [...locked, ContactValueRejected({ contactId, valueId: id(10) })]
    deepStrictEqual(shown(rejected), {}, 'a person who rejects it brings nothing else in by that')
    deepStrictEqual(shown([...locked, ContactValueAccepted({ contactId, valueId: id(11) })])['location']!.value, 'York')
  })
  rule('is what was there before an enrichment that is undone, but for what was accepted of it', () => {
    const undone = [
      created,
      page,
      found(101, value(20, 'location', 'Hull'), value(21, 'summary', 'Ada.')),
      ContactValueAccepted({ contactId, valueId: id(21) }),
    ]
    const after = [...undone, ContactEnrichmentUndone({ contactId, enrichmentId: id(101) })]
    deepStrictEqual(shown(after)['location']!.value, 'Leeds')
    deepStrictEqual([why(after, 20), why(after, 21)], ['rejected undone', 'applied accepted'])
  })
  rule('of several values all that hold, each once, without the contact’s own and those it had', () => {
    const phone = (number: number, text: string) => ({ id: id(number), type: 'phone' as const, value: text })
    const events = [
      ContactCreated({ contactId, name: 'Ada', methods: [phone(50, '+442079460123')] }),
      ContactMethodAdded({ contactId, method: phone(51, '+442079460999') }),
      ContactMethodRemoved({ contactId, methodId: id(51) }),
      found(
        100,
        value(10, 'phones', '+44 20 7946 0123'),
        value(11, 'phones', '+44 20 7946 0999'),
        value(12, 'phones', '+44 20 7946 0555'),
        value(13, 'phones', '+44 (20) 79460555', 'mail'),
      ),
    ]
    deepStrictEqual(
      shown(events)['phones']!.map(({ value }) => value),
      ['+44 20 7946 0555'],
    )
    deepStrictEqual(why(events, 11), 'proposed own-value', 'what a person removed is not brought back')
  })
  rule('of the company nothing beside the contact’s own, nor where a person took it away', () => {
    const company = found(100, value(10, 'company', 'Engines Ltd'))
    deepStrictEqual(shown([created, company])['company']!.value, 'Engines Ltd')
    deepStrictEqual(shown([ContactCreated({ contactId, name: 'Ada', company: 'Navy', methods: [] }), company]), {})
    deepStrictEqual(shown([created, company, ContactCompanyChanged({ contactId, company: null })]), {})
  })
})

t.test('a locked field stays as it is shown, whatever was proposed before, is proposed later, or counts for more', async () => {
  const fieldOf = fc.constantFrom<Field>('jobTitle', 'location', 'interests')
  const text = fc.constantFrom('Leeds', 'York', 'Hull')
  const order = fc.shuffledSubarray([...sourceKinds])
  const values = fc.array(fc.tuple(fieldOf, text, fc.constantFrom(...sourceKinds), fc.boolean()), { maxLength: 6 })
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ values }) },
    { weight: 1, arbitrary: fc.record({ set: fieldOf, text }) },
    { weight: 1, arbitrary: fc.record({ nth: fc.nat(9), accepted: fc.boolean() }) },
  )
  let held = 0
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 8 }),
      order,
      fieldOf,
      fc.array(values, { maxLength: 4 }),
      order,
      (before, then, field, after, now) => {
        const events: NewEvent[] = [created]
        const all: EnrichedValue[] = []
        const enrich = (drawn: [Field, string, SourceKind, boolean][]) => {
          const at = events.length
          const proposed = drawn.map(([of, text, kind, isSupported], place) => value(1_000 * at + place, of, text, kind, { isSupported }))
          all.push(...proposed)
          events.push(found(10_000 + at, ...proposed))
        }
        for (const one of before) {
          if ('values' in one) enrich(one.values)
          else if ('set' in one) events.push(ContactFieldSet({ contactId, field: one.set, values: [one.text] }))
          else if (all.length > 0) {
            const valueId = all[one.nth % all.length]!.id
            events.push(one.accepted ? ContactValueAccepted({ contactId, valueId }) : ContactValueRejected({ contactId, valueId }))
          }
        }
        const shownThen = [shown(events, then)[field] ?? []].flat()
        events.push(lockAfter(events, field, then))
        for (const drawn of after) enrich(drawn)
        const shownNow = [shown(events, now)[field] ?? []].flat()
        const byId = (list: ShownValue[]) => list.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
        deepStrictEqual(byId(shownNow), byId(shownThen))
        if (shownThen.length > 0 && all.length > shownThen.length) held += 1
      },
    ),
    { numRuns: 400 },
  )
  ok(held > 100, `${held} had something to hold back`)
})

t.test('people’s values survive every order of events', async () => {
  const fieldOf = fc.constantFrom<Field>('jobTitle', 'location', 'interests', 'phones', 'company', 'website')
  const text = fc.constantFrom('Leeds', 'York', 'Hull', '+44 20 7946 0123', 'https://engines.example.com/')
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        what: fc.constant('enrich'),
        values: fc.array(fc.tuple(fieldOf, text, fc.constantFrom(...sourceKinds), fc.boolean()), { maxLength: 5 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ what: fc.constantFrom('set', 'release', 'lock', 'unlock'), field: fieldOf, text }) },
    { weight: 2, arbitrary: fc.record({ what: fc.constantFrom('accept', 'reject'), nth: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant('undo'), nth: fc.nat(5) }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant('company'), text: fc.option(text) }) },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), fc.shuffledSubarray([...sourceKinds]), (steps, order) => {
      const events: NewEvent[] = [created]
      const all: EnrichedValue[] = []
      /** A person's last word on a field, and on a value. */
      const said = new Map<Field, { values: string[]; at: number }>()
      const decided = new Map<string, { what: string; at: number }>()
      let company: string | null = null
      for (const [index, one] of steps.entries()) {
        const at = index + 1
        if ('values' in one) {
          const values = one.values.map(([field, text, kind, isSupported], place) =>
            value(1_000 * at + place, field, text, kind, { isSupported }),
          )
          all.push(...values)
          events.push(found(10_000 + at, ...values))
        } else if ('field' in one) {
          const field = one.field === 'company' ? 'location' : one.field
          if (one.what === 'set') {
            events.push(ContactFieldSet({ contactId, field, values: [one.text] }))
            said.set(field, { values: [one.text], at: events.length })
          } else if (one.what === 'release') {
            events.push(ContactFieldReleased({ contactId, field }))
            said.delete(field)
          } else events.push(one.what === 'lock' ? ContactFieldLocked({ contactId, field }) : ContactFieldUnlocked({ contactId, field }))
        } else if (one.what === 'company' && 'text' in one) {
          company = one.text
          events.push(ContactCompanyChanged({ contactId, company: one.text }))
          said.set('company', { values: one.text === null ? [] : [one.text], at: events.length })
        } else if ('nth' in one && one.what === 'undo') {
          const enriched = events.filter(({ type }) => type === 'ContactEnriched')
          const target = enriched[one.nth % Math.max(1, enriched.length)]
          if (target)
            events.push(ContactEnrichmentUndone({ contactId, enrichmentId: (target.data as { enrichmentId: string }).enrichmentId }))
        } else if ('nth' in one && all.length > 0) {
          const valueId = all[one.nth % all.length]!.id
          events.push(one.what === 'accept' ? ContactValueAccepted({ contactId, valueId }) : ContactValueRejected({ contactId, valueId }))
          decided.set(valueId, { what: one.what, at: events.length })
        }
      }
      const facts = factsAfter(events, order)
      const now = shownValues(facts) as Record<string, ShownValue | ShownValue[] | undefined>
      const listOf = (field: Field) => [now[field] ?? []].flat()
      for (const [field, { values, at }] of said) {
        const later = all.filter(
          (value) => value.field === field && decided.get(value.id)?.what === 'accept' && decided.get(value.id)!.at > at,
        )
        if (fields[field].single && later.length === 0) {
          if (field === 'company') deepStrictEqual(listOf('company'), [], 'beside the own company nothing is shown')
          else
            deepStrictEqual(
              listOf(field).map(({ value, by }) => [value, by]),
              values.map((value) => [value, 'person']),
            )
        }
        if (!fields[field].single) for (const value of values) ok(listOf(field).some((one) => one.value === value && one.by === 'person'))
      }
      for (const value of all) {
        const isShown = listOf(value.field).some(({ valueId }) => valueId === value.id)
        const what = decided.get(value.id)?.what
        if (what === 'reject') ok(!isShown, 'a rejected value is never shown')
        if (!value.isSupported && what !== 'accept') ok(!isShown, 'what has no evidence is never shown by itself')
        const lastReject = Math.max(
          ...all
            .filter((other) => other.field === value.field && sameness(value.field, other.value) === sameness(value.field, value.value))
            .map(({ id }) => (decided.get(id)?.what === 'reject' ? decided.get(id)!.at : 0)),
          0,
        )
        const lastAccept = Math.max(
          ...all
            .filter((other) => other.field === value.field && sameness(value.field, other.value) === sameness(value.field, value.value))
            .map(({ id }) => (decided.get(id)?.what === 'accept' ? decided.get(id)!.at : 0)),
          0,
        )
        if (lastReject > lastAccept && what !== 'accept') ok(!isShown, 'nor is what somebody rejected last')
      }
      // The contact itself: nothing of it changes by an enrichment.
      const [row] = foldInMemory(contacts, recorded(events, 1, `contact-${contactId}`)).rows('contacts')
      deepStrictEqual([row!['name'], row!['company']], ['Ada', company])
      for (const field of Object.keys(fields) as Field[]) if (fields[field].single) ok(listOf(field).length <= 1)
    }),
    { numRuns: 500 },
  )
})
