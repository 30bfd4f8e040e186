import { getEventListeners } from 'node:events'
import t, { type Test } from 'tap'
import { moveCheckpoint } from '../../src/platform/checkpoint.ts'
import { openPool, type Pool, sql } from '../../src/platform/database.ts'
import { listen } from '../../src/platform/listener.ts'
import { createLogger } from '../../src/platform/log.ts'
import { freePort } from '../../src/platform/ports.ts'
import type { Position } from '../../src/platform/position.ts'
import { watchPosition } from '../../src/platform/position-watch.ts'
import { pause } from '../../src/platform/projections/states.ts'
import { misbehavingProxy } from '../support/misbehaving-proxy.ts'
import { testDatabase } from '../support/postgres.ts'
import { liveTables, until } from '../support/projections.ts'
import { tally } from '../support/tally.ts'

const log = createLogger('silent', 'test')
const at = (number: number): Position => ({ commit: BigInt(number), prepare: BigInt(number) })
const LONG_MS = 60_000

/** @param pollMs long enough that a test would notice if only the polling worked */
async function watched(t: Test, pollMs = 1_000_000) {
  const pool = openPool((await testDatabase(t)).url, log)
  await liveTables(pool, [tally], log)
  const watch = watchPosition(pool, log, { pollMs })
  t.teardown(async () => {
    await watch.close()
    await pool.close()
  })
  return { pool, watch, move: (from: number, to: number) => pool.transaction((db) => moveCheckpoint(db, 'live', 1, at(from), at(to))) }
}

const breakListener = (pool: Pool) =>
  pool.rows(sql.unsafe`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like 'listen%'`)

t.test('a wait ends when the tables have come that far, and not before', async (t) => {
  const { watch, move } = await watched(t)
  await until(() => watch.healthy().listening)
  const waits = [5, 10, 15].map((number) => watch.waitFor(at(number), LONG_MS))
  await move(0, 10)
  t.same(await Promise.all(waits.slice(0, 2)), [true, true])
  t.same(watch.current(), at(10))
  t.equal(await Promise.race([waits[2], watch.waitFor(at(11), 1)]), false, 'the third still waits')
  await move(10, 20)
  t.equal(await waits[2], true)
  t.equal(await watch.waitFor(at(20), 0), true, 'what has come already needs no wait')
})

t.test('both halves of a position count', async (t) => {
  const { pool, watch } = await watched(t)
  await until(() => watch.healthy().listening)
  await pool.transaction((db) => moveCheckpoint(db, 'live', 1, at(0), { commit: 7n, prepare: 5n }))
  t.equal(await watch.waitFor({ commit: 7n, prepare: 5n }, LONG_MS), true)
  t.equal(await watch.waitFor({ commit: 7n, prepare: 6n }, 1), false)
})

t.test('it knows where the tables were before it began', async (t) => {
  const { pool, move } = await watched(t)
  await move(0, 10)
  const late = watchPosition(pool, log)
  t.equal(await late.waitFor(at(10), LONG_MS), true)
  await late.close()
})

t.test('a wait ends in its time, by its signal, and when the watch closes', async (t) => {
  const { watch } = await watched(t)
  t.equal(await watch.waitFor(at(1), 1), false)
  const giveUp = new AbortController()
  const wait = watch.waitFor(at(1), LONG_MS, giveUp.signal)
  giveUp.abort()
  t.equal(await wait, false)
  t.equal(await watch.waitFor(at(1), LONG_MS, giveUp.signal), false)
  const last = watch.waitFor(at(1), LONG_MS)
  await watch.close()
  t.equal(await last, false)
  t.equal(await watch.waitFor(at(1), LONG_MS), false)
})

t.test('a broken connection is made again, and what was missed is read', async (t) => {
  const { pool, watch, move } = await watched(t)
  await until(() => watch.healthy().listening)
  await breakListener(pool)
  await until(() => !watch.healthy().listening)
  await move(0, 10)
  t.equal(await watch.waitFor(at(10), LONG_MS), true)
  await until(() => watch.healthy().listening)
  await move(10, 20)
  t.equal(await watch.waitFor(at(20), LONG_MS), true)
})

t.test('what is told to nobody is found by polling', async (t) => {
  const { pool, watch } = await watched(t, 10)
  await pool.rows(sql.unsafe`update smartcrm.checkpoints set commit_position = 3, prepare_position = 3`)
  t.equal(await watch.waitFor(at(3), LONG_MS), true)
})

t.test('a projection that is behind holds the position back, for whoever waits too', async (t) => {
  const { pool, watch, move } = await watched(t)
  await until(() => watch.healthy().listening)
  await move(0, 10)
  await until(() => watch.current().commit === 10n)
  await pause(pool, 'tally')
  await pool.rows(sql.unsafe`update smartcrm.checkpoints set commit_position = 20, prepare_position = 20 where name = 'live'`)
  await pool.rows(sql.unsafe`select pg_notify('smartcrm_position', '20.20')`)
  t.equal(await watch.waitFor(at(20), 50), false)
  t.same(watch.current(), at(10))
  await pool.rows(sql.unsafe`update smartcrm.checkpoints set commit_position = 20, prepare_position = 20`)
  await pool.rows(sql.unsafe`select pg_notify('smartcrm_position', '')`)
  t.equal(await watch.waitFor(at(20), LONG_MS), true)
})

t.test('while Postgres is away waits end in their time, and it says that it cannot be trusted', async (t) => {
  const pool = openPool(`postgres://nobody@127.0.0.1:${await freePort()}/none`, log)
  const watch = watchPosition(pool, log)
  t.equal(await watch.waitFor(at(1), 20), false)
  await until(() => /cannot be read/.test(watch.healthy().reason ?? ''))
  t.match(watch.healthy(), { ok: false, listening: false })
  await watch.close()
  await pool.close()
})

t.test(
  'thousands of waits at once, while the listener is cut, end as they should and in their time, and leave nothing behind',
  async (t) => {
    const REACHED = 40
    const warnings: Error[] = []
    const onWarning = (warning: Error) => warnings.push(warning)
    process.on('warning', onWarning)
    t.teardown(() => process.off('warning', onWarning))
    const { pool, watch, move } = await watched(t, 50)
    const connections = async () =>
      (
        await pool.rows<{ listening: number; others: number }>(sql.unsafe`
        select count(*) filter (where query like 'listen%') as listening, count(*) filter (where query not like 'listen%') as others
        from pg_stat_activity where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()`)
      )[0]!
    await until(() => watch.healthy().listening)
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
    const before = timers()

    // All share one signal, as the requests of a server do. The second thousand is for what never comes, for 20 ms to 1 s.
    const leaving = new AbortController()
    const started = performance.now()
    const wait = async (position: number, timeoutMs: number, signal = leaving.signal) => {
      const isReached = await watch.waitFor(at(position), timeoutMs, signal)
      return { isReached, lateMs: performance.now() - started - timeoutMs }
    }
    const met = Array.from({ length: 2_000 }, (_, index) => wait(1 + (index % REACHED), LONG_MS))
    const inVain = Array.from({ length: 2_000 }, (_, index) => wait(REACHED + 1 + index, 20 + (index % 99) * 10))
    const gone = new AbortController()
    const left = Array.from({ length: 500 }, () => wait(REACHED + 1, LONG_MS, gone.signal))

    const seen = []
    for (let step = 0; step < REACHED; step += 1) {
      await move(step, step + 1)
      if (step % 8 === 3) await breakListener(pool)
      seen.push(await connections())
    }
    gone.abort()
    // One that was cut may still be on its way out when the next one is there; the pool has ten.
    t.ok(
      seen.every(({ listening, others }) => listening <= 2 && others <= 10),
      'one connection listens, and no wait takes one',
    )
    t.ok((await Promise.all(met)).every(({ isReached }) => isReached))
    t.notOk((await Promise.all(left)).some(({ isReached }) => isReached))
    const ended = await Promise.all(inVain)
    t.notOk(ended.some(({ isReached }) => isReached))
    t.ok(
      ended.every(({ lateMs }) => lateMs > -2),
      'none ends before its time',
    )
    t.ok(
      ended.every(({ lateMs }) => lateMs < LONG_MS / 4),
      'nor long after it',
    )

    for (const { signal } of [leaving, gone]) t.equal(getEventListeners(signal, 'abort').length, 0)
    // The watch itself has one for its next look, and one when it is about to connect again.
    await until(() => timers() <= before + 1)
    await until(() => watch.healthy().listening)
    t.equal(await watch.waitFor(at(REACHED), 0), true)
    t.same(warnings, [])
  },
)
t.test('a connection that listens, and whose other end is gone without a word, is made again', async (t) => {
  const url = new URL((await testDatabase(t)).url)
  const direct = openPool(url.href, log)
  const proxy = await misbehavingProxy(t, { port: Number(url.port) })
  url.port = String(proxy.port)
  const pool = openPool(url.href, log)
  const told: string[] = []
  let connected = 0
  const listener = listen(
    pool,
    log,
    ['news'],
    (_channel, payload) => told.push(payload),
    () => {
      connected += 1
    },
    100,
  )
  t.teardown(async () => {
    await listener.close()
    await pool.close()
    await direct.close()
  })
  await until(() => connected === 1)
  proxy.freeze()
  await until(() => connected === 2)
  await direct.rows(sql.unsafe`select pg_notify('news', 'heard')`)
  await until(() => told.length > 0)
  t.same(told, ['heard'])
})
