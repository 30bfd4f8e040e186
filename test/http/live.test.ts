import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { type ClientRequest, get, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { contactEvents } from '../../schema/contact-events.ts'
import type { NewEvent } from '../../schema/define.ts'
import { allEvents } from '../../schema/events.ts'
import { heartbeatEvents } from '../../schema/heartbeat-events.ts'
import { access, permissionsOf } from '../../src/access.ts'
import { readConfig } from '../../src/config.ts'
import { startEventStore } from '../../src/eventstore/server.ts'
import { journalRoutes, type StreamOptions, wantsStream } from '../../src/journal/routes.ts'
import { createApiKeys } from '../../src/platform/api-keys.ts'
import { sql } from '../../src/platform/database.ts'
import { categoryOf } from '../../src/platform/event.ts'
import { openapiRoutes } from '../../src/platform/http/openapi.ts'
import { createServer } from '../../src/platform/http/server.ts'
import { createLogger, type Logger } from '../../src/platform/log.ts'
import { freePort } from '../../src/platform/ports.ts'
import { comparePositions, formatPosition, type Position, parsePosition } from '../../src/platform/position.ts'
import { headOf } from '../../src/platform/runner.ts'
import { openServices, type Services } from '../../src/services.ts'
import { contractOf } from '../support/contract.ts'
import { testDatabase } from '../support/postgres.ts'
import { until } from '../support/processes.ts'

const adminKey = 'a-key-for-tests-0123456789'
const authorization = `Bearer ${adminKey}`
const cause = { actor: 'key:test', commandId: 'c', request: 'r', $correlationId: 'x', $causationId: 'y' }
t.setTimeout(120_000)
type Test = { teardown(clear: () => unknown): void }

/** The log and the database, and as many API processes as are opened on them. */
async function testLog(t: Test) {
  const folder = await mkdtemp(join(tmpdir(), 'smartcrm-test-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const { url: databaseUrl } = await testDatabase(t)
  const silent = createLogger('silent', 'test')
  const startNode = (port: number) => startEventStore({ file: join(folder, 'events.db'), port, log: silent })
  const port = await freePort()
  let node = await startNode(port)
  t.teardown(() => node.close())
  const config = { ...readConfig({ SMARTCRM_DATA: folder }), databaseUrl, eventStoreUrl: node.url }

  const serve = async (options: StreamOptions = {}, log: Logger = silent) => {
    const services = await openServices(config, log)
    t.teardown(services.close)
    const server = createServer({ keys: createApiKeys(services.pool, adminKey, { permissionsOf }), access, log })
    await openapiRoutes(server, '0.0.0')
    journalRoutes(server, services, options)
    const sockets = new Set<Socket>()
    server.server.on('connection', (socket) => {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
    })
    const url = await server.listen({ host: '127.0.0.1', port: 0 })
    t.teardown(() => server.close())
    const contract = contractOf(server.swagger())
    const ask = async (path: string, headers: Record<string, string> = {}, method = 'GET') => {
      const response = await fetch(url + path, { method, headers: { authorization, ...headers } })
      const text = await response.text()
      const answer = { status: response.status, headers: response.headers, body: text === '' ? null : JSON.parse(text) }
      contract(method, path, answer)
      return answer
    }
    return { url, services, server, sockets, ask }
  }
  return {
    serve,
    async restart() {
      await node.close()
      node = await startNode(port)
    },
  }
}
type Api = Awaited<ReturnType<Awaited<ReturnType<typeof testLog>>['serve']>>

/** Appends to a stream at its head; whatever happens, in the end it is there once. */
async function append({ store, codec }: Services, stream: string, events: readonly NewEvent[]): Promise<void> {
  const head = headOf(await codec.decode(await store.readStream(stream)))
  const encoded = await codec.encode(events, stream, head, { at: new Date().toISOString(), ...cause })
  await store.append(stream, head.revision, encoded, 60_000)
}

const foreign = (services: Services) =>
  services.store.append(`other-${randomUUID()}`, -1, [{ id: randomUUID(), type: 'SomethingElse', data: {}, metadata: {} as never }])
const created = (contactId: string) => contactEvents.ContactCreated({ contactId, name: `Ada\n${contactId}\u2028`, methods: [] })
const noted = (contactId: string, length = 10) => contactEvents.NoteAdded({ contactId, noteId: randomUUID(), text: 'x'.repeat(length) })

/** Everything in the journal after a position, as the log itself has it. */
async function journalOf({ store }: Services, after: Position | null = null, wanted = (_type: string, _category: string) => true) {
  const all = await store.readAll(after, 1_000_000)
  const ours = all.filter(({ type, stream }) => type in allEvents && type !== 'HeartbeatRecorded' && wanted(type, categoryOf(stream)))
  return ours.map(({ id, position }) => ({ id, position: formatPosition(position) }))
}

type Got = { id: string; type: string; data: { id: string; position: string; type: string } }

/** Reads server-sent events as the standard says, and comes again where it was when it is told to. */
/** Without what tells of who reads, which comes in whenever somebody begins to. */
const ofContacts = (path: string) => (/category=|type=/.test(path) ? path : `${path}${path.includes('?') ? '&' : '?'}category=contact`)

function reader({ url }: Pick<Api, 'url'>, asked = '/v1/events', first: Record<string, string> = {}) {
  const path = ofContacts(asked)
  const got: Got[] = []
  const state = { lastId: '', comments: 0, connected: 0, ended: 0, retry: 0, response: null as IncomingMessage | null }
  let request: ClientRequest | null = null

  const dispatch = (block: string) => {
    const fields = new Map<string, string>()
    for (const line of block.split('\n')) {
      if (line.startsWith(':')) state.comments += 1
      else {
        const [name, ...value] = line.split(': ')
        if (fields.has(name!)) throw new Error(`twice ${name} in ${block}`)
        fields.set(name!, value.join(': '))
      }
    }
    if (fields.has('id')) state.lastId = fields.get('id')!
    if (fields.has('retry')) state.retry = Number(fields.get('retry'))
    if (fields.has('data')) got.push({ id: fields.get('id')!, type: fields.get('event')!, data: JSON.parse(fields.get('data')!) })
  }
  const connect = () =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const resume = state.lastId === '' ? first : { 'last-event-id': state.lastId }
      const mine = get(url + path, { agent: false, headers: { authorization, accept: 'text/event-stream', ...resume } }, (response) => {
        state.connected += 1
        state.response = response
        let text = ''
        response.setEncoding('utf8').on('data', (part) => {
          // What was under way when the connection was left is lost, as it would be on a real one.
          if (request !== mine) return
          const blocks = (text + part).split('\n\n')
          text = blocks.pop()!
          for (const block of blocks) dispatch(block)
        })
        response
          .on('error', () => {})
          .on('close', () => {
            state.ended += 1
          })
        resolve(response)
      })
      request = mine
      mine.on('error', reject)
    })
  const leave = () => {
    request?.on('error', () => {})
    request?.destroy()
    request = null
  }
  return { got, state, connect, leave }
}
type Reader = ReturnType<typeof reader>

/** It has been told of a place that is not before the log's end. */
const isAt = ({ state }: Reader, end: Position) => state.lastId !== '' && comparePositions(parsePosition(state.lastId)!, end) >= 0
const placesOf = ({ got }: Reader) => got.map(({ data, id }) => ({ id: data.id, position: id }))

t.test('the journal comes live, as server-sent events', async (t) => {
  const log = await testLog(t)
  const api = await log.serve({ commentMs: 20 })
  const { services, ask } = api
  const contactId = randomUUID()
  await append(services, `contact-${contactId}`, [created(contactId)])
  const fromEnd = reader(api)
  const fromStart = reader(api, '/v1/events?after=0.0')
  const { headers } = await fromEnd.connect()
  await fromStart.connect()
  t.match(headers, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
    'x-request-id': /^[0-9a-f-]{36}$/,
  })
  await until('both began', () => fromEnd.state.lastId && isAt(fromStart, parsePosition(fromEnd.state.lastId)!))
  t.equal(fromEnd.state.retry, 2000)

  await append(services, `contact-${contactId}`, [noted(contactId)])
  await foreign(services)
  await append(services, 'heartbeat', [heartbeatEvents.HeartbeatRecorded({})])
  await append(services, `contact-${contactId}`, [noted(contactId)])
  const end = (await services.store.end())!
  await until('everything', () => isAt(fromEnd, end) && isAt(fromStart, end))
  const { body } = await ask(ofContacts('/v1/events'))
  t.strictSame(
    fromStart.got.map(({ data }) => data),
    body.data,
    'each as the JSON form shows it',
  )
  t.strictSame(
    fromEnd.got.map(({ data }) => data),
    body.data.slice(1),
    'without a place: from the end on',
  )
  for (const { id, type, data } of fromStart.got) t.strictSame([id, type], [data.position, data.type])
  const { comments } = fromEnd.state
  await until('more comments', () => fromEnd.state.comments > comments + 3)
  t.equal(fromEnd.got.length, 2)
  fromEnd.leave()
  fromStart.leave()
})

t.test('what is asked for wrongly is refused before a stream begins', async (t) => {
  const api = await (await testLog(t)).serve({ maxReaders: 2 })
  const stream = { accept: 'text/event-stream' }
  for (const form of [stream, {}]) {
    const answer = await api.ask('/v1/events?category=contact,kontakt&category=heartbeat&type=ContactMade,%20NoteAdded', form)
    const errors = Object.fromEntries(answer.body.errors.map(({ path, message }: Record<string, string>) => [path, message]))
    t.equal(answer.status, 400)
    t.match(errors['/querystring/category'], /^has "kontakt", "heartbeat", which there is not: there is contact, email, /)
    t.match(errors['/querystring/type'], /^has "ContactMade", which there is not: there is .*ContactCreated.*, NoteAdded/)
    t.notMatch(errors['/querystring/type'], /Heartbeat/)
    for (const [query, path] of [
      ['category=contact&type=EmailReceived', '/querystring/type'],
      ['category=', '/querystring/category'],
      ['after=1.2', '/querystring/after'],
      ['after=x', '/querystring/after'],
      ['form=x', '/querystring/form'],
    ] as const) {
      t.match(await api.ask(`/v1/events?${query}`, form), { status: 400, body: { errors: [{ path }] } }, query)
    }
  }
  for (const last of ['x', '1', '1.2', `${2n ** 63n}.0`]) {
    t.match(await api.ask('/v1/events', { ...stream, 'last-event-id': last }), {
      status: 400,
      body: { errors: [{ path: '/headers/last-event-id' }] },
    })
  }
  t.equal((await fetch(`${api.url}/v1/events`, { headers: stream })).status, 401)
  t.equal((await fetch(`${api.url}/v1/events`, { headers: { ...stream, authorization: 'Bearer wrong' } })).status, 401)
  const head = await fetch(`${api.url}/v1/events`, { method: 'HEAD', headers: { ...stream, authorization } })
  t.match([head.status, head.headers.get('content-type')], [200, /^text\/event-stream/], 'HEAD does not stream')

  const readers = [reader(api), reader(api)]
  for (const one of readers) await one.connect()
  t.match(await api.ask('/v1/events', stream), { status: 503, body: { code: 'unavailable', detail: /no room for more/ } })
  readers[0]!.leave()
  await until('room', async () => {
    const one = reader(api)
    const isIn = (await one.connect()).statusCode === 200
    one.leave()
    return isIn
  })
  readers[1]!.leave()
})

t.test('Accept says which form it is', async (t) => {
  for (const accept of [
    'text/event-stream',
    'Text/Event-Stream; charset=utf-8',
    'application/json;q=0.5, text/event-stream',
    '*/*, text/event-stream',
  ]) {
    t.ok(wantsStream(accept), accept)
  }
  for (const accept of [
    undefined,
    '',
    '*/*',
    'text/*',
    'application/json',
    'application/json, text/event-stream;q=0.9',
    'text/event-stream;q=0',
  ]) {
    t.notOk(wantsStream(accept), String(accept))
  }
  const { ask } = await (await testLog(t)).serve()
  t.equal((await ask('/v1/events')).headers.get('vary'), 'authorization, accept')
})

t.test('filters hold in both forms', async (t) => {
  const api = await (await testLog(t)).serve({ commentMs: 20 })
  const { services } = api
  for (let n = 0; n < 5; n += 1) {
    const id = randomUUID()
    await append(services, `contact-${id}`, [created(id), noted(id), contactEvents.ContactArchived({ contactId: id })])
    const claim = { contactId: id, commandId: randomUUID() }
    await append(services, `claim-${randomUUID()}`, [allEvents.AddressClaimed(claim as never)])
  }
  const end = (await services.store.end())!
  for (const [query, wanted] of [
    ['category=contact', (_type: string, category: string) => category === 'contact'],
    ['category=claim&category=email', (_type: string, category: string) => category === 'claim'],
    ['type=NoteAdded&type=ContactCreated', (type: string) => type === 'NoteAdded' || type === 'ContactCreated'],
    ['type=NoteAdded,AddressClaimed&category=contact,email', (type: string) => type === 'NoteAdded'],
  ] as const) {
    const expected = await journalOf(services, null, wanted)
    t.ok(expected.length >= 5)
    const one = reader(api, `/v1/events?after=0.0&${query}`)
    await one.connect()
    await until('the end', () => isAt(one, end))
    one.leave()
    t.strictSame(placesOf(one), expected, query)
    const { body } = await api.ask(`/v1/events?limit=1000&${query}`)
    t.strictSame(
      body.data.map(({ id, position }: Got['data']) => ({ id, position })),
      expected,
    )
    t.equal(body.more, false)
    const page = await api.ask(`/v1/events?limit=2&${query}`)
    const rest = await api.ask(`/v1/events?after=${page.body.nextAfter}&${query}`)
    t.strictSame([...page.body.data, ...rest.body.data], body.data, 'a page at a time')
  }
})

t.test('every reader gets just what the journal has after its place, whatever happens meanwhile', async (t) => {
  const log = await testLog(t)
  // So small a tail that readers are thrown back on the log again and again.
  const tail = { events: 15, bytes: 20_000, ageMs: 30_000 }
  const apis = [await log.serve({ commentMs: 25, tail }), await log.serve({ commentMs: 25 })]
  const { services } = apis[0]!
  const filters: [string, (type: string, category: string) => boolean][] = [
    ['category=contact,claim', (_type, category) => category === 'contact' || category === 'claim'],
    ['category=contact', (_type, category) => category === 'contact'],
    ['type=NoteAdded', (type) => type === 'NoteAdded'],
    ['category=email', (_type, category) => category === 'email'],
  ]
  const life = fc.record({
    api: fc.nat(1),
    filter: fc.nat(filters.length - 1),
    /** From which part of the log; null: its end. */
    start: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
    /** After so many events it goes away, or stops for a while. */
    stops: fc.array(fc.record({ after: fc.integer({ min: 1, max: 60 }), leaves: fc.boolean(), forMs: fc.nat(30) }), { maxLength: 5 }),
  })
  const step = fc.record({ events: fc.integer({ min: 1, max: 12 }), length: fc.integer({ min: 1, max: 2_000 }), pauseMs: fc.nat(8) })
  const writer = fc.array(step, { minLength: 5, maxLength: 12 })

  const write = async (steps: readonly { events: number; length: number; pauseMs: number }[]) => {
    const id = randomUUID()
    await append(services, `contact-${id}`, [created(id)])
    for (const { events, length, pauseMs } of steps) {
      await append(
        services,
        `contact-${id}`,
        Array.from({ length: events }, () => noted(id, length)),
      )
      if (events % 3 === 0) await foreign(services)
      if (events % 4 === 0)
        await append(services, `claim-${randomUUID()}`, [allEvents.AddressClaimed({ contactId: id, commandId: id } as never)])
      await delay(pauseMs)
    }
  }
  const live = async (one: Reader, stops: readonly { after: number; leaves: boolean; forMs: number }[], isOver: () => boolean) => {
    await one.connect()
    for (const { after, leaves, forMs } of stops) {
      const from = one.got.length
      await until('some events', () => one.got.length >= from + after || isOver())
      if (leaves) one.leave()
      else one.state.response!.pause()
      await delay(forMs)
      if (leaves) await one.connect()
      else one.state.response!.resume()
    }
  }

  await fc.assert(
    fc.asyncProperty(fc.array(life, { minLength: 4, maxLength: 8 }), fc.tuple(writer, writer), async (lives, writers) => {
      const before = await services.store.readAll(null, 1_000_000)
      let isWritten = false
      const readers = lives.map(({ api, filter, start, stops }) => {
        const from = start === null ? null : (before[Math.floor(start * (before.length - 1))]?.position ?? { commit: 0n, prepare: 0n })
        const query = [filters[filter]![0], from && `after=${formatPosition(from)}`].filter(Boolean).join('&')
        const one = reader(apis[api]!, `/v1/events?${query}`)
        return { one, filter, from, lived: live(one, stops, () => isWritten) }
      })
      const first = readers.map(async ({ one, from }) => {
        await until('its place', () => one.state.lastId)
        return from ?? parsePosition(one.state.lastId)!
      })
      const starts = await Promise.all(first)
      await Promise.all(writers.map(write))
      isWritten = true
      const end = (await services.store.end())!
      for (const [index, { one, filter, from, lived }] of readers.entries()) {
        await lived
        await until('the end of the log', () => isAt(one, end))
        one.leave()
        t.strictSame(placesOf(one), await journalOf(services, from ?? starts[index]!, filters[filter]![1]))
      }
      return t.passing()
    }),
    { numRuns: 5, endOnFailure: true },
  )
})

t.test('readers notice nothing of an event store that goes and comes back', async (t) => {
  const log = await testLog(t)
  const api = await log.serve({ commentMs: 25 })
  const { services } = api
  const readers = [reader(api), reader(api, '/v1/events?after=0.0'), reader(api, '/v1/events?type=NoteAdded')]
  for (const one of readers) await one.connect()
  await until('their places', () => readers.every(({ state }) => state.lastId))
  let isOver = false
  const writing = (async () => {
    const id = randomUUID()
    await append(services, `contact-${id}`, [created(id)])
    for (let n = 0; n < 20 || !isOver; n += 1) {
      // A read has a deadline of its own while the log is away; the append that follows finds the head anew.
      await append(services, `contact-${id}`, [noted(id)]).catch(() => {})
      await delay(5)
    }
  })()
  for (let n = 0; n < 3; n += 1) {
    const { length } = readers[0]!.got
    await until('some more', () => readers[0]!.got.length > length + 5)
    await log.restart()
  }
  isOver = true
  await writing
  const resumed = reader(api, '/v1/events?after=0.0')
  await resumed.connect()
  const end = (await services.store.end())!
  await until('everything', () => [...readers, resumed].every((one) => isAt(one, end)))
  const all = await journalOf(services)
  t.strictSame(placesOf(readers[0]!), all)
  t.strictSame(placesOf(readers[1]!), all)
  t.strictSame(placesOf(resumed), all)
  t.strictSame(placesOf(readers[2]!), await journalOf(services, null, (type) => type === 'NoteAdded'))
  for (const one of readers) {
    t.match(one.state, { connected: 1, ended: 0 })
    one.leave()
  }
})

/** Appends about 16 MB, more than the system takes for a connection whose other end does not read. */
async function flood(services: Services, look: () => void): Promise<void> {
  for (let n = 0; n < 40; n += 1) {
    const id = randomUUID()
    await append(services, `contact-${id}`, [created(id), ...Array.from({ length: 10 }, () => noted(id, 40_000))])
    look()
  }
}

// The tests in it share a log of that size, each with an API of its own.
t.test('who does not read what is written', async (t) => {
  const log = await testLog(t)
  const fromStart = '/v1/events?after=0.0'

  await t.test('a reader that stops costs a chunk, not what it misses; it goes on where it was', async (t) => {
    const api = await log.serve({ commentMs: 25 })
    const { services } = api
    const lives = [reader(api), reader(api, fromStart)]
    for (const one of lives) (await one.connect()).pause()
    const other = reader(api)
    await other.connect()
    let waitingBytes = 0
    const look = () => {
      for (const socket of api.sockets) waitingBytes = Math.max(waitingBytes, socket.writableLength)
    }
    await flood(services, look)
    const end = (await services.store.end())!
    await until('the other has all', () => {
      look()
      return isAt(other, end)
    })
    t.ok(waitingBytes > 0, 'they were behind')
    t.ok(waitingBytes < 200_000, `${waitingBytes} bytes waited for one that did not read`)
    for (const one of lives) one.state.response!.resume()
    await until('they have all', () => lives.every((one) => isAt(one, end)))
    const all = await journalOf(services)
    for (const one of [...lives, other]) {
      t.strictSame(placesOf(one), all)
      t.equal(one.state.connected, 1)
      one.leave()
    }
  })

  await t.test('one that takes nothing for too long is cut off, and can come again', async (t) => {
    const api = await log.serve({ commentMs: 25, stallMs: 300 })
    const { services } = api
    const before = await journalOf(services)
    const stopped = reader(api, fromStart)
    const other = reader(api)
    await other.connect()
    await until('its place', () => other.state.lastId)
    const response = await stopped.connect()
    response.pause()
    t.equal(api.sockets.size, 2)
    await until('it is cut off', () => api.sockets.size === 1)
    response.resume()
    await until('it notices', () => stopped.state.ended === 1)
    await stopped.connect()
    const id = randomUUID()
    await append(services, `contact-${id}`, [created(id)])
    const end = (await services.store.end())!
    await until('both have all', () => isAt(stopped, end) && isAt(other, end))
    const all = await journalOf(services)
    t.strictSame(placesOf(stopped), all)
    t.strictSame(placesOf(other), all.slice(before.length))
    t.match([stopped.state.connected, other.state.connected], [2, 1])
    stopped.leave()
    other.leave()
  })

  await t.test('closing the server ends every stream at once, also one that does not read', async (t) => {
    const api = await log.serve({ commentMs: 25 })
    const readers = Array.from({ length: 4 }, () => reader(api))
    for (const one of readers) await one.connect()
    await until('their places', () => readers.every(({ state }) => state.lastId))
    const stopped = reader(api, fromStart)
    ;(await stopped.connect()).pause()
    await until('it blocks', () => [...api.sockets].some(({ writableLength }) => writableLength > 0))
    await api.server.close()
    await until('they notice', () => readers.every(({ state }) => state.ended === 1))
    t.ok(
      readers.every(({ state }) => state.response!.complete),
      'in good order',
    )
    stopped.leave()
    t.equal(api.server.server.listening, false)
  })
})

t.test('each event is read once for all readers, and only as long as there are some', async (t) => {
  const log = await testLog(t)
  const api = await log.serve({ commentMs: 25 })
  const { services } = api
  const { subscribe } = services.store
  const { decode } = services.codec
  let decoded = 0
  let open = 0
  let opened = 0
  Object.assign(services.store, {
    async *subscribe(options: Parameters<typeof subscribe>[0]) {
      open += 1
      opened += 1
      try {
        yield* subscribe(options)
      } finally {
        open -= 1
      }
    },
  })
  Object.assign(services.codec, {
    decode: (events: Parameters<typeof decode>[0]) => {
      decoded += events.length
      return decode(events)
    },
  })
  t.equal(opened, 0, 'nobody, nothing')
  const readers = Array.from({ length: 20 }, () => reader(api))
  for (const one of readers) await one.connect()
  await until('it is followed', () => open === 1)
  const writer = await log.serve()
  decoded = 0
  const id = randomUUID()
  for (let n = 0; n < 20; n += 1) await append(writer.services, `contact-${randomUUID()}`, [created(id), noted(id)])
  const end = (await writer.services.store.end())!
  await until('all have all', () => readers.every((one) => isAt(one, end)))
  t.equal(opened, 1)
  t.equal(decoded, 40)
  for (const one of readers) one.leave()
  await until('nobody follows', () => open === 0)
  const late = reader(api)
  await late.connect()
  await until('it is followed again', () => open === 1)
  late.leave()
  await until('nobody follows again', () => open === 0)
})

t.test('an erased event says so', async (t) => {
  const log = await testLog(t)
  const { services } = await log.serve()
  const id = randomUUID()
  await append(services, `contact-${id}`, [created(id), contactEvents.ContactArchived({ contactId: id })])
  const [stored] = await services.store.readStream(`contact-${id}`)
  const { key } = stored!.metadata as { key: string }
  await services.pool.rows(sql.unsafe`update vault.keys set wrapped = null, destroyed_at = now() where id = ${key}`)
  const api = await log.serve()
  const one = reader(api, '/v1/events?after=0.0')
  await one.connect()
  await until('both', () => one.got.length === 2)
  t.match(one.got, [{ data: { erased: true, data: { contactId: id, name: undefined } } }, { data: { erased: false } }])
  one.leave()
})

t.test('nothing goes on over an event that is not what was written', async (t) => {
  const log = await testLog(t)
  const api = await log.serve()
  const { services } = api
  const id = randomUUID()
  await append(services, `contact-${id}`, [created(id)])
  const one = reader(api)
  await one.connect()
  await until('its place', () => one.state.lastId)
  const [encoded] = await services.codec.encode([created(id)], `contact-${id}2`, headOf([]), { at: new Date().toISOString(), ...cause })
  await services.store.append('contact-forged', -1, [encoded!])
  await until('it is ended', () => one.state.ended === 1)
  t.strictSame(one.got, [])
  await one.connect()
  await until('it is ended again', () => one.state.ended === 2)
  t.strictSame(one.got, [])
  const next = reader(api)
  await next.connect()
  await until('another is at the end', () => next.state.lastId)
  await append(services, `contact-${id}`, [noted(id)])
  await until('and is told of what follows', () => next.got.length === 1)
  next.leave()
})

t.test('two hundred readers all get everything', async (t) => {
  const api = await (await testLog(t)).serve({ commentMs: 50 })
  const { services } = api
  const readers = Array.from({ length: 200 }, () => reader(api))
  await Promise.all(readers.map((one) => one.connect()))
  await until('their places', () => readers.every(({ state }) => state.lastId))
  await Promise.all(
    Array.from({ length: 3 }, async () => {
      const id = randomUUID()
      for (let n = 0; n < 10; n += 1) await append(services, `contact-${id}`, n === 0 ? [created(id)] : [noted(id)])
    }),
  )
  const end = (await services.store.end())!
  await until('all have all', () => readers.every((one) => isAt(one, end)))
  const all = await journalOf(services)
  t.equal(all.length, 30)
  t.ok(readers.every((one) => JSON.stringify(placesOf(one)) === JSON.stringify(all)))
  for (const one of readers) one.leave()
  await until('they are gone', () => api.sockets.size === 0)
})
