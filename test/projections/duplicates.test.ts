import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { keysOfCompany, keysOfMethod, keysOfName } from '../../projections/duplicate-keys.ts'
import { duplicates } from '../../projections/duplicates.ts'
import { contactEvents, type Method } from '../../schema/contact-events.ts'
import type { NewEvent } from '../../schema/define.ts'
import { type DuplicateReason, duplicateReasons } from '../../schema/duplicate.ts'
import { duplicateEvents } from '../../schema/duplicate-events.ts'
import { toMethod } from '../../src/contacts/methods.ts'
import { sql } from '../../src/platform/database.ts'
import { inOrder, storedRows } from '../support/projections.ts'
import { idOf, readTables, recorded } from './support.ts'

const {
  ContactCreated,
  ContactRenamed,
  ContactCompanyChanged,
  ContactMethodAdded,
  ContactMethodRemoved,
  ContactArchived,
  ContactRestored,
  ContactMergedInto,
  ContactUnmergedFrom,
} = contactEvents
const { DuplicateDismissed, DuplicateReconsidered } = duplicateEvents
const { duplicatePairs, duplicateKeys } = duplicates.tables

const keyOf = (type: Method['type'], value: string) =>
  keysOfMethod(toMethod(idOf(value), { type, value })).map(({ kind, key }) => `${kind} ${key}`)

t.test('what two who may be the same have in common', async (t) => {
  const same = (a: unknown, b: unknown, what = '') => t.strictSame(a, b, what)
  same(keysOfName('Lovelace, Ada'), keysOfName('ADA  Lovelacé'), 'a name in any order, case and accents')
  t.notSame(keysOfName('Ada King'), keysOfName('Ada Lovelace'))
  same(keysOfCompany('The Analytical Engines Co., Ltd.'), keysOfCompany('analytical engines'), 'a company in any legal form')
  same(keysOfCompany('Limited'), [{ kind: 'company', key: 'limited' }], 'that has no other word')
  same([keysOfName('…'), keysOfCompany(null)], [[], []])
  same(keyOf('email', 'A.d.a+news@googlemail.com'), keyOf('email', 'ada@gmail.com'), 'aliases at Gmail')
  same(keyOf('email', 'ada+crm@example.com')[0], keyOf('email', 'ada@example.com')[0], 'what is behind a plus')
  t.not(keyOf('email', 'a.da@example.com')[0], keyOf('email', 'ada@example.com')[0], 'dots count elsewhere')
  same(keyOf('email', 'ada@mail.engines.com')[1], keyOf('email', 'ada@engines.co.uk')[1], 'a company’s two domains')
  same(keyOf('email', 'info@engines.com').length, 1, 'not what many share')
  same(keyOf('email', 'ada@yahoo.com').length, 1, 'nor where anybody has an address')
  same(keyOf('phone', '+44 20 7946 0123'), keyOf('phone', '+442079460123'))
  t.notSame(keyOf('phone', '+44 20 7946 0123 ext. 7'), keyOf('phone', '+442079460123'), 'an extension rings at another')
  same(keyOf('phone', '0123'), [], 'a number of which nobody knows the country')
  same(keyOf('social', 'https://www.social.example/Ada/'), keyOf('social', 'http://social.example/ada'))
  same(keyOf('address', 'Somewhere 1'), [])
})

const people = ['ada', 'bob', 'cyd', 'dee', 'eve'].map(idOf)
const contactId = fc.constantFrom(...people)
const name = fc.constantFrom('Ada Lovelace', 'Lovelace, Ada', 'Ada', 'Bob')
const company = fc.constantFrom('Engines Ltd', 'Engines', 'Navy', null)
const method = fc
  .constantFrom(
    ['phone', '+442079460123'],
    ['phone', '+44 20 7946 0123'],
    ['email', 'ada@engines.com'],
    ['email', 'ada+x@engines.com'],
    ['email', 'ada@engines.co.uk'],
    ['social', 'https://social.example/ada'],
    ['url', 'https://ada.example'],
  )
  .map(([type, value]) => toMethod(idOf(value!), { type: type as Method['type'], value: value! }))
const pair = fc.uniqueArray(contactId, { minLength: 2, maxLength: 2 }).map((ids) => {
  const [contactId, otherId] = ids.toSorted() as [string, string]
  return { pairId: contactId, contactId, otherId }
})
const event = fc.oneof(
  pair.map(DuplicateDismissed),
  pair.map(DuplicateReconsidered),
  fc.record({ contactId }).map(ContactArchived),
  fc.record({ contactId }).map(ContactRestored),
  { weight: 3, arbitrary: fc.record({ contactId, method }).map(ContactMethodAdded) },
  fc.record({ contactId, methodId: method.map(({ id }) => id) }).map(ContactMethodRemoved),
  fc.record({ contactId, name }).map(ContactRenamed),
  fc.record({ contactId, company }).map(ContactCompanyChanged),
  fc.record({ contactId, into: contactId, mergeId: contactId, chosen: fc.constant<[]>([]) }).map(ContactMergedInto),
  fc
    .record({
      contactId,
      into: contactId,
      mergeId: contactId,
      archived: fc.boolean(),
      withheld: fc.constant<[]>([]),
      name,
      methods: fc.array(method, { maxLength: 2 }),
    })
    .map(ContactUnmergedFrom),
)

/** What the handlers keep of a contact, in plain words: its name, company and methods, or nothing while it is part of another. */
function factsOf(events: readonly NewEvent[], id: string) {
  let facts: { name: string; company: string | null; methods: Method[] } = { name: '', company: null, methods: [] }
  for (const { type, data } of events) {
    const said = data as { contactId: string; name: string; company?: string | null; method: Method; methodId: string; methods: Method[] }
    if (said.contactId !== id) continue
    if (type === 'ContactCreated' || type === 'ContactUnmergedFrom')
      facts = { name: said.name, company: said.company ?? null, methods: said.methods }
    if (type === 'ContactRenamed') facts = { ...facts, name: said.name }
    if (type === 'ContactCompanyChanged') facts = { ...facts, company: said.company! }
    if (type === 'ContactMethodAdded')
      facts = { ...facts, methods: [...facts.methods.filter((one) => one.id !== said.method.id), said.method] }
    if (type === 'ContactMethodRemoved') facts = { ...facts, methods: facts.methods.filter((one) => one.id !== said.methodId) }
    if (type === 'ContactMergedInto') facts = { name: '', company: null, methods: [] }
  }
  return facts
}

/** Whether the last of the events that say so says that it is. */
const isSaid = (events: readonly NewEvent[], about: object, yes: string, no: string) =>
  events.findLast(
    ({ type, data }) =>
      (type === yes || type === no) && Object.entries(about).every(([name, id]) => (data as Record<string, string>)[name] === id),
  )?.type === yes
const isArchived = (events: readonly NewEvent[], contactId: string) => {
  const said = events.flatMap(({ type, data }): boolean[] => {
    if ((data as { contactId: string }).contactId !== contactId) return []
    if (type === 'ContactUnmergedFrom') return [(data as { archived: boolean }).archived]
    return type === 'ContactArchived' ? [true] : type === 'ContactRestored' ? [false] : []
  })
  return said.at(-1) ?? false
}

function expected(events: readonly NewEvent[]) {
  const rows: object[] = []
  for (const [index, a] of people.entries())
    for (const b of people.slice(index + 1)) {
      const [one, other] = [factsOf(events, a), factsOf(events, b)]
      const keys = ({ methods }: typeof one) =>
        new Set(methods.flatMap((method) => keysOfMethod(method).map(({ kind, key }) => `${kind} ${key}`)))
      const shared = [...keys(one).intersection(keys(other))].map((key) => key.split(' ')[0]!)
      const reasonOf: Record<string, DuplicateReason> = {
        phone: 'same-phone',
        alias: 'alias-address',
        profile: 'same-profile',
        website: 'same-website',
        local: 'same-local-part',
      }
      const reasons = new Set(shared.map((kind) => reasonOf[kind]!))
      const [nameKey, companies] = [keysOfName(one.name)[0]?.key, [one, other].map(({ company }) => keysOfCompany(company)[0]?.key)]
      if (nameKey && nameKey === keysOfName(other.name)[0]?.key) {
        if (companies[0] && companies[0] === companies[1]) reasons.add('same-name-and-company')
        else if (companies.includes(undefined) && nameKey.includes(' ')) reasons.add('same-name')
      }
      if (reasons.has('alias-address')) reasons.delete('same-local-part')
      if (reasons.size === 0) continue
      if (isArchived(events, a) && isArchived(events, b)) continue
      const doubt = [...reasons].reduce((left, reason) => left * (1 - duplicateReasons[reason]), 1)
      const [contactId, otherId] = [a, b].toSorted() as [string, string]
      if (isSaid(events, { contactId, otherId }, 'DuplicateDismissed', 'DuplicateReconsidered')) continue
      rows.push({ contactId, otherId, score: Math.round(1000 * (1 - doubt)), reasons: [...reasons].sort() })
    }
  return inOrder(rows as never, duplicatePairs)
}

t.test('after any history, cut into any batches, the pairs are those that looking at each two finds', async (t) => {
  const tables = await readTables(t, [duplicates])
  const created = people.map((contactId) => ContactCreated({ contactId, name: 'Ada Lovelace', methods: [] }))
  await fc.assert(
    fc.asyncProperty(
      fc.array(event, { maxLength: 16 }),
      fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 10 }),
      async (history, cuts) => {
        for (const { sql: table } of Object.values(duplicates.tables)) await tables.pool.rows(sql.unsafe`delete from ${table}`)
        const events = [...created, ...history]
        const all = recorded(...events)
        for (let from = 0, n = 0; from < all.length; n += 1) {
          const to = from + (cuts[n] ?? 3)
          await tables.project(all.slice(from, to))
          from = to
          deepStrictEqual(inOrder(await storedRows(tables.pool, duplicatePairs), duplicatePairs), expected(events.slice(0, to)))
        }
        await tables.makeAnew(duplicates)
      },
    ),
    { numRuns: 80 },
  )
  t.pass('they are')
})

t.test('what more than fifty share is no reason, until it is shared by fewer', async (t) => {
  const tables = await readTables(t, [duplicates])
  const switchboard = toMethod(idOf('switchboard'), { type: 'phone', value: '+442079460123' })
  const many = Array.from({ length: 51 }, (_, n) =>
    ContactCreated({ contactId: idOf(`person ${n}`), name: `Person ${n}`, methods: [switchboard] }),
  )
  const count = async () => (await storedRows(tables.pool, duplicatePairs)).length
  const all = recorded(...many, ContactMethodRemoved({ contactId: idOf('person 7'), methodId: switchboard.id }))
  await tables.project(all.slice(0, 50))
  t.equal(await count(), (50 * 49) / 2)
  await tables.project(all.slice(50, 51))
  t.equal(await count(), 0)
  await tables.makeAnew(duplicates)
  await tables.project(all.slice(51))
  t.equal(await count(), (50 * 49) / 2)
  await tables.makeAnew(duplicates)
  t.equal((await storedRows(tables.pool, duplicateKeys)).length, 51 + 50)
})
