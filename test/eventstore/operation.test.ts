/** Verify, backup, restore and compaction, and what they find. */
import { copyFileSync, existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { jsonEvent } from '@eventstore/db-client'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { backup, restore } from '../../src/eventstore/backup.ts'
import { compactFile } from '../../src/eventstore/compact.ts'
import { startEventStore } from '../../src/eventstore/server.ts'
import { verify } from '../../src/eventstore/verify.ts'
import { all, connect, embedded, event, events, failure, folder } from './node.ts'

const UNDAMAGED = { damages: [] }

/** A closed log with some history of every kind. */
async function writtenLog(t: Test): Promise<string> {
  const file = join(folder(t), 'log.db')
  const store = await embedded(t, { file })
  const client = connect(t, store.url)
  for (let n = 0; n < 20; n++) await client.appendToStream(`thing-${n % 5}`, events(5))
  await client.setStreamMetadata('thing-1', { maxCount: 3 })
  await client.deleteStream('thing-2')
  await client.tombstoneStream('thing-3')
  await client.appendToStream('large', jsonEvent({ type: 'Large', data: { text: 'x'.repeat(20_000) } }))
  await client.dispose()
  await store.close()
  return file
}

/** All that readers are sent, as one text; throws what they are told. */
async function history(file: string): Promise<string> {
  const store = await startEventStore({ file })
  try {
    const told: unknown[] = []
    const { EventStoreDBClient } = await import('@eventstore/db-client')
    const client = EventStoreDBClient.connectionString(store.url)
    try {
      for await (const resolved of client.readAll()) told.push(resolved)
      for (let n = 0; n < 5; n++) {
        const read = all(client.readStream(`thing-${n}`))
        told.push(await read.catch((error) => error.type))
      }
    } finally {
      await client.dispose()
    }
    return JSON.stringify(told, (_key, value) => (typeof value === 'bigint' ? String(value) : value))
  } finally {
    await store.close()
  }
}

t.test('a sound log is verified, beside the running node too', async (t) => {
  const file = await writtenLog(t)
  t.match(verify(file), { ...UNDAMAGED, events: 105, streams: 9, lastPosition: 105 })
  const { url } = await embedded(t, { file })
  await connect(t, url).appendToStream('more', events(3))
  t.match(verify(file), { ...UNDAMAGED, events: 108 })
  t.match(await failure(async () => verify(`${file}.none`)), { name: 'EventStoreRefusal', message: /There is no event log/ })
})

t.test('a changed byte in an event is found, named, and never read over', async (t) => {
  const file = await writtenLog(t)
  const database = new DatabaseSync(file)
  const { frame } = database.prepare('select frame from events where position = 43').get() as { frame: Uint8Array }
  frame[frame.length - 10]! ^= 1
  database.prepare('update events set frame = ? where position = 43').run(frame)
  database.close()
  const [damage] = verify(file).damages
  t.match(damage, { stream: 'thing-3', revision: 6, position: 43 })
  const { url } = await embedded(t, { file })
  const client = connect(t, url)
  const told = /The log is damaged: the event at position 43 \(stream "thing-3", revision 6\)/
  t.match(await failure(all(client.readAll())), { message: told })
  t.equal((await all(client.readStream('thing-0'))).length, 20, 'the rest is served')
})

t.test('missing events, streams and revisions are found', async (t) => {
  const file = await writtenLog(t)
  const damaged = (change: string) => {
    const copy = join(folder(t), 'log.db')
    copyFileSync(file, copy)
    const database = new DatabaseSync(copy)
    database.exec(change)
    database.close()
    return copy
  }
  const gone = damaged('delete from events where position = 4')
  t.match(verify(gone).damages, [{ what: 'Events are missing from position 4.' }, { what: 'Revision 2 is missing.' }])
  const { url } = await embedded(t, { file: gone })
  t.match(await failure(all(connect(t, url).readAll())), { message: /events between positions 4 and 4 are missing/ })
  t.match(await failure(all(connect(t, url).readStream('thing-0'))), { message: /revision 2 of stream "thing-0" is missing/ })
  t.match(
    verify(damaged("update streams set name = 'other' where name = 'thing-0'")).damages[0]?.what,
    /says it is revision 0 of stream "thing-0"/,
  )
  t.match(verify(damaged("delete from streams where name = 'thing-4'")).damages.at(-1)?.what, /streams are missing|says it is/)
  t.match(verify(damaged('update events set stream = 1, revision = 1000 where position = 105')).damages.length > 0, true)
})

t.test('damage to what bounds a stream is told to who reads it: no history is shorter in silence', async (t) => {
  const sound = await writtenLog(t)
  const told = async (change: string, stream: string) => {
    const file = join(folder(t), 'log.db')
    copyFileSync(sound, file)
    const database = new DatabaseSync(file)
    database.exec(change)
    database.close()
    t.ok(verify(file).damages.length > 0, `found: ${change}`)
    const { url } = await embedded(t, { file })
    const client = connect(t, url)
    const [read, subscribed] = [failure(all(client.readStream(stream))), failure(all(client.subscribeToStream(stream)))]
    t.match(await read, { code: 15, message: /The log is damaged/ }, change)
    t.match(await subscribed, { code: 15 }, change)
    t.match(await failure(client.appendToStream(stream, event(1))), { message: /The log is damaged/ }, 'and nothing is written to it')
    t.equal((await client.appendToStream('another', event(1))).success, true, 'others are served')
    t.equal((await all(client.readStream('large'))).length, 1)
  }
  await told("update streams set first = 3 where name = 'thing-0'", 'thing-0')
  await told('delete from events where position = (select max(position) from events where stream = 1) and stream = 1', '$$$scavenges')
  const metadata = "(select position from events where stream = (select id from streams where name = '$$thing-1'))"
  await told(
    `update events set frame = cast(replace(frame, '"$maxCount":3', '"$maxCount":1') as blob) where position = ${metadata}`,
    'thing-1',
  )
  const newest = "(select max(position) from events where stream = (select id from streams where name = 'thing-4'))"
  await told(`update events set revision = 900 where position = ${newest}`, 'thing-4')
})

t.test('a byte flipped anywhere in the file is found, or changes nothing that anybody reads', async (t) => {
  const file = await writtenLog(t)
  const sound = readFileSync(file)
  const told = await history(file)
  const place = folder(t)
  let found = 0
  await fc.assert(
    fc.asyncProperty(fc.nat(sound.length - 1), fc.integer({ min: 1, max: 255 }), async (offset, change) => {
      const copy = join(place, `${offset}-${change}.db`)
      const bytes = Buffer.from(sound)
      bytes[offset]! ^= change
      writeFileSync(copy, bytes)
      let damaged: boolean
      try {
        damaged = verify(copy).damages.length > 0
      } catch {
        damaged = true
      }
      if (damaged) found++
      else if ((await history(copy)) !== told) throw new Error('Another history, and verify says nothing.')
    }),
    { numRuns: 60, endOnFailure: true, interruptAfterTimeLimit: 15_000 },
  )
  t.ok(found > 5, `found ${found}`)
})

t.test('a cut tail is found: of the log, and of the write-ahead log that SQLite drops in silence', async (t) => {
  const file = await writtenLog(t)
  const cut = join(folder(t), 'log.db')
  copyFileSync(file, cut)
  truncateSync(cut, statSync(cut).size - 4096)
  t.ok(verify(cut).damages.length > 0)

  const { url } = await embedded(t, { file })
  for (let n = 0; n < 20; n++) await connect(t, url).appendToStream('tail', event(n))
  const torn = join(folder(t), 'log.db')
  for (const suffix of ['', '-wal', '.end']) copyFileSync(file + suffix, torn + suffix)
  t.match(verify(torn), { ...UNDAMAGED, events: 125 })
  const flipped = join(folder(t), 'log.db')
  for (const suffix of ['', '-wal', '.end']) copyFileSync(torn + suffix, flipped + suffix)
  const wal = readFileSync(`${flipped}-wal`)
  wal[wal.length - 20_000]! ^= 1
  writeFileSync(`${flipped}-wal`, wal)
  t.match(verify(flipped).damages, [{ what: 'The tail is missing: position 125 was acknowledged.' }], 'a byte of the write-ahead log, too')
  truncateSync(`${torn}-wal`, statSync(`${torn}-wal`).size - 100)
  t.match(verify(torn).damages, [{ what: 'The tail is missing: position 125 was acknowledged.' }])
  t.match(await failure(startEventStore({ file: torn })), {
    name: 'EventStoreRefusal',
    message: /ends at position \d+, but position 125 was acknowledged: its tail is lost/,
  })
})

t.test('a backup is taken while appends go on, is whole, and can be restored', async (t) => {
  const store = await embedded(t)
  const client = connect(t, store.url)
  await client.appendToStream('a', events(50))
  const writing = (async () => {
    for (let n = 0; n < 100; n++) await client.appendToStream('b', event(n))
  })()
  const target = join(folder(t), 'backups', 'one.db')
  await client.appendToStream('a', event('before'))
  const taken = backup(store.file, target)
  await writing
  t.ok(taken.events >= 51)
  t.match(verify(target), { ...UNDAMAGED, events: taken.events })
  t.match(await failure(async () => backup(store.file, target)), { message: /exists already/ })
  t.match(await failure(async () => restore(target, store.file)), { message: /in use by another process/ })
  const before = (await all(client.readAll())).length
  await client.dispose()
  await store.close()

  t.equal(restore(target, store.file).lastPosition, taken.lastPosition)
  t.equal(verify(`${store.file}.replaced`).events, before, 'the log that was there is kept')
  const again = await embedded(t, { file: store.file })
  const later = connect(t, again.url)
  t.equal((await all(later.readAll())).length, taken.events)
  const { position } = await later.appendToStream('a', event('after'))
  t.ok(position!.commit > 1_000_000_000n, 'no position is given twice')
  t.equal((await all(later.readAll())).length, taken.events + 1)
  t.match(verify(store.file), UNDAMAGED)
})

t.test('a damaged log gives no backup, a damaged backup no log', async (t) => {
  const file = await writtenLog(t)
  const target = join(folder(t), 'one.db')
  backup(file, target)
  const database = new DatabaseSync(target)
  database.exec('delete from events where position = 9')
  database.close()
  t.match(await failure(async () => backup(target, `${target}.2`)), { message: /The log is damaged, so there is no backup/ })
  t.notOk(existsSync(`${target}.2`))
  t.match(await failure(async () => restore(target, file)), { message: /is damaged: .* Take another one/ })
  t.match(verify(file), UNDAMAGED)
})

t.test('compaction takes out what nobody can see, and nothing else', async (t) => {
  const store = await embedded(t)
  const client = connect(t, store.url)
  for (let n = 0; n < 30; n++) {
    await client.appendToStream('counted', events(20))
    await client.appendToStream('kept', event(n))
  }
  await client.setStreamMetadata('counted', { maxCount: 10 })
  await client.setStreamMetadata('counted', { maxCount: 7 })
  await client.appendToStream('deleted', events(10))
  await client.deleteStream('deleted')
  await client.appendToStream('buried', events(10))
  await client.tombstoneStream('buried')
  await client.appendToStream('cut', events(10))
  await client.setStreamMetadata('cut', { truncateBefore: 4 })
  for (let n = 0; n < 3; n++) await client.appendToStream('aged', events(500))
  await client.setStreamMetadata('aged', { maxAge: 1 })
  await new Promise((resolve) => setTimeout(resolve, 1100))
  const visible = async () => {
    const told: Record<string, unknown> = {}
    for (const stream of ['counted', 'kept', 'deleted', 'buried', 'cut', 'aged'])
      told[stream] = await all(client.readStream(stream)).then(
        (read) => read.map(({ event }) => [Number(event!.revision), event!.id]),
        (error) => error.type,
      )
    return told
  }
  const before = await visible()
  const { removedEvents } = await store.compact()
  t.equal(removedEvents, 593 + 1 + 9 + 10 + 4 + 1499)
  t.same(await visible(), before)
  t.match(verify(store.file), UNDAMAGED)
  t.equal((await all(client.readStream('counted', { direction: 'backwards', fromRevision: 'end' }))).length, 7)
  const places = (await all(client.readAll())).map(({ event }) => event!.position!.commit)
  for (const commit of [1n, 5n, 300n, 599n])
    t.same(
      (await all(client.readAll({ fromPosition: { commit, prepare: commit } }))).map(({ event }) => event!.position!.commit),
      places.filter((place) => place >= commit),
      `from position ${commit} in the middle of what is gone`,
    )
  t.equal((await client.appendToStream('deleted', event('again'))).nextExpectedRevision, 10n, 'a deleted stream goes on where it was')
  t.equal((await client.appendToStream('aged', event('again'), { expectedRevision: 1499n })).nextExpectedRevision, 1500n)
  t.equal((await failure(client.appendToStream('buried', event('again')))).type, 'stream-deleted')
  await client.appendToStream('counted', events(20))
  t.equal((await store.compact()).removedEvents, 20 + 3, 'what was kept only as the last of its stream goes too')
  t.match(verify(store.file), UNDAMAGED)
  await client.dispose()
  await store.close()
  const sizeBytes = statSync(store.file).size
  t.equal((await compactFile(store.file)).removedEvents, 0)
  t.ok(statSync(store.file).size < sizeBytes, 'the file is smaller')
  t.match(verify(store.file), UNDAMAGED)
})
