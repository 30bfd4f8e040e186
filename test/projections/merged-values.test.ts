import { deepStrictEqual } from 'node:assert/strict'
import t from 'tap'
import { enrichment } from '../../projections/enrichment.ts'
import { factsFromMemory } from '../../projections/enrichment-facts.ts'
import { shownValues } from '../../projections/shown-values.ts'
import { type Choice, type Chosen, contactEvents } from '../../schema/contact-events.ts'
import type { NewEvent } from '../../schema/define.ts'
import { type EnrichedValue, type ShownValue, sourceKinds } from '../../schema/enrichment.ts'
import { contact, existing } from '../../src/contacts/contact.ts'
import { absorb, unmerge } from '../../src/contacts/merge.ts'
import { otherOf } from '../../src/contacts/merging.ts'
import { foldInMemory } from '../../src/platform/rows.ts'
import { fold } from '../../src/platform/runner.ts'
import { id, rules, subject } from '../support/given.ts'
import { recorded } from '../support/projections.ts'

const {
  ContactCreated,
  ContactEnriched,
  ContactFieldSet,
  ContactFieldReleased,
  ContactValueAccepted,
  ContactValueRejected,
  ContactMerged,
} = contactEvents
const [contactId, from] = [subject, id(7)]

const value = (number: number, text: string): EnrichedValue => ({
  id: id(number),
  field: 'jobTitle',
  value: text,
  confidence: 0.5,
  evidence: text,
  isSupported: true,
  source: { kind: 'company-page', vendor: 'apify', readAt: '2026-03-01T09:30:00.000Z', model: 'gpt-5-mini', promptVersion: '1' },
})
const created = (contactId: string) => ContactCreated({ contactId, name: 'Ada', methods: [] })
const found = (contactId: string, number: number, text: string) =>
  ContactEnriched({ contactId, enrichmentId: id(number + 50), values: [value(number, text)] })
const set = (contactId: string, text: string) => ContactFieldSet({ contactId, field: 'jobTitle', values: [text] })
const title = (events: readonly NewEvent[]) => {
  const tables = foldInMemory(enrichment, recorded(events, 1, `contact-${contactId}`))
  return (shownValues(factsFromMemory(tables, sourceKinds)) as Record<string, ShownValue>)['jobTitle']?.value
}

/** The survivor's events, and the one that the other is taken with. */
function merge(mine: readonly NewEvent[], others: readonly NewEvent[], choice?: Choice): NewEvent[] {
  const other = otherOf(recorded(others, 1, `contact-${from}`))
  const chosen: Chosen[] = choice ? [{ field: 'jobTitle', choice }] : []
  const body = { from, mergeId: id(8), chosen, other }
  return [...mine, ...absorb.decide(body, fold(contact, mine), { id: contactId } as never)]
}
function split(events: readonly NewEvent[]): NewEvent[] {
  const merged = events.find(({ type }) => type === 'ContactMerged') as ReturnType<typeof ContactMerged>
  const body = { from, mergeId: id(8), methodIds: [], valueIds: merged.data.values.map((one) => one.id), parts: [], withheld: [] }
  return [...events, ...unmerge.decide(body, fold(contact, events), { id: contactId } as never)]
}

t.test('what is shown of a field after a merge', async (t) => {
  const rule = rules(t)
  const [mine, others] = [created(contactId), created(from)]
  rule('is what the other’s enrichments found, where there is nothing else', () => {
    const events = merge([mine], [others, found(from, 10, 'Analyst')])
    deepStrictEqual(title(events), 'Analyst')
    deepStrictEqual(title(split(events)), undefined)
  })
  rule('is what the survivor’s found, however much later the other’s did', () => {
    const later = [others, set(from, 'x'), ContactFieldReleased({ contactId: from, field: 'jobTitle' }), found(from, 10, 'Analyst')]
    deepStrictEqual(title(merge([mine, found(contactId, 11, 'Countess')], later)), 'Countess')
    deepStrictEqual(title([...merge([mine], later), found(contactId, 11, 'Countess')]), 'Countess', 'and what it finds after that')
  })
  rule('is what people said of either, before what was found of the survivor', () => {
    const events = merge([mine, found(contactId, 11, 'Countess')], [others, set(from, 'Analyst')])
    deepStrictEqual(title(events), 'Analyst')
    deepStrictEqual(title([...events, ContactFieldReleased({ contactId, field: 'jobTitle' })]), 'Countess', 'until it is taken back')
    deepStrictEqual(title(split(events)), 'Countess')
  })
  rule('is people’s word on the survivor, unless the other’s is chosen', () => {
    const both = [
      [mine, set(contactId, 'Countess')],
      [others, set(from, 'Analyst')],
    ] as const
    deepStrictEqual(title(merge(...both)), 'Countess')
    const chosen = merge(...both, 'from')
    deepStrictEqual(title(chosen), 'Analyst')
    deepStrictEqual(title(split(chosen)), 'Countess')
    const since = [...chosen, set(contactId, 'Baroness')]
    deepStrictEqual([title(since), title(split(since))], ['Baroness', 'Baroness'])
    deepStrictEqual((split(since).at(-1)!.data as { kept: string[] }).kept, ['jobTitle'])
  })
  rule('is what somebody accepted of the other, and not what was rejected of it', () => {
    const of = (decision: NewEvent) =>
      title(merge([mine, found(contactId, 11, 'Analyst')], [others, found(from, 10, 'Countess'), decision]))
    deepStrictEqual(of(ContactValueAccepted({ contactId: from, valueId: id(10) })), 'Countess')
    deepStrictEqual(of(ContactValueRejected({ contactId: from, valueId: id(10) })), 'Analyst')
    const same = merge(
      [mine, found(contactId, 11, 'Countess')],
      [others, found(from, 10, 'Countess'), ContactValueRejected({ contactId: from, valueId: id(10) })],
    )
    deepStrictEqual(title(same), undefined, 'nor the same value of the survivor')
  })
  rule('of what came, a value can be accepted on the survivor', () => {
    const events = merge([mine, found(contactId, 11, 'Analyst')], [others, found(from, 10, 'Countess')])
    const accepted = [...events, ContactValueAccepted({ contactId, valueId: id(10) })]
    deepStrictEqual([title(accepted), title(split(accepted))], ['Countess', 'Analyst'])
  })
  rule('and the state that decides knows the same words', () => {
    const events = merge([mine], [others, set(from, 'Analyst')])
    deepStrictEqual(existing(fold(contact, events)).enriched!.own, { jobTitle: ['Analyst'] })
    deepStrictEqual(existing(fold(contact, split(events))).enriched!.own, {})
  })
})
