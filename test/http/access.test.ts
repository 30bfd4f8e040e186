import { randomUUID } from 'node:crypto'
import { Writable } from 'node:stream'
import t from 'tap'
import { createApiKeys } from '../../src/platform/api-keys.ts'
import { createLogger } from '../../src/platform/log.ts'
import { adminKey, testApi } from '../support/api.ts'
import { until } from '../support/processes.ts'

const lines: string[] = []
const destination = new Writable({
  write(line, _encoding, done) {
    lines.push(String(line))
    done()
  },
})
let missing: string | null = null
const checks = { eventStore: async () => missing, projector: async () => null }
const api = await testApi(t, { projector: false, log: createLogger('trace', 'api', destination), checks })
const { ask, url } = api
const { body: document } = await ask('GET', '/openapi.json')
/** All but those that ask for something else than a key (see permissions.test.ts). */
const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods as Record<string, { security?: unknown[] }>)
    .filter(([, { security }]) => security?.length !== 0)
    .map(([method]) => [method.toUpperCase(), path.replaceAll(/\{\w*id\}/gi, randomUUID()).replace('{address}', 'ada@example.com')]),
) as [string, string][]

t.test('no route answers without a key, or with a wrong one', async (t) => {
  t.ok(routes.length >= 15)
  for (const [method, path] of routes) {
    for (const authorization of [
      undefined,
      'Bearer',
      'Bearer ',
      'Bearer wrong',
      `Bearer ${adminKey}x`,
      `Basic ${adminKey}`,
      adminKey,
      `Bearer ${adminKey} x`,
    ]) {
      const response = await fetch(url + path, { method, ...(authorization && { headers: { authorization } }) })
      t.match(await response.json(), { status: 401, code: 'key-needed', type: 'urn:smartcrm:problem:key-needed' })
      t.equal(response.status, 401, `${method} ${path} ${authorization}`)
      t.match(response.headers.get('www-authenticate'), /^Bearer /)
      t.equal(response.headers.get('content-type'), 'application/problem+json; charset=utf-8')
    }
  }
  t.equal((await fetch(`${url}/nothing`)).status, 401, 'nor does it say what is not there')
  t.equal((await fetch(`${url}/v1/contacts?key=${adminKey}`)).status, 401)
})

t.test('a key of the vault opens, as whom it is, and a mistyped one does not', async (t) => {
  const made = await createApiKeys(api.services.pool, undefined).makeFirst()
  t.match(made, /^smc_[0-9a-f]{12}_/)
  const answer = await ask('POST', '/v1/contacts', { name: 'Ada' }, { authorization: `bearer ${made}` })
  t.equal(answer.status, 201)
  const { body } = await ask('GET', `/v1/contacts/${answer.body.id}/history`, undefined, { authorization: `Bearer ${made}` })
  t.equal(body.data[0].actor, `key:${made?.split('_')[1]}`)
  const flipped = made!.replace(/.$/, (last) => (last === 'x' ? 'y' : 'x'))
  t.equal((await ask('GET', '/v1/events', undefined, { authorization: `Bearer ${flipped}` })).status, 401)
})

t.test('health, the document and its page are open to everybody', async (t) => {
  for (const path of ['/livez', '/readyz', '/openapi.json', '/reference', '/reference/', '/reference/js/scalar.js']) {
    t.equal((await fetch(url + path)).status, 200, path)
    t.equal((await fetch(url + path, { method: 'HEAD' })).status, 200, path)
  }
})

t.test('readyz says what is missing', async (t) => {
  t.match((await ask('GET', '/readyz')).body, { status: 'ready', checks: { eventStore: 'ok', projector: 'ok' } })
  missing = 'no event store answers at localhost:2113'
  const answer = await ask('GET', '/readyz')
  t.match(answer, { status: 503, body: { status: 'not ready', checks: { eventStore: missing, projector: 'ok' } } })
  t.ok(answer.headers.get('retry-after'))
  t.equal((await ask('GET', '/livez')).status, 200)
  missing = null
  t.equal((await ask('GET', '/readyz')).status, 200)
})

t.test('the reference page comes whole from here', async (t) => {
  const page = await fetch(`${url}/reference/`)
  const html = await page.text()
  t.notMatch(html, /(https?:)?\/\/[a-z]/i, 'it names no other host')
  const sources = [...html.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, source]) => source!)
  t.strictSame(sources, ['js/scalar.js'])
  const script = await fetch(new URL(sources[0]!, page.url))
  t.match(script.headers.get('content-type'), /javascript/)
  t.ok((await script.text()).length > 100_000)
  const configuration = JSON.parse(/createApiReference\('#app', (\{.*?\})\)/s.exec(html)?.[1] ?? '')
  t.match(configuration, {
    url: '/openapi.json',
    withDefaultFonts: false,
    telemetry: false,
    showDeveloperTools: 'never',
    agent: { disabled: true },
    mcp: { disabled: true },
  })
  t.notOk(configuration.proxyUrl ?? configuration.cdn)
  // The script knows addresses of its vendor. Whatever it makes of them, the browser keeps to this.
  const policy = page.headers.get('content-security-policy') ?? ''
  t.match(policy, "default-src 'none'")
  for (const directive of policy.split('; ')) t.match(directive, /^[a-z-]+( ('self'|'none'|'unsafe-inline'|data:|blob:))+$/)
})

t.test('what had better be tried again is a warning: nothing of ours failed', async (t) => {
  const { status, headers } = await ask('GET', '/v1/contacts', undefined, { 'smartcrm-after': '999999.999999', prefer: 'wait=0' })
  t.equal(status, 503)
  const id = headers.get('x-request-id')
  const told = await until('its lines', () => {
    const entries = lines.map((line) => JSON.parse(line)).filter(({ reqId }) => reqId === id)
    return entries.some(({ msg }) => msg === 'request') && entries
  })
  t.match(
    told.filter(({ level }) => level > 30),
    [{ level: 40, msg: /not come as far/ }],
  )
})

t.test('a request leaves one line, with its ids and nothing of what it carries', async (t) => {
  const canary = `canary${randomUUID().replaceAll('-', '')}`
  const address = `${canary}@example.com`
  const ids = { 'x-correlation-id': randomUUID(), 'idempotency-key': `${canary}-key` }
  lines.length = 0
  const created = await ask('POST', '/v1/contacts', { name: canary, methods: [{ type: 'email', value: address }] }, ids)
  const one = `/v1/contacts/${created.body.id}`
  const answers = [
    created,
    await ask('POST', '/v1/contacts', { name: canary, methods: [{ type: 'email', value: address }] }),
    await ask('PUT', `/v1/contacts/by-email/${address}`, { name: `${canary} again` }),
    await ask('PUT', `/v1/contacts/by-email/${canary}`, { name: canary }),
    await ask('POST', `${one}/notes`, { text: canary }),
    await ask('PATCH', one, { [canary]: canary }),
    await ask('PATCH', one, `{"name": ${canary}`),
    await ask('POST', '/v1/contacts/batch', { inputs: [{ name: canary }, { name: canary, methods: [{ type: 'email', value: address }] }] }),
    await ask('GET', `${one}/history`),
    await ask('GET', `${one}?asOf=${canary}`),
    await ask('GET', `/v1/contacts?q=${canary}&sort=${canary}&${canary}=1`),
    await ask('GET', `/v1/contacts/${address}`),
    await ask('GET', `/v1/contacts/${canary.repeat(20)}`),
    await ask('GET', `/v1/contacts/%FF${canary}`),
    await ask('GET', `/${canary}?token=${canary}`),
    await ask('DELETE', `/v1/contacts?q=${canary}`),
    await ask('GET', '/v1/events', undefined, { authorization: `Bearer ${canary}` }),
    await ask('GET', '/v1/events', undefined, { authorization: `Bearer smc_${canary}`, 'x-correlation-id': canary, cookie: canary }),
    // There are no tables without a projector: what fails inside leaves the error, too.
    await ask('GET', `/v1/contacts?q=${canary}`),
    await ask('GET', `/v1/contacts?company=${canary}&method=${address}`),
  ]
  t.ok(answers.at(-1)!.status >= 500)
  // It is written when the answer is gone.
  const found = await until('every line', () => {
    const requests = lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'request')
    return requests.length >= answers.length && requests
  })
  t.equal(found.length, answers.length)
  for (const [index, { status, headers }] of answers.entries()) {
    const line = found.find(({ reqId }) => reqId === headers.get('x-request-id'))
    t.match(line, { status, route: String, method: String, ms: Number }, `the line of answer ${index}`)
  }
  t.match(found[0], { method: 'POST', route: '/v1/contacts', status: 201, correlationId: ids['x-correlation-id'], actor: 'key:admin' })
  t.match(found[4], { route: '/v1/contacts/:id/notes', id: created.body.id, correlationId: /^[0-9a-f-]{36}$/ })
  const text = lines.join('')
  t.notMatch(text, canary, 'neither body, address, search word nor wrong key')
  t.notMatch(text, adminKey, 'nor the key')
})
