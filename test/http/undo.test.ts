import t from 'tap'
import { createLogger } from '../../src/platform/log.ts'
import { run as runWorker } from '../../src/roles/worker.ts'
import { type Answer, testApi } from '../support/api.ts'
import { finished, upload } from '../support/imports.ts'
import { type Person, person } from '../support/keys.ts'
import { madeUpMbox, OWN_ADDRESS } from '../support/made-up-mail.ts'

t.setTimeout(180_000)
const api = await testApi(t)
const { ask, after, services } = api
t.teardown((await runWorker(api.config, createLogger(process.env['TEST_LOG'] ?? 'silent', 'worker'))).close)

type Who = Pick<Person, 'ask' | 'after'>
type Result = {
  stream: string
  outcome: string
  code?: string
  putBack: { field: string; from: unknown; to: unknown }[]
  conflicts: { field: string; code: string; now: unknown; actor?: string; eventId?: string; owner?: string }[]
}
/** Undoes, waits for the end, and gives what became of what. */
const undo = async (body: object, who: Who = { ask, after }) => {
  const answer = await who.ask('POST', '/v1/undo', body, { prefer: 'wait=30' })
  if (answer.status !== 200) throw new Error(JSON.stringify(answer.body))
  const { body: page } = await who.after(answer, `/v1/undos/${answer.body.id}/results?limit=200`)
  return { ...answer.body, answer, results: page.data as Result[] }
}
const commandOf = async (contactId: string, revision = -1) =>
  (await services.runner.load(`contact-${contactId}`)).at(revision)!.meta.commandId
const create = async (body: object, headers = {}): Promise<Answer['body']> => (await ask('POST', '/v1/contacts', body, headers)).body
const contact = async (id: string) => (await ask('GET', `/v1/contacts/${id}?asOf=2100-01-01T00:00:00Z`)).body
const email = (value: string) => ({ type: 'email', value })

t.test('what one command changed is put back where nobody changed it since', async (t) => {
  const { id } = await create({ name: 'Ada', company: 'Engines', methods: [email('ada@one.example.com')] })
  await ask('PATCH', `/v1/contacts/${id}`, { name: 'Countess', company: null })
  const commandId = await commandOf(id)
  await ask('PATCH', `/v1/contacts/${id}`, { name: 'Augusta' })

  const dry = await undo({ commandId, dryRun: true })
  t.match(dry, { dryRun: true, state: 'finished', done: 1, counts: { partly: 1 } })
  t.match(dry.results, [
    {
      stream: `contact-${id}`,
      outcome: 'partly',
      putBack: [{ field: 'company', from: { company: null }, to: { company: 'Engines' } }],
      conflicts: [{ field: 'name', code: 'changed-since', now: 'Augusta', actor: 'key:admin' }],
    },
  ])
  t.match(await contact(id), { name: 'Augusta', company: null, revision: 3 }, 'a dry run changes nothing')

  const done = await undo({ commandId })
  t.match(done.results, dry.results)
  t.match(await contact(id), { name: 'Augusta', company: 'Engines', revision: 4 })
  const { body: history } = await ask('GET', `/v1/contacts/${id}/history`)
  t.match(history.data.at(-1), {
    type: 'ContactCompanyChanged',
    actor: 'key:admin',
    correlationId: done.id,
    cause: { kind: 'undo', resource: `undo-${done.id}` },
  })
  t.match(await undo({ commandId }), { counts: { conflict: 1 } }, 'again there is nothing left to put back')

  const again = await undo({ correlationId: done.id })
  t.match(again.counts, { undone: 1 })
  t.match(await contact(id), { name: 'Augusta', company: null })
  t.match((await after(again.answer, '/v1/undos?limit=2')).body.data, [{ id: again.id }, { commandId }])
})

t.test('an address is given back, unless another contact has it by now', async (t) => {
  const one = await create({ name: 'One', methods: [email('x@moved.example.com'), email('y@moved.example.com')] })
  const [x, y] = one.methods
  const correlation = { 'x-correlation-id': '0c0ffee0-7d0e-4a8b-9c38-0d7a5c2b9e11' }
  for (const { id } of [x, y]) await ask('DELETE', `/v1/contacts/${one.id}/methods/${id}`, undefined, correlation)
  const two = await create({ name: 'Two' })
  await ask('POST', `/v1/contacts/${two.id}/methods`, email('x@moved.example.com'), correlation)
  const other = await create({ name: 'Other', methods: [email('y@moved.example.com')] })

  for (const dryRun of [true, false]) {
    const { results } = await undo({ correlationId: correlation['x-correlation-id'], dryRun })
    t.match(
      results.find(({ stream }: Result) => stream === `contact-${one.id}`),
      {
        outcome: 'partly',
        putBack: [{ field: `methods/${x.id}`, from: null, to: { value: 'x@moved.example.com' } }],
        conflicts: [{ field: `methods/${y.id}`, code: 'address-taken', owner: other.id }],
      },
    )
    t.match(
      results.find(({ stream }: Result) => stream === `contact-${two.id}`),
      { outcome: 'undone' },
    )
  }
  t.strictSame((await contact(one.id)).methods, [x], 'the very method, where it moved away again')
  t.strictSame((await contact(two.id)).methods, [])
  t.match(await ask('POST', '/v1/contacts', { name: 'Thief', methods: [email('x@moved.example.com')] }), {
    status: 409,
    body: { code: 'address-taken', owner: one.id },
  })
})

t.test('a merge is undone by unmerging, and that by merging again', async (t) => {
  const one = await create({ name: 'One', methods: [email('one@merge.example.com')] })
  const two = await create({ name: 'Two', company: 'Navy', methods: [email('two@merge.example.com')] })
  const merge = { 'x-correlation-id': '3c0ffee0-7d0e-4a8b-9c38-0d7a5c2b9e11' }
  t.match(await ask('POST', `/v1/contacts/${one.id}/merge`, { from: two.id, choose: { name: 'from' } }, merge), {
    status: 200,
    body: { name: 'Two', company: 'Navy', methods: [one.methods[0], two.methods[0]] },
  })
  await ask('PATCH', `/v1/contacts/${one.id}`, { company: 'Edited' })
  for (const dryRun of [true, false]) {
    const { results } = await undo({ correlationId: merge['x-correlation-id'], dryRun })
    t.match(results, [
      { stream: `contact-${one.id}`, outcome: 'partly', putBack: [{ field: /^merges\// }], conflicts: [{ field: 'company' }] },
    ])
    t.equal(results.length, 1)
  }
  const { body: listed } = await ask('GET', '/v1/undos?limit=1')
  t.match(await contact(one.id), { name: 'One', company: 'Edited', methods: one.methods })
  t.match(await contact(two.id), { name: 'Two', company: 'Navy', methods: two.methods })
  t.match((await undo({ correlationId: listed.data[0].id })).counts, { undone: 1 })
  t.match((await contact(one.id)).methods, [one.methods[0], { value: 'two@merge.example.com' }])
  t.match(await contact(one.id), { name: 'Two', company: 'Edited' })
})

t.test('a note goes and comes back', async (t) => {
  const { id } = await create({ name: 'Noted' })
  await ask('POST', `/v1/contacts/${id}/notes`, { text: 'A secret.' })
  const gone = await undo({ commandId: await commandOf(id) })
  const timeline = async (answer: Answer) => (await after(answer, `/v1/contacts/${id}/timeline`)).body.data
  const shown = await timeline(gone.answer)
  t.match(shown, [{ kind: 'note-removed' }, { kind: 'note' }, { kind: 'created' }])
  t.notMatch(JSON.stringify(shown), 'secret')
  const back = await undo({ correlationId: gone.id })
  t.match(await timeline(back.answer), [{ kind: 'note', text: 'A secret.' }, { kind: 'note-removed' }, {}, {}])
})

t.test('an import is undone except where edited since, and given again it makes its contacts anew', async (t) => {
  const rows = Array.from({ length: 6 }, (_, n) => `P${n},p${n}@rows.example.com,Wrong ${n}`).join('\n')
  const { body: started } = await upload(api, Buffer.from(`name,email,company\n${rows}\n`))
  const done = await finished(api, started.id)
  t.equal(done.counts.created, 6)
  const { body: listed } = await after(await ask('POST', '/v1/contacts', { name: 'Mark' }), '/v1/contacts?q=rows.example.com')
  const edited = listed.data.find(({ name }: { name: string }) => name === 'P0')
  await ask('PATCH', `/v1/contacts/${edited.id}`, { name: 'Kept' })
  const undone = await undo({ correlationId: started.id })
  t.match(undone.counts, { undone: 5, conflict: 1, kept: 0 })
  t.match(
    undone.results.find(({ outcome }: Result) => outcome === 'conflict'),
    {
      stream: `contact-${edited.id}`,
      conflicts: [{ field: 'name', now: 'Kept', actor: 'key:admin' }],
    },
  )
  const { body: left } = await after(undone.answer, '/v1/contacts?q=rows.example.com')
  t.match(left.data, [{ id: edited.id, name: 'Kept', archived: false }])

  const { body: second } = await upload(api, Buffer.from(`name,email\nRight,p5@rows.example.com\n`))
  t.match((await finished(api, second.id)).counts, { updated: 1, failed: 0 })
  const { body: anew } = await after(await ask('POST', '/v1/contacts', { name: 'Mark' }), '/v1/contacts?q=p5@rows.example.com')
  t.match(anew.data, [{ name: 'Right', company: null, archived: false, methods: [{ value: 'p5@rows.example.com' }] }])

  const redone = await undo({ correlationId: undone.id })
  t.match(redone.counts, { undone: 4, unchanged: 1 }, 'the undo itself is undone; whom a file brought since is there already')
  t.match((await after(redone.answer, '/v1/contacts?q=rows.example.com&limit=50')).body.data.length, 6)
})

t.test('mails of an import are taken away and brought back; those that came from elsewhere too stay', async (t) => {
  const all = Buffer.concat([...madeUpMbox(12)])
  const { body: first } = await upload(api, all, [OWN_ADDRESS])
  const { counts } = await finished(api, first.id)
  const [some] = [...madeUpMbox(1)]
  const { body: second } = await upload(api, some!, [OWN_ADDRESS])
  t.match((await finished(api, second.id)).counts, { known: 1 })
  const mark = await ask('POST', '/v1/contacts', { name: 'Mark' })
  const { body: before } = await after(mark, '/v1/emails?limit=100')
  t.equal(before.data.length, counts.stored)

  const writer = await person(api, { role: 'member' })
  const undone = await undo({ correlationId: first.id }, writer)
  t.match(undone.counts, { undone: counts.stored - 1, conflict: 1 })
  t.match(undone.results.find(({ outcome }: Result) => outcome === 'conflict')!.conflicts, [{ code: 'brought-elsewhere' }])
  t.equal((await after(undone.answer, '/v1/emails')).body.data.length, 1)
  const gone = undone.results.find(({ outcome }: Result) => outcome === 'undone')!
  const events = await services.runner.load(gone.stream)
  const [blob] = await Array.fromAsync(services.blobs.list(events[0]!.meta.key!))
  t.ok(blob)
  for await (const copy of services.blobs.list(events[0]!.meta.key!)) await services.blobs.remove(copy)

  const redone = await undo({ correlationId: undone.id }, writer)
  t.match(redone.counts, { undone: counts.stored - 2, conflict: 1 })
  t.match(redone.results.find(({ outcome }: Result) => outcome === 'conflict')!, {
    stream: gone.stream,
    conflicts: [{ code: 'content-gone' }],
  })
  const { body: again } = await after(redone.answer, '/v1/emails?limit=100')
  t.strictSame(
    again.data.map(({ id }: { id: string }) => id),
    before.data.map(({ id }: { id: string }) => id).filter((id: string) => `email-${id}` !== gone.stream),
  )
  t.equal((await ask('GET', `/v1/emails/${again.data[0].id}`)).status, 200)
})

t.test('who sees only his own undoes only that, and nobody does more than his key may', async (t) => {
  const correlation = { 'x-correlation-id': '1c0ffee0-7d0e-4a8b-9c38-0d7a5c2b9e11' }
  const bert = await person(api, { role: 'member', sees: 'own', owner: 'bert' })
  const { body: his } = await bert.ask('POST', '/v1/contacts', { name: 'His' })
  const mine = await create({ name: 'Mine' })
  for (const { id } of [his, mine]) await ask('PATCH', `/v1/contacts/${id}`, { name: 'Both' }, correlation)
  const undone = await undo({ correlationId: correlation['x-correlation-id'] }, bert)
  t.match(undone.counts, { undone: 1, absent: 1 })
  t.match(await contact(mine.id), { name: 'Both' })
  t.match(await contact(his.id), { name: 'His' })
  t.match((await bert.ask('GET', `/v1/jobs/${undone.jobId}`)).body, { state: 'done' })
  const other = await person(api, { role: 'member', sees: 'own', owner: 'carl' })
  t.equal((await other.ask('GET', `/v1/undos/${undone.id}`)).status, 404)
  t.equal((await other.ask('GET', `/v1/undos/${undone.id}/results`)).status, 404)

  await ask('PUT', `/v1/contacts/${mine.id}/locks/jobTitle`, undefined, correlation)
  await ask('PUT', `/v1/contacts/${his.id}/enrichable`, { enrichable: false })
  const scopes = ['contacts:read', 'contacts:write']
  const less = await person(api, { role: 'member', sees: 'own', owner: 'bert', scopes })
  const lacks = await undo({ commandId: await commandOf(his.id) }, less)
  t.match(lacks.results, [{ outcome: 'conflict', conflicts: [{ field: 'enrichable', code: 'not-allowed' }] }])
  const reader = await person(api, { role: 'reader' })
  t.equal((await reader.ask('POST', '/v1/undo', { commandId: undone.id })).status, 403)
})

t.test('what cannot be undone says so', async (t) => {
  const correlation = { 'x-correlation-id': '2c0ffee0-7d0e-4a8b-9c38-0d7a5c2b9e11' }
  await ask('POST', '/v1/keys', { name: 'k', role: 'reader' }, correlation)
  await ask('PUT', '/v1/enrichment/on-creation', { onCreation: true }, correlation)
  const { counts, results } = await undo({ correlationId: correlation['x-correlation-id'] })
  t.match(counts, { kept: 2, undone: 0 })
  t.match(new Set(results.map(({ code }: Result) => code)), new Set(['key', 'setting']))
  t.match(results[0], { reason: String })
  const { body: started } = await upload(api, Buffer.from('name\nSomebody\n'))
  await finished(api, started.id)
  const [begun] = await services.runner.load(`import-${started.id}`)
  t.match((await undo({ commandId: begun!.meta.commandId })).results, [{ outcome: 'kept', code: 'began' }])

  t.match((await ask('POST', '/v1/undo', {})).body, { status: 400, errors: [{ message: /one of/ }] })
  t.equal((await ask('POST', '/v1/undo', { commandId: started.id, correlationId: started.id })).status, 400)
  t.match(await undo({ commandId: started.id }), { done: 0, state: 'finished' })
})

t.test('the same key is the same undo, and one that is under way is not undone yet', async (t) => {
  const { id } = await create({ name: 'Same' })
  const commandId = await commandOf(id)
  const headers = { 'idempotency-key': 'undo-once', prefer: 'wait=0' }
  const answers = [await ask('POST', '/v1/undo', { commandId }, headers), await ask('POST', '/v1/undo', { commandId }, headers)]
  t.equal(answers[0]!.body.id, answers[1]!.body.id)
  t.equal(answers[0]!.headers.get('location'), `/v1/undos/${answers[0]!.body.id}`)
  t.match(await ask('POST', '/v1/undo', { commandId: id }, headers), { status: 422, body: { code: 'idempotency-key-reused' } })
})
