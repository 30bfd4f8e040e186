import t from 'tap'
import { projections, queries } from '../../projections/index.ts'
import type { TimelineEntry } from '../../schema/contact.ts'
import { contactEvents, type Method } from '../../schema/contact-events.ts'
import { Invalid } from '../../src/platform/refusal.ts'
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
const getContactTimeline = queries.find(({ operationId }) => operationId === 'getContactTimeline')!
type Page = { data: TimelineEntry[]; nextCursor: string | null }

const ada = idOf('ada')
const bob = idOf('bob')
const email: Method = { id: idOf('email'), type: 'email', value: 'ada@example.com', normalized: 'ada@example.com' }
const phone: Method = { id: idOf('phone'), type: 'phone', value: '+442079460123', raw: '020 7946 0123' }

const history = recorded(
  ContactCreated({ contactId: ada, name: 'Ada', company: 'Engines', methods: [email] }),
  ContactRenamed({ contactId: ada, name: 'Ada King' }),
  ContactCompanyChanged({ contactId: ada, company: null }),
  ContactMethodAdded({ contactId: ada, method: phone }),
  ContactMethodRemoved({ contactId: ada, methodId: phone.id }),
  ContactMethodRemoved({ contactId: ada, methodId: email.id }),
  ContactArchived({ contactId: ada }),
  ContactRestored({ contactId: ada }),
  NoteAdded({ contactId: ada, noteId: idOf('note'), text: 'Met at the Royal Society.' }),
  // Bob's methods have the ids of Ada's.
  ContactCreated({ contactId: bob, name: 'Bob', methods: [{ ...email, value: 'bob@example.com' }] }),
  NoteAdded({ contactId: bob, noteId: idOf('note'), text: 'Only of Bob.' }),
)

const { project, ask } = await readTables(t, projections)
await project(history)

t.test("a person's timeline tells everything that happened with them alone, the newest first, with what the event said", async (t) => {
  const { data, nextCursor } = await ask<Page>(getContactTimeline, {}, { id: ada })
  t.equal(nextCursor, null)
  const said = [
    { kind: 'created', name: 'Ada', company: 'Engines', methods: [email] },
    { kind: 'renamed', name: 'Ada King' },
    { kind: 'company-changed', company: null },
    { kind: 'method-added', method: phone },
    { kind: 'method-removed', methodId: phone.id, method: phone },
    { kind: 'method-removed', methodId: email.id, method: email },
    { kind: 'archived' },
    { kind: 'restored' },
    { kind: 'note', noteId: idOf('note'), text: 'Met at the Royal Society.' },
  ]
  const expected = said.map(({ kind, ...details }, n) => ({
    kind,
    at: minute(n),
    actor: 'key:test',
    eventId: idOf(`event ${n}`),
    revision: n,
    ...details,
  }))
  t.strictSame(data, expected.reverse())
})

t.test('pages of a timeline follow each other, the last one says so', async (t) => {
  const whole = await ask<Page>(getContactTimeline, {}, { id: ada })
  const first = await ask<Page>(getContactTimeline, { limit: 4 }, { id: ada })
  const second = await ask<Page>(getContactTimeline, { limit: 5, cursor: first.nextCursor }, { id: ada })
  t.same([...first.data, ...second.data], whole.data)
  t.equal(second.nextCursor, null)
})

t.test("another contact's cursor is refused", async (t) => {
  const { nextCursor: cursor } = await ask<Page>(getContactTimeline, { limit: 1 }, { id: ada })
  await t.rejects(ask(getContactTimeline, { cursor }, { id: bob }), Invalid)
})

t.test('who was never created has no timeline', async (t) => {
  t.equal(await ask(getContactTimeline, {}, { id: idOf('nobody') }), null)
})
