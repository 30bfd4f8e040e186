/** What is the embedded node's own: its file, its lock, its pages, what it refuses, how it ends. */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect as connectSocket, createServer } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import {
  binaryEvent,
  EventStoreDBClient,
  jsonEvent,
  persistentSubscriptionToStreamSettingsFromDefaults,
  streamNameFilter,
} from '@eventstore/db-client'
import sharedMessages from '@eventstore/db-client/generated/shared_pb.js'
import streamServices from '@eventstore/db-client/generated/streams_grpc_pb.js'
import streamMessages from '@eventstore/db-client/generated/streams_pb.js'
import { credentials, status } from '@grpc/grpc-js'
import emptyMessages from 'google-protobuf/google/protobuf/empty_pb.js'
import timestampMessages from 'google-protobuf/google/protobuf/timestamp_pb.js'
import t from 'tap'
import { startEventStore } from '../../src/eventstore/server.ts'
import { all, connect, embedded, event, events, failure, folder, until } from './node.ts'

t.test('what was written is there after a restart, and positions go on', async (t) => {
  const file = join(folder(t), 'log.db')
  const first = await embedded(t, { file })
  const before = connect(t, first.url)
  const stream = `thing-${randomUUID()}`
  const repeated = event('repeated')
  await before.appendToStream(stream, repeated)
  await before.appendToStream(stream, events(9))
  await before.setStreamMetadata(stream, { maxCount: 5 })
  await before.tombstoneStream('gone')
  const positions = (await all(before.readAll())).map(({ event }) => event!.position!.commit)
  await before.dispose()
  await first.close()

  const second = await embedded(t, { file })
  const after = connect(t, second.url)
  t.same(
    (await all(after.readAll())).map(({ event }) => event!.position!.commit),
    positions,
  )
  t.equal((await all(after.readStream(stream))).length, 5, 'retention holds')
  t.equal((await failure(after.appendToStream('gone', event(1)))).type, 'stream-deleted')
  t.equal((await after.appendToStream(stream, repeated)).nextExpectedRevision, 0n, 'recent ids are known again')
  const { position } = await after.appendToStream(stream, event(10), { expectedRevision: 9n })
  t.ok(position!.commit > positions.at(-1)!, 'a new position')
})

t.test('a second node on the same log is refused with a sentence', async (t) => {
  const { file, close } = await embedded(t)
  t.match(await failure(startEventStore({ file })), {
    name: 'EventStoreRefusal',
    message: /in use by another process\. Stop that one first/,
  })
  await close()
  await (await startEventStore({ file })).close()
})

t.test('a port in use is said, and the log is free again', async (t) => {
  const file = join(folder(t), 'log.db')
  const { port } = await embedded(t)
  t.match(await failure(startEventStore({ file, port })), { code: 'EADDRINUSE' })
  await (await startEventStore({ file })).close()
})

t.test('a log of a newer format, another database and a file that is none are refused with a sentence', async (t) => {
  const place = folder(t)
  const newer = join(place, 'newer.db')
  await (await startEventStore({ file: newer })).close()
  const database = new DatabaseSync(newer)
  database.exec('pragma user_version = 99')
  database.close()
  t.match(await failure(startEventStore({ file: newer })), { name: 'EventStoreRefusal', message: /format 99, written by a newer SmartCRM/ })
  const foreign = join(place, 'foreign.db')
  const other = new DatabaseSync(foreign)
  other.exec('create table contacts (name text)')
  other.close()
  t.match(await failure(startEventStore({ file: foreign })), { name: 'EventStoreRefusal', message: /not an event log/ })
  const text = join(place, 'text.db')
  writeFileSync(text, 'This is not a database. '.repeat(100))
  t.match(await failure(startEventStore({ file: text })), { name: 'EventStoreRefusal', message: /cannot be opened/ })
})

t.test('what the node does not offer is refused at once', async (t) => {
  const { url } = await embedded(t)
  const client = connect(t, url)
  const settings = persistentSubscriptionToStreamSettingsFromDefaults()
  t.match(await failure(client.createPersistentSubscriptionToStream('a', 'group', settings)), { code: status.UNIMPLEMENTED })
  t.match(await failure(client.createProjection('p', 'fromAll()')), { code: status.UNIMPLEMENTED })
  const persistent = client.subscribeToPersistentSubscriptionToStream('a', 'group')
  const [error] = await once(persistent, 'error')
  t.match(error, { code: status.UNIMPLEMENTED })
})

t.test('plain HTTP and gRPC come to the same port', async (t) => {
  const { url, port } = await embedded(t)
  const get = (path: string, options?: RequestInit) => fetch(`http://127.0.0.1:${port}${path}`, options)
  t.equal((await get('/health/live')).status, 204)
  t.equal((await get('/health/live?liveCode=200')).status, 200)
  t.match(await (await get('/info')).json(), { esVersion: '23.10.6', state: 'leader' })
  t.equal((await get('/nothing')).status, 404)
  const client = connect(t, url)
  await client.appendToStream('a', events(3))
  await failure(client.appendToStream('a', event(1), { expectedRevision: 'no_stream' }))
  const page = await (await get('/metrics')).text()
  for (const line of [
    'eventstore_appended_events_total 3',
    'eventstore_writes_total{result="written"} 1',
    'eventstore_writes_total{result="wrong-expected-version"} 1',
    'eventstore_last_position 4',
    'eventstore_commit_seconds_count 2',
    'eventstore_writable 1',
  ])
    t.ok(page.includes(`${line}\n`), line)
  t.match(await (await get('/admin/scavenge', { method: 'POST' })).json(), { removedEvents: 0 })
})

t.test('connections that say nothing or nonsense harm nobody', async (t) => {
  const { url, port } = await embedded(t)
  const silent = connectSocket(port, '127.0.0.1')
  const nonsense = connectSocket(port, '127.0.0.1')
  t.teardown(() => silent.destroy())
  await Promise.all([once(silent, 'connect'), once(nonsense, 'connect')])
  nonsense.on('error', () => {})
  nonsense.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense nonsense nonsense nonsense')
  nonsense.resume()
  await once(nonsense, 'close')
  await connect(t, url).appendToStream('a', event(1))
})

/** A client of the bare protocol, for what the official one does not ask for. */
function bare(t: Parameters<typeof connect>[0], url: string) {
  const client = new streamServices.StreamsClient(new URL(url.replace('esdb', 'http')).host, credentials.createInsecure())
  t.teardown(() => client.close())
  return client
}

const identifier = (name: string) => {
  const written = new sharedMessages.StreamIdentifier()
  written.setStreamName(Buffer.from(name))
  return written
}

t.test('ids come in the structured form, and the last position with them, where a client asks', async (t) => {
  const { url } = await embedded(t)
  const written = event(1)
  await connect(t, url).appendToStream('a', [written, event(2)])
  const { ReadReq } = streamMessages
  const stream = new ReadReq.Options.StreamOptions()
  stream.setStreamIdentifier(identifier('a')).setStart(new sharedMessages.Empty())
  const uuid = new ReadReq.Options.UUIDOption()
  uuid.setStructured(new sharedMessages.Empty())
  const control = new ReadReq.Options.ControlOption()
  control.setCompatibility(1)
  const options = new ReadReq.Options()
  options.setStream(stream).setUuidOption(uuid).setControlOption(control).setCount('10').setNoFilter(new sharedMessages.Empty())
  const request = new ReadReq()
  request.setOptions(options)
  const answers = await all<InstanceType<typeof streamMessages.ReadResp>>(bare(t, url).read(request))
  const id = answers[0]!.getEvent()!.getEvent()!.getId()!.getStructured()!
  const half = (text: string) => BigInt.asUintN(64, BigInt(text)).toString(16).padStart(16, '0')
  t.equal(half(id.getMostSignificantBits()) + half(id.getLeastSignificantBits()), written.id.replaceAll('-', ''))
  t.same(JSON.parse(Buffer.from(answers[0]!.getEvent()!.getEvent()!.getData_asU8()).toString()), { n: 1 })
  t.equal(answers.at(-1)!.getLastStreamPosition(), '1')
})

t.test('a batch after its deadline is not written, one without an id or a type is told so, and the call goes on', async (t) => {
  const { url } = await embedded(t)
  const call = bare(t, url).batchAppend()
  call.on('error', () => {})
  t.teardown(() => call.cancel())
  const { BatchAppendReq } = streamMessages
  const send = (
    stream: string,
    deadlineMs: number,
    change: (message: InstanceType<typeof BatchAppendReq.ProposedMessage>) => void = () => {},
  ) => {
    const deadline = new timestampMessages.Timestamp()
    deadline.fromDate(new Date(Date.now() + deadlineMs))
    const options = new BatchAppendReq.Options()
    options.setStreamIdentifier(identifier(stream)).setAny(new emptyMessages.Empty()).setDeadline(deadline)
    const message = new BatchAppendReq.ProposedMessage()
    const uuid = (text: string) => {
      const written = new sharedMessages.UUID()
      written.setString(text)
      return written
    }
    message.setId(uuid(randomUUID()))
    message.getMetadataMap().set('type', 'Happened').set('content-type', 'application/json')
    change(message)
    const request = new BatchAppendReq()
    request.setCorrelationId(uuid(randomUUID())).setOptions(options).setIsFinal(true).addProposedMessages(message)
    call.write(request)
    return once(call, 'data').then(([answer]) => answer as InstanceType<typeof streamMessages.BatchAppendResp>)
  }
  t.equal((await send('late', -1000)).getError()?.getMessage(), 'Timeout')
  t.match((await send('a', 5000, (message) => void message.clearId())).getError()?.getMessage(), /has no id/)
  t.match((await send('a', 5000, (message) => void message.getMetadataMap().del('type'))).getError()?.getMessage(), /'type' is missing/)
  t.equal((await send('a', 5000)).getSuccess()?.getCurrentRevision(), '0')
  t.equal((await failure(all(connect(t, url).readStream('late')))).type, 'stream-not-found')
})

t.test('a subscriber that stops reading costs little, slows nobody, and is dropped in the end', async (t) => {
  const { url, port } = await embedded(t, { slowConsumerMs: 1000 })
  const writer = connect(t, url)
  const lazy = connect(t, url).subscribeToAll()
  const brisk = connect(t, url).subscribeToAll()
  let seen = 0
  let error: Error | undefined
  brisk.on('data', ({ event }) => {
    if (event!.type === 'Large') seen++
  })
  lazy.on('error', (thrown) => {
    error = thrown
  })
  await Promise.all([once(lazy, 'confirmation'), once(brisk, 'caughtUp')])
  const before = process.memoryUsage().arrayBuffers
  const large = () => Array.from({ length: 50 }, () => binaryEvent({ type: 'Large', data: Buffer.alloc(10_000) }))
  for (let n = 0; n < 40; n++) await writer.appendToStream('large', large())
  await until(() => seen === 2000, 'the other one gets all')
  const dropped = async () =>
    (await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()).includes('eventstore_subscriptions_dropped_total 1\n')
  while (!(await dropped())) await writer.appendToStream('large', event(1))
  t.ok(process.memoryUsage().arrayBuffers - before < 100 * 1024 * 1024, 'the 20 MB are not kept for it many times over')
  let taken = 0
  lazy.on('data', () => taken++)
  await until(() => error !== undefined, 'it is told')
  t.match(error, { type: 'timeout', code: status.ABORTED, message: /Consumer too slow to handle event while live/ })
  t.ok(taken < 2000, 'it was behind')
})

t.test('fifty subscribers, a fifth of them asleep, all get everything in order', async (t) => {
  const { url } = await embedded(t)
  const writer = connect(t, url)
  await writer.appendToStream('early', events(500))
  const readers = [connect(t, url), connect(t, url)]
  const followers = Array.from({ length: 50 }, (_, n) => {
    const subscription = n % 2 ? readers[n % 2]!.subscribeToAll() : readers[0]!.subscribeToStream('shared')
    const seen: number[] = []
    subscription.on('data', ({ event }) => {
      if (!event!.type.startsWith('$')) seen.push((event!.data as { n: number }).n)
    })
    if (n % 5 === 0) subscription.pause()
    return { subscription, seen, wanted: n % 2 ? 500 + 600 : 300, asleep: n % 5 === 0 }
  })
  for (let n = 0; n < 300; n++) await Promise.all([writer.appendToStream('shared', event(n)), writer.appendToStream('other', event(n))])
  await until(() => followers.every(({ seen, wanted, asleep }) => asleep || seen.length === wanted), 'those awake have all')
  for (const { subscription } of followers) subscription.resume()
  await until(() => followers.every(({ seen, wanted }) => seen.length === wanted), 'the others too')
  for (const { seen, wanted } of followers) if (wanted === 300 && seen.some((n, index) => n !== index)) t.fail('out of order')
  t.pass('in order')
})

t.test('a client that sends without waiting for answers is held back, and all of it is written', async (t) => {
  const { url } = await embedded(t)
  const client = connect(t, url)
  await client.appendToStream('flood', event('warm'))
  const data = Buffer.alloc(300_000)
  const writes = Array.from({ length: 120 }, (_, n) =>
    client.appendToStream(`flood-${n % 3}`, binaryEvent({ type: 'Large', data }), { deadline: 100_000 }),
  )
  const outcomes = await Promise.allSettled(writes)
  t.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 120)
})

t.test('a subscriber that pauses falls behind, says so, and misses nothing', async (t) => {
  const { url } = await embedded(t)
  const writer = connect(t, url)
  const subscription = connect(t, url).subscribeToAll({ filter: streamNameFilter({ prefixes: ['kept'] }) })
  const said: unknown[] = []
  subscription.on('caughtUp', () => said.push('caughtUp')).on('fellBehind', () => said.push('fellBehind'))
  subscription.on('data', ({ event }) => said.push((event!.data as { n: number }).n))
  await once(subscription, 'caughtUp')
  subscription.pause()
  const padding = 'x'.repeat(8_000)
  for (let n = 0; n < 400; n++) await writer.appendToStream(n % 2 ? 'kept' : 'other', jsonEvent({ type: 'Padded', data: { n, padding } }))
  subscription.resume()
  await until(() => said.includes(399) && said.at(-1) === 'caughtUp', 'caught up again')
  t.same(
    said.filter(Number.isInteger),
    Array.from({ length: 200 }, (_, n) => 2 * n + 1),
  )
  t.ok(said.indexOf('fellBehind') > 0, 'it was told')
})

t.test('clients that go at any moment, in the middle of anything, harm nobody', async (t) => {
  const { url } = await embedded(t)
  const steady = connect(t, url)
  await steady.appendToStream('read', events(300))
  const turns = async (count: number) => {
    for (let n = 0; n < count; n++) await new Promise((resolve) => setImmediate(resolve))
  }
  for (let n = 0; n < 30; n++) {
    const client = EventStoreDBClient.connectionString(url)
    const swallow = () => {}
    const reads = [
      client.readStream('read'),
      client.readAll(),
      client.readStream('none'),
      client.subscribeToAll(),
      client.subscribeToStream('read'),
    ]
    for (const read of reads) read.on('error', swallow).on('data', swallow)
    client.appendToStream(`gone-${n}`, events(20)).catch(swallow)
    client.appendToStream(`gone-${n}`, events(3), { credentials: { username: 'a', password: 'b' } }).catch(swallow)
    client.deleteStream('none').catch(swallow)
    await turns(n)
    await client.dispose()
    await steady.appendToStream('steady', event(n))
  }
  // Whole connections too, cut in the middle of a frame.
  for (let n = 0; n < 20; n++) {
    const socket = connectSocket(Number(new URL(url.replace('esdb', 'http')).port), '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    socket.write(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1').subarray(0, 20 + n))
    await turns(n % 3)
    socket.destroy()
  }
  t.equal((await all(steady.readStream('steady'))).length, 30)
})

t.test('what is hidden is removed from time to time', async (t) => {
  const { url } = await embedded(t, { compactEveryMs: 50 })
  const client = connect(t, url)
  await client.setStreamMetadata('beat', { maxCount: 2 })
  await client.appendToStream('beat', events(50))
  for (;;) if ((await all(client.readAll())).length === 4) break
  t.equal((await all(client.readStream('beat'))).length, 2)
})

t.test('closing finishes what is being written and tells clients to come back', async (t) => {
  const file = join(folder(t), 'log.db')
  const store = await startEventStore({ file })
  const client = EventStoreDBClient.connectionString(store.url)
  t.teardown(() => client.dispose())
  await client.appendToStream('a', event('warm'))
  const subscription = client.subscribeToAll()
  await once(subscription, 'caughtUp')
  const ended = once(subscription, 'error')
  const writes = Array.from({ length: 200 }, (_, n) => client.appendToStream(`s-${n % 7}`, event(n)))
  const settled = Promise.allSettled(writes)
  await writes[0]
  await store.close()
  const outcomes = await settled
  t.match((await ended)[0], { type: 'unavailable' })
  const acknowledged = outcomes.filter(({ status }) => status === 'fulfilled').length
  const refused = outcomes.filter((outcome) => outcome.status === 'rejected' && outcome.reason.type !== 'unavailable')
  t.same(refused, [], 'what was not written is "unavailable"')
  const again = await embedded(t, { file })
  const kept = await all(connect(t, again.url).readAll())
  t.ok(kept.length >= acknowledged + 1, 'every acknowledged append is there')
})

t.test('a free port is found, and a folder made', async (t) => {
  const file = join(folder(t), 'deep', 'er', 'log.db')
  const { port, host } = await embedded(t, { file })
  t.equal(host, '127.0.0.1')
  const taken = createServer()
  t.teardown(() => taken.close())
  const refused = await new Promise<NodeJS.ErrnoException>((resolve) => taken.once('error', resolve).listen(port, host))
  t.equal(refused.code, 'EADDRINUSE')
})
