/** What the house relies on of an event store: of the embedded node always, and of the server at EVENTSTORE_URL where it is set. */
import { randomUUID } from 'node:crypto'
import {
  type AllStreamSubscription,
  binaryEvent,
  END,
  eventTypeFilter,
  excludeSystemEvents,
  jsonEvent,
  START,
  type StreamSubscription,
  streamNameFilter,
} from '@eventstore/db-client'
import t, { type Test } from 'tap'
import { all, connect, embedded, event, events, failure, until } from './node.ts'

const servers: [name: string, start: (t: Test) => Promise<string>][] = [['the embedded node', async (t) => (await embedded(t)).url]]
if (process.env['EVENTSTORE_URL']) servers.push(['the server at EVENTSTORE_URL', async () => process.env['EVENTSTORE_URL']!])

/** Collects what a subscription says, in order: events by their number, and the words. */
function follow(t: Test, subscription: StreamSubscription | AllStreamSubscription) {
  const said: unknown[] = []
  const seen: { type?: string; revision?: bigint; commit?: bigint }[] = []
  let failed: Error | undefined
  subscription
    .on('confirmation', () => said.push('confirmation'))
    .on('caughtUp', () => said.push('caughtUp'))
    .on('error', (error) => {
      failed = error
    })
    .on('data', (resolved) => {
      said.push((resolved.event?.data as { n: unknown } | undefined)?.n)
      seen.push({
        type: resolved.event?.type ?? '',
        revision: resolved.event?.revision ?? -1n,
        commit: resolved.event?.position?.commit ?? -1n,
      })
    })
  t.teardown(() => subscription.unsubscribe())
  return { said, seen, failed: () => failed, caughtUp: () => until(() => said.includes('caughtUp'), 'caught up') }
}

for (const [name, start] of servers)
  t.test(`with ${name}`, async (t) => {
    const url = await start(t)
    const client = connect(t, url)
    const fresh = (category = 'thing') => `${category}-${randomUUID()}`

    t.test('an append tells the next revision and its position', async (t) => {
      const stream = fresh()
      const first = await client.appendToStream(stream, events(3), { expectedRevision: 'no_stream' })
      t.equal(first.success, true)
      t.equal(first.nextExpectedRevision, 2n)
      const second = await client.appendToStream(stream, event(3), { expectedRevision: 2n })
      t.equal(second.nextExpectedRevision, 3n)
      t.ok(second.position!.commit > first.position!.commit, 'positions grow')
    })

    t.test('what is read is what was written', async (t) => {
      const stream = fresh()
      const id = randomUUID()
      const before = Date.now()
      await client.appendToStream(stream, [
        jsonEvent({
          id,
          type: 'Größe',
          data: { text: 'naïve 🙂', deep: [1, { two: null }] },
          metadata: { $correlationId: 'c', por: 'quoi' },
        }),
        binaryEvent({ type: 'bytes', data: Uint8Array.from([0, 255, 128]), metadata: Uint8Array.from([1, 2]) }),
        jsonEvent({ type: 'empty', data: {} }),
      ])
      const [json, binary, empty] = (await all(client.readStream(stream))).map((resolved) => resolved.event!)
      t.match(json, {
        id,
        streamId: stream,
        revision: 0n,
        type: 'Größe',
        isJson: true,
        data: { text: 'naïve 🙂', deep: [1, { two: null }] },
        metadata: { $correlationId: 'c', por: 'quoi' },
      })
      t.ok(json!.created.getTime() >= before - 60_000 && json!.created.getTime() <= Date.now() + 60_000, 'created is now')
      t.equal(binary!.isJson, false)
      t.same([...(binary!.data as Uint8Array)], [0, 255, 128])
      t.same([...(binary!.metadata as unknown as Uint8Array)], [1, 2])
      t.same(empty!.data, {})
      t.equal(empty!.metadata, undefined)
    })

    t.test('stream names of any letters work', async (t) => {
      const stream = `Ölpreis-${randomUUID()} ≥ 3 / @$%`
      await client.appendToStream(stream, event(1))
      t.equal((await all(client.readStream(stream)))[0]?.event?.streamId, stream)
    })

    t.test('the expected revision is kept to', async (t) => {
      const stream = fresh()
      const refused = (expectedRevision: bigint | 'no_stream' | 'stream_exists') =>
        failure(client.appendToStream(stream, event('x'), { expectedRevision }))
      t.match(await refused('stream_exists'), {
        type: 'wrong-expected-version',
        streamName: stream,
        expectedVersion: 'stream_exists',
        actualVersion: 'no_stream',
      })
      t.match(await refused(0n), { type: 'wrong-expected-version', expectedVersion: 0n, actualVersion: 'no_stream' })
      await client.appendToStream(stream, events(2), { expectedRevision: 'no_stream' })
      t.match(await refused('no_stream'), { type: 'wrong-expected-version', expectedVersion: 'no_stream', actualVersion: 1n })
      t.match(await refused(0n), { type: 'wrong-expected-version', expectedVersion: 0n, actualVersion: 1n })
      t.match(await refused(5n), { type: 'wrong-expected-version', expectedVersion: 5n, actualVersion: 1n })
      await client.appendToStream(stream, event(2), { expectedRevision: 'stream_exists' })
      await client.appendToStream(stream, event(3), { expectedRevision: 'any' })
      t.equal((await all(client.readStream(stream))).length, 4)
    })

    t.test('an append of one call (as clients with credentials make it) answers the same', async (t) => {
      const stream = fresh()
      const credentials = { username: 'admin', password: 'changeit' }
      const first = await client.appendToStream(stream, events(2), { expectedRevision: 'no_stream', credentials })
      t.equal(first.nextExpectedRevision, 1n)
      t.ok(first.position!.commit > 0n)
      for (const [expectedRevision, expectedVersion] of [
        ['no_stream', 'no_stream'],
        [7n, 7n],
      ] as const)
        t.match(await failure(client.appendToStream(stream, event(2), { expectedRevision, credentials })), {
          type: 'wrong-expected-version',
          expectedVersion,
          actualVersion: 1n,
        })
      t.match(await failure(client.appendToStream(fresh(), event(2), { expectedRevision: 'stream_exists', credentials })), {
        type: 'wrong-expected-version',
        expectedVersion: 'stream_exists',
        actualVersion: 'no_stream',
      })
      const repeat = events(2)
      await client.appendToStream(stream, repeat, { expectedRevision: 1n, credentials })
      t.equal((await client.appendToStream(stream, repeat, { expectedRevision: 1n, credentials })).nextExpectedRevision, 3n)
    })

    t.test('a repeat with the same ids is answered as the first time and writes nothing', async (t) => {
      for (const expectedRevision of ['no_stream', 'any'] as const) {
        const stream = fresh()
        const repeated = events(3)
        const first = await client.appendToStream(stream, repeated, { expectedRevision })
        await client.appendToStream(stream, event('later'))
        const again = await client.appendToStream(stream, repeated, { expectedRevision })
        t.equal(again.nextExpectedRevision, first.nextExpectedRevision, `${expectedRevision}: the same revision`)
        t.equal(again.position?.commit, first.position?.commit, `${expectedRevision}: the same position`)
        const part = await client.appendToStream(stream, repeated.slice(0, 2), { expectedRevision })
        t.equal(part.nextExpectedRevision, 1n, `${expectedRevision}: the first part alone is known too`)
        const other = await failure(client.appendToStream(stream, [repeated[0]!, event('new')], { expectedRevision }))
        t.equal(other.type, 'wrong-expected-version', `${expectedRevision}: half a repeat is a conflict`)
        t.equal((await all(client.readStream(stream))).length, 4)
      }
    })

    t.test('the same id in another stream is another event', async (t) => {
      const same = event(1)
      const streams = [fresh(), fresh()]
      for (const stream of streams) await client.appendToStream(stream, same)
      for (const stream of streams) t.equal((await all(client.readStream(stream))).length, 1)
    })

    t.test('an append of nothing succeeds at the expected revision', async (t) => {
      const stream = fresh()
      await client.appendToStream(stream, events(2))
      t.equal((await client.appendToStream(stream, [], { expectedRevision: 1n })).nextExpectedRevision, 1n)
      t.equal((await failure(client.appendToStream(stream, [], { expectedRevision: 0n }))).type, 'wrong-expected-version')
    })

    t.test('an append above 1 MiB is refused, the next one is not', async (t) => {
      const stream = fresh()
      const large = (sizeBytes: number) => jsonEvent({ type: 'Large', data: { text: 'x'.repeat(sizeBytes) } })
      const limit = { type: 'maximum-append-size-exceeded', maxAppendSize: 1024 * 1024 }
      t.match(await failure(client.appendToStream(stream, large(1024 * 1024))), limit)
      t.match(await failure(client.appendToStream(stream, [large(700_000), large(700_000)])), limit)
      const credentials = { username: 'admin', password: 'changeit' }
      t.match(await failure(client.appendToStream(stream, large(1024 * 1024), { credentials })), limit)
      await client.appendToStream(stream, large(1_000_000))
      t.equal((await all(client.readStream(stream))).length, 1)
    })

    t.test('a batch in many parts is one append', async (t) => {
      const stream = fresh()
      const written = Array.from({ length: 50 }, (_, n) => jsonEvent({ type: 'Part', data: { n, text: 'x'.repeat(2000) } }))
      const { nextExpectedRevision } = await client.appendToStream(stream, written, {
        expectedRevision: 'no_stream',
        batchAppendSize: 10_000,
      })
      t.equal(nextExpectedRevision, 49n)
      t.same(
        (await all(client.readStream(stream))).map(({ event }) => event!.id),
        written.map(({ id }) => id),
      )
    })

    t.test('appends at once to one stream: one wins each revision', async (t) => {
      const stream = fresh()
      const outcomes = await Promise.allSettled(
        Array.from({ length: 20 }, (_, n) => client.appendToStream(stream, event(n), { expectedRevision: 'no_stream' })),
      )
      t.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
      t.equal((await all(client.readStream(stream))).length, 1)
    })

    t.test('a stream is read in both directions, from anywhere, up to a count', async (t) => {
      const stream = fresh()
      await client.appendToStream(stream, events(300))
      const read = async (options: Parameters<typeof client.readStream>[1]) =>
        (await all(client.readStream<{ type: string; data: { n: number } } & ReturnType<typeof jsonEvent>>(stream, options))).map(
          ({ event }) => (event!.data as { n: number }).n,
        )
      const numbers = Array.from({ length: 300 }, (_, n) => n)
      t.same(await read({}), numbers)
      t.same(await read({ fromRevision: 290n }), numbers.slice(290))
      t.same(await read({ fromRevision: 10n, maxCount: 5 }), [10, 11, 12, 13, 14])
      t.same(await read({ direction: 'backwards', fromRevision: END }), numbers.toReversed())
      t.same(await read({ direction: 'backwards', fromRevision: END, maxCount: 2 }), [299, 298])
      t.same(await read({ direction: 'backwards', fromRevision: 2n }), [2, 1, 0])
      t.same(await read({ direction: 'backwards', fromRevision: START }), [0])
      t.same(await read({ fromRevision: 300n }), [], 'beyond the end there is nothing')
      t.same(await read({ fromRevision: END }), [])
    })

    t.test('an event in a stream tells its position in $all', async (t) => {
      const stream = fresh()
      const { position } = await client.appendToStream(stream, events(3))
      const read = await all(client.readStream(stream))
      t.equal(read[2]!.event!.position!.commit, position!.commit)
      t.equal(read[2]!.commitPosition, position!.commit)
      const commits = read.map(({ event }) => event!.position!.commit)
      t.ok(commits[0]! < commits[1]! && commits[1]! < commits[2]!, 'strictly growing')
    })

    t.test('a stream that is not there is said not to be found', async (t) => {
      const stream = fresh()
      for (const direction of ['forwards', 'backwards'] as const)
        t.match(await failure(all(client.readStream(stream, { direction, fromRevision: direction === 'forwards' ? START : END }))), {
          type: 'stream-not-found',
        })
    })

    t.test('$all is read in both directions from a position', async (t) => {
      const streams = [fresh(), fresh()]
      const positions: bigint[] = []
      for (let n = 0; n < 6; n++) positions.push((await client.appendToStream(streams[n % 2]!, event(n))).position!.commit)
      const place = (n: number) => ({ commit: positions[n]!, prepare: positions[n]! })
      const ours = (resolved: { event?: { streamId: string; data: unknown } | undefined }) =>
        streams.includes(resolved.event?.streamId ?? '')
      const numbers = (read: { event?: { streamId: string; data: unknown } | undefined }[]) =>
        read.filter(ours).map(({ event }) => (event!.data as { n: number }).n)
      t.same(numbers(await all(client.readAll({ fromPosition: place(2) }))), [2, 3, 4, 5], 'forwards with the position')
      t.same(numbers(await all(client.readAll({ fromPosition: place(2), maxCount: 2 }))).slice(0, 2), [2, 3])
      t.same(numbers(await all(client.readAll({ direction: 'backwards', fromPosition: place(3) }))), [2, 1, 0], 'backwards without it')
      t.same(numbers(await all(client.readAll({ direction: 'backwards', fromPosition: END, maxCount: 6 }))), [5, 4, 3, 2, 1, 0])
      const everything = await all(client.readAll())
      for (const [index, { event }] of everything.entries())
        if (index > 0 && event!.position!.commit <= everything[index - 1]!.event!.position!.commit) t.fail('positions do not grow')
      t.same(numbers(everything), [0, 1, 2, 3, 4, 5])
      t.same(await all(client.readAll({ fromPosition: END })), [])
      t.same(await all(client.readAll({ direction: 'backwards', fromPosition: START })), [])
    })

    t.test('$all is never empty: the server wrote to it first', async (t) => {
      const [first] = await all(client.readAll({ maxCount: 1 }))
      t.match(first?.event, { type: '$metadata', streamId: /^\$\$\$/ })
      const { position } = first!.event!
      t.same((await all(client.readAll({ maxCount: 1, fromPosition: position! })))[0]?.event, first!.event)
    })

    t.test('a subscription to a stream gives what is there, says so, and goes on', async (t) => {
      const stream = fresh()
      await client.appendToStream(stream, events(100))
      const followed = follow(t, client.subscribeToStream(stream))
      await followed.caughtUp()
      await client.appendToStream(fresh(), event('elsewhere'))
      await client.appendToStream(stream, [event(100), event(101)])
      await until(() => followed.seen.length === 102, 'all events')
      t.same(followed.said, ['confirmation', ...Array.from({ length: 100 }, (_, n) => n), 'caughtUp', 100, 101])
    })

    t.test('a subscription starts after its revision, or at the end', async (t) => {
      const stream = fresh()
      await client.appendToStream(stream, events(5))
      const after = follow(t, client.subscribeToStream(stream, { fromRevision: 2n }))
      const end = follow(t, client.subscribeToStream(stream, { fromRevision: END }))
      await Promise.all([after.caughtUp(), end.caughtUp()])
      await client.appendToStream(stream, event(5))
      await until(() => after.seen.length === 3 && end.seen.length === 1, 'the events')
      t.same(after.said.filter(Number.isInteger), [3, 4, 5])
      t.same(end.said.filter(Number.isInteger), [5])
    })

    t.test('a subscription to a stream that is not there waits for it', async (t) => {
      const stream = fresh()
      const followed = follow(t, client.subscribeToStream(stream))
      await until(() => followed.said.includes('confirmation'), 'confirmed')
      await client.appendToStream(stream, events(2))
      await until(() => followed.seen.length === 2, 'the events')
      t.same(followed.said.filter(Number.isInteger), [0, 1])
    })

    t.test('a subscription to $all starts after its position, in order, without gaps', async (t) => {
      const stream = fresh()
      const { position } = await client.appendToStream(stream, event('before'))
      await client.appendToStream(stream, [event(0), event(1)])
      const followed = follow(t, client.subscribeToAll({ fromPosition: position! }))
      await followed.caughtUp()
      for (let n = 2; n < 50; n++) await client.appendToStream(n % 2 ? stream : fresh(), event(n))
      await until(() => followed.said.includes(49), 'the last event')
      t.same(
        followed.said.filter(Number.isInteger),
        Array.from({ length: 50 }, (_, n) => n),
      )
      for (const [index, { commit }] of followed.seen.entries())
        if (index > 0 && commit! <= followed.seen[index - 1]!.commit!) t.fail('positions do not grow')
    })

    t.test('filters pick by stream and type, prefix and expression, behind and live', async (t) => {
      const mark = randomUUID().slice(0, 8)
      const { position } = await client.appendToStream(fresh(), event('start'))
      const write = async (n: number) => {
        await client.appendToStream(`red${mark}-1`, event(n, `Red${mark}`))
        await client.appendToStream(`blue${mark}-1`, event(n + 100, `Blue${mark}`))
      }
      await write(1)
      const filters = {
        prefix: streamNameFilter({ prefixes: [`red${mark}-`, 'nothing'] }),
        regex: streamNameFilter({ regex: `^(blue|green)${mark}` }),
        type: eventTypeFilter({ prefixes: [`Blue${mark}`] }),
        typeRegex: eventTypeFilter({ regex: `d${mark}$` }),
        noSystem: excludeSystemEvents(),
      }
      const followed = Object.fromEntries(
        Object.entries(filters).map(([key, filter]) => [key, follow(t, client.subscribeToAll({ fromPosition: position!, filter }))]),
      )
      for (const one of Object.values(followed)) await one.caughtUp()
      await write(2)
      const expected: Record<string, number[]> = {
        prefix: [1, 2],
        regex: [101, 102],
        type: [101, 102],
        typeRegex: [1, 2],
        noSystem: [1, 101, 2, 102],
      }
      for (const [key, numbers] of Object.entries(expected)) {
        await until(() => followed[key]!.said.includes(numbers.at(-1)), key)
        const seen = followed[key]!.said.filter(Number.isInteger)
        if (key === 'noSystem')
          t.ok(
            numbers.every((n) => seen.includes(n)),
            key,
          )
        else t.same(seen, numbers, key)
      }
    })

    t.test('a filtered subscription says how far it has looked', async (t) => {
      const { position } = await client.appendToStream(fresh(), event('start'))
      const checkpoints: bigint[] = []
      const filter = streamNameFilter({
        prefixes: [`never-${randomUUID()}`],
        maxSearchWindow: 10,
        checkpointInterval: 2,
        checkpointReached: async (_subscription, place) => void checkpoints.push(place.commit),
      })
      const followed = follow(t, client.subscribeToAll({ fromPosition: position!, filter }))
      await followed.caughtUp()
      let last = 0n
      for (let n = 0; n < 60; n++) last = (await client.appendToStream(fresh(), event(n))).position!.commit
      await until(() => checkpoints.length >= 2, 'two checkpoints')
      t.ok(
        checkpoints.every((commit, index) => commit > (checkpoints[index - 1] ?? position!.commit) && commit <= last),
        'they grow, and are never ahead of the log',
      )
      t.same(followed.seen, [])
    })

    t.test('$maxCount shows the last events only', async (t) => {
      const stream = fresh()
      await client.setStreamMetadata(stream, { maxCount: 3 })
      await client.appendToStream(stream, events(10))
      const revisions = async (options = {}) => (await all(client.readStream(stream, options))).map(({ event }) => Number(event!.revision))
      t.same(await revisions(), [7, 8, 9])
      t.same(await revisions({ fromRevision: 8n }), [8, 9])
      t.same(await revisions({ direction: 'backwards', fromRevision: END }), [9, 8, 7])
      t.same(await revisions({ maxCount: 1 }), [7])
      t.equal((await client.appendToStream(stream, event(10), { expectedRevision: 9n })).nextExpectedRevision, 10n)
      t.same(await revisions(), [8, 9, 10])
      const followed = follow(t, client.subscribeToStream(stream))
      await followed.caughtUp()
      t.same(followed.said.filter(Number.isInteger), [8, 9, 10])
    })

    t.test('$maxAge and $tb hide events too', async (t) => {
      const [old, cut] = [fresh(), fresh()]
      await client.appendToStream(old, events(2))
      await client.setStreamMetadata(old, { maxAge: 3600 })
      t.equal((await all(client.readStream(old))).length, 2, 'an hour is not over')
      await client.setStreamMetadata(old, { maxAge: 1 })
      await new Promise((resolve) => setTimeout(resolve, 1500))
      t.same(await all(client.readStream(old)), [])
      await client.appendToStream(old, event('young'))
      t.equal((await all(client.readStream(old))).length, 1)
      await client.appendToStream(cut, events(5))
      await client.setStreamMetadata(cut, { truncateBefore: 3 })
      t.same(
        (await all(client.readStream(cut))).map(({ event }) => event!.revision),
        [3n, 4n],
      )
      await client.setStreamMetadata(cut, { truncateBefore: 100 })
      t.same(await all(client.readStream(cut)), [], 'all of it is cut, but the stream is there')
    })

    t.test('metadata is kept whole, and the last one counts', async (t) => {
      const stream = fresh()
      t.same(await client.getStreamMetadata(stream), { streamName: stream })
      const metadata = {
        maxCount: 7,
        maxAge: 60,
        truncateBefore: 2,
        cacheControl: 5,
        acl: { readRoles: ['$all'], writeRoles: ['ops'] },
        owner: 'crm',
      }
      await client.setStreamMetadata(stream, { maxCount: 1 }, { expectedRevision: 'no_stream' })
      await client.setStreamMetadata(stream, metadata, { expectedRevision: 0n })
      t.match(await client.getStreamMetadata(stream), { streamName: stream, metadata })
      t.equal((await failure(client.setStreamMetadata(stream, {}, { expectedRevision: 0n }))).type, 'wrong-expected-version')
      t.equal((await all(client.readStream(`$$${stream}`))).length, 1, 'the metadata stream shows its last event')
      t.equal((await failure(all(client.readStream(stream)))).type, 'stream-not-found', 'metadata alone makes no stream')
      t.equal((await client.appendToStream(stream, event(1), { expectedRevision: 'stream_exists' })).nextExpectedRevision, 0n)
    })

    t.test('a deleted stream is not found, and goes on at its next revision when written again', async (t) => {
      const stream = fresh()
      await client.appendToStream(stream, events(3))
      t.equal((await failure(client.deleteStream(stream, { expectedRevision: 1n }))).type, 'wrong-expected-version')
      const { position } = await client.deleteStream(stream, { expectedRevision: 2n })
      t.ok(position!.commit > 0n)
      t.equal((await failure(all(client.readStream(stream)))).type, 'stream-not-found')
      t.equal((await failure(client.appendToStream(stream, event(9), { expectedRevision: 'stream_exists' }))).type, 'stream-deleted')
      t.equal((await client.appendToStream(stream, event(3), { expectedRevision: 'no_stream' })).nextExpectedRevision, 3n)
      t.same(
        (await all(client.readStream(stream))).map(({ event }) => event!.revision),
        [3n],
      )
      await client.deleteStream(stream)
      t.equal((await client.appendToStream(stream, event(4), { expectedRevision: 3n })).nextExpectedRevision, 4n)
    })

    t.test('what is not there cannot be deleted', async (t) => {
      t.match(await failure(client.deleteStream(fresh())), { type: 'wrong-expected-version' })
      t.match(await failure(client.deleteStream(fresh(), { expectedRevision: 3n })), {
        type: 'wrong-expected-version',
        expectedVersion: 3n,
      })
    })

    t.test('a tombstone is for ever', async (t) => {
      const stream = fresh()
      await client.appendToStream(stream, events(2))
      const followed = follow(t, client.subscribeToStream(stream))
      await followed.caughtUp()
      t.equal((await failure(client.tombstoneStream(stream, { expectedRevision: 0n }))).type, 'wrong-expected-version')
      await client.tombstoneStream(stream, { expectedRevision: 1n })
      t.match(await failure(all(client.readStream(stream))), { type: 'stream-deleted', streamName: stream })
      for (const expectedRevision of ['any', 'no_stream', 'stream_exists', 1n] as const)
        t.match(await failure(client.appendToStream(stream, event(1), { expectedRevision })), {
          type: 'stream-deleted',
          streamName: stream,
        })
      t.equal(
        (await failure(client.appendToStream(stream, event(1), { credentials: { username: 'a', password: 'b' } }))).type,
        'stream-deleted',
      )
      t.equal((await failure(client.tombstoneStream(stream))).type, 'stream-deleted')
      t.equal((await failure(client.deleteStream(stream))).type, 'stream-deleted')
      t.equal((await failure(client.setStreamMetadata(stream, {}))).type, 'stream-deleted')
      await until(() => followed.failed() !== undefined, 'the subscription ends')
      t.match(followed.failed(), { type: 'stream-deleted' })
      const late = follow(t, client.subscribeToStream(stream))
      await until(() => late.failed() !== undefined, 'a new subscription is refused')
      t.match(late.failed(), { type: 'stream-deleted' })
      const never = fresh()
      await client.tombstoneStream(never)
      t.equal((await failure(client.appendToStream(never, event(1)))).type, 'stream-deleted')
    })

    t.test('links are resolved where it is asked for', async (t) => {
      const [stream, links] = [fresh(), fresh('links')]
      await client.appendToStream(stream, events(2))
      const link = (to: string) => binaryEvent({ type: '$>', data: Buffer.from(to) })
      await client.appendToStream(links, [link(`1@${stream}`), link(`9@${stream}`), link(`0@${fresh()}`)])
      const plain = await all(client.readStream(links))
      t.same(
        plain.map(({ event }) => event?.type),
        ['$>', '$>', '$>'],
      )
      const [found, missing, nowhere] = await all(client.readStream(links, { resolveLinkTos: true }))
      t.match(found, { event: { streamId: stream, revision: 1n, data: { n: 1 } }, link: { streamId: links, revision: 0n, type: '$>' } })
      t.equal(found!.commitPosition, plain[0]!.commitPosition)
      t.equal(missing!.event, undefined)
      t.match(missing!.link, { revision: 1n })
      t.equal(nowhere!.event, undefined)
      const followed = follow(t, client.subscribeToStream(links, { resolveLinkTos: true }))
      await followed.caughtUp()
      await client.appendToStream(links, link(`0@${stream}`))
      await until(() => followed.seen.length === 4, 'the live link')
      t.same(followed.said.filter(Number.isInteger), [1, 0])
    })

    t.test('a connection string that discovers finds the node', async (t) => {
      const discovering = connect(t, url.replace('esdb://', 'esdb+discover://'))
      const stream = fresh()
      await discovering.appendToStream(stream, event(1))
      t.equal((await all(client.readStream(stream))).length, 1)
    })

    t.test('many clients at once read what each other wrote', async (t) => {
      const stream = fresh()
      const writers = Array.from({ length: 8 }, () => connect(t, url))
      await Promise.all(writers.map((writer, n) => writer.appendToStream(stream, [event(n), event(n)])))
      const numbers = (await all(client.readStream(stream))).map(({ event }) => (event!.data as { n: number }).n)
      t.equal(numbers.length, 16)
      for (let index = 0; index < 16; index += 2) t.equal(numbers[index], numbers[index + 1], 'an append stays together')
    })
  })
