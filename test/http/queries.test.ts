import { randomUUID } from 'node:crypto'
import type { Static } from '@sinclair/typebox'
import t from 'tap'
import type { JournalPage } from '../../schema/event.ts'
import { startHeartbeat } from '../../src/platform/heartbeat.ts'
import { createLogger } from '../../src/platform/log.ts'
import { comparePositions, formatPosition, parsePosition } from '../../src/platform/position.ts'
import { type Answer, testApi } from '../support/api.ts'
import { until } from '../support/processes.ts'

const api = await testApi(t)
const { ask, after } = api
const position = (answer: Answer) => answer.headers.get('smartcrm-position')!
const names = (answer: Answer) => answer.body.data.map(({ name }: { name: string }) => name)
const create = (body: object) => ask('POST', '/v1/contacts', body)

const people = [
  { name: 'Ada Lovelace', company: 'Analytical Engines', methods: [{ type: 'email', value: 'ada@example.com' }] },
  { name: 'Charles Babbage', company: 'Analytical Engines' },
  { name: 'Émilie du Châtelet', methods: [{ type: 'phone', value: '+33 1 42 68 53 00' }] },
  { name: 'Grace Hopper', company: 'Navy' },
  { name: 'Zuse, Konrad', company: 'Zuse KG' },
]
const created: Answer[] = []
for (const person of people) created.push(await create(person))
const archived = await ask('DELETE', `/v1/contacts/${created[4]?.body.id}`)
const list = (query: string, headers = {}) => after(archived, `/v1/contacts?${query}`, headers)

t.test('contacts are listed, the newest first, without the archived ones', async (t) => {
  const answer = await list('')
  t.equal(answer.status, 200)
  t.strictSame(names(answer), ['Grace Hopper', 'Émilie du Châtelet', 'Charles Babbage', 'Ada Lovelace'])
  t.equal(answer.body.nextCursor, null)
  t.equal(answer.headers.get('link'), null)
  t.equal(answer.headers.get('cache-control'), 'private, no-cache')
})

t.test('they are sorted as asked', async (t) => {
  const byName = ['Ada Lovelace', 'Charles Babbage', 'Émilie du Châtelet', 'Grace Hopper']
  t.strictSame(names(await list('sort=name')), byName)
  t.strictSame(names(await list('sort=-name')), byName.toReversed())
  t.strictSame(names(await list('sort=createdAt')), ['Ada Lovelace', 'Charles Babbage', 'Émilie du Châtelet', 'Grace Hopper'])
  t.strictSame(names(await list('sort=-updatedAt&archived=any')).at(0), 'Zuse, Konrad')
})

t.test('they are filtered as asked', async (t) => {
  const at = created.map(({ body }) => encodeURIComponent(body.createdAt))
  for (const [query, expected] of [
    ['company=ANALYTICAL engines', ['Ada Lovelace', 'Charles Babbage']],
    ['archived=true', ['Zuse, Konrad']],
    ['archived=any&company=zuse kg', ['Zuse, Konrad']],
    ['method=ADA@example.com', ['Ada Lovelace']],
    ['method=0033 1 42 68 53 00'.replace('00', '+').replaceAll('+', '%2B'), ['Émilie du Châtelet']],
    [`createdAfter=${at[1]}`, ['Émilie du Châtelet', 'Grace Hopper']],
    [`createdBefore=${at[1]}`, ['Ada Lovelace']],
    [`createdAfter=${at[0]}&createdBefore=${at[2]}`, ['Charles Babbage']],
    [`updatedAfter=${at[3]}&archived=any`, ['Zuse, Konrad']],
    ['company=nobody', []],
  ] as const) {
    t.strictSame(names(await list(`sort=name&${query}`)), expected, query)
  }
})

t.test('they are found by words with typos and without accents', async (t) => {
  for (const [q, expected] of [
    ['lovelace', 'Ada Lovelace'],
    ['lovelase', 'Ada Lovelace'],
    ['EMILIE', 'Émilie du Châtelet'],
    ['4268', undefined],
    ['42685300', 'Émilie du Châtelet'],
    ['ada@example', 'Ada Lovelace'],
    ['navy hopper', 'Grace Hopper'],
  ] as const) {
    if (expected) t.strictSame(names(await list(`q=${encodeURIComponent(q)}`)).at(0), expected, q)
  }
  t.strictSame(names(await list('q=quetzalcoatl')), [])
})

t.test('every page is reached by its cursor and by its link, each contact once', async (t) => {
  for (const sort of ['name', '-createdAt', 'updatedAt']) {
    const whole = names(await list(`sort=${sort}&archived=any`))
    for (const limit of [1, 2, 3, 5, 200]) {
      const seen: string[] = []
      for (let path = `/v1/contacts?sort=${sort}&archived=any&limit=${limit}`; path; ) {
        const page = await ask('GET', path)
        t.ok(page.body.data.length <= limit)
        seen.push(...names(page))
        const [, next] = /^<(.+)>; rel="next"$/.exec(page.headers.get('link') ?? '') ?? []
        t.equal(next && new URL(next, api.url).searchParams.get('cursor'), page.body.nextCursor ?? undefined)
        path = next ?? ''
      }
      t.strictSame(seen, whole, `${sort}, ${limit} a page`)
    }
  }
})

t.test('a wrong parameter is refused and named', async (t) => {
  const { body } = await list('limit=1')
  for (const [query, parameter] of [
    ['limit=0', 'limit'],
    ['limit=201', 'limit'],
    ['limit=x', 'limit'],
    ['limit=', 'limit'],
    ['limit=1.5', 'limit'],
    ['limit=1&limit=2', 'limit'],
    ['sort=company', 'sort'],
    ['archived=maybe', 'archived'],
    ['q=', 'q'],
    ['q=%00', 'q'],
    ['q=a&q=b', 'q'],
    ['q=!!!', 'q'],
    ['createdAfter=yesterday', 'createdAfter'],
    ['createdAfter=2026-02-30T00:00:00Z', 'createdAfter'],
    ['unknown=1', 'unknown'],
    ['__proto__=1', '__proto__'],
    ['cursor=x', 'cursor'],
    ['cursor=', 'cursor'],
    [`cursor=${body.nextCursor}x`, 'cursor'],
    [`cursor=${body.nextCursor}&sort=name`, 'cursor'],
    [`cursor=${body.nextCursor}&company=x`, 'cursor'],
  ] as const) {
    const answer = await ask('GET', `/v1/contacts?${query}`)
    t.match(answer, { status: 400, body: { code: 'invalid-request' } }, query)
    t.match(answer.body.errors?.[0].path, new RegExp(`/${parameter}$`), query)
  }
  for (const path of ['/v1/events?limit=1001', '/v1/events?after=1', '/v1/events?after=1.2', `/v1/contacts/${randomUUID()}?fields=x`]) {
    t.equal((await ask('GET', path)).status, 400, path)
  }
})

t.test('a contact is read as its command answered, with what mail says of it; 304 where the caller has that', async (t) => {
  const { body } = await create({ name: 'Ada “Tag” \u{1F980} \\ "', methods: [{ type: 'phone', value: '020 7946 0123', label: 'é' }] })
  const path = `/v1/contacts/${body.id}`
  for (const change of [{ name: 'Adé' }, { company: 'A\u0301 & <b>' }, { company: null }]) {
    const command = await ask('PATCH', path, change)
    const read = await after(command, path)
    // A command does not know of mail, so the digests differ; what If-Match looks at does not.
    t.strictSame(read.body, { ...command.body, emailsReceived: 0, emailsSent: 0, lastEmailAt: null })
    const etag = read.headers.get('etag')!
    t.equal(etag.split('.')[0], command.headers.get('etag')!.split('.')[0])
    t.not(etag, command.headers.get('etag'))
    for (const matching of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      const unchanged = await ask('GET', path, undefined, { 'if-none-match': matching })
      t.match([unchanged.status, unchanged.body, unchanged.headers.get('etag')], [304, null, etag], matching)
    }
    t.equal((await ask('GET', path, undefined, { 'if-none-match': `${etag.slice(0, -2)}"` })).status, 200)
    const then = await ask('GET', `${path}?asOf=${position(command)}`)
    t.equal(then.headers.get('etag'), etag, 'the past has the one that was answered then')
    const head = await ask('HEAD', path)
    t.match([head.status, head.body, head.headers.get('etag')], [200, null, etag])
  }
  const listed = await list('')
  t.equal((await ask('GET', '/v1/contacts?', undefined, { 'if-none-match': listed.headers.get('etag')! })).status, 304)
})

t.test('a contact, its timeline and its history are 404 where there is none', async (t) => {
  const id = randomUUID()
  for (const path of ['', '/timeline', '/history', '?asOf=1.1', '?asOf=2026-01-01T00:00:00Z']) {
    t.match(await ask('GET', `/v1/contacts/${id}${path}`), { status: 404, body: { code: 'contact-not-found' } }, path)
  }
})

t.test('timeline and history tell what happened, by whom, and what it changed', async (t) => {
  const correlation = { 'x-correlation-id': randomUUID() }
  const first = await ask('POST', '/v1/contacts', { name: 'Ada', methods: [{ type: 'url', value: 'https://example.com/1' }] }, correlation)
  const path = `/v1/contacts/${first.body.id}`
  await ask('PATCH', path, { name: 'Ada King', company: 'Acme' })
  const added = await ask('POST', `${path}/methods`, { type: 'other', value: 'carrier pigeon' })
  await ask('DELETE', `${path}/methods/${first.body.methods[0].id}`)
  await ask('POST', `${path}/notes`, { text: 'A note.' })
  const last = await ask('DELETE', path)

  const timeline = await after(last, `${path}/timeline`)
  t.match(timeline.body.data.toReversed(), [
    { kind: 'created', name: 'Ada', actor: 'key:admin', revision: 0 },
    { kind: 'renamed', name: 'Ada King' },
    { kind: 'company-changed', company: 'Acme' },
    { kind: 'method-added', method: { value: 'carrier pigeon' } },
    { kind: 'method-removed', method: { value: 'https://example.com/1' } },
    { kind: 'note', text: 'A note.' },
    { kind: 'archived', revision: 6 },
  ])
  const paged = await ask('GET', `${path}/timeline?limit=3`)
  const rest = await ask('GET', `${path}/timeline?limit=200&cursor=${paged.body.nextCursor}`)
  t.strictSame([...paged.body.data, ...rest.body.data], timeline.body.data)
  t.match(paged.headers.get('link'), `${path}/timeline?limit=3&cursor=`)

  const { body } = await ask('GET', `${path}/history`)
  const [one, two] = [first.body.methods[0], added.body.methods[1]]
  t.strictSame(
    body.data.map(({ type, changes }: { type: string; changes: object[] }) => [type, ...changes]),
    [
      [
        'ContactCreated',
        { field: '/name', from: null, to: 'Ada' },
        { field: `/methods/${one.id}`, from: null, to: one },
        { field: '/archived', from: null, to: false },
      ],
      ['ContactRenamed', { field: '/name', from: 'Ada', to: 'Ada King' }],
      ['ContactCompanyChanged', { field: '/company', from: null, to: 'Acme' }],
      ['ContactMethodAdded', { field: `/methods/${two.id}`, from: null, to: two }],
      ['ContactMethodRemoved', { field: `/methods/${one.id}`, from: one, to: null }],
      ['NoteAdded'],
      ['ContactArchived', { field: '/archived', from: false, to: true }],
    ],
  )
  t.match(body.data[0], { actor: 'key:admin', correlationId: correlation['x-correlation-id'], position: position(first), revision: 0 })
  t.equal(body.data[0].causationId, body.data[0].commandId)
  t.equal(body.data[1].commandId, body.data[2].commandId, 'one command, two events')
})

t.test('a contact is shown as it was at any position or time', async (t) => {
  const before = await create({ name: 'Earlier' })
  const steps = [await create({ name: 'One' })]
  const path = `/v1/contacts/${steps[0]?.body.id}`
  for (const name of ['Two', 'Three']) {
    const { body } = steps.at(-1)!
    // Two changes within one millisecond have one time.
    await until('the next millisecond', () => Date.now() > Date.parse(body.updatedAt) + 1)
    steps.push(await ask('PATCH', path, { name }))
  }
  await after(steps.at(-1)!, path)
  const at = (moment: string) => ask('GET', `${path}?asOf=${encodeURIComponent(moment)}`)
  t.equal((await at(position(before))).status, 404, 'before it was created')
  const { body: history } = await ask('GET', `${path}/history`)
  const { body: journal } = await ask('GET', `/v1/events?limit=1000&after=${position(before)}`)
  // What another read model adds is in no command's answer.
  const noMail = { emailsReceived: 0, emailsSent: 0, lastEmailAt: null }
  for (const [index, step] of steps.entries()) {
    const shown = { ...step.body, ...noMail }
    t.strictSame((await at(position(step))).body, shown)
    const { commit } = parsePosition(position(step))!
    t.equal((await at(`${commit - 1n}.${commit - 1n}`)).body.name, steps[index - 1]?.body.name, 'just before')
    const event = journal.data.find(({ id }: { id: string }) => id === history.data[index].eventId)
    t.strictSame((await at(event.recordedAt)).body, shown, 'at the very moment')
    const zoned = new Date(Date.parse(event.recordedAt) + 3_600_000).toISOString().replace('Z', '+01:00')
    t.strictSame((await at(zoned)).body, shown, 'in another time zone')
    const earlier = await at(new Date(Date.parse(event.recordedAt) - 1).toISOString())
    t.equal(earlier.body.name, steps[index - 1]?.body.name, 'a millisecond before')
  }
  t.equal((await at('2000-01-01T00:00:00Z')).status, 404)
  t.equal((await at('9999-12-31T23:59:59Z')).body.name, 'Three')
  t.equal((await at('9998-12-31T23:59:60Z')).body.name, 'Three', 'RFC 3339 knows leap seconds')
  for (const wrong of [
    '',
    'yesterday',
    '2026-03-01',
    '2026-03-01T09:30:00',
    '12',
    '1.1.1',
    '2026-13-01T00:00:00Z',
    '2026-02-30T00:00:00Z',
  ]) {
    t.match(await at(wrong), { status: 400, body: { errors: [{ path: '/querystring/asOf' }] } }, wrong)
  }
})

t.test('the journal gives every event once and in order, whatever the limit, and no heartbeat', async (t) => {
  const { store, codec } = api.services
  const heartbeat = startHeartbeat(store, codec, createLogger('silent', 'test'))
  t.teardown(heartbeat.close)
  const inputs = Array.from({ length: 300 }, (_, index) => ({ name: `Number ${index}` }))
  await ask('POST', '/v1/contacts/batch', { inputs })
  const all = await until('a heartbeat', async () => {
    const events = await store.readAll(null, 10_000)
    return events.some(({ type }) => type === 'HeartbeatRecorded') && events
  })
  heartbeat.close()
  const expected = all.filter(({ stream }) => /^(contact|claim)-/.test(stream)).map(({ id }) => id)
  t.ok(expected.length > 320)
  for (const limit of [1000, 100, 33, 7]) {
    const events: Static<typeof JournalPage>['data'] = []
    for (let next = ''; ; ) {
      const { body }: Answer<Static<typeof JournalPage>> = await ask('GET', `/v1/events?limit=${limit}${next && `&after=${next}`}`)
      events.push(...body.data)
      if (body.data.length > limit) t.fail('a page is longer than asked for')
      if (!body.more) {
        t.strictSame((await ask('GET', `/v1/events?after=${body.nextAfter}`)).body, { data: [], nextAfter: body.nextAfter, more: false })
        break
      }
      next = body.nextAfter!
    }
    t.strictSame(
      events.map(({ id }) => id),
      expected,
      `${limit} a page`,
    )
    const positions = events.map((event) => parsePosition(event.position)!)
    t.ok(positions.every((position, index) => index === 0 || comparePositions(positions[index - 1]!, position) < 0))
  }
  const { body } = await ask('GET', '/v1/events?limit=2')
  t.match(body.data[1], {
    type: 'ContactCreated',
    version: 1,
    actor: 'key:admin',
    data: { name: 'Ada Lovelace' },
    erased: false,
    prev: null,
  })
  t.match(body.data[1].hash, /^[0-9a-f]{64}$/)
})

t.test('who sends back a position reads what was written', async (t) => {
  const { body } = await create({ name: 'Number 0' })
  const path = `/v1/contacts/${body.id}`
  for (let number = 1; number <= 50; number += 1) {
    const command = await ask('PATCH', path, { name: `Number ${number}` })
    const read = await after(command, path, { prefer: 'wait=10' })
    t.match(read, { status: 200, body: { name: `Number ${number}`, revision: number } })
    t.equal(read.headers.get('preference-applied'), 'wait=10')
    t.ok(comparePositions(parsePosition(position(read))!, parsePosition(position(command))!) >= 0)
  }
})

t.test('a wait that cannot be met is 503, in its time', async (t) => {
  const end = (await api.services.store.end())!
  const beyond = formatPosition({ commit: end.commit + 1_000_000n, prepare: end.prepare + 1_000_000n })
  for (const [prefer, seconds] of [
    ['wait=0', 0],
    ['wait=1', 1],
    ['respond-async, WAIT = "1"; x=2, wait=20', 1],
    ['foo="a, wait=20", wait=0', 0],
    ['foo; wait=20, wait=0', 0],
  ] as const) {
    const started = performance.now()
    const answer = await ask('GET', '/v1/contacts', undefined, { 'smartcrm-after': beyond, prefer })
    t.match(answer, { status: 503, body: { code: 'unavailable' } }, prefer)
    t.equal(answer.headers.get('preference-applied'), `wait=${seconds}`)
    t.ok(Number(answer.headers.get('retry-after')) > 0)
    t.ok(performance.now() - started >= seconds * 1_000 - 20)
  }
  t.equal((await ask('GET', '/v1/contacts', undefined, { 'smartcrm-after': '1' })).status, 400)

  const many = Array.from({ length: 300 }, () => ask('GET', '/v1/contacts', undefined, { 'smartcrm-after': beyond, prefer: 'wait=1' }))
  const other = await create({ name: 'Meanwhile' })
  t.equal((await after(other, `/v1/contacts/${other.body.id}`)).status, 200, 'hundreds that wait keep nobody else from an answer')
  t.ok((await Promise.all(many)).every(({ status, headers }) => status === 503 && Number(headers.get('retry-after')) > 0))
})

t.test('a server that ends lets nobody wait, and answers with a problem meanwhile', async (t) => {
  const other = await testApi(t)
  const { body } = await other.ask('POST', '/v1/contacts', { name: 'Ada' })
  let requests = 0
  other.server.server.on('request', () => {
    requests += 1
  })
  const beyond = { 'smartcrm-after': '9999999.9999999', prefer: 'wait=30' }
  const waiting = ['/v1/contacts', `/v1/contacts/${body.id}`].map((path) => other.ask('GET', path, undefined, beyond))
  const writing = Array.from({ length: 5 }, (_, index) => other.ask('POST', `/v1/contacts/${body.id}/notes`, { text: `Note ${index}` }))
  await until('every request', () => requests === waiting.length + writing.length)
  await other.server.close()
  for (const answer of await Promise.all(waiting)) t.match(answer, { status: 503, body: { code: 'unavailable', detail: /ending/ } })
  const written = await Promise.all(writing)
  t.ok(written.every(({ status }) => status === 201 || status === 503))
  const events = await other.services.runner.load(`contact-${body.id}`)
  t.equal(events.length - 1, written.filter(({ status }) => status === 201).length, 'what was answered was done')
})
