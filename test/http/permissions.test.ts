import { randomUUID } from 'node:crypto'
import t from 'tap'
import { access, allPermissions, builtInRoles, permissions } from '../../src/access.ts'
import { revokeKey } from '../../src/keys/key.ts'
import { createServer } from '../../src/platform/http/server.ts'
import { createLogger } from '../../src/platform/log.ts'
import { run as runWorker } from '../../src/roles/worker.ts'
import { type Answer, testApi } from '../support/api.ts'
import { upload } from '../support/imports.ts'
import { type Person, person } from '../support/keys.ts'
import { until } from '../support/processes.ts'
import { request } from '../support/services.ts'

t.setTimeout(120_000)
const api = await testApi(t)
const { ask } = api
const log = createLogger('silent', 'test')

type Operation = { operationId: string; security?: object[] }
const { body: document } = await ask('GET', '/openapi.json')
const all = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods as Record<string, Operation>).map(([method, { operationId, security }]) => ({
    operationId,
    method: method.toUpperCase(),
    path,
    isOpen: security?.length === 0,
  })),
)
const operations = all.filter(({ isOpen }) => !isOpen)
/** An address of the operation at which there is nothing, so that nothing comes of it. */
const addressOf = (path: string) =>
  path
    .replaceAll(/\{\w*id\}/gi, () => randomUUID())
    .replace('{index}', '0')
    .replace('{messageId}', 'none')
    .replace('{address}', encodeURIComponent(`${randomUUID()}@example.com`))
    .replace('{name}', 'nothing')
/** Wrong for every operation that takes one: whether one may is known before it is looked at. */
const body = { nonsense: true }
const sent = (method: string) => (method === 'GET' ? undefined : body)

/** What of a role's permissions somebody has who sees only his own. */
const own = ['contacts', 'emails', 'imports', 'enrichment', 'jobs']
  .flatMap((noun) => [`${noun}:read`, `${noun}:write`])
  .concat('contacts:export')

t.test('what asks for no key asks for something else', async (t) => {
  const open = all.filter(({ isOpen }) => isOpen).map(({ operationId }) => operationId)
  // The state that we gave out, and a token of Google's.
  t.strictSame(open.toSorted(), ['finishGoogleConsent', 'receiveGmailPush'])
})

t.test('the table names every operation, and nothing else', async (t) => {
  t.strictSame(Object.keys(access).toSorted(), [...operations.map(({ operationId }) => operationId), '/metrics'].toSorted())
  for (const permission of allPermissions) {
    t.ok(Object.values(access).includes(permission), `${permission} is needed for something`)
    t.ok(permissions[permission].length > 5)
    const [noun] = permission.split(':')
    t.ok((allPermissions as string[]).includes(`${noun}:read`), `what ${permission} changes can be seen by a permission`)
  }
  for (const [role, list] of Object.entries(builtInRoles)) t.equal(new Set(list).size, list.length, role)
})

t.test('a server with a route that the table does not name does not start', async (t) => {
  const app = createServer({ keys: {} as never, access: { known: 'contacts:read' }, log })
  app.get('/known', { schema: { operationId: 'known' } }, () => 'x')
  app.get('/open', { config: { open: true } }, () => 'x')
  app.post('/forgotten', { schema: { operationId: 'forgotten' } }, () => 'x')
  await t.rejects(app.ready() as unknown as Promise<void>, { message: 'Nothing says who may do this: POST /forgotten.' })
})

t.test('every operation, as every role', async (t) => {
  await ask('PUT', '/v1/roles/support', { permissions: ['contacts:read', 'emails:read', 'contacts:write'] })
  const people: [name: string, who: Person, may: readonly string[]][] = [
    ...(await Promise.all(
      Object.entries(builtInRoles).map(
        async ([role, may]) => [role, await person(api, { role }), may] as [string, Person, readonly string[]],
      ),
    )),
    ['a role defined here', await person(api, { role: 'support' }), ['contacts:read', 'emails:read', 'contacts:write']],
    ['a narrowed key', await person(api, { role: 'administrator', scopes: ['jobs:read', 'keys:write'] }), ['jobs:read', 'keys:write']],
    ['one who sees his own', await person(api, { role: 'administrator', sees: 'own', owner: 'ada' }), own],
    ['one who sees his team’s', await person(api, { role: 'member', sees: 'team', owner: 'ada', team: 'engines' }), own],
  ]
  t.equal(people.length, 9)
  for (const [name, who, may] of people) {
    for (const { operationId, method, path } of [...operations, { operationId: '/metrics', method: 'GET', path: '/metrics' }]) {
      const answer = await fetch(api.url + addressOf(path), {
        method,
        headers: { authorization: `Bearer ${who.key}`, ...(sent(method) && { 'content-type': 'application/json' }) },
        ...(sent(method) && { body: JSON.stringify(body) }),
      })
      const text = await answer.text()
      const { code } = answer.ok ? {} : JSON.parse(text)
      const needs = access[operationId]!
      const what = `${operationId} by ${name}`
      if (may.includes(needs)) {
        t.not(answer.status, 401, what)
        t.not(answer.status, 403, what)
        t.not(code, 'not-found', what)
        if (method !== 'GET') t.notOk(answer.ok, `${what}: the test does nothing`)
      } else if (may.includes(`${needs.split(':')[0]}:read`)) {
        t.equal(answer.status, 403, what)
        t.match(JSON.parse(text), { code: 'permission-needed', permissions: [needs], detail: new RegExp(needs) })
      } else {
        t.match(JSON.parse(text), { status: 404, code: 'not-found' }, what)
      }
    }
  }
})

t.test('an expired and a revoked key open nothing, nor does one that never was', async (t) => {
  const expiring = await person(api, { role: 'administrator', expiresAt: new Date(Date.now() + 1_500).toISOString() })
  t.equal((await expiring.ask('GET', '/v1/jobs')).status, 200)
  const revoked = await person(api, { role: 'administrator' })
  // This process has seen it, and trusts it for a while.
  t.equal((await revoked.ask('GET', '/v1/jobs')).status, 200)
  const done = await ask('DELETE', `/v1/keys/${revoked.id}`)
  t.match(done, { status: 200, body: { id: revoked.id, revokedAt: String } })
  await until('the end of both', async () => {
    const answers = await Promise.all([expiring, revoked].map(({ ask }) => ask('GET', '/v1/jobs')))
    return answers.every(({ status }) => status === 401)
  })
  const never = `smc_${'0'.repeat(12)}_${'0'.repeat(48)}xxxxxx`
  for (const key of [expiring.key, revoked.key, never])
    for (const { operationId, method, path } of operations) {
      const answer = await fetch(api.url + addressOf(path), { method, headers: { authorization: `Bearer ${key}` } })
      t.match([answer.status, await answer.json()], [401, { code: 'key-needed' }], operationId)
    }
  t.match(await ask('DELETE', `/v1/keys/${revoked.id}`), { status: 200, body: { revokedAt: done.body.revokedAt } }, 'again changes nothing')
  t.match(await ask('DELETE', `/v1/keys/${randomUUID()}`), { status: 404, body: { code: 'key-not-found' } })
})

t.test('a key is shown once, and is in the log and the vault as a hash', async (t) => {
  const headers = { 'idempotency-key': randomUUID() }
  const input = { name: 'Mail room', role: 'reader', owner: 'ada', rateLimit: { requests: 10, seconds: 60 } }
  const first = await ask('POST', '/v1/keys', input, headers)
  t.match(first, {
    status: 201,
    body: { ...input, key: /^smc_[0-9a-f]{12}_/, sees: 'all', scopes: null, lastUsedAt: null, revokedAt: null },
  })
  const { key, id, actor } = first.body
  t.equal(actor, `key:${key.split('_')[1]}`)
  t.equal(first.headers.get('location'), `/v1/keys/${id}`)
  t.match(await ask('POST', '/v1/keys', input, headers), { status: 200, body: { id, key: null } }, 'a repeat is the same key, not shown')
  t.match(await ask('POST', '/v1/keys', { ...input, name: 'Another' }, headers), { status: 422 })
  const shown = await ask('GET', `/v1/keys/${id}`)
  t.notOk('key' in shown.body)
  const events = await api.services.runner.load(`key-${id}`)
  t.match(events, [{ type: 'ApiKeyIssued', data: { keyId: id, name: 'Mail room', role: 'reader' }, meta: { actor: 'key:admin' } }])
  const stored = JSON.stringify(await Array.fromAsync(await api.services.store.readStream(`key-${id}`)), (_, value) =>
    typeof value === 'bigint' ? String(value) : value,
  )
  t.notMatch(stored, key.split('_')[2].slice(0, 48), 'the secret is not in the log')
  t.notMatch(stored, 'Mail room', 'nor is what people call it')
  await fetch(`${api.url}/v1/contacts`, { headers: { authorization: `Bearer ${key}` } })
  await until('that it is in use', async () => (await ask('GET', `/v1/keys/${id}`)).body.lastUsedAt)
  const listed = (await ask('GET', '/v1/keys')).body.data as { id: string }[]
  t.ok(listed.some((one) => one.id === id))
})

t.test('a key is replaced by another, and opens for a while yet', async (t) => {
  const old = await person(api, { role: 'member', sees: 'own', owner: 'ada', name: 'Rotated' })
  const headers = { 'idempotency-key': randomUUID() }
  const made = await ask('POST', `/v1/keys/${old.id}/rotate`, { overlapSeconds: 3600 }, headers)
  t.match(made, { status: 201, body: { name: 'Rotated', role: 'member', sees: 'own', owner: 'ada', key: /^smc_/ } })
  t.equal((await old.ask('GET', '/v1/contacts')).status, 200)
  t.equal((await ask('GET', '/v1/contacts', undefined, { authorization: `Bearer ${made.body.key}` })).status, 200)
  const replaced = (await ask('GET', `/v1/keys/${old.id}`)).body
  t.equal(replaced.replacedBy, made.body.id)
  t.ok(Date.parse(replaced.revokedAt) > Date.now() + 3_000_000)
  t.match(await ask('POST', `/v1/keys/${old.id}/rotate`, { overlapSeconds: 3600 }, headers), {
    status: 200,
    body: { id: made.body.id, key: null },
  })
  t.match(await ask('POST', `/v1/keys/${old.id}/rotate`, {}), { status: 409, body: { code: 'key-revoked' } })
  t.ok(Date.parse((await ask('DELETE', `/v1/keys/${old.id}`)).body.revokedAt) <= Date.now(), 'it can be ended before its time')
  const atOnce = await person(api, {})
  t.equal((await atOnce.ask('GET', '/v1/contacts')).status, 200)
  t.equal((await ask('POST', `/v1/keys/${atOnce.id}/rotate`, { overlapSeconds: 0 })).status, 201)
  await until('the end of the old one', async () => (await atOnce.ask('GET', '/v1/contacts')).status === 401)
  t.equal((await ask('POST', `/v1/keys/${randomUUID()}/rotate`, {})).status, 404)
})

t.test('nobody gives away what he has not', async (t) => {
  const may = ['keys:read', 'keys:write', 'roles:read', 'roles:write', 'contacts:read']
  await ask('PUT', '/v1/roles/keeper', { permissions: may })
  const keeper = await person(api, { role: 'keeper' })
  const admin = await person(api, { role: 'administrator' })
  const lacking = (answer: Answer) => t.match(answer, { status: 403, body: { code: 'permission-needed' } })
  lacking(await keeper.ask('POST', '/v1/keys', { name: 'x', role: 'administrator' }))
  lacking(await keeper.ask('POST', '/v1/keys', { name: 'x', role: 'reader' }))
  lacking(await keeper.ask('POST', `/v1/keys/${admin.id}/rotate`, {}))
  lacking(await keeper.ask('PUT', '/v1/roles/keeper', { permissions: [...may, 'contacts:write'] }))
  t.equal((await keeper.ask('POST', '/v1/keys', { name: 'x', role: 'administrator', scopes: ['contacts:read'] })).status, 201)
  t.equal((await keeper.ask('POST', '/v1/keys', { name: 'x', role: 'keeper' })).status, 201)
  t.equal((await keeper.ask('PUT', '/v1/roles/lesser', { permissions: ['contacts:read'] })).status, 200)
  t.equal((await keeper.ask('DELETE', `/v1/keys/${admin.id}`)).status, 200, 'but a key that got out can be closed by him')
})

t.test('roles are defined, changed and removed, and keys follow', async (t) => {
  t.match(await ask('PUT', '/v1/roles/intern', { permissions: ['contacts:read'] }), {
    status: 200,
    body: { name: 'intern', permissions: ['contacts:read'], builtIn: false },
  })
  const intern = await person(api, { role: 'intern' })
  t.equal((await intern.ask('POST', '/v1/contacts', { name: 'x' })).status, 403)
  await ask('PUT', '/v1/roles/intern', { permissions: ['contacts:read', 'contacts:write'] })
  await until('what the role may by now', async () => (await intern.ask('POST', '/v1/contacts', { name: 'x' })).status === 201)
  t.match(await ask('DELETE', '/v1/roles/intern'), { status: 409, body: { code: 'role-in-use' } })
  await ask('DELETE', `/v1/keys/${intern.id}`)
  t.equal((await ask('DELETE', '/v1/roles/intern')).status, 200)
  t.equal((await ask('GET', '/v1/roles/intern')).status, 404)
  t.match(await ask('POST', '/v1/keys', { name: 'x', role: 'intern' }), { status: 400, body: { errors: [{ path: '/role' }] } })
  for (const [method, body] of [
    ['PUT', { permissions: ['contacts:read'] }],
    ['DELETE', undefined],
  ] as const)
    t.match(await ask(method, '/v1/roles/administrator', body), { status: 409, body: { code: 'role-built-in' } })
  t.match((await ask('GET', '/v1/roles')).body.data, [{ name: 'administrator', builtIn: true }])
  t.match(await ask('PUT', '/v1/roles/x', { permissions: ['all:all'] }), { status: 400 })
})

t.test('a wrong key is refused with everything that is wrong with it', async (t) => {
  const errors = async (input: object) => {
    const { status, body } = await ask('POST', '/v1/keys', { name: 'x', role: 'reader', ...input })
    t.equal(status, 400)
    return body.errors.map(({ path }: { path: string }) => path)
  }
  t.strictSame(await errors({ role: 'king', scopes: ['contacts:burn'] }), ['/role', '/scopes'])
  t.strictSame(await errors({ sees: 'team' }), ['/owner', '/team'])
  t.strictSame(await errors({ owner: 'ada@example.com' }), ['/owner'], 'an address is no name')
  t.strictSame(await errors({ rateLimit: { requests: 0, seconds: 1 } }), ['/rateLimit/requests'])
  t.match(await ask('POST', '/v1/keys', { name: 'x', role: 'reader', expiresAt: '2001-01-01T00:00:00Z' }), {
    body: { code: 'expiry-past' },
  })
})

t.test('what nobody may set is refused', async (t) => {
  const { body: contact } = await ask('POST', '/v1/contacts', { name: 'Ada' })
  for (const field of ['revision', 'createdAt', 'updatedAt', 'actor', 'archived', 'owner', 'team', 'emailsSent']) {
    for (const [method, path] of [
      ['POST', '/v1/contacts'],
      ['PATCH', `/v1/contacts/${contact.id}`],
      ['PUT', '/v1/contacts/by-email/ada@example.com'],
    ] as const) {
      const answer = await ask(method, path, { name: 'Ada', [field]: field === 'revision' ? 7 : 'x' })
      t.match(answer, { status: 400, body: { errors: [{ path: `/${field}`, message: 'is not a known field' }] } }, `${method} ${field}`)
    }
  }
  for (const field of ['actor', 'createdAt', 'revokedAt', 'secretHash', 'id', 'keyId'])
    t.match(await ask('POST', '/v1/keys', { name: 'x', role: 'reader', [field]: 'x' }), { status: 400 })
})

t.test('whose rows one sees', async (t) => {
  const ada = await person(api, { role: 'administrator', sees: 'own', owner: 'ada', team: 'engines' })
  const grace = await person(api, { sees: 'own', owner: 'grace', team: 'navy' })
  const lead = await person(api, { sees: 'team', owner: 'lead', team: 'engines' })
  const all = await person(api, { owner: 'boss' })
  const address = `${randomUUID()}@example.com`
  const made = await ada.ask('POST', '/v1/contacts', { name: 'Zacharias Zimt', methods: [{ type: 'email', value: address }] })
  t.match(made.body, { owner: 'ada', team: 'engines' })
  const { id } = made.body
  const one = `/v1/contacts/${id}`
  const ids = async (who: Person, path: string) => ((await who.after(made, path)).body.data as { id: string }[]).map(({ id }) => id)
  const reads = [one, `${one}/timeline`, `${one}/history`, `${one}/emails`, `${one}?asOf=2100-01-01T00:00:00Z`]

  for (const who of [ada, lead, all]) {
    for (const path of reads) t.equal((await who.after(made, path)).status, 200, path)
    for (const path of [
      '/v1/contacts',
      '/v1/contacts?sort=name',
      '/v1/contacts?sort=-lastEmailAt',
      '/v1/contacts?q=zimt',
      `/v1/contacts?method=${address}`,
    ])
      t.ok((await ids(who, path)).includes(id), path)
  }
  for (const path of reads) t.match(await grace.after(made, path), { status: 404, body: { code: /not-found$/ } }, path)
  for (const path of [
    '/v1/contacts',
    '/v1/contacts?sort=name',
    '/v1/contacts?sort=lastEmailAt',
    '/v1/contacts?q=zimt',
    `/v1/contacts?method=${address}`,
  ])
    t.strictSame(await ids(grace, path), [], path)
  for (const [method, path, body] of [
    ['PATCH', one, { name: 'Mine' }],
    ['DELETE', one, undefined],
    ['POST', `${one}/archive`, undefined],
    ['POST', `${one}/restore`, undefined],
    ['POST', `${one}/notes`, { text: 'Mine.' }],
    ['POST', `${one}/methods`, { type: 'url', value: 'x' }],
    ['POST', `${one}/assign`, { owner: 'grace' }],
    ['DELETE', `${one}/methods/${made.body.methods[0].id}`, undefined],
  ] as const)
    t.match(await grace.ask(method, path, body), { status: 404, body: { code: 'contact-not-found' } }, `${method} ${path}`)

  // That an address is somebody's cannot be hidden; whose it is, can.
  const taken = { name: 'Mine', methods: [{ type: 'email', value: address }] }
  for (const answer of [
    await grace.ask('POST', '/v1/contacts', taken),
    await grace.ask('PUT', `/v1/contacts/by-email/${address}`, { name: 'Mine' }),
  ]) {
    t.match(answer, { status: 409, body: { code: 'address-taken' } })
    t.notMatch(JSON.stringify(answer.body), id)
  }
  const batch = await grace.ask('POST', '/v1/contacts/batch', { inputs: [taken, { id, name: 'Mine' }, { name: 'Her own' }] })
  t.match(batch.body.results, [{ problem: { code: 'address-taken' } }, { problem: { code: 'contact-not-found' } }, { outcome: 'created' }])
  t.equal(batch.body.results[0].problem.owner, undefined)
  t.match((await lead.ask('POST', '/v1/contacts', taken)).body, { code: 'address-taken', owner: id }, 'who sees it is told')
  t.match((await ask('GET', `${one}/history`)).body.data, [{ type: 'ContactCreated' }])
  t.equal((await ask('GET', `${one}/history`)).body.data.length, 1, 'nothing came of all that')

  // Given away, it is no more his.
  const assigned = await ada.ask('POST', `${one}/assign`, { owner: 'grace', team: 'navy' })
  t.match(assigned, { status: 200, body: { owner: 'grace', team: 'navy' } })
  t.equal((await grace.after(assigned, one)).status, 200)
  t.match((await grace.after(assigned, `${one}/timeline`)).body.data[0], { kind: 'assigned', owner: 'grace', team: 'navy' })
  t.equal((await ada.after(assigned, one)).status, 404)
  t.equal((await lead.after(assigned, one)).status, 404)
  t.equal((await ada.ask('PATCH', one, { name: 'Mine' })).status, 404)
  t.equal((await grace.ask('PATCH', one, { name: 'Hers' })).status, 200)
  t.equal((await ada.ask('GET', '/v1/events')).status, 404, 'the journal is about everybody’s')
})

t.test('the journal shows what the other permissions let one see', async (t) => {
  await ask('PUT', '/v1/roles/follower', { permissions: ['events:read', 'contacts:read'] })
  const follower = await person(api, { role: 'follower' })
  const categories = async (who: Pick<Person, 'ask'>) =>
    new Set(((await who.ask('GET', '/v1/events?limit=1000')).body.data as { stream: string }[]).map(({ stream }) => stream.split('-')[0]))
  t.ok((await categories(api)).has('key'))
  t.strictSame([...(await categories(follower))].toSorted(), ['claim', 'contact'])
  t.match(await follower.ask('GET', '/v1/events?category=key'), {
    status: 400,
    body: { errors: [{ message: /there is contact, undo, claim/ }] },
  })
  const none = await person(api, { role: 'administrator', scopes: ['events:read'] })
  t.equal((await none.ask('GET', '/v1/events')).status, 404)
})

t.test('mails, threads, imports and jobs go by whose contacts and imports they are', async (t) => {
  t.teardown((await runWorker(api.config, log)).close)
  const ada = await person(api, { sees: 'own', owner: 'ada-of-mail' })
  const grace = await person(api, { sees: 'own', owner: 'grace-of-mail', role: 'administrator' })
  const [one, other] = [`one.${randomUUID()}@example.com`, `other.${randomUUID()}@example.com`] as const
  await ada.ask('POST', '/v1/contacts', { name: 'One', methods: [{ type: 'email', value: one }] })
  await grace.ask('POST', '/v1/contacts', { name: 'Other', methods: [{ type: 'email', value: other }] })
  const mail = (id: string, from: string, subject: string, more = '') =>
    Buffer.from(
      `From sender Thu Jan  1 00:00:00 2026\nMessage-ID: <${id}@example.com>\nFrom: ${from}\nTo: me@own.example\nSubject: ${subject}\n${more}Date: Thu, 1 Jan 2026 00:00:0${id.at(-1)} +0000\n\nHello ${subject}\n\n`,
    )
  const root = randomUUID()
  const file = Buffer.concat([
    mail(`${root}.1`, one, 'between'),
    mail(`${root}.2`, other, 'between', `References: <${root}.1@example.com>\n`),
    mail(`${root}.3`, 'stranger@example.com', 'apart'),
  ])
  const started = await upload({ url: api.url, key: ada.key }, file, ['me@own.example'])
  const again = await upload({ url: api.url, key: grace.key }, file, ['me@own.example'])
  t.not(again.body.id, started.body.id, 'the same file of somebody else is an import of his own')
  const isDone = async (who: Person, id: string) => (await who.ask('GET', `/v1/imports/${id}`)).body.state === 'finished'
  await until('the imports', async () => (await isDone(ada, started.body.id)) && (await isDone(grace, again.body.id)))
  const end = await ask('POST', '/v1/contacts', { name: 'The end' })
  const subjects = async (who: Pick<Person, 'after'>, path: string) =>
    ((await who.after(end, path)).body.data as { subject: string; id: string; from: { address: string }[] }[]) ?? []

  t.equal((await subjects(api, '/v1/emails?q=hello')).length, 3)
  const mine = await subjects(ada, '/v1/emails')
  t.match(mine, [{ subject: 'between', from: [{ address: one, contact: { name: 'One' } }] }])
  t.equal(mine.length, 1)
  const hers = await subjects(grace, '/v1/emails')
  t.match(hers, [{ subject: 'between', from: [{ address: other }] }])
  for (const path of [
    '/v1/emails?q=between',
    '/v1/emails?sort=date',
    '/v1/emails?dateAfter=2025-01-01T00:00:00Z',
    '/v1/emails?hasAttachment=false',
    `/v1/emails?thread=${hers[0]!.id}`,
  ])
    t.strictSame(
      (await subjects(ada, path)).map(({ id }) => id),
      [mine[0]!.id],
      path,
    )
  t.strictSame(await subjects(ada, `/v1/emails?address=${other}`), [])
  const id = hers[0]!.id
  for (const path of ['', '/raw', '/html'])
    t.match(await ada.after(end, `/v1/emails/${id}${path}`), { status: 404, body: { code: 'email-not-found' } })
  t.equal((await ada.ask('DELETE', `/v1/emails/${id}`)).status, 404)
  const raw = (who: Person) => fetch(`${api.url}/v1/emails/${id}/raw`, { headers: { authorization: `Bearer ${who.key}` } })
  t.equal((await raw(grace)).status, 200)
  t.equal((await raw(ada)).status, 404)

  // A thread is told by the mails of it that one sees.
  t.match(
    (await subjects(api, '/v1/threads')).find(({ subject }) => subject === 'between'),
    { emails: 2 },
  )
  t.match((await ada.after(end, '/v1/threads')).body.data, [{ subject: 'between', emails: 1, lastEmail: { id: mine[0]!.id } }])
  const thread = await ada.after(end, `/v1/threads/${mine[0]!.id}`)
  t.match(thread.body, { emails: 1, data: [{ id: mine[0]!.id }] })
  t.equal(thread.body.data.length, 1)
  const apart = (await subjects(api, '/v1/emails?q=apart'))[0]!
  t.equal((await ada.after(end, `/v1/threads/${apart.id}`)).status, 404)

  t.strictSame(
    (await ada.ask('GET', '/v1/imports')).body.data.map(({ id }: { id: string }) => id),
    [started.body.id],
  )
  for (const path of ['', '/results', '/results/0/raw'])
    t.equal((await grace.ask('GET', `/v1/imports/${started.body.id}${path}`)).status, 404)
  t.strictSame(
    (await ada.ask('GET', '/v1/jobs')).body.data.map(({ id }: { id: string }) => id),
    [started.body.jobId],
  )
  for (const [method, path] of [
    ['GET', ''],
    ['POST', '/retry'],
    ['POST', '/cancel'],
  ] as const)
    t.equal((await grace.ask(method, `/v1/jobs/${started.body.jobId}${path}`)).status, 404)

  // What an import makes is of who started it, and it changes nobody else's.
  const rows = Buffer.from(`Name,E-mail Address\nBy import,${randomUUID()}@example.com\nTaken,${other}\n`)
  const contacts = await upload({ url: api.url, key: ada.key }, rows)
  await until('the import of contacts', () => isDone(ada, contacts.body.id))
  t.match((await ada.ask('GET', `/v1/imports/${contacts.body.id}`)).body.counts, { created: 1, failed: 1 })
  t.match((await ada.ask('GET', `/v1/imports/${contacts.body.id}/results`)).body.data, [{ outcome: 'created' }, { code: 'address-taken' }])
})

t.test('what is in the log holds even if who put it there was killed before he could see to it', async (t) => {
  const victim = await person(api, {})
  t.equal((await victim.ask('GET', '/v1/contacts')).status, 200)
  await api.services.runner.execute(revokeKey, { afterSeconds: 0 }, { id: victim.id }, request())
  t.teardown((await runWorker(api.config, log)).close)
  await until('that it opens nothing', async () => (await victim.ask('GET', '/v1/contacts')).status === 401)
})

t.test('on another process a revoked key opens nothing either', async (t) => {
  const other = await testApi(t, { on: api.config })
  const somebody = await person(api, {})
  const there = () => fetch(`${other.url}/v1/contacts`, { headers: { authorization: `Bearer ${somebody.key}` } })
  t.equal((await there()).status, 200)
  t.equal((await ask('DELETE', `/v1/keys/${somebody.id}`)).status, 200)
  await until('the end of it there', async () => (await there()).status === 401)
})
