/** An acknowledged append survives: killed processes, failing writes and syncs, a full disk. */
import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { type Fault, openLog } from '../../src/eventstore/log.ts'
import { verify } from '../../src/eventstore/verify.ts'
import { startApart } from './apart.ts'
import { type Attempt, faultsIn, writeUntil } from './load.ts'
import { all, connect, embedded, event, events, failure, folder, until } from './node.ts'

t.test('kill -9 under load, again and again: nothing acknowledged is lost, nothing is there twice', async (t) => {
  const rounds = Number(process.env['EVENTSTORE_KILLS'] ?? 10)
  const file = join(folder(t), 'log.db')
  const attempts: Attempt[] = []
  for (let round = 0; round < rounds; round++) {
    const node = await startApart(file)
    t.teardown(() => node.kill())
    let over = false
    const ofRound: Attempt[] = []
    const writing = writeUntil(node.url, String(round), 16, ofRound, () => over)
    await until(() => ofRound.filter(({ outcome }) => outcome === 'acknowledged').length >= 50, 'the load is on')
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 50))
    await node.kill()
    over = true
    await writing
    attempts.push(...ofRound)
  }
  const acknowledged = attempts.filter(({ outcome }) => outcome === 'acknowledged').length
  t.ok(acknowledged >= rounds * 50, `${acknowledged} appends were acknowledged, ${attempts.length - acknowledged} were not`)
  t.match(verify(file).damages, [])
  const { url } = await embedded(t, { file })
  t.same(await faultsIn(url, attempts), [])
})

t.test('a write or sync that fails acknowledges nothing of its group, at every call', async (t) => {
  for (const failing of ['write', 'sync'] as const)
    for (let nth = 1; nth <= 4; nth++) {
      let calls = 0
      const fault: Fault = (call) => {
        if (call === failing && ++calls % nth === 0 && calls <= 4 * nth) throw new Error('the disk is broken')
      }
      const store = await embedded(t, { fault })
      const client = connect(t, store.url)
      const attempts: Attempt[] = []
      for (let n = 0; n < 12; n++) {
        const written = events(2)
        const attempt: Attempt = { stream: `s-${n % 3}`, ids: written.map(({ id }) => id), expected: 'no_stream', outcome: 'unknown' }
        attempts.push(attempt)
        await client.appendToStream(attempt.stream, written).then(
          () => (attempt.outcome = 'acknowledged'),
          (error) => {
            attempt.outcome = 'refused'
            if (!/cannot be written: the disk is broken/.test(error.message)) throw error
          },
        )
      }
      t.same(await faultsIn(store.url, attempts), [], `${failing} ${nth}`)
      const kept = (await all(client.readAll())).filter(({ event }) => event?.type === 'Happened').length
      t.equal(kept, attempts.filter(({ outcome }) => outcome === 'acknowledged').length * 2, 'a refused append is not there')
      t.match(verify(store.file).damages, [])
    }
})

t.test('a failed group leaves expected revisions, new streams and repeats as they were', async (t) => {
  let broken = false
  const { url } = await embedded(t, {
    fault: (call) => {
      if (broken && call === 'sync') throw new Error('broken')
    },
  })
  const client = connect(t, url)
  await client.appendToStream('old', events(3), { expectedRevision: 'no_stream' })
  broken = true
  const fresh = event('x')
  t.match(await failure(client.appendToStream('old', fresh, { expectedRevision: 2n })), { message: /broken/ })
  t.match(await failure(client.appendToStream('new', fresh)), { message: /broken/ })
  t.match(await failure(client.tombstoneStream('old')), { code: 8, message: /broken/ })
  broken = false
  t.equal((await client.appendToStream('new', fresh)).nextExpectedRevision, 0n)
  t.equal((await client.appendToStream('old', fresh, { expectedRevision: 2n })).nextExpectedRevision, 3n)
  t.equal((await all(client.readStream('new'))).length, 1)
})

t.test('a full disk refuses writes, serves reads, and resumes by itself', async (t) => {
  // SQLite's own limit on the file: it fails exactly as a full disk does (SQLITE_FULL).
  const file = join(folder(t), 'log.db')
  const log = openLog({ file })
  t.teardown(() => log.close())
  const append = (count: number) =>
    new Promise<void>((resolve, reject) => {
      log.enqueue({
        sizeBytes: 0,
        run(writer) {
          for (let n = 0; n < count; n++) {
            const stream = writer.stream('filling')
            const data = Buffer.alloc(10_000, 'x')
            writer.append(
              stream,
              { id: crypto.randomUUID(), type: 'Filled', json: false, data, metadata: Buffer.alloc(0) },
              stream.head + 1,
            )
          }
        },
        done: (error) => (error ? reject(error) : resolve()),
      })
    })
  await append(5)
  const pages = (log.database.prepare('pragma page_count').get() as { page_count: number }).page_count
  log.database.exec(`pragma max_page_count = ${pages + 10}`)
  t.match(await failure(append(20)), { message: /full/ })
  t.match(log.trouble(), /full/)
  t.equal(log.readAll(1, 'forwards', 100).length, 5, 'what was there is served')
  await append(1)
  t.equal(log.trouble(), undefined, 'what still fits is taken')
  t.match(await failure(append(20)), { message: /full/ })
  log.database.exec('pragma max_page_count = 1000000')
  await append(20)
  t.equal(log.end(), 26)
  t.match(verify(file), { events: 26, damages: [] })
})

const compiler = spawnSync('cc', ['--version']).status === 0 && process.platform === 'linux'

t.test(
  'a disk that fails every Nth call of the operating system, and one that is full',
  { skip: compiler ? false : 'there is no C compiler here, or this is not Linux' },
  async (t) => {
    const place = folder(t)
    const library = join(place, 'faulty-disk.so')
    execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, join(import.meta.dirname, 'faulty-disk.c'), '-ldl'])
    const plan = join(place, 'plan')
    writeFileSync(plan, '')
    const attempts: Attempt[] = []
    const file = join(place, 'log.db')

    const synced = await startApart(file, { env: { LD_PRELOAD: library, FAULT_PLAN: plan } })
    t.teardown(() => synced.kill())
    const checking = connect(t, synced.url)
    await checking.appendToStream('synced', events(1))
    writeFileSync(plan, `1 ${constants.errno.EIO} sync`)
    for (let n = 0; n < 5; n++)
      t.match(
        await failure(checking.appendToStream('synced', event(n))),
        { message: /cannot be written/ },
        'without a sync there is no acknowledgement',
      )
    await synced.kill()

    for (const [round, every] of [2, 7, 13, 29, 97].entries()) {
      writeFileSync(plan, '')
      const node = await startApart(file, { env: { LD_PRELOAD: library, FAULT_PLAN: plan } })
      t.teardown(() => node.kill())
      const client = connect(t, node.url)
      await client.appendToStream(`sound-${round}`, events(2))
      writeFileSync(plan, `${every} ${round % 2 ? constants.errno.ENOSPC : constants.errno.EIO}`)
      let refused = 0
      for (let n = 0; n < 60; n++) {
        const written = events(1 + (n % 3))
        const attempt: Attempt = { stream: `s-${n % 3}`, ids: written.map(({ id }) => id), expected: 'no_stream', outcome: 'unknown' }
        attempts.push(attempt)
        try {
          await client.appendToStream(attempt.stream, written)
          attempt.outcome = 'acknowledged'
        } catch {
          refused++
          t.equal((await all(client.readStream(`sound-${round}`))).length, 2, 'reads are served')
        }
      }
      if (every < 30) t.ok(refused > 0, `every ${every}: ${refused} appends were refused`)
      writeFileSync(plan, '')
      await until(() => node.child.exitCode === null, 'the node is there')
      await client.appendToStream(`sound-${round}`, events(1))
      t.equal((await fetch(`http://127.0.0.1:${node.port}/health/live`)).status, 204, 'it has resumed by itself')
      if (round % 2) await node.kill()
      else await node.stop()
    }
    t.match(verify(file).damages, [])
    const { url } = await embedded(t, { file })
    t.same(await faultsIn(url, attempts), [])
  },
)
