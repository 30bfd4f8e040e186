import t, { type Test } from 'tap'
import { Fenced, moveCheckpoint, readCheckpoint } from '../../src/platform/checkpoint.ts'
import { openPool, type Pool, sql } from '../../src/platform/database.ts'
import type { StoredEvent } from '../../src/platform/event.ts'
import { createLogger } from '../../src/platform/log.ts'
import { formatPosition } from '../../src/platform/position.ts'
import { createProjector, type ProjectorOptions } from '../../src/platform/projector.ts'
import { Unapplicable } from '../../src/platform/projector-fault.ts'
import { Unavailable } from '../../src/platform/refusal.ts'
import { foldInMemory } from '../../src/platform/rows.ts'
import { testDatabase } from '../support/postgres.ts'
import { inOrder, liveTables, memoryLog, storedRows, until } from '../support/projections.ts'
import { Counted, Noticed, tallies, tally } from '../support/tally.ts'

const silent = createLogger('silent', 'test')

/** A projector that leads in epoch 1 of a database of its own. */
async function leading(t: Test, changes: (log: ReturnType<typeof memoryLog>, pool: Pool) => Partial<ProjectorOptions> = () => ({})) {
  const pool = openPool((await testDatabase(t)).url, silent)
  t.teardown(() => pool.close())
  await liveTables(pool, [tally], silent)
  const log = memoryLog()
  const { subscribe, decode } = log
  const projector = createProjector({ pool, projections: [tally], log: silent, subscribe, decode, ...changes(log, pool) })
  const stop = new AbortController()
  const lead = (epoch = 1) => projector.lead({ epoch, signal: stop.signal })
  const position = async () => formatPosition((await readCheckpoint(pool, 'live'))!.position)
  return {
    pool,
    log,
    projector,
    lead,
    position,
    stop: () => stop.abort(),
    rows: async () => inOrder(await storedRows(pool, tallies), tallies),
    model: () => inOrder(foldInMemory(tally, log.events).rows('tallies'), tallies),
    caughtUp: () => until(async () => (await position()) === formatPosition(log.events.at(-1)!.position)),
  }
}

const some = (count: number, names = 7) => Array.from({ length: count }, (_, index) => Counted({ name: `n${index % names}` }))

t.test('every event is applied once, those that were there before and those that come', async (t) => {
  const { log, lead, stop, rows, model, caughtUp, projector } = await leading(t)
  log.append(...some(1_234))
  const led = lead()
  await caughtUp()
  t.same(await rows(), model())
  log.append(...some(3))
  await caughtUp()
  t.same(await rows(), model())
  t.match(projector.health(), { state: 'leading', reason: null, events: 1_237, position: log.events.at(-1)!.position })
  stop()
  await led
  t.equal(projector.health().state, 'standing-by')
})

t.test('one that begins again goes on from the stored position', async (t) => {
  const { log, lead, stop, rows, model, caughtUp, pool } = await leading(t)
  log.append(...some(10))
  const led = lead()
  await caughtUp()
  stop()
  await led
  log.append(...some(10))
  const next = createProjector({ pool, projections: [tally], log: silent, subscribe: log.subscribe, decode: log.decode })
  const end = new AbortController()
  const ledNext = next.lead({ epoch: 1, signal: end.signal })
  await caughtUp()
  end.abort()
  await ledNext
  t.same(await rows(), model())
  t.equal(next.health().events, 10)
})

t.test('events that mean nothing for the tables move the position', async (t) => {
  const { log, lead, stop, rows, caughtUp } = await leading(t)
  log.append(Noticed({}))
  const led = lead()
  await caughtUp()
  t.same(await rows(), [])
  stop()
  await led
})

t.test('an erased event writes nothing', async (t) => {
  const { log, lead, stop, rows, caughtUp } = await leading(t)
  log.append(Counted({ name: 'a' }), Counted({ name: 'a' }))
  Object.assign(log.events[0]!, { erased: true })
  const led = lead()
  await caughtUp()
  t.match(await rows(), [{ name: 'a', times: 1 }])
  stop()
  await led
})

t.test('events of unknown types are passed over, counted, and logged once a type', async (t) => {
  const lines: string[] = []
  const logger = createLogger('warn', 'test', { write: (line) => lines.push(line) })
  const { log, lead, stop, caughtUp, projector } = await leading(t, () => ({ log: logger }))
  log.append(...some(3), ...some(2))
  for (const index of [0, 1, 3]) Object.assign(log.events[index]!, { known: false, type: index === 3 ? 'Other' : 'Strange' })
  const led = lead()
  await caughtUp()
  t.same(projector.health().unknownTypes, { Strange: 2, Other: 1 })
  t.equal(lines.length, 2)
  stop()
  await led
})

t.test('an event that cannot be decoded is found in its batch', async (t) => {
  const { log, lead, rows } = await leading(t, (log) => ({
    decode: async (events) => {
      if (events.some(({ data }) => (data as { name: string }).name === 'corrupt')) throw new Error('is corrupt')
      return log.decode(events)
    },
  }))
  log.append(...some(9, 1), Counted({ name: 'corrupt' }), ...some(9, 1))
  await t.rejects(lead(), { message: new RegExp(`${log.events[9]!.id}.*is corrupt`) })
  t.match(await rows(), [{ name: 'n0', times: 9 }])
})

t.test('a position that does not grow halts it', async (t) => {
  const { log, lead, rows, projector } = await leading(t)
  log.append(...some(3, 1))
  Object.assign(log.events[2]!, { position: { commit: 20n, prepare: 19n } })
  await t.rejects(lead(), Unapplicable)
  t.match(projector.health().reason, /its position 20\.19 does not come after 20\.20/)
  t.match(await rows(), [{ times: 2 }])
})

t.test('while keys are away it tries again, and says so', async (t) => {
  let isAway = true
  const { log, lead, stop, rows, model, projector, caughtUp } = await leading(t, (log) => ({
    decode: async (events) => {
      if (isAway) throw new Unavailable('The keys are away.')
      return log.decode(events)
    },
  }))
  log.append(...some(5))
  const led = lead()
  await until(() => projector.health().state === 'retrying')
  t.equal(projector.health().reason, 'The keys are away.')
  isAway = false
  await caughtUp()
  t.same(await rows(), model())
  t.match(projector.health(), { state: 'leading', reason: null })
  stop()
  await led
})

t.test('connections to Postgres that break at any moment lose nothing and repeat nothing', async (t) => {
  const { pool, log, lead, stop, rows, model, caughtUp, position } = await leading(t, () => ({ limits: { events: 20, bytes: 1_000_000 } }))
  const led = lead()
  for (let round = 0; round < 15; round += 1) {
    log.append(...some(100))
    await pool
      .rows(
        sql.unsafe`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
      )
      .catch(() => {})
  }
  await until(async () => (await position().catch(() => '')) === formatPosition(log.events.at(-1)!.position))
  await caughtUp()
  t.same(await rows(), model())
  stop()
  await led
})

t.test('one whose epoch is over changes nothing', async (t) => {
  const { pool, log, lead, rows, position } = await leading(t)
  log.append(...some(5))
  await pool.rows(sql.unsafe`update smartcrm.checkpoints set epoch = 2`)
  await t.rejects(lead(1), Fenced)
  t.same(await rows(), [])

  // The epoch ends while the first batch is on its way.
  const woken = createProjector({
    pool,
    projections: [tally],
    log: silent,
    subscribe: log.subscribe,
    async decode(events: readonly StoredEvent[]) {
      await pool.rows(sql.unsafe`update smartcrm.checkpoints set epoch = 3`)
      return log.decode(events)
    },
  })
  await t.rejects(woken.lead({ epoch: 2, signal: new AbortController().signal }), Fenced)
  t.same(await rows(), [])
  t.equal(await position(), '0.0')
})

t.test('the checkpoint moves only from where it is, and tells so when it commits', async (t) => {
  const { pool } = await leading(t)
  const [zero, one, two] = [0n, 1n, 2n].map((commit) => ({ commit, prepare: commit })) as [never, never, never]
  const listener = await pool.connect()
  const told: string[] = []
  listener.on('notification', ({ payload }) => told.push(payload!))
  await listener.query('listen smartcrm_position')
  await t.rejects(
    pool.transaction((db) => moveCheckpoint(db, 'live', 1, one, two)),
    Fenced,
  )
  await pool.transaction((db) => moveCheckpoint(db, 'live', 1, zero, one))
  await until(() => told.length > 0)
  t.same(told, ['1.1'])
  await listener.end()
})
