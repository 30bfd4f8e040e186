/** The commands of `smartcrm eventstore`, as processes of their own. */
import { copyFileSync, existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import t, { type Test } from 'tap'
import { connect, events } from '../eventstore/node.ts'
import { startNode } from '../support/processes.ts'
import { startProgram } from '../support/programs.ts'

const main = join(import.meta.dirname, '../../src/main.ts')

/** A data folder, and the command line on it. */
function setUp(t: Test) {
  const folder = mkdtempSync(join(tmpdir(), 'smartcrm-test-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const env = { SMARTCRM_DATA: folder, NO_COLOR: '1', LOG_LEVEL: 'info' }

  return {
    folder,
    file: join(folder, 'eventstore', 'events.db'),
    async run(...args: string[]) {
      const { code, stdout: out, stderr: err } = await startProgram([main, 'eventstore', ...args], { env, cwd: folder }).ended
      return { code, out, err }
    },
    /** Runs the node itself, until it is ended. */
    async node(...args: string[]) {
      const { child, ended, line } = startNode(t, [main, 'eventstore', ...args], {
        env: { ...process.env, EVENTSTORE_URL: '', ...env },
        cwd: folder,
      })
      return {
        url: (JSON.parse(await line(/"url":"/)) as { url: string }).url,
        /** @returns its exit code, or the signal that ended it */
        end(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM') {
          child.kill(signal)
          return ended
        },
      }
    },
  }
}

/** A stopped log with twenty events, seventeen of which are hidden, and with what the node itself wrote. */
async function written(t: Test) {
  const setting = setUp(t)
  const node = await setting.node()
  const client = connect(t, node.url)
  await client.appendToStream('thing', events(20))
  await client.setStreamMetadata('thing', { maxCount: 3 })
  await client.dispose()
  t.equal(await node.end(), 0)
  return setting
}

t.test('the node runs alone, on the port that it is told, without Postgres', async (t) => {
  const { node } = setUp(t)
  const first = await node()
  const { port } = new URL(first.url.replace('esdb', 'http'))
  t.match(await setUp(t).run('--port', port), { code: 1, err: /Port \d+ of 127\.0\.0\.1 is in use/ })
  await first.end()
  const { url, end } = await node('--port', port)
  t.equal(new URL(url.replace('esdb', 'http')).port, port)
  t.equal((await connect(t, url).appendToStream('thing', events(1))).success, true)
  t.equal(await end(), 0)
})

t.test('verify, backup, restore and compact on a log that nobody uses', async (t) => {
  const { run, file, folder } = await written(t)
  t.same(await run('verify'), { code: 0, out: `${file} is sound: 22 events in 3 streams, up to position 22.\n`, err: '' })

  const target = join(folder, 'backups', 'one.db')
  const taken = await run('backup', target)
  t.match(taken, {
    code: 0,
    out: /^Backed up 22 events, up to position 22, to .*one\.db \(0\.\d MB\), and verified the copy\.\n$/,
    err: '',
  })
  const again = await run('backup', target)
  t.match(again, { code: 2, out: '', err: /one\.db exists already/ })

  t.match(await run('compact'), { code: 0, out: `Removed 17 hidden events of 1 stream from ${file}.\n` })
  t.match(await run('verify'), { code: 0, out: /is sound: 5 events/ })

  t.match(await run('restore', target), { code: 0, out: /^Restored 22 events, .* The log that was there is .*\.replaced\.\n$/ })
  t.match(await run('verify'), { code: 0, out: /is sound: 22 events/ })
  t.match(await run('verify', '--file', `${file}.replaced`), { code: 0, out: /replaced is sound: 5 events/ })
})

t.test('beside a running node: verify and backup read along, the node compacts, restore is refused', async (t) => {
  const { run, node, file, folder } = await written(t)
  const running = await node()
  await connect(t, running.url).appendToStream('thing', events(2))
  t.match(await run('verify'), { code: 0, out: /is sound: 24 events/ })
  const target = join(folder, 'one.db')
  t.match(await run('backup', target), { code: 0, out: /^Backed up 24 events/ })
  t.match(await run('restore', target), { code: 2, err: /in use by another process\. Stop that one first/ })
  t.match(JSON.parse((await run('compact', '--json')).out), { file, removedEvents: 19, streams: 1 })
  t.equal(await running.end(), 0)
  t.notOk(existsSync(`${file}.address`), 'it leaves no address behind')
})

t.test('an address that a killed node left behind misleads nobody', async (t) => {
  const { run, node, file } = await written(t)
  const killed = await node()
  await killed.end('SIGKILL')
  t.ok(existsSync(`${file}.address`))
  t.match(await run('compact'), { code: 0, out: /^Removed 17 hidden events/ }, 'nobody is there: it is done here')

  const elsewhere = setUp(t)
  const other = await elsewhere.node()
  const running = await node()
  writeFileSync(`${file}.address`, other.url.replace(/^esdb(.*)\?.*$/, 'http$1'))
  t.match(await run('compact'), { code: 2, err: /in use by another process/ }, 'another node is not asked to compact another log')
  await running.end()
})

t.test('damage is named by stream, revision and position, and ends with 1', async (t) => {
  const { run, file, folder } = await written(t)
  const copy = join(folder, 'copy.db')
  copyFileSync(file, copy)
  const database = new DatabaseSync(copy)
  database.exec("update events set frame = cast(replace(frame, 'Happened', 'happened') as blob) where position = 9")
  database.close()
  const place = 'stream thing, revision 7, position 9: The log is damaged'
  const { code, out } = await run('verify', '--file', copy)
  t.equal(code, 1)
  t.match(out.split('\n')[0], place)
  t.match(out.split('\n')[1], /copy\.db is damaged: 1 damage in 22 events in 3 streams/)
  const asJson = await run('verify', '--file', copy, '--json')
  t.equal(asJson.code, 1)
  t.match(JSON.parse(asJson.out), { file: copy, events: 22, damages: [{ stream: 'thing', revision: 7, position: 9 }] })
  t.match(await run('backup', '--file', copy, join(folder, 'none.db')), {
    code: 1,
    err: new RegExp(`${place}[\\s\\S]*so there is no backup`),
  })
  t.notOk(existsSync(join(folder, 'none.db')))
  t.match(await run('restore', copy), { code: 1, err: /The backup .*copy\.db is damaged/ })
  t.match(await run('verify'), { code: 0 }, 'the log is as it was')

  writeFileSync(copy, 'no database at all '.repeat(1000))
  t.match(await run('verify', '--file', copy), { code: 1, out: /^the file: The event log .* cannot be opened/ })
  copyFileSync(file, copy)
  copyFileSync(`${file}.end`, `${copy}.end`)
  truncateSync(copy, 8192)
  t.match(await run('verify', '--file', copy), { code: 1, out: /is damaged/ })
})

t.test('a wrong call says what is wrong, and ends with 2', async (t) => {
  const { run, folder } = setUp(t)
  const missing = join(folder, 'none.db')
  for (const args of [['verify'], ['compact'], ['backup', join(folder, 'copy.db')], ['restore', missing]])
    t.match(await run(...args), { code: 2, out: '', err: /There is no event log at/ }, args[0]!)
  t.match(await run('backup'), { code: 2, err: /missing required argument/ })
  t.match(await run('nonsense'), { code: 2 })
  t.match(await run('verify', '--nonsense'), { code: 2, err: /unknown option/ })
  const asJson = await run('verify', '--file', missing, '--json')
  t.equal(asJson.code, 2)
  t.same(JSON.parse(asJson.out), { error: `There is no event log at ${missing}.` })
  t.match(await run('--help'), { code: 0, out: /verify[\s\S]*backup[\s\S]*restore[\s\S]*compact/ })
})
