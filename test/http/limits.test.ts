import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { get } from 'node:https'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import Fastify from 'fastify'
import t from 'tap'
import { readConfig } from '../../src/config.ts'
import { standAtDoor } from '../../src/platform/http/door.ts'
import { shedLoad } from '../../src/platform/http/overload.ts'
import { createServer } from '../../src/platform/http/server.ts'
import { createLogger } from '../../src/platform/log.ts'
import { createRateLimits } from '../../src/platform/rate-limits.ts'
import { run as runApi } from '../../src/roles/api.ts'
import { type Answer, adminKey, testApi } from '../support/api.ts'
import { person } from '../support/keys.ts'
import { until } from '../support/processes.ts'
import { cert, key } from '../support/tls.ts'

t.setTimeout(120_000)
const log = createLogger('silent', 'test')
const rateLimits = { reader: { requests: 20, seconds: 86_400 }, '*': { requests: 1_000, seconds: 86_400 }, service: null }
const origin = 'https://crm.example.com'
const api = await testApi(t, { http: { rateLimits, origins: [origin] } })
const other = await testApi(t, { on: api.config, http: { rateLimits } })
const elsewhere = (key: string, path = '/v1/jobs') => fetch(other.url + path, { headers: { authorization: `Bearer ${key}` } })

t.test('a key may ask as often as its role may, over all processes, and is told how often yet', async (t) => {
  const reader = await person(api, { role: 'reader' })
  const first = await reader.ask('GET', '/v1/jobs')
  t.equal(first.headers.get('ratelimit-policy'), '"key";q=20;w=86400')
  t.match(first.headers.get('ratelimit'), /^"key";r=19;t=\d+$/)
  const statuses: number[] = [first.status]
  for (let asked = 1; asked < 30; asked += 1)
    statuses.push(asked % 2 === 0 ? (await reader.ask('GET', '/v1/jobs')).status : (await elsewhere(reader.key)).status)
  const allowed = statuses.filter((status) => status === 200).length
  t.ok(allowed <= 20, `${allowed} of 20 were let through`)
  t.ok(allowed >= 15, `${allowed} of 20 were let through`)
  const refused = await reader.ask('GET', '/v1/jobs')
  t.match(refused, { status: 429, body: { code: 'rate-limited' } })
  t.match(refused.headers.get('ratelimit'), /^"key";r=0;t=\d+$/)
  t.equal(refused.headers.get('retry-after'), /t=(\d+)/.exec(refused.headers.get('ratelimit')!)?.[1])
  t.equal((await reader.ask('POST', '/v1/contacts', {})).status, 429, 'before anything else is looked at')
  t.equal((await (await person(api, { role: 'reader' })).ask('GET', '/v1/jobs')).status, 200, 'another key is another’s')
})

t.test('a limit of the key’s own goes before its role’s; some have none', async (t) => {
  const policy = ({ headers }: Answer) => headers.get('ratelimit-policy')
  const own = await person(api, { role: 'reader', rateLimit: { requests: 2, seconds: 86_400 } })
  t.equal(policy(await own.ask('GET', '/v1/jobs')), '"key";q=2;w=86400')
  t.equal((await own.ask('GET', '/v1/jobs')).status, 200)
  t.equal((await own.ask('GET', '/v1/jobs')).status, 429)
  t.equal(policy(await (await person(api, { role: 'member' })).ask('GET', '/v1/jobs')), '"key";q=1000;w=86400')
  t.equal(policy(await (await person(api, { role: 'service' })).ask('GET', '/v1/jobs')), null)
  t.equal(policy(await api.ask('GET', '/v1/jobs')), null, 'the settings’ key has none unless it is named')
  const named = await testApi(t, { on: api.config, http: { rateLimits: { 'admin-key': { requests: 1, seconds: 86_400 } } } })
  t.equal((await named.ask('GET', '/v1/jobs')).status, 200)
  t.equal((await named.ask('GET', '/v1/jobs')).status, 429)
  t.equal((await fetch(`${named.url}/livez`)).status, 200)
})

t.test('in the next window it may ask again', async (t) => {
  const hasty = await person(api, { rateLimit: { requests: 1, seconds: 1 } })
  const answers = [await hasty.ask('GET', '/v1/jobs'), await hasty.ask('GET', '/v1/jobs'), await hasty.ask('GET', '/v1/jobs')]
  t.ok(answers.some(({ status }) => status === 429))
  await until('the next window', async () => (await hasty.ask('GET', '/v1/jobs')).status === 200)
})

t.test('many at once get what there is, and cost few statements', async (t) => {
  let statements = 0
  const { pool } = api.services
  const rows: typeof pool.rows = (query) => {
    statements += 1
    return pool.rows(query)
  }
  const counted = () => createRateLimits({ rows }, 60_000)
  const processes = [counted(), counted(), counted()]
  const key = randomUUID()
  const limit = { requests: 1_000, seconds: 86_400 }
  const taken = await Promise.all(Array.from({ length: 3_000 }, (_, index) => processes[index % 3]!.take(key, limit)))
  t.equal(taken.filter(({ isAllowed }) => isAllowed).length, 1_000)
  t.ok(statements < 200, `${statements} statements`)
  t.ok(taken.every(({ remaining, resetSeconds }) => remaining >= 0 && remaining < 1_000 && resetSeconds > 0))
})

t.test('while Postgres is away each process counts by itself', async (t) => {
  const away = createRateLimits({ rows: () => Promise.reject(new Error('away')) })
  const taken = []
  for (let asked = 0; asked < 15; asked += 1) taken.push(await away.take('x', { requests: 10, seconds: 5 }))
  const allowed = taken.filter(({ isAllowed }) => isAllowed).length
  t.equal(allowed, 10)
})

t.test('what is too much at once is turned away at once, and the rest is answered', async (t) => {
  const app = createServer({
    keys: { caller: async () => ({ permissions: new Set(['x:read']) }) } as never,
    access: { slow: 'x:read' },
    log,
    atOnce: 4,
  })
  const going: (() => void)[] = []
  const ways: Record<string, () => Promise<unknown>> = {
    stay: () => new Promise<void>((go) => going.push(go)),
  }
  app.get('/slow', { schema: { operationId: 'slow' } }, async (request) => {
    const { way } = request.query as { way: string }
    if (way === 'leave') request.work.leave()
    await ways['stay']!()
    return 'done'
  })
  app.get('/livez', { config: { open: true } }, () => 'ok')
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const ask = (path = '/slow?way=stay') => fetch(url + path, { headers: { authorization: 'Bearer x' } })
  const running = Array.from({ length: 4 }, () => ask())
  await until('four at work', () => going.length === 4)
  const turnedAway = await ask()
  t.match([turnedAway.status, turnedAway.headers.get('retry-after'), await turnedAway.json()], [503, '1', { code: 'overloaded' }])
  t.equal(app.overload.shed(), 1)
  t.equal((await fetch(`${url}/livez`)).status, 200, 'whether it lives is told all the same')
  going.shift()!()
  await Promise.race(running)
  const leaving = [ask('/slow?way=leave'), ask('/slow?way=leave'), ask('/slow?way=leave')]
  await until('those that wait', () => going.length >= 4)
  await Promise.all(leaving.slice(2).map(() => ask('/nothing'))).then((answers) => t.match(answers, [{ status: 404 }]))
  const end = setInterval(() => {
    for (const go of going.splice(0)) go()
  }, 10)
  t.strictSame(
    new Set((await Promise.all([...running, ...leaving])).map(({ status }) => status)),
    new Set([200]),
    'nobody who was let in is forgotten',
  )
  clearInterval(end)
})

t.test('how many it takes at once follows from how long they take', async (t) => {
  const app = Fastify()
  const overload = shedLoad(app as never, 64, 300)
  standAtDoor(app as never, [overload.keeper])
  let takesMs = 700
  app.get('/', async () => delay(takesMs))
  app.setErrorHandler((error, _request, reply) => reply.code((error as { status: number }).status).send())
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const ask = () => Promise.all(Array.from({ length: 8 }, () => fetch(url)))
  await until('fewer', async () => {
    await ask()
    return overload.atOnce().questions < 20
  })
  takesMs = 0
  await until('as many as before', async () => {
    await ask()
    return overload.atOnce().questions === 64
  })
})

t.test('who leaves before he is answered takes nobody’s place', async (t) => {
  const app = Fastify()
  const overload = shedLoad(app as never, 64, 1)
  standAtDoor(app as never, [overload.keeper])
  const { promise: answered, resolve: answer } = Promise.withResolvers<void>()
  let begun = 0
  app.get('/slow', async () => {
    begun += 1
    await answered
    return {}
  })
  app.get('/', async () => ({}))
  app.setErrorHandler((error, _request, reply) => reply.code((error as { status: number }).status).send())
  const sockets = new Set<Socket>()
  app.server.on('connection', (socket) => sockets.add(socket.on('close', () => sockets.delete(socket))))
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const leaving = new AbortController()
  const gone = Array.from({ length: 8 }, () => fetch(`${url}/slow`, { signal: leaving.signal }).catch(() => null))
  await until('them', () => begun === 8)
  await until('them to take long', async () => (await fetch(url)).status === 503)
  leaving.abort()
  await Promise.all(gone)
  await until('them to have left', () => ![...sockets].some((socket) => socket.bytesRead > 0 && socket.bytesWritten === 0))
  t.equal((await fetch(url)).status, 503, 'what they asked for still goes on')
  answer()
  await until('the end of it', async () => (await fetch(url)).status === 200)
})

t.test('browsers are told to run nothing, and pages of other origins may ask where they are named', async (t) => {
  const { headers } = await api.ask('GET', '/v1/jobs')
  t.equal(headers.get('content-security-policy'), "default-src 'none';frame-ancestors 'none'")
  t.match(headers.get('x-content-type-options'), 'nosniff')
  t.notOk(headers.get('strict-transport-security'))
  const refused = await fetch(`${api.url}/v1/contacts`)
  t.equal(refused.status, 401)
  t.match(refused.headers.get('x-content-type-options'), 'nosniff', 'a refusal is an answer, too')
  const preflight = (from: string, url = api.url) =>
    fetch(`${url}/v1/contacts`, {
      method: 'OPTIONS',
      headers: { origin: from, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' },
    })
  const asked = await preflight(origin)
  t.equal(asked.status, 204, 'without a key: browsers send none')
  t.equal(asked.headers.get('access-control-allow-origin'), origin)
  t.match(asked.headers.get('access-control-allow-headers'), /authorization/i)
  t.not((await preflight('https://evil.example.com')).headers.get('access-control-allow-origin'), 'https://evil.example.com')
  const answer = await fetch(`${api.url}/v1/contacts`, { headers: { origin, authorization: `Bearer ${adminKey}` } })
  t.equal(answer.headers.get('access-control-allow-origin'), origin)
  t.match(answer.headers.get('access-control-expose-headers'), /SmartCRM-Position/)
  t.equal(answer.headers.get('access-control-allow-credentials'), null)
  t.equal(
    (await fetch(`${api.url}/v1/contacts`, { method: 'OPTIONS', headers: { origin } })).status,
    401,
    'what is no preflight needs a key',
  )
  t.equal((await preflight(origin, other.url)).status, 401, 'nor is one where no origin is named')
})

t.test('the API over TLS', async (t) => {
  const folder = t.testdir()
  const files = { TLS_CERT_FILE: join(folder, 'cert.pem'), TLS_KEY_FILE: join(folder, 'key.pem') }
  const settings = { ...api.config, port: 0, host: '127.0.0.1' }
  const { tlsCertFile, tlsKeyFile, serviceUrl } = readConfig({ ...files, PORT: '3001' })
  t.equal(serviceUrl, 'https://127.0.0.1:3001')
  const config = { ...settings, tlsCertFile: tlsCertFile!, tlsKeyFile: tlsKeyFile! }
  await t.rejects(runApi(config, log), { message: /^TLS_CERT_FILE: .*no such file.*Name a file that can be read/ })
  await writeFile(files.TLS_CERT_FILE, cert)
  await writeFile(files.TLS_KEY_FILE, 'nonsense')
  await t.rejects(runApi(config, log), { message: /are no certificate with its key/ })
  await writeFile(files.TLS_KEY_FILE, key)
  const { url, close } = await runApi(config, log)
  t.teardown(close)
  t.match(url, /^https:/)
  const [response] = await once(get(`${url}/livez`, { ca: cert, agent: false }), 'response')
  t.equal(response.statusCode, 200)
  t.match(response.headers['strict-transport-security'], /max-age/)
  t.match(await text(response), 'ok')
  t.throws(() => readConfig({ TLS_CERT_FILE: 'x' }), /need each other/)
})
