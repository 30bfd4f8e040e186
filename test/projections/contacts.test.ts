import t, { type Test } from 'tap'
import { type ContactRow, contactFromMemory, contacts, type MethodRow, toContact } from '../../projections/contacts.ts'
import { projections, queries } from '../../projections/index.ts'
import type { Contact } from '../../schema/contact.ts'
import { contactEvents, type Method } from '../../schema/contact-events.ts'
import type { NewEvent } from '../../schema/define.ts'
import { sql } from '../../src/platform/database.ts'
import { type Row, snake } from '../../src/platform/projection.ts'
import { foldInMemory, refreshedTables } from '../../src/platform/rows.ts'
import { idOf, minute, readTables, recorded } from './support.ts'

const {
  ContactCreated,
  ContactRenamed,
  ContactCompanyChanged,
  ContactMethodAdded,
  ContactMethodRemoved,
  ContactArchived,
  ContactRestored,
  NoteAdded,
} = contactEvents

const ada = idOf('ada')
const bob = idOf('bob')
const email: Method = { id: idOf('email'), type: 'email', value: 'Ada@Example.com', normalized: 'ada@example.com', label: 'work' }
const phone: Method = { id: idOf('phone'), type: 'phone', value: '+442079460123', raw: '020 7946 0123' }
const website: Method = { id: idOf('website'), type: 'url', value: 'https://ada.example' }

/** Two contacts alike but for their names and the order of their methods, so that what is meant for one and reaches both is seen. */
const created = [
  ContactCreated({ contactId: ada, name: 'Ada Lovelace', company: 'Engines', methods: [email, phone] }),
  ContactCreated({ contactId: bob, name: 'Bob Babbage', company: 'Engines', methods: [phone, email] }),
]
const adaCreated: Contact = {
  id: ada,
  name: 'Ada Lovelace',
  company: 'Engines',
  methods: [email, phone],
  archived: false,
  createdAt: minute(0),
  updatedAt: minute(0),
  revision: 0,
}
const bobCreated: Contact = {
  ...adaCreated,
  id: bob,
  name: 'Bob Babbage',
  methods: [phone, email],
  createdAt: minute(1),
  updatedAt: minute(1),
}

const noMail = { emailsReceived: 0, emailsSent: 0, lastEmailAt: null }
const getContact = queries.find(({ operationId }) => operationId === 'getContact')!

const tables = await readTables(t, projections)

/** Ada after the events, from memory and from Postgres; that both agree on every row of every table and Bob is as he was, is checked here. */
async function adaAfter(t: Test, ...events: NewEvent[]): Promise<Contact | null> {
  await tables.empty()
  const history = recorded(...created, ...events)
  await tables.project(history)
  for (const projection of projections) {
    const memory = foldInMemory(projection, history)
    for (const [noun, table] of Object.entries(projection.tables)) {
      if (refreshedTables(projection).includes(table.name)) continue
      const columns = Object.keys(table.columns).map(
        (column) => sql.fragment`${sql.identifier([snake(column)])} as ${sql.identifier([column])}`,
      )
      const stored = await tables.pool.rows<Row>(sql.unsafe`select ${sql.join(columns, sql.fragment`, `)} from ${table.sql}`)
      const inKeyOrder = (rows: Row[]) => rows.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
      const keyOf = (row: Row) => JSON.stringify(table.key.map((column) => row[column]))
      t.same(inKeyOrder(stored), inKeyOrder(memory.rows(noun)), `${table.name} is the same in memory and in Postgres`)
    }
  }
  const memory = foldInMemory(contacts, history)
  t.same(contactFromMemory(memory, bob), bobCreated, 'the other contact is untouched')
  t.same(await tables.ask(getContact, {}, { id: bob }), { ...bobCreated, ...noMail })
  const asked = await tables.ask<Contact | null>(getContact, {}, { id: ada })
  if (asked === null) return null
  const { emailsReceived, emailsSent, lastEmailAt, ...contact } = asked
  t.same({ emailsReceived, emailsSent, lastEmailAt }, noMail)
  t.same(contactFromMemory(memory, ada), contact, 'and memory says the same, but nothing of mail')
  return contact
}

t.test('a created contact has what it was created with', async (t) => {
  t.same(await adaAfter(t), adaCreated)
})

t.test('a contact created without company has none, and none that was given is left out of its methods', async (t) => {
  await tables.empty()
  await tables.project(recorded(ContactCreated({ contactId: ada, name: 'Ada', methods: [website] })))
  const contact = await tables.ask<Contact>(getContact, {}, { id: ada })
  t.same(contact.company, null)
  t.strictSame(contact.methods, [website])
})

t.test('a renamed contact has its new name', async (t) => {
  t.same(await adaAfter(t, ContactRenamed({ contactId: ada, name: 'Ada King' })), {
    ...adaCreated,
    name: 'Ada King',
    updatedAt: minute(2),
    revision: 1,
  })
})

t.test('a changed company is the new one, and one taken away is null', async (t) => {
  const changed = { ...adaCreated, company: 'Looms', updatedAt: minute(2), revision: 1 }
  t.same(await adaAfter(t, ContactCompanyChanged({ contactId: ada, company: 'Looms' })), changed)
  t.same(await adaAfter(t, ContactCompanyChanged({ contactId: ada, company: null })), { ...changed, company: null })
})

t.test('an added method comes after those that are there', async (t) => {
  const added = [ContactMethodAdded({ contactId: ada, method: website })]
  t.same(await adaAfter(t, ...added), { ...adaCreated, methods: [email, phone, website], updatedAt: minute(2), revision: 1 })
})

t.test('a removed method is gone, and comes last when it is added again', async (t) => {
  const removed = ContactMethodRemoved({ contactId: ada, methodId: email.id })
  t.same(await adaAfter(t, removed), { ...adaCreated, methods: [phone], updatedAt: minute(2), revision: 1 })
  const again = await adaAfter(t, removed, ContactMethodAdded({ contactId: ada, method: email }))
  t.same(again, { ...adaCreated, methods: [phone, email], updatedAt: minute(3), revision: 2 })
})

t.test('an archived contact is still there, and a restored one is as before', async (t) => {
  const archived = ContactArchived({ contactId: ada })
  t.same(await adaAfter(t, archived), { ...adaCreated, archived: true, updatedAt: minute(2), revision: 1 })
  const restored = await adaAfter(t, archived, ContactRestored({ contactId: ada }))
  t.same(restored, { ...adaCreated, updatedAt: minute(3), revision: 2 })
})

t.test('a note changes only when the contact was touched', async (t) => {
  const note = NoteAdded({ contactId: ada, noteId: idOf('note'), text: 'Met at the Royal Society.' })
  t.same(await adaAfter(t, note), { ...adaCreated, updatedAt: minute(2), revision: 1 })
})

t.test('who was never created is not there', async (t) => {
  await tables.empty()
  await tables.project(recorded(...created))
  t.equal(await tables.ask(getContact, {}, { id: idOf('nobody') }), null)
  t.equal(contactFromMemory(foldInMemory(contacts, recorded(...created)), idOf('nobody')), null)
})

t.test('text of any length and of any characters is stored and found again', async (t) => {
  await tables.empty()
  const name = `😀\0\ud800${'é'.repeat(3_000)}`
  const method: Method = { id: idOf('long'), type: 'other', value: '漢😀'.repeat(2_000) }
  await tables.project(recorded(ContactCreated({ contactId: ada, name, company: '漢'.repeat(3_000), methods: [method] })))
  const contact = await tables.ask<Contact>(getContact, {}, { id: ada })
  t.equal(contact.name.length, name.length)
  t.strictSame(contact.methods, [method])
  const listContacts = queries.find(({ operationId }) => operationId === 'listContacts')!
  const { data } = await tables.ask<{ data: Contact[] }>(listContacts, { method: method.value, company: '漢'.repeat(3_000), sort: 'name' })
  t.same(data, [contact])
})

t.test('methods are in the order in which they were added, in whatever order their rows come', async (t) => {
  const rows = foldInMemory(contacts, recorded(created[1]!, ContactMethodAdded({ contactId: bob, method: website })))
  const contact = rows.rows('contacts')[0] as ContactRow
  const methods = rows.rows('contactMethods') as MethodRow[]
  for (const shuffled of [methods, methods.toReversed(), methods.toSorted((a, b) => (a.value < b.value ? -1 : 1))]) {
    t.same(toContact(contact, shuffled, []).methods, [phone, email, website])
  }
})
