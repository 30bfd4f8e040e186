import t from 'tap'
import { contactEvents } from '../../schema/contact-events.ts'
import { contactHistory } from '../../src/contacts/past.ts'
import type { Database } from '../../src/platform/database.ts'
import { everybody } from '../../src/platform/viewer.ts'
import { recorded } from '../support/projections.ts'

const { ContactCreated, ContactRenamed } = contactEvents
const contactId = '6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11'
const none = { rows: async () => [] } as unknown as Database

t.test('the history folds each event once, however many there are', async (t) => {
  const names = Array.from({ length: 500 }, (_, number) => `Name ${number}`)
  const events = recorded([
    ContactCreated({ contactId, name: 'Ada', methods: [] }),
    ...names.map((name) => ContactRenamed({ contactId, name })),
  ])
  let folded = 0
  for (const event of events) {
    Object.defineProperty(event, 'erased', {
      get() {
        folded += 1
        return false
      },
    })
  }
  const history = await contactHistory(async () => events, { resolve: async () => null }).run(none, {
    params: { id: contactId },
    query: {},
    viewer: everybody,
  })
  const { data } = history as { data: { changes: object[] }[] }
  t.equal(data.length, 501)
  t.strictSame(data.at(-1)!.changes, [{ field: '/name', from: 'Name 498', to: 'Name 499' }])
  t.equal(folded, 2 * 501, 'each is asked whether it was erased, and then folded')
})
