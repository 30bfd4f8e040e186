import fc from 'fast-check'
import t from 'tap'
import { projections, queries } from '../../projections/index.ts'
import type { Contact } from '../../schema/contact.ts'
import { contactEvents, type Method } from '../../schema/contact-events.ts'
import type { NewEvent } from '../../schema/define.ts'
import { Invalid } from '../../src/platform/refusal.ts'
import { idOf, minute, type ReadTables, readTables, recorded } from './support.ts'

const { ContactCreated, ContactArchived, ContactRenamed, ContactCompanyChanged, ContactMethodRemoved } = contactEvents
const listContacts = queries.find(({ operationId }) => operationId === 'listContacts')!
type Page = { data: Contact[]; nextCursor: string | null }

const email = (value: string): Method => ({ id: idOf(value), type: 'email', value, normalized: value.toLowerCase() })
const phone = (value: string, raw: string): Method => ({ id: idOf(value), type: 'phone', value, raw })
const person = (name: string, company?: string, ...methods: Method[]) =>
  ContactCreated({ contactId: idOf(name), name, ...(company && { company }), methods })

/** Tables with these events, and the names that the list gives for a query. */
const tables = await readTables(t, projections)

async function withContacts(...events: NewEvent[]) {
  await tables.empty()
  await tables.project(recorded(...events))
  const names = async (query: Record<string, unknown>) => (await tables.ask<Page>(listContacts, query)).data.map((contact) => contact.name)
  return { ...tables, names }
}

async function allPages({ ask }: ReadTables, query: Record<string, unknown>): Promise<Contact[]> {
  const found: Contact[] = []
  let cursor: string | null = null
  do {
    const page: Page = await ask<Page>(listContacts, { ...query, ...(cursor && { cursor }) })
    found.push(...page.data)
    cursor = page.nextCursor
  } while (cursor)
  return found
}

const noMail = { emailsReceived: 0, emailsSent: 0, lastEmailAt: null }

t.test('without a sort the newest come first, whole', async (t) => {
  const { ask } = await withContacts(person('Ada', 'Engines', email('Ada@example.com')), person('Bob'))
  const { data, nextCursor } = await ask<Page>(listContacts)
  t.equal(nextCursor, null)
  t.strictSame(data, [
    {
      id: idOf('Bob'),
      name: 'Bob',
      company: null,
      methods: [],
      archived: false,
      createdAt: minute(1),
      updatedAt: minute(1),
      revision: 0,
      ...noMail,
    },
    {
      id: idOf('Ada'),
      name: 'Ada',
      company: 'Engines',
      methods: [email('Ada@example.com')],
      archived: false,
      createdAt: minute(0),
      updatedAt: minute(0),
      revision: 0,
      ...noMail,
    },
  ])
})

t.test('names are sorted without regard to case and accents', async (t) => {
  const { names } = await withContacts(person('zoe'), person('Émile'), person('ada'), person('Eva'), person('Zacharias'))
  t.same(await names({ sort: 'name' }), ['ada', 'Émile', 'Eva', 'Zacharias', 'zoe'])
  t.same(await names({ sort: '-name' }), ['zoe', 'Zacharias', 'Eva', 'Émile', 'ada'])
})

t.test('filters keep what they say', async (t) => {
  const { names } = await withContacts(
    person('Ada', 'Société Générale', email('Ada@Example.com')),
    person('Bob', 'Engines', phone('+442079460123', '020 7946 0123')),
    person('Cyd', 'Engines', email('cyd@example.com')),
    ContactArchived({ contactId: idOf('Cyd') }),
    ContactRenamed({ contactId: idOf('Ada'), name: 'Ada King' }),
  )
  for (const [query, expected] of [
    [{ company: 'societe generale' }, ['Ada King']],
    [{ company: 'societe' }, []],
    [{ archived: 'false' }, ['Bob', 'Ada King']],
    [{ archived: 'true' }, ['Cyd']],
    [{ archived: 'any' }, ['Cyd', 'Bob', 'Ada King']],
    [{ archived: 'any', company: 'ENGINES' }, ['Cyd', 'Bob']],
    [{ method: 'ADA@example.com' }, ['Ada King']],
    [{ method: 'ada' }, []],
    [{ method: '020 7946 0123' }, ['Bob']],
    [{ method: '+44 20 7946-0123' }, ['Bob']],
    [{ method: 'cyd@example.com' }, []],
    [{ createdAfter: minute(0) }, ['Bob']],
    [{ createdBefore: minute(1) }, ['Ada King']],
    [{ createdBefore: '2026-03-01T01:01:00+01:00' }, ['Ada King']],
    [{ updatedAfter: minute(3) }, ['Ada King']],
    [{ updatedAfter: minute(4), archived: 'any' }, []],
    [{ updatedAfter: minute(2), archived: 'any', sort: 'updatedAt' }, ['Cyd', 'Ada King']],
  ] as [Record<string, unknown>, string[]][]) {
    t.same(await names(query), expected, JSON.stringify(query))
  }
})

t.test('a search finds typos, parts, digits and words without their accents', async (t) => {
  const { names } = await withContacts(
    person('Shelley Kerluke', 'Gottlieb and Sons', email('Shelley_K47@hotmail.example')),
    person('José María Pérez', 'Łódź Works', phone('+34911234567', '911 234 567')),
    person("Miles O'Brien", 'Starfleet 100%', email('chief@ds9.example')),
    person('Иван Петров', '田中商店'),
  )
  for (const [q, expected] of [
    ['Kerluk', ['Shelley Kerluke']],
    ['kerlike', ['Shelley Kerluke']],
    ['Kerulke', ['Shelley Kerluke']],
    ['SHELLY', ['Shelley Kerluke']],
    ['Jose', ['José María Pérez']],
    ['perez jose', ['José María Pérez']],
    ['lodz', ['José María Pérez']],
    ['jo pe', ['José María Pérez']],
    ['obrien', ["Miles O'Brien"]],
    ["O'Brien", ["Miles O'Brien"]],
    ['gotlieb kerluke', ['Shelley Kerluke']],
    ['kerluke starfleet', []],
    ['y_k47@hotm', ['Shelley Kerluke']],
    ['shelly_k47@hotmale.example', ['Shelley Kerluke']],
    ['nobody@hotmail.example', []],
    ['c%@d', []],
    ['hotmail', ['Shelley Kerluke']],
    ['1234567', ['José María Pérez']],
    ['0911 234-567', ['José María Pérez']],
    ['1234', ['José María Pérez']],
    ['петров', ['Иван Петров']],
    ['商店', ['Иван Петров']],
    ['中', ['Иван Петров']],
    ['xylophone', []],
  ] as [string, string[]][]) {
    t.same((await names({ q })).slice(0, expected.length || 1), expected, q)
  }
})

t.test('a search follows what changes', async (t) => {
  const { names } = await withContacts(
    person('Ada Lovelace', 'Engines', email('countess@example.com')),
    person('Bob Lovelace', 'Engines', email('countess@example.org')),
    ContactRenamed({ contactId: idOf('Ada Lovelace'), name: 'Ada King' }),
    ContactCompanyChanged({ contactId: idOf('Ada Lovelace'), company: null }),
    ContactMethodRemoved({ contactId: idOf('Ada Lovelace'), methodId: idOf('countess@example.com') }),
  )
  for (const q of ['lovelace', 'engines', 'countess']) t.same(await names({ q }), ['Bob Lovelace'], q)
  t.same(await names({ q: 'king' }), ['Ada King'])
  t.same(await names({ method: 'countess@example.com' }), [])
})

t.test('the best match comes first: the word, its beginning, inside it, alike; among equals names, companies, methods', async (t) => {
  const { names } = await withContacts(
    person('Zed', undefined, email('marten@example.com')),
    person('Yan', 'Marten'),
    person('Jo Marlen'),
    person('Jo Smarten'),
    person('Jo Martensen'),
    person('Jo Marten Jacobson'),
    person('Marten'),
  )
  const best = ['Marten', 'Jo Marten Jacobson', 'Jo Martensen', 'Yan', 'Zed', 'Jo Smarten', 'Jo Marlen']
  t.same(await names({ q: 'marten' }), best)
  t.same(await names({ q: 'marten', sort: 'name' }), best.toSorted(), 'a sort that is asked for goes before')
})

t.test('pages follow each other without gap or repetition, with every sort and many equal keys', async (t) => {
  const plain = (name: string) => name.normalize('NFD').replaceAll(/\p{M}/gu, '').toLowerCase()
  const keys = {
    name: ({ name }: Contact) => plain(name),
    createdAt: ({ createdAt }: Contact) => createdAt,
    updatedAt: ({ updatedAt }: Contact) => updatedAt,
  }
  const contact = fc.record({
    id: fc.uuid(),
    name: fc.constantFrom('Ada', 'ada', 'Ådá', 'Bob', 'Élan', 'elan', 'Zoe'),
    minute: fc.nat(3),
    archivedAt: fc.option(fc.nat(3)),
  })
  const property = fc.asyncProperty(
    fc.uniqueArray(contact, { selector: ({ id }) => id, maxLength: 25 }),
    fc.constantFrom('name', 'createdAt', 'updatedAt'),
    fc.boolean(),
    fc.integer({ min: 1, max: 8 }),
    fc.constantFrom('false', 'true', 'any'),
    fc.constantFrom(undefined, 'a'),
    async (contacts, key, descending, limit, archived, q) => {
      await tables.empty()
      const events = contacts.flatMap(({ id: contactId, name, minute: created, archivedAt }) => {
        const [first, second] = recorded(ContactCreated({ contactId, name, methods: [] }), ContactArchived({ contactId }))
        const at = (event: typeof first, n: number) => ({ ...event!, meta: { ...event!.meta, at: minute(n) } })
        return [at(first, created), ...(archivedAt === null ? [] : [at(second, 3 + archivedAt)])]
      })
      await tables.project(events)
      const everyone = await allPages(tables, { limit: 200, archived: 'any' })
      if (everyone.length !== contacts.length) throw new Error('not everyone is listed')

      const sortKey = keys[key]
      const expected = everyone
        .filter((contact) => archived === 'any' || contact.archived === (archived === 'true'))
        .filter(({ name }) => q === undefined || plain(name).startsWith(q))
        .map((contact): [string, string] => [sortKey(contact), contact.id])
        .toSorted((a, b) => (descending ? -1 : 1) * (a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]) ? -1 : 1))
      const query = { limit, archived, sort: `${descending ? '-' : ''}${key}`, ...(q && { q }) }
      const paged = await allPages(tables, query)
      t.strictSame(
        paged.map((contact) => [sortKey(contact), contact.id]),
        expected,
      )
    },
  )
  await fc.assert(property, { numRuns: 60 })
})

t.test('pages of a search by rank follow each other too', async (t) => {
  const people = Array.from({ length: 23 }, (_, n) => person(`Marten ${'x'.repeat(n % 4)}${n}`))
  const tables = await withContacts(...people)
  const whole = await tables.names({ q: 'marten', limit: 200 })
  t.equal(whole.length, 23)
  t.same(
    (await allPages(tables, { q: 'marten', limit: 4 })).map(({ name }) => name),
    whole,
  )
})

t.test('who comes or goes between two pages hides nobody else', async (t) => {
  const tables = await withContacts(person('Ada'), person('Bob'), person('Cyd'), person('Dan'))
  const first = await tables.ask<Page>(listContacts, { sort: 'name', limit: 2 })
  await tables.project(recorded(person('Aaron'), ContactRenamed({ contactId: idOf('Bob'), name: 'Aaron' })))
  t.same(await tables.names({ sort: 'name', limit: 2, cursor: first.nextCursor }), ['Cyd', 'Dan'])
})

t.test('a cursor that is none, or of another list, is refused in a sentence', async (t) => {
  const tables = await withContacts(person('Ada'), person('Bob'), person('Cyd'))
  const { nextCursor: cursor } = await tables.ask<Page>(listContacts, { sort: 'name', limit: 1 })
  const { nextCursor: byTime } = await tables.ask<Page>(listContacts, { sort: 'createdAt', limit: 1 })
  const [scope, key, id] = JSON.parse(Buffer.from(cursor!, 'base64url').toString())
  const [timeScope] = JSON.parse(Buffer.from(byTime!, 'base64url').toString())
  const forged = (...values: unknown[]) => Buffer.from(JSON.stringify(values)).toString('base64url')
  t.same(await tables.names({ sort: 'name', limit: 200, cursor }), ['Bob', 'Cyd'], 'another limit is no other list')
  for (const [query, message] of [
    [{ sort: 'name', cursor: 'x' }, /is no cursor/],
    [{ sort: 'name', cursor: '' }, /is no cursor/],
    [{ sort: 'name', cursor: forged({}) }, /another sort or other filters/],
    [{ sort: '-name', cursor }, /another sort or other filters/],
    [{ sort: 'name', company: 'Engines', cursor }, /another sort or other filters/],
    [{ sort: 'name', archived: 'any', cursor }, /another sort or other filters/],
    [{ sort: 'name', q: 'ada', cursor }, /another sort or other filters/],
    [{ sort: 'name', cursor: forged(scope, key) }, /is damaged/],
    [{ sort: 'name', cursor: forged(scope, key, 'x') }, /is damaged/],
    [{ sort: 'name', cursor: forged(scope, 'a\0', id) }, /is damaged/],
    [{ sort: 'name', cursor: forged(scope, null, id) }, /is damaged/],
    [{ sort: 'createdAt', cursor: forged(timeScope, '2026-02-31T00:00:00.000Z', id) }, /is damaged/],
    [{ sort: 'createdAt', cursor: forged(timeScope, '0000-01-01T00:00:00.000Z', id) }, /is damaged/],
  ] as [Record<string, unknown>, RegExp][]) {
    const error = await tables.ask<Invalid>(listContacts, query).catch((error: Invalid) => error)
    t.ok(error instanceof Invalid, JSON.stringify(query))
    t.match(error.faults, [{ path: '/querystring/cursor', message }])
  }
})

t.test('a filter that means nothing is refused in a sentence, all at once', async (t) => {
  const { ask } = await withContacts()
  const search = await ask<Invalid>(listContacts, { q: '?!' }).catch((error: Invalid) => error)
  t.match(search.faults, [{ path: '/querystring/q', message: /letter or digit/ }])
  const instants = await ask<Invalid>(listContacts, { createdAfter: 'yesterday', updatedAfter: '2026-03-01T09:30:00' }).catch(
    (error: Invalid) => error,
  )
  t.match(instants.faults, [{ path: '/querystring/createdAfter' }, { path: '/querystring/updatedAfter' }])
})
