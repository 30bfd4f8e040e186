import { randomUUID } from 'node:crypto'
import t from 'tap'
import { testApi } from '../support/api.ts'

const api = await testApi(t)
const { ask } = api

/** An address that nobody else in this file has. */
const address = () => `${randomUUID()}@example.com`
const email = (value = address()) => ({ type: 'email', value })
const create = async (more: object = {}) => (await ask('POST', '/v1/contacts', { name: 'Ada Lovelace', ...more })).body
const key = () => ({ 'idempotency-key': randomUUID() })
const noId = '00000000-0000-4000-8000-000000000000'

t.test('a contact is created', async (t) => {
  const methods = [
    { type: 'email', value: ` ${address().toUpperCase()} `, label: 'work' },
    { type: 'phone', value: '+44 20 7946 0123' },
    { type: 'url', value: 'https://example.com' },
  ]
  const { status, headers, body } = await ask('POST', '/v1/contacts', { name: ' Ada Lovelace ', company: 'Analytical Engines', methods })
  t.equal(status, 201)
  t.match(headers.get('content-type'), 'application/json')
  t.equal(headers.get('location'), `/v1/contacts/${body.id}`)
  t.match(headers.get('etag'), /^"0\.[\w-]{22}"$/)
  t.match(headers.get('smartcrm-position'), /^\d+\.\d+$/)
  t.match(headers.get('x-request-id'), /^[0-9a-f-]{36}$/)
  t.match(body, { name: 'Ada Lovelace', company: 'Analytical Engines', archived: false, revision: 0 })
  const [mail, phone, url] = body.methods
  t.match(mail, { type: 'email', value: methods[0]?.value.trim(), normalized: methods[0]?.value.trim().toLowerCase(), label: 'work' })
  t.match(phone, { type: 'phone', value: '+442079460123', raw: '+44 20 7946 0123' })
  t.match(url, { type: 'url', value: 'https://example.com' })
  t.equal(new Set([body.id, mail.id, phone.id, url.id]).size, 4)
})

t.test('a contact is created under an id of the caller’s own, once', async (t) => {
  const id = randomUUID()
  t.equal((await create({ id })).id, id)
  const again = await ask('POST', '/v1/contacts', { name: 'Another', id })
  t.match([again.status, again.body.code], [409, 'contact-exists'])
})

t.test('a taken address is refused and its owner named', async (t) => {
  const method = email()
  const owner = await create({ methods: [method] })
  const taken = await ask('POST', '/v1/contacts', { name: 'Grace', methods: [{ ...method, value: method.value.toUpperCase() }] })
  t.match(taken, { status: 409, body: { code: 'address-taken', owner: owner.id, type: 'urn:smartcrm:problem:address-taken', status: 409 } })
  const other = await create()
  const added = await ask('POST', `/v1/contacts/${other.id}/methods`, method)
  t.match(added, { status: 409, body: { code: 'address-taken', owner: owner.id } })
  await ask('POST', `/v1/contacts/${owner.id}/archive`)
  t.equal((await ask('POST', `/v1/contacts/${other.id}/methods`, method)).status, 409, 'an archived contact keeps its addresses')
})

t.test('name and company are changed by a merge patch, of either media type', async (t) => {
  const { id } = await create({ company: 'Before' })
  const patched = await ask('PATCH', `/v1/contacts/${id}`, { name: 'Ada King' })
  t.match(patched, { status: 200, body: { name: 'Ada King', company: 'Before', revision: 1 } })
  const merge = { 'content-type': 'application/merge-patch+json' }
  const removed = await ask('PATCH', `/v1/contacts/${id}`, { company: null }, merge)
  t.match(removed, { status: 200, body: { name: 'Ada King', company: null, revision: 2 } })
  const unchanged = await ask('PATCH', `/v1/contacts/${id}`, { name: 'Ada King', company: null })
  t.match([unchanged.status, unchanged.body], [200, removed.body])
  t.equal(unchanged.headers.get('etag'), removed.headers.get('etag'))
  t.equal((await ask('PATCH', `/v1/contacts/${id}`, { name: null })).status, 400, 'a contact cannot be without a name')
})

t.test('methods are added and removed, and a removed address is free again', async (t) => {
  const { id } = await create()
  const method = email()
  const added = await ask('POST', `/v1/contacts/${id}/methods`, method)
  t.match(added, { status: 201, body: { id, methods: [method], revision: 1 } })
  const again = await ask('POST', `/v1/contacts/${id}/methods`, method)
  t.match(again, { status: 200, body: { revision: 1 } })
  const path = `/v1/contacts/${id}/methods/${added.body.methods[0].id}`
  t.match(await ask('DELETE', path), { status: 200, body: { methods: [], revision: 2 } })
  t.match(await ask('DELETE', path), { status: 200, body: { revision: 2 } })
  t.match(await ask('DELETE', `/v1/contacts/${id}/methods/${noId}`), { status: 404, body: { code: 'method-not-found' } })
  t.match((await create({ methods: [method] })).methods, [method])
})

t.test('notes are written', async (t) => {
  const { id } = await create()
  t.match(await ask('POST', `/v1/contacts/${id}/notes`, { text: 'Met at the Royal Society.' }), { status: 201, body: { id, revision: 1 } })
})

t.test('a contact is archived, in either way, and restored', async (t) => {
  const { id } = await create()
  for (const [method, path] of [
    ['DELETE', `/v1/contacts/${id}`],
    ['POST', `/v1/contacts/${id}/archive`],
  ] as const) {
    const archived = await ask(method, path)
    t.match(archived, { status: 200, body: { archived: true } })
    const again = await ask(method, path)
    t.match([again.status, again.body], [200, archived.body], 'again changes nothing')
    t.match(await ask('PATCH', `/v1/contacts/${id}`, { name: 'No' }), { status: 409, body: { code: 'contact-not-active' } })
    t.match(await ask('POST', `/v1/contacts/${id}/methods`, email()), { status: 409, body: { code: 'contact-not-active' } })
    t.match(await ask('POST', `/v1/contacts/${id}/restore`), { status: 200, body: { archived: false } })
  }
  t.match(await ask('POST', `/v1/contacts/${id}/restore`, {}), { status: 200, body: { revision: 4 } })
})

t.test('every command about a contact that is not there is 404', async (t) => {
  for (const [method, path, body] of [
    ['PATCH', '', { name: 'x' }],
    ['DELETE', '', undefined],
    ['POST', '/archive', undefined],
    ['POST', '/restore', undefined],
    ['POST', '/methods', email()],
    ['DELETE', `/methods/${noId}`, undefined],
    ['POST', '/notes', { text: 'x' }],
  ] as const) {
    t.match(await ask(method, `/v1/contacts/${noId}${path}`, body), { status: 404, body: { code: 'contact-not-found' } })
  }
})

t.test('an upsert by e-mail address creates, updates, and changes nothing', async (t) => {
  const mine = `O'Brien+${randomUUID()}/%@example.com`
  const path = `/v1/contacts/by-email/${encodeURIComponent(mine)}`
  const created = await ask('PUT', path, { name: 'Pat', methods: [{ type: 'phone', value: '+442079460123' }] })
  t.match(created, { status: 201, body: { name: 'Pat', methods: [{ value: mine }, { type: 'phone' }], revision: 0 } })
  t.equal(created.headers.get('location'), `/v1/contacts/${created.body.id}`)
  const upper = path.toUpperCase().replace('/V1/CONTACTS/BY-EMAIL', '/v1/contacts/by-email')
  const updated = await ask('PUT', upper, { name: 'Pat', company: 'Acme' })
  t.match(updated, { status: 200, body: { id: created.body.id, company: 'Acme', revision: 1 } })
  t.equal(updated.headers.get('location'), null)
  const unchanged = await ask('PUT', path, { name: 'Pat' })
  t.match([unchanged.status, unchanged.body], [200, updated.body], 'what it does not name stays')
  t.match(await ask('PUT', '/v1/contacts/by-email/nobody', { name: 'x' }), { status: 400, body: { errors: [{ path: '/params/address' }] } })
  t.match(await ask('PUT', path, { company: 'x' }), { status: 400, body: { errors: [{ path: '/name', message: 'is required' }] } })
  const other = await create({ methods: [email()] })
  const both = await ask('PUT', path, { name: 'Pat', methods: [{ type: 'email', value: other.methods[0].value }] })
  t.match(both, { status: 409, body: { code: 'address-taken', owner: other.id } })
  await ask('DELETE', `/v1/contacts/${created.body.id}`)
  t.match(await ask('PUT', path, { name: 'x' }), { status: 409, body: { code: 'contact-not-active' } })
})

t.test('ten upserts of one new address at once make one contact', async (t) => {
  const path = `/v1/contacts/by-email/${address()}`
  const answers = await Promise.all(Array.from({ length: 10 }, (_, index) => ask('PUT', path, { name: `Name ${index}` }, key())))
  // Those that lose the race again and again are told to come back, and then find the one there is.
  const settled = await Promise.all(answers.map((answer) => (answer.status < 300 ? answer : ask('PUT', path, { name: 'Late' }))))
  t.equal(new Set(settled.map(({ body }) => body.id)).size, 1)
  t.equal(settled.filter(({ status }) => status === 201).length, 1)
  t.strictSame(
    answers.filter(({ status }) => ![200, 201, 409, 503].includes(status)),
    [],
  )
})

t.test('a batch answers each input in its order', async (t) => {
  const method = email()
  const owner = await create({ methods: [method] })
  const twice = email()
  const { status, headers, body } = await ask('POST', '/v1/contacts/batch', {
    inputs: [
      { name: 'New', methods: [twice] },
      { name: '', methods: [{ type: 'email', value: 'nobody' }], unknown: 1 },
      { name: 'Newer', methods: [{ ...twice, value: twice.value.toUpperCase() }] },
      { name: 'Ada Lovelace', methods: [method] },
      { name: 'Ada King', methods: [method] },
      null,
      { name: 'Without an address' },
      { name: 'NUL \0 and half a pair \ud800' },
    ],
  })
  t.equal(status, 207)
  t.match(headers.get('smartcrm-position'), /^\d+\.\d+$/)
  const { results } = body
  t.match(results, [
    { status: 201, outcome: 'created', revision: 0, repeated: false },
    {
      status: 400,
      outcome: 'failed',
      problem: { errors: [{ path: '/unknown' }, { path: '/name' }, { path: '/methods/0/value' }] },
    },
    { status: 200, outcome: 'updated', contactId: results[0].contactId, revision: 1 },
    { status: 200, outcome: 'unchanged', contactId: owner.id, revision: 0 },
    { status: 200, outcome: 'updated', contactId: owner.id, revision: 1 },
    { status: 400, problem: { errors: [{ path: '', message: 'must be object' }] } },
    { status: 201, outcome: 'created' },
    { status: 400, problem: { errors: [{ path: '/name' }, { path: '/name' }] } },
  ])
  t.equal(results.length, 8)
  const answer = await api.after({ status, headers, body }, `/v1/contacts/${results[2].contactId}`)
  t.equal(answer.body.name, 'Newer')
})

t.test('a batch in mode create refuses a taken address', async (t) => {
  const method = email()
  const owner = await create({ methods: [method] })
  const inputs = [{ name: 'x', methods: [method] }, { name: 'y', id: owner.id }, { name: 'z' }]
  const { body } = await ask('POST', '/v1/contacts/batch', { inputs, mode: 'create' })
  t.match(body.results, [
    { status: 409, outcome: 'failed', problem: { code: 'address-taken', owner: owner.id } },
    { status: 409, outcome: 'failed', problem: { code: 'contact-exists', contactId: owner.id } },
    { status: 201, outcome: 'created' },
  ])
})

t.test('a repeated batch does nothing again, and its longer form only what is new', async (t) => {
  const headers = key()
  const inputs = [{ name: 'A' }, { name: 'B', methods: [email()] }]
  const first = await ask('POST', '/v1/contacts/batch', { inputs }, headers)
  const again = await ask('POST', '/v1/contacts/batch', { inputs: [...inputs, { name: 'C' }] }, headers)
  const ids = (answer: typeof first) => answer.body.results.map(({ contactId }: { contactId: string }) => contactId)
  t.strictSame(ids(again).slice(0, 2), ids(first))
  t.strictSame(
    again.body.results.map((result: { repeated: boolean }) => result.repeated),
    [true, true, false],
  )
  t.equal(again.body.correlationId, first.body.correlationId)
  const other = await ask('POST', '/v1/contacts/batch', { inputs: [{ name: 'Z' }], mode: 'upsert' }, headers)
  t.match(other.body.results, [{ status: 422, problem: { code: 'idempotency-key-reused' } }])
  const mode = await ask('POST', '/v1/contacts/batch', { inputs: [{ name: 'A' }], mode: 'create' }, headers)
  t.match(mode.body.results, [{ status: 422 }])
})

t.test('a batch takes a thousand inputs and no more', async (t) => {
  const inputs = Array.from({ length: 1_000 }, (_, index) => ({ name: `Number ${index}` }))
  const { status, body } = await ask('POST', '/v1/contacts/batch', { inputs })
  t.equal(status, 207)
  t.strictSame([...new Set(body.results.map((result: { outcome: string }) => result.outcome))], ['created'])
  t.equal(new Set(body.results.map((result: { contactId: string }) => result.contactId)).size, 1_000)
  const names = await Promise.all(
    [0, 500, 999].map(async (index) => (await api.services.runner.load(`contact-${body.results[index].contactId}`))[0]),
  )
  t.match(
    names.map((event) => event?.data),
    [{ name: 'Number 0' }, { name: 'Number 500' }, { name: 'Number 999' }],
  )
  for (const wrong of [
    { inputs: [...inputs, inputs[0]] },
    { inputs: [] },
    {},
    { inputs: {} },
    { inputs: [{}], mode: 'x' },
    { inputs: [{}], more: 1 },
  ]) {
    t.equal((await ask('POST', '/v1/contacts/batch', wrong)).status, 400)
  }
  const conditional = await ask('POST', '/v1/contacts/batch', { inputs: [{ name: 'x' }] }, { 'if-match': '"0.x"' })
  t.match(conditional, { status: 400, body: { errors: [{ path: '/headers/if-match' }] } })
})

t.test('a repeated command is answered as the first time, whatever happened since', async (t) => {
  const { id } = await create()
  const added = await ask('POST', `/v1/contacts/${id}/methods`, { type: 'url', value: 'https://example.com' })
  const mine = `/v1/contacts/by-email/${address()}`
  const commands = [
    ['POST', '/v1/contacts', { name: 'Repeated', methods: [email()] }],
    ['PUT', mine, { name: 'Repeated' }],
    ['PATCH', `/v1/contacts/${id}`, { name: 'Repeated', company: 'Acme' }],
    ['POST', `/v1/contacts/${id}/methods`, email()],
    ['DELETE', `/v1/contacts/${id}/methods/${added.body.methods[0].id}`, undefined],
    ['POST', `/v1/contacts/${id}/notes`, { text: 'Repeated' }],
    ['POST', `/v1/contacts/${id}/archive`, undefined],
    ['POST', `/v1/contacts/${id}/restore`, undefined],
    ['DELETE', `/v1/contacts/${id}`, undefined],
  ] as const
  const seen = ({ status, headers, body }: Awaited<ReturnType<typeof ask>>) => ({
    status,
    body,
    headers: ['etag', 'location', 'smartcrm-position'].map((name) => headers.get(name)),
  })
  const firsts = []
  for (const [method, path, body] of commands) {
    const headers = key()
    const first = seen(await ask(method, path, body, headers))
    t.ok(first.status < 300, `${method} ${path} ${first.status}`)
    t.strictSame(seen(await ask(method, path, body, headers)), first, `${method} ${path} at once`)
    firsts.push({ method, path, body, headers, first })
  }
  await ask('POST', `/v1/contacts/${id}/restore`)
  await ask('PATCH', `/v1/contacts/${id}`, { name: 'Later' })
  for (const { method, path, body, headers, first } of firsts) {
    t.strictSame(seen(await ask(method, path, body, headers)), first, `${method} ${path} after later changes`)
  }
  const { body: now } = await ask('PATCH', `/v1/contacts/${id}`, {})
  t.equal(now.name, 'Later', 'and nothing was done again')
})

t.test('one Idempotency-Key from ten callers at once creates one contact', async (t) => {
  const headers = key()
  const answers = await Promise.all(
    Array.from({ length: 10 }, () => ask('POST', '/v1/contacts', { name: 'Once', methods: [email('once@example.com')] }, headers)),
  )
  t.equal(new Set(answers.map(({ status, body, headers }) => JSON.stringify([status, body, headers.get('etag')]))).size, 1)
  t.equal(answers[0]?.status, 201)
})

t.test('one Idempotency-Key from ten callers at once changes a contact once', async (t) => {
  const { id } = await create()
  const headers = key()
  const answers = await Promise.all(Array.from({ length: 10 }, () => ask('POST', `/v1/contacts/${id}/notes`, { text: 'Once' }, headers)))
  t.strictSame([...new Set(answers.map(({ status, body }) => `${status} ${body.revision}`))], ['201 1'])
})

t.test('another request with a used Idempotency-Key is refused', async (t) => {
  const headers = key()
  const { body } = await ask('POST', '/v1/contacts', { name: 'First' }, headers)
  t.match(await ask('POST', '/v1/contacts', { name: 'Second' }, headers), { status: 422, body: { code: 'idempotency-key-reused' } })
  const patch = key()
  await ask('PATCH', `/v1/contacts/${body.id}`, { name: 'Third', company: 'Acme' }, patch)
  t.equal((await ask('PATCH', `/v1/contacts/${body.id}`, { name: 'Fourth' }, patch)).status, 422)
  t.equal(
    (await ask('PATCH', `/v1/contacts/${body.id}`, { company: 'Acme', name: 'Third' }, patch)).status,
    200,
    'the order of fields is no difference',
  )
  t.equal((await ask('POST', `/v1/contacts/${body.id}/notes`, { text: 'x' }, patch)).status, 201, 'another endpoint has keys of its own')
  for (const wrong of [' ', 'k'.repeat(256), 'é']) {
    t.match(await ask('POST', '/v1/contacts', { name: 'x' }, { 'idempotency-key': wrong }), { status: 400 })
  }
})

t.test('a refused command leaves no trace of its Idempotency-Key', async (t) => {
  const method = email()
  const owner = await create({ methods: [method] })
  const headers = key()
  t.equal((await ask('POST', '/v1/contacts', { name: 'x', methods: [method] }, headers)).status, 409)
  await ask('DELETE', `/v1/contacts/${owner.id}/methods/${owner.methods[0].id}`)
  t.equal((await ask('POST', '/v1/contacts', { name: 'x', methods: [method] }, headers)).status, 201)
})

t.test('If-Match lets only those through who know the revision', async (t) => {
  const created = await ask('POST', '/v1/contacts', { name: 'Ada' })
  const { id } = created.body
  const etag = created.headers.get('etag')!
  const patch = (name: string, ifMatch: string, more = {}) => ask('PATCH', `/v1/contacts/${id}`, { name }, { 'if-match': ifMatch, ...more })
  const repeat = key()
  t.equal((await patch('One', etag, repeat)).status, 200)
  t.match(await patch('Two', etag), { status: 412, body: { code: 'revision-mismatch' } })
  t.equal((await patch('One', etag, repeat)).status, 200, 'a repeat is recognised before If-Match is looked at')
  t.equal((await patch('One', etag)).status, 412, 'before it is decided that nothing would change')
  t.equal((await patch('Three', `"9.x", "1.whatever"`)).status, 200, 'what is behind the dot does not count')
  for (const none of ['"x"', 'W/"2.x"', '2', '', '"2"']) t.equal((await patch('Four', none)).status, 412, `${none} matches nothing`)
  t.equal((await patch('Four', '*')).status, 200)
  t.equal((await ask('DELETE', `/v1/contacts/${id}`, undefined, { 'if-match': etag })).status, 412)
  t.equal((await ask('POST', '/v1/contacts', { name: 'x' }, { 'if-match': '*' })).status, 412, 'there is nothing yet to match')
  t.match(await ask('DELETE', `/v1/contacts/${id}`, undefined, { 'if-match': '"3.x"' }), { status: 200, body: { revision: 4 } })
})

t.test('of ten changes with one If-Match, one gets through', async (t) => {
  const created = await ask('POST', '/v1/contacts', { name: 'Ada' })
  const headers = { 'if-match': created.headers.get('etag')! }
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, index) => ask('PATCH', `/v1/contacts/${created.body.id}`, { name: `Ada ${index}` }, headers)),
  )
  t.equal(answers.filter(({ status }) => status === 200).length, 1)
  t.equal(answers.filter(({ status }) => status === 412).length, 9)
})
