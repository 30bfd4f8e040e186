import { randomUUID } from 'node:crypto'
import t from 'tap'
import { contactEvents } from '../../schema/contact-events.ts'
import { archiveContact } from '../../src/contacts/archive.ts'
import { addContactMethod, createContact, updateContact } from '../../src/contacts/contact.ts'
import { addNote } from '../../src/contacts/note.ts'
import { Corrupt, NO_HEAD } from '../../src/platform/codec.ts'
import { sql } from '../../src/platform/database.ts'
import { Unavailable } from '../../src/platform/refusal.ts'
import { headOf, type Outcome } from '../../src/platform/runner.ts'
import { refusalOf, request, testServices } from '../support/services.ts'

const address = () => `${randomUUID()}@example.com`
const email = (value: string) => ({ type: 'email' as const, value })
/** All that an answer is made of, but for what says that it is a repeat. */
const answerOf = ({ status, id, events, made }: Outcome) => ({
  status,
  id,
  made,
  events: events.map(({ id, type, revision, data, meta }) => ({ id, type, revision, data, meta })),
})

const { open } = await testServices(t)
const [here, there] = [await open(), await open()]
const create = (name = 'Ada') => here.runner.execute(createContact, { name }, {}, request())
const stream = (id: string) => here.store.readStream(`contact-${id}`)

t.test('one command from ten callers at once, in two processes', async (t) => {
  const existing = await create()
  const cases: [string, Parameters<typeof here.runner.execute>[0], object, Record<string, string>, number][] = [
    ['creates one contact', createContact, { name: 'Ada', methods: [email(address()), email(address())] }, {}, 1],
    ['creates one with many addresses', createContact, { name: 'Ada', methods: Array.from({ length: 15 }, () => email(address())) }, {}, 1],
    ['renames once', updateContact, { name: 'Grace', company: 'Navy' }, { id: existing.id }, 2],
    ['writes one note', addNote, { text: 'Met.' }, { id: existing.id }, 1],
    ['adds one address', addContactMethod, email(address()), { id: existing.id }, 1],
  ]
  for (const [title, command, body, params, made] of cases)
    t.test(title, async (t) => {
      const asked = request()
      const outcomes = await Promise.all(
        Array.from({ length: 10 }, (_, n) => (n % 2 ? here : there).runner.execute(command, body, params, asked)),
      )
      const [first, ...others] = outcomes.map(answerOf)
      t.equal(first!.made, made)
      for (const other of others) t.same(other, first)
      t.equal(outcomes.filter(({ repeated }) => !repeated).length, 1, 'one of them did it')
      const mine = (await here.runner.load(`contact-${first!.id}`)).filter(({ meta }) => meta.commandId === asked.commandId)
      t.equal(mine.length, made)
      const again = await there.runner.execute(command, body, params, asked)
      t.same(answerOf(again), first, 'and later still')
      t.same(again.position, mine.at(-1)!.position)
    })
})

t.test('a repeat is answered as the first time, whatever happened since', async (t) => {
  const asked = request()
  const first = await here.runner.execute(createContact, { name: 'Ada' }, {}, asked)
  await here.runner.execute(updateContact, { name: 'Grace' }, { id: first.id }, request())
  await here.runner.execute(archiveContact, {}, { id: first.id }, request())
  const again = await there.runner.execute(createContact, { name: 'Ada' }, {}, asked)
  t.same(answerOf(again), answerOf(first))
  t.ok(again.repeated)
})

t.test('the same key for another request is refused', async (t) => {
  const asked = request()
  const { id } = await here.runner.execute(createContact, { name: 'Ada' }, {}, asked)
  const refusal = await refusalOf(here.runner.execute(createContact, { name: 'Grace' }, {}, { ...asked, request: 'something else' }))
  t.match(refusal, { code: 'idempotency-key-reused', status: 422 })
  t.equal((await stream(id)).length, 1)
})

t.test('If-Match', async (t) => {
  const { id } = await create()
  const rename = (name: string, ifMatch: number[] | '*', commandId?: string) =>
    here.runner.execute(updateContact, { name }, { id }, request(commandId, { ifMatch }))

  t.match(await refusalOf(rename('Grace', [7])), { code: 'revision-mismatch', status: 412 })
  t.match(await refusalOf(rename('Grace', [])), { status: 412 }, 'a tag that is not ours matches nothing')
  t.match(await refusalOf(rename('Ada', [7])), { status: 412 }, 'also where nothing would change')
  const key = randomUUID()
  const renamed = await rename('Grace', [5, 0], key)
  t.same(answerOf(await rename('Grace', [5, 0], key)), answerOf(renamed), 'a repeat is known before its If-Match is looked at')
  await rename('Joan', '*')
  const missing = here.runner.execute(updateContact, { name: 'X' }, { id: randomUUID() }, request(undefined, { ifMatch: '*' }))
  t.match(await refusalOf(missing), { status: 412 })

  const racing = await Promise.allSettled([rename('A', [2]), rename('B', [2]), rename('C', [2])])
  t.equal(racing.filter(({ status }) => status === 'fulfilled').length, 1, 'of several with one revision, one changes it')
  for (const result of racing) if (result.status === 'rejected') t.match(result.reason, { status: 412 })
})

t.test('different commands at once are each carried out once, or not and said so', async (t) => {
  const { id } = await create()
  const results = await Promise.allSettled(
    Array.from({ length: 8 }, (_, n) => (n % 2 ? here : there).runner.execute(addNote, { text: `note ${n}` }, { id }, request())),
  )
  const done = results.filter(({ status }) => status === 'fulfilled')
  t.ok(done.length > 0)
  for (const result of results) if (result.status === 'rejected') t.ok(result.reason instanceof Unavailable)
  const events = await here.runner.load(`contact-${id}`)
  t.equal(events.length - 1, done.length)
  t.same(
    events.map(({ revision }) => revision),
    events.map((_, index) => index),
  )
})

t.test('what changes nothing is 200, and leaves no trace', async (t) => {
  const { id } = await create()
  const asked = request()
  const outcome = await here.runner.execute(updateContact, { name: 'Ada' }, { id }, asked)
  t.match(outcome, { status: 200, made: 0, repeated: false, id })
  t.ok(outcome.position, 'it tells a position that has seen what it decided by')
  await here.runner.execute(updateContact, { name: 'Grace' }, { id }, request())
  t.match(await here.runner.execute(updateContact, { name: 'Ada' }, { id }, asked), { made: 1, repeated: false }, 'it is decided anew')
})

t.test('what is refused leaves no trace either', async (t) => {
  const id = randomUUID()
  const asked = request()
  t.match(await refusalOf(here.runner.execute(updateContact, { name: 'Ada' }, { id }, asked)), { code: 'contact-not-found', status: 404 })
  await here.runner.execute(createContact, { name: 'Grace', id }, {}, request())
  t.match(await here.runner.execute(updateContact, { name: 'Ada' }, { id }, asked), { made: 1 }, 'it is decided anew')
})

t.test('a create without a key needs no read, and one that finds its stream there decides anew', async (t) => {
  const asked = request(undefined, { fresh: true })
  const first = await here.runner.execute(createContact, { name: 'Ada' }, {}, asked)
  t.match(first, { status: 201, made: 1 })
  t.ok((await here.runner.execute(createContact, { name: 'Ada' }, {}, asked)).repeated)
})

t.test('every event tells its cause and is chained to the one before it', async (t) => {
  const asked = request(undefined, { correlationId: randomUUID(), causationId: randomUUID() })
  const { id } = await create()
  await here.runner.execute(updateContact, { name: 'Grace', company: 'Navy' }, { id }, asked)
  const [created, renamed, moved] = await here.runner.load(`contact-${id}`)
  t.match(renamed!.meta, {
    v: 1,
    actor: 'key:test',
    commandId: asked.commandId,
    request: asked.request,
    $correlationId: asked.correlationId,
    $causationId: asked.causationId!,
    prev: created!.meta.hash,
    key: created!.meta.key!,
  })
  t.equal(moved!.meta.prev, renamed!.meta.hash)
  t.equal(created!.meta.prev, null)
  t.equal(created!.meta.$causationId, created!.meta.commandId, 'a command is its own cause where nothing else was')
})

t.test('a stream whose chain is broken is corrupt', async (t) => {
  const { id } = await create()
  const name = `contact-${id}`
  const head = headOf(await here.runner.load(name))
  const cause = { at: new Date().toISOString(), actor: 'key:test', commandId: '', request: '', $correlationId: '', $causationId: '' }
  const forged = await here.codec.encode(
    [contactEvents.ContactRenamed({ contactId: id, name: 'Eve' })],
    name,
    { ...NO_HEAD, revision: 0 },
    cause,
  )
  await here.store.append(name, head.revision, forged)
  await t.rejects(here.runner.load(name), Corrupt)
  await t.rejects(here.runner.execute(updateContact, { name: 'Ada' }, { id }, request()), Corrupt)
})

t.test('what was erased is gone', async (t) => {
  const { id } = await create()
  const [event] = await here.runner.load(`contact-${id}`)
  await here.pool.rows(sql.unsafe`update vault.keys set wrapped = null, destroyed_at = now() where id = ${event!.meta.key!}`)
  const later = await open()
  t.match(await refusalOf(later.runner.execute(updateContact, { name: 'Ada' }, { id }, request())), { code: 'erased', status: 410 })
  t.match(await later.runner.load(`contact-${id}`), [{ erased: true, data: { contactId: id } }])
})
