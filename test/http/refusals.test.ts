import { connect } from 'node:net'
import t from 'tap'
import { type Answer, adminKey, testApi } from '../support/api.ts'

const api = await testApi(t, { projector: false })
const { ask } = api
const { body: contact } = await ask('POST', '/v1/contacts', { name: 'Ada Lovelace' })
const one = `/v1/contacts/${contact.id}`

type Asserts = Pick<typeof t, 'equal' | 'match'>

const faults = ({ body }: Answer) => Object.fromEntries(body.errors.map(({ path, message }: Record<string, string>) => [path, message]))
const isProblem = (t: Asserts, answer: Answer, status: number, code?: string) => {
  t.equal(answer.status, status)
  t.equal(answer.headers.get('content-type'), 'application/problem+json; charset=utf-8')
  t.match(answer.body, { status, instance: `urn:uuid:${answer.headers.get('x-request-id')}` })
  t.equal(answer.body.type, `urn:smartcrm:problem:${code ?? answer.body.code}`)
}

/** Sends bytes as they are, for what no client would send. */
const send = (text: string) =>
  new Promise<string>((resolve, reject) => {
    const { port } = new URL(api.url)
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(text))
    let answer = ''
    socket.on('data', (part) => (answer += part))
    socket.on('close', () => resolve(answer)).on('error', reject)
  })
const head = (start: string, ...headers: string[]) =>
  [start, 'host: localhost', `authorization: Bearer ${adminKey}`, 'connection: close', ...headers, '', ''].join('\r\n')

t.test('a wrong body is refused with every fault in it', async (t) => {
  const answer = await ask('POST', '/v1/contacts', {
    name: ' ',
    company: 'x'.repeat(501),
    id: 'ABC',
    'a/b~c': 1,
    methods: [
      { type: 'fax', value: 3, extra: true },
      { type: 'email', value: 'nobody' },
      { value: 'x', label: '' },
    ],
  })
  isProblem(t, answer, 400, 'invalid-request')
  t.strictSame(faults(answer), {
    '/a~1b~0c': 'is not a known field',
    '/name': 'must not be blank',
    '/company': 'must NOT have more than 500 characters',
    '/id': 'must be a UUID in lower case',
    '/methods/0/extra': 'is not a known field',
    '/methods/0/type': 'must be one of email, phone, url, social, address, other',
    '/methods/0/value': 'must be string',
    '/methods/1/value': 'must be an e-mail address, like ada@example.com',
    '/methods/2/type': 'is required',
    '/methods/2/label': 'must not be empty',
  })
})

t.test('what is wrong with a query is said in words, and what it may be', async (t) => {
  const answer = await ask('GET', '/v1/contacts?sort=age&archived=maybe&q=%00&company=%00&limit=many')
  isProblem(t, answer, 400, 'invalid-request')
  t.strictSame(faults(answer), {
    '/querystring/sort': 'must be one of name, -name, createdAt, -createdAt, updatedAt, -updatedAt, lastEmailAt, -lastEmailAt',
    '/querystring/archived': 'must be one of false, true, any',
    '/querystring/q': 'must not contain the character NUL',
    '/querystring/company': 'must not contain the character NUL',
    '/querystring/limit': 'must be integer',
  })
})

t.test('nothing is coerced, and no unknown field is passed over', async (t) => {
  for (const [path, method, body, fault] of [
    ['/v1/contacts', 'POST', { name: 1 }, '/name'],
    ['/v1/contacts', 'POST', { name: null }, '/name'],
    ['/v1/contacts', 'POST', { name: ['x'] }, '/name'],
    ['/v1/contacts', 'POST', { name: 'x', company: null }, '/company'],
    ['/v1/contacts', 'POST', { name: 'x', methods: {} }, '/methods'],
    ['/v1/contacts', 'POST', { name: 'x', methods: [null] }, '/methods/0'],
    ['/v1/contacts', 'POST', {}, '/name'],
    ['/v1/contacts', 'POST', { toString: 'x', name: 'x' }, '/toString'],
    ['/v1/contacts', 'POST', [], ''],
    ['/v1/contacts', 'POST', 'null', ''],
    ['/v1/contacts', 'POST', '"x"', ''],
    ['/v1/contacts', 'POST', undefined, ''],
    ['/v1/contacts', 'POST', '', ''],
    ['/v1/contacts', 'POST', '{"name":1e999}', '/name'],
    [one, 'PATCH', { methods: [] }, '/methods'],
    [one, 'PATCH', { company: 5 }, '/company'],
    [one, 'PATCH', [{ op: 'remove', path: '/company' }], ''],
    [one, 'DELETE', { reason: 'x' }, '/reason'],
    [one, 'DELETE', '[]', ''],
    [`${one}/archive`, 'POST', '"x"', ''],
    [`${one}/notes`, 'POST', { text: '' }, '/text'],
    [`${one}/methods`, 'POST', { type: 'email', value: 'a@b' }, '/value'],
  ] as const) {
    const answer = await ask(method, path, body)
    isProblem(t, answer, 400, 'invalid-request')
    t.ok(Object.hasOwn(faults(answer), fault), `${method} ${path} ${JSON.stringify(body)}: ${JSON.stringify(faults(answer))}`)
  }
})

t.test('text that cannot be stored, or is meant to deceive, is refused', async (t) => {
  for (const [body, path] of [
    ['{"name":"\\u0000"}', '/name'],
    ['{"name":"\\ud800"}', '/name'],
    ['{"name":"x","methods":[{"type":"url","value":"\\udc00"}]}', '/methods/0/value'],
    ['{"name":"x","__proto__":{"admin":true}}', '/__proto__'],
    ['{"name":"x","constructor":{"prototype":{}}}', '/constructor'],
    ['{"name":"x","\\ud800":1}', '/\ufffd'],
    [`{"name":${'['.repeat(50_000)}${']'.repeat(50_000)}}`, `/name${'/0'.repeat(31)}`],
  ] as const) {
    const answer = await ask('POST', '/v1/contacts', body)
    isProblem(t, answer, 400, 'invalid-request')
    t.ok(Object.hasOwn(faults(answer), path), JSON.stringify(faults(answer)))
  }
})

t.test('what is no JSON, too much or of another kind is refused', async (t) => {
  const post = (body: string, type = 'application/json') => ask('POST', '/v1/contacts', body, { 'content-type': type })
  for (const broken of ['{"name":', 'hello', '['.repeat(100_000), '{"name":"x"}}', "{'name':'x'}", '\ufeff\ufeff{}']) {
    isProblem(t, await post(broken), 400, 'invalid-json')
  }
  for (const type of [
    'text/plain',
    'application/xml',
    'multipart/form-data; boundary=x',
    'application/x-www-form-urlencoded',
    'nonsense',
  ]) {
    isProblem(t, await post('{"name":"x"}', type), 415, 'unsupported-media-type')
  }
  t.equal((await post('{"name":"x"}', 'application/json; charset=utf-8')).status, 201)
  isProblem(t, await post(`{"name":"${'x'.repeat(2 ** 20)}"}`), 413, 'body-too-large')
  isProblem(t, await ask('POST', '/v1/contacts/batch', `{"inputs":["${'x'.repeat(16 * 2 ** 20)}"]}`), 413, 'body-too-large')
})

t.test('a body with a hundred thousand faults is answered with the first hundred', async (t) => {
  const methods = Array.from({ length: 30_000 }, () => ({ type: 'x', value: 1 }))
  const alone = await ask('POST', '/v1/contacts', { name: 'x', methods })
  isProblem(t, alone, 400, 'invalid-request')
  t.equal(alone.body.errors.length, 100)
  const inBatch = await ask('POST', '/v1/contacts/batch', { inputs: [{ name: 'x', methods }, { name: 'y' }] })
  t.match(inBatch.body.results, [{ status: 400 }, { status: 201 }])
})

t.test('an address where nothing is, is 404', async (t) => {
  for (const path of ['/', '/v1', '/v2/contacts', '/v1/contact', '/V1/contacts', '/v1//contacts', '/reference/nothing', `${one}/nothing`]) {
    isProblem(t, await ask('GET', path), 404, 'not-found')
  }
  isProblem(t, await ask('POST', '/nothing', {}), 404, 'not-found')
})

t.test('a method that an address does not take is 405 and names those that it takes', async (t) => {
  for (const [method, path, allow] of [
    ['PUT', '/v1/contacts', 'GET, HEAD, POST'],
    ['DELETE', '/v1/contacts?x=1', 'GET, HEAD, POST'],
    ['OPTIONS', '/v1/contacts', 'GET, HEAD, POST'],
    ['PURGE', one, 'DELETE, GET, HEAD, PATCH'],
    ['GET', `${one}/notes`, 'POST'],
    ['GET', '/v1/contacts/by-email/ada@example.com', 'PUT'],
    ['POST', '/v1/events', 'GET, HEAD'],
    ['POST', '/openapi.json', 'GET, HEAD'],
  ] as const) {
    const answer = await ask(method, path)
    isProblem(t, answer, 405, 'method-not-allowed')
    t.equal(answer.headers.get('allow'), allow)
  }
})

t.test('an id that is none, is refused in whatever form it comes', async (t) => {
  for (const id of ['x', contact.id.toUpperCase(), `${contact.id}0`, '%00', 'batch', '', '..%2f..%2fetc', `${contact.id}%0a`]) {
    isProblem(t, await ask('GET', `/v1/contacts/${id}`), 400)
  }
  isProblem(t, await ask('DELETE', `${one}/methods/x`), 400)
  isProblem(t, await ask('GET', `/v1/contacts/${'x'.repeat(501)}`), 414, 'address-too-long')
  isProblem(t, await ask('GET', '/v1/contacts/%E0%A4%A'), 400, 'malformed-request')
  isProblem(t, await ask('PUT', '/v1/contacts/by-email/%FF@example.com', { name: 'x' }), 400, 'malformed-request')
  isProblem(t, await ask('PUT', `/v1/contacts/by-email/${'x'.repeat(300)}@example.com`, { name: 'x' }), 400)
})

t.test('every address that an e-mail address can be is understood', async (t) => {
  for (const address of [
    'a+b@example.com',
    'a%b@example.com',
    'a%25b@example.com',
    'a/b@example.com',
    'a?b#c@example.com',
    'jürgen@müller.example',
  ]) {
    const answer = await ask('PUT', `/v1/contacts/by-email/${encodeURIComponent(address)}`, { name: 'x' })
    t.match(answer, { status: 201, body: { methods: [{ value: address }] } })
  }
})

t.test('a header that comes twice is taken as its rule says', async (t) => {
  const twice = (name: string, first: string, second: string) =>
    send(head('GET /v1/contacts HTTP/1.1', `${name}: ${first}`, `${name}: ${second}`))
  t.match(await twice('smartcrm-after', '1.1', '2.2'), /^HTTP\/1\.1 400 /)
  t.match(await twice('x-correlation-id', contact.id, contact.id), /^HTTP\/1\.1 400 /)
  t.match(await send(head('GET /v1/events HTTP/1.1', 'authorization: Bearer another')), /^HTTP\/1\.1 200 /, 'the first key counts')
  const created = await ask('POST', '/v1/contacts', { name: 'x' })
  const { id } = created.body
  const ifMatch = [`if-match: "9.x"`, `if-match: ${created.headers.get('etag')}`]
  t.match(await send(head(`DELETE /v1/contacts/${id} HTTP/1.1`, ...ifMatch)), /^HTTP\/1\.1 200 /)
})

t.test('what is no request is answered with a problem too', async (t) => {
  t.match(await send('NONSENSE\r\n\r\n'), /^HTTP\/1\.1 400 .*application\/problem\+json.*malformed-request/s)
  t.match(await send(head('GET / HTTP/1.1', `x: ${'x'.repeat(20_000)}`)), /^HTTP\/1\.1 431 .*application\/problem\+json.*header-too-large/s)
  t.match(await send(head(`GET /${'x'.repeat(20_000)} HTTP/1.1`)), /^HTTP\/1\.1 431 /)
  t.match(await send(head('TRACE /v1/contacts HTTP/1.1')), /^HTTP\/1\.1 405 /)
})

t.test('after all this, the service still works', async (t) => {
  t.equal((await ask('POST', `${one}/notes`, { text: 'Still here.' })).status, 201)
})
