import { randomUUID } from 'node:crypto'
import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import { events } from '../../schema/define.ts'
import { readCheckpoint } from '../../src/platform/checkpoint.ts'
import { type Database, openPool, type Pool, sql } from '../../src/platform/database.ts'
import { defineJob } from '../../src/platform/jobs.ts'
import { type Jobs, openJobs } from '../../src/platform/jobs-queue.ts'
import { holdLease } from '../../src/platform/lease.ts'
import { createLogger } from '../../src/platform/log.ts'
import { formatPosition } from '../../src/platform/position.ts'
import { areBorn, bearReactors, createReactors, REACTORS, type Reactor, reactor } from '../../src/platform/reactor.ts'
import { testDatabase } from '../support/postgres.ts'
import { memoryLog, until } from '../support/projections.ts'

const silent = createLogger(process.env['TEST_LOG'] ?? 'silent', 'test')
const Name = Type.String()
const happenings = events({ Happened: { name: Name }, Passed: { name: Name } })
const { Happened, Passed } = happenings
const work = defineJob({ queue: 'work', schema: Type.Object({ name: Name, by: Name }), run: async () => undefined })

const doing = (name: string): Reactor =>
  reactor({
    name,
    events: happenings,
    on: {
      Happened: ({ name: key }) => (key === 'twice' ? [1, 2] : [1]).map(() => ({ queue: 'work', key, data: { name: key, by: name } })),
    },
  })
const [first, second] = [doing('work-on-happened'), doing('more-work-on-happened')]

async function setUp(t: Test) {
  const { url } = await testDatabase(t)
  const pool = openPool(url, silent, 20)
  const jobs = openJobs({ url, pool, log: silent, types: [work] })
  await jobs.ready()
  const log = memoryLog()
  t.teardown(async () => {
    await jobs.close()
    await pool.close()
  })
  const end = async () => log.events.at(-1)?.position ?? null
  return {
    pool,
    jobs,
    log,
    bear: (...reactors: Reactor[]) => bearReactors(pool, reactors, end),
    /** Leads wherever the lease lets it, as the worker role does. */
    start(reactors: readonly Reactor[], changes: { pool?: Pool; jobs?: Jobs } = {}) {
      const following = createReactors({ pool, jobs, log: silent, reactors, ...log, limits: { events: 20, bytes: 1e6 }, ...changes })
      const quick = { leaseMs: 500, renewMs: 100, retryMs: 20 }
      const lease = holdLease(
        { pool, log: silent, owner: randomUUID(), when: areBorn(reactors), checkpoint: REACTORS, ...quick },
        following.lead,
      )
      return { close: lease.close, health: following.health }
    },
    caughtUp: () =>
      until(async () => {
        const stored = await readCheckpoint(pool, REACTORS).catch(() => null)
        return stored !== null && formatPosition(stored.position) === formatPosition(log.events.at(-1)!.position)
      }),
    /** What was enqueued, in order: by whom, about whom, because of which event. */
    enqueued: () =>
      pool.rows<{ by: string; name: string; cause: string; correlation: string }>(sql.unsafe`
        select data->'data'->>'by' as by, data->'data'->>'name' as name, data->>'causationId' as cause, data->>'correlationId' as correlation
        from pgboss.job where name = 'work' order by created_on, id`),
  }
}
const some = (count: number, from = 0) => Array.from({ length: count }, (_, index) => Happened({ name: `n${from + index}` }))

t.test('each event is turned into its jobs once and in order, with what caused them; events of other types pass', async (t) => {
  const { log, bear, start, caughtUp, enqueued } = await setUp(t)
  await bear(first)
  const { close, health } = start([first])
  log.append(...some(70), Passed({ name: 'x' }), Happened({ name: 'twice' }))
  await caughtUp()
  const jobs = await enqueued()
  t.same(
    jobs.map(({ name }) => name),
    [...some(70).map(({ data }) => data.name), 'twice', 'twice'],
  )
  t.match(jobs[0], { cause: log.events[0]!.id, correlation: log.events[0]!.meta.$correlationId })
  t.equal(health().events, 72)
  await close()
})

t.test('a reactor acts from when it was born on, also where others were before it', async (t) => {
  const { log, bear, start, caughtUp, enqueued } = await setUp(t)
  log.append(...some(5))
  await bear(first)
  const one = start([first])
  log.append(...some(5, 5))
  await caughtUp()
  await one.close()
  log.append(...some(5, 10))
  await bear(first, second)
  const both = start([first, second])
  log.append(...some(5, 15))
  await caughtUp()
  await both.close()
  const by = async (reactor: Reactor) => (await enqueued()).filter(({ by }) => by === reactor.name).map(({ name }) => name)
  t.same(
    await by(first),
    some(15, 5).map(({ data }) => data.name),
  )
  t.same(
    await by(second),
    some(5, 15).map(({ data }) => data.name),
  )
})

t.test('a reactor that an older version does not know takes up afterwards what happened meanwhile', async (t) => {
  const { log, bear, start, caughtUp, enqueued } = await setUp(t)
  await bear(first, second)
  const newer = start([first, second])
  log.append(...some(5))
  await caughtUp()
  await bear(first)
  // The newer one is fenced: were it to lead on, its events would be the older one's too.
  const older = start([first])
  log.append(...some(5, 5))
  await caughtUp()
  await Promise.all([newer.close(), older.close()])
  await bear(first, second)
  const again = start([first, second])
  log.append(...some(5, 10))
  await caughtUp()
  await again.close()
  for (const { name } of [first, second]) {
    const of = (await enqueued()).filter(({ by }) => by === name).map(({ name }) => name)
    t.same(
      of.toSorted(),
      some(15)
        .map(({ data }) => data.name)
        .toSorted(),
      name,
    )
  }
})

t.test('to be born again changes nothing, and the log read again from its start enqueues nothing again', async (t) => {
  const { pool, log, bear, start, caughtUp, enqueued } = await setUp(t)
  log.append(...some(5))
  await bear(first)
  log.append(...some(50, 5))
  await bear(first)
  const once = start([first])
  await caughtUp()
  await once.close()
  const before = await enqueued()
  t.equal(before.length, 50)
  await pool.rows(sql.unsafe`update smartcrm.checkpoints set commit_position = 0, prepare_position = 0 where name = ${REACTORS}`)
  const again = start([first])
  await caughtUp()
  await again.close()
  t.same(await enqueued(), before)
})

t.test('however often and wherever a transaction breaks off, each job is enqueued once', async (t) => {
  const { pool, jobs, log, bear, start, enqueued } = await setUp(t)
  await bear(first)
  // Before the jobs, after them and the checkpoint, and after the commit, of which the process then knows nothing.
  let turns = 0
  const breaks = (how: number) => turns <= 12 && turns % 4 === how
  const breaking: Jobs = {
    ...jobs,
    async enqueue(db, some) {
      turns += 1
      if (breaks(1)) throw new Error('broke before')
      await jobs.enqueue(db, some)
      if (breaks(2)) throw new Error('broke behind')
    },
  }
  const forgetful: Pool = {
    ...pool,
    async transaction<T>(work: (db: Database) => Promise<T>) {
      const result = await pool.transaction(work)
      if (breaks(3)) throw new Error('the answer to the commit was lost')
      return result
    },
  }
  const { close, health } = start([first], { pool: forgetful, jobs: breaking })
  log.append(...some(200))
  await until(() => health().state !== 'standing-by')
  await until(async () => (await enqueued()).length >= 200)
  await close()
  t.ok(turns > 12)
  t.same(
    (await enqueued()).map(({ name }) => name),
    some(200).map(({ data }) => data.name),
  )
})

t.test('two workers and broken connections enqueue each job once', async (t) => {
  const { pool, log, bear, start, caughtUp, enqueued } = await setUp(t)
  await bear(first, second)
  const running = [start([first, second]), start([first, second])]
  for (let round = 0; round < 12; round += 1) {
    log.append(...some(50, round * 50))
    await pool
      .rows(
        sql.unsafe`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
      )
      .catch(() => {})
    // The leader steps down in the middle of it, and another takes over.
    if (round % 4 === 3) {
      await running.shift()!.close()
      running.push(start([first, second]))
    }
  }
  await caughtUp()
  await Promise.all(running.map(({ close }) => close()))
  for (const { name } of [first, second]) {
    const of = (await enqueued()).filter(({ by }) => by === name).map(({ name }) => name)
    t.same(
      of,
      some(600).map(({ data }) => data.name),
      name,
    )
  }
})

t.test('an event that a reactor cannot bear halts them there, with everything before it enqueued', async (t) => {
  const { log, bear, start, enqueued } = await setUp(t)
  const wrong = reactor({ name: 'wrong', events: happenings, on: { Passed: ({ name }) => [{ queue: 'work', key: name, data: { name } }] } })
  await bear(first, wrong)
  const { close, health } = start([first, wrong])
  log.append(...some(5), Passed({ name: 'x' }), ...some(5, 5))
  await until(() => health().state === 'halted')
  t.match(
    health().reason,
    `Event 5 of ${log.events[5]!.stream} (Passed, ${log.events[5]!.id}) cannot be applied to the reactors: The data of a job`,
  )
  t.equal((await enqueued()).length, 5)
  await close()
})

t.test('an erased event is passed over', async (t) => {
  const { log, bear, start, caughtUp, enqueued } = await setUp(t)
  await bear(first)
  log.append(...some(2))
  Object.assign(log.events[0]!, { erased: true })
  const { close } = start([first])
  await caughtUp()
  t.match(await enqueued(), [{ name: 'n1' }])
  await close()
})
