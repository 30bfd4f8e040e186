import { randomUUID } from 'node:crypto'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import { sql } from '../../src/platform/database.ts'
import { defineJob, Failed, FailedForGood, GivesWay, type JobRun } from '../../src/platform/jobs.ts'
import { failureOf } from '../../src/platform/jobs-failure.ts'
import { keysAtRest, sweep } from '../../src/platform/jobs-store.ts'
import { Invalid, Refused, Unavailable } from '../../src/platform/refusal.ts'
import { type AnyType, newJob, testJobs } from '../support/jobs.ts'
import { until } from '../support/projections.ts'

const Any = Type.Object({}, { additionalProperties: true })
// biome-ignore lint/suspicious/noExplicitAny: each test knows what it enqueues
type Data = any
const quick = { baseSeconds: 0.001, maxSeconds: 0.01 }
const job = (run: (data: Data, job: JobRun) => Promise<object | undefined>, more: Partial<AnyType> = {}): AnyType => ({
  ...defineJob({ queue: 'work', schema: Any, run: run as never }),
  backoff: quick,
  ...more,
})
const untilAborted = ({ signal }: JobRun) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))

t.test('jobs of a key run one at a time in the order in which they were enqueued, those of other keys beside them', async (t) => {
  const ran: Record<string, number[]> = {}
  const now = new Set<string>()
  const keys = ['a', 'b', 'c', 'd', 'e']
  const allAtOnce = Promise.withResolvers<void>()
  const { enqueue, work, find } = await testJobs(t, [
    job(
      async ({ key, number }) => {
        t.notOk(now.has(key), 'nothing else of its key is running')
        now.add(key)
        if (now.size === keys.length) allAtOnce.resolve()
        await allAtOnce.promise
        ran[key] = [...(ran[key] ?? []), number]
        now.delete(key)
        return undefined
      },
      { concurrency: keys.length },
    ),
  ])
  const some = Array.from({ length: 100 }, (_, index) =>
    newJob('work', keys[index % keys.length]!, { key: keys[index % keys.length], number: index }),
  )
  await enqueue(...some.slice(0, 60))
  await enqueue(...some.slice(60))
  await work()
  await work()
  await until(async () => Object.values(ran).flat().length === 100)
  for (const key of keys)
    t.same(
      ran[key],
      ran[key]?.toSorted((a, b) => a - b),
      key,
    )
  await until(async () => (await find(some.at(-1)!.id)).state === 'done')
})

t.test('a job whose id is there already is not enqueued again, and one of a transaction that rolls back not at all', async (t) => {
  const { pool, jobs, enqueue } = await testJobs(t, [job(async () => undefined)])
  const count = async () => (await pool.rows<{ count: number }>(sql.unsafe`select count(*) from pgboss.job where name = 'work'`))[0]!.count
  const one = newJob('work', 'k')
  await enqueue(one, one)
  await enqueue(one, newJob('work', 'k'))
  t.equal(await count(), 2)
  await t.rejects(
    pool.transaction(async (db) => {
      await jobs.enqueue(db, [newJob('work', 'k')])
      throw new Error('no')
    }),
    { message: 'no' },
  )
  t.equal(await count(), 2)
})

t.test('a job that no queue takes, or whose data does not fit, is refused', async (t) => {
  const { enqueue } = await testJobs(t, [job(async () => undefined, { schema: Type.Object({ id: Type.String() }) })])
  await t.rejects(enqueue(newJob('other', 'k')), { message: 'There is no queue other.' })
  await t.rejects(enqueue(newJob('work', 'k', { id: 1 })), { message: /does not fit its schema: \/id/ })
  await t.rejects(enqueue(newJob('work', '', { id: 'x' })), { message: /has no key/ })
})

t.test('a job that fails is tried again until it succeeds', async (t) => {
  const attempts: number[] = []
  const { enqueue, work, find, reaches } = await testJobs(t, [
    job(async (_, { attempt }) => {
      attempts.push(attempt)
      if (attempt < 4) throw new Failed('not-yet', 'Not yet.')
      return undefined
    }),
  ])
  const one = newJob('work', 'k')
  await enqueue(one)
  await work()
  await reaches(one.id, 'done')
  t.same(attempts, [1, 2, 3, 4])
  t.match(await find(one.id), { attempts: 4, error: null })
})

t.test('the pauses double up to a limit, are drawn from nothing on, and are as long as was asked for at least', async (t) => {
  const type = job(async () => undefined, { retries: 8, backoff: { baseSeconds: 2, maxSeconds: 60 } })
  const pauses = (random: () => number, error: unknown = new Failed('x', 'x')) =>
    [8, 7, 6, 5, 4, 3, 2, 1].map((left) => failureOf(error, type, left, random).delaySeconds)
  t.same(
    pauses(() => 1),
    [2, 4, 8, 16, 32, 60, 60, 60],
  )
  t.same(
    pauses(() => 0),
    [0, 0, 0, 0, 0, 0, 0, 0],
  )
  t.same(
    pauses(() => 0.5, new Failed('x', 'x', { retryAfterSeconds: 10 })),
    [10, 10, 10, 10, 16, 30, 30, 30],
  )
  t.equal(failureOf(new Failed('x', 'x'), type, 0).delaySeconds, null)
  t.equal(failureOf(new FailedForGood('x', 'x'), type, 8).delaySeconds, null)
  t.equal(failureOf(new Refused('no', 'No.'), type, 8).delaySeconds, null)
  t.equal(failureOf(new Invalid([]), type, 8).delaySeconds, null)
  t.not(failureOf(new Refused('slow-down', 'Slow down.', 429, {}, 5), type, 8).delaySeconds, null)
  t.ok(failureOf(new Unavailable('Away.'), type, 8).delaySeconds! >= 2)
  t.match(failureOf(Object.assign(new Error('ada@example.com'), { code: '23505' }), type, 8), {
    code: 'internal-error',
    message: /^(?!.*ada)/,
  })
})

t.test('as long as an error asks for is waited, and a retry does not wait', async (t) => {
  let isAway = true
  const { jobs, enqueue, work, find, reaches } = await testJobs(t, [
    job(async () => {
      if (isAway) throw new Failed('slow-down', 'The vendor asks to wait.', { retryAfterSeconds: 3_600 })
      return undefined
    }),
  ])
  const one = newJob('work', 'k')
  await enqueue(one)
  await work()
  await reaches(one.id, 'retrying')
  const { nextAttemptAt, error, startedAt } = await find(one.id)
  t.same(error, { code: 'slow-down', message: 'The vendor asks to wait.' })
  t.ok(Date.parse(nextAttemptAt!) - Date.parse(startedAt!) >= 3_600_000)
  isAway = false
  t.ok(await jobs.retry(jobs.types[0]!, one.id))
  await reaches(one.id, 'done')
})

t.test('a job that failed for good is kept and holds its key until it is retried, and may then fail as often again', async (t) => {
  let isBroken = true
  const attempts: number[] = []
  const { pool, jobs, enqueue, work, find, reaches } = await testJobs(t, [
    job(
      async ({ n }, { attempt }) => {
        if (n === 1) attempts.push(attempt)
        if (n === 1 && isBroken) throw new Failed('broken', 'It is broken.')
        return undefined
      },
      { retries: 2 },
    ),
  ])
  const [first, second, other] = [newJob('work', 'k', { n: 1 }), newJob('work', 'k', { n: 2 }), newJob('work', 'l', { n: 3 })]
  await enqueue(first, second, other)
  await work()
  await reaches(first.id, 'failed')
  await reaches(other.id, 'done')
  t.same(attempts, [1, 2, 3])
  t.equal((await find(second.id)).state, 'waiting')
  await pool.rows(sql.unsafe`update pgboss.job set completed_on = now() - interval '30 days' where name = 'work'`)
  await sweep(pool, ['work'])
  t.equal((await find(first.id)).state, 'failed')
  t.equal(await find(other.id), null)
  t.ok(await jobs.retry(jobs.types[0]!, first.id))
  await until(async () => attempts.length === 6)
  await reaches(first.id, 'failed')
  isBroken = false
  t.ok(await jobs.retry(jobs.types[0]!, first.id))
  await reaches(second.id, 'done')
  t.same((await find(first.id)).state, 'done')
})

t.test('what cannot be mended by trying again is not tried again', async (t) => {
  let attempts = 0
  const { enqueue, work, find, reaches } = await testJobs(t, [
    job(async () => {
      attempts += 1
      throw new FailedForGood('not-allowed', 'The consent was revoked.')
    }),
  ])
  const one = newJob('work', 'k')
  await enqueue(one)
  await work()
  await reaches(one.id, 'failed')
  t.equal(attempts, 1)
  t.same((await find(one.id)).error, { code: 'not-allowed', message: 'The consent was revoked.' })
})

t.test('a cancelled job never runs, or is told to stop, and what waited behind it goes on', async (t) => {
  const ran: string[] = []
  const reasons: unknown[] = []
  const { jobs, enqueue, work, find, reaches } = await testJobs(t, [
    job(async ({ name }, run) => {
      ran.push(name)
      if (name === 'long') await untilAborted(run).catch((reason) => Promise.reject(reasons.push(reason)))
      if (name === 'bad') throw new FailedForGood('bad', 'Bad.')
      return undefined
    }),
  ])
  const [never, long, after, bad, afterBad] = ['never', 'long', 'after', 'bad', 'afterBad'].map((name) =>
    newJob('work', /bad/i.test(name) ? 'l' : 'k', { name }),
  ) as [never, never, never, never, never]
  const id = (one: { id: string }) => one.id
  const [type] = jobs.types as [AnyType]
  await enqueue(never, long, after, bad, afterBad)
  t.ok(await jobs.cancel(type, id(never)))
  // It hears of it at once: it would not notice by its heartbeat within the test's time.
  await work({ beatMs: 1_000_000 })
  await until(() => ran.includes('long'))
  t.ok(await jobs.cancel(type, id(long)))
  await reaches(id(after), 'done')
  t.match(reasons, [{ name: 'JobAborted', reason: 'cancelled' }])
  await reaches(id(bad), 'failed')
  t.ok(await jobs.cancel(type, id(bad)))
  await reaches(id(afterBad), 'done')
  for (const one of [never, long, bad]) t.equal((await find(id(one))).state, 'cancelled')
  t.notOk(ran.includes('never'))
  t.notOk(await jobs.cancel(type, id(after)), 'what is done cannot be cancelled')
  t.notOk(await jobs.retry(type, id(long)), 'cancelling is final')
})

t.test('a job that runs on after it was cancelled changes nothing any more', async (t) => {
  const end = Promise.withResolvers<void>()
  const { jobs, enqueue, work, find, reaches } = await testJobs(t, [
    job(async () => {
      await end.promise
      return { done: true }
    }),
  ])
  const [one, next] = [newJob('work', 'k'), newJob('work', 'k')]
  await enqueue(one)
  const worker = await work()
  await reaches(one.id, 'running')
  await jobs.cancel(jobs.types[0]!, one.id)
  end.resolve()
  await enqueue(next)
  await reaches(next.id, 'done')
  await worker.close(1_000)
  t.match(await find(one.id), { state: 'cancelled', result: null })
})

t.test('progress and what is declared of data and result are shown, and nothing else', async (t) => {
  const end = Promise.withResolvers<void>()
  const { pool, enqueue, work, find, reaches } = await testJobs(t, [
    job(
      async (_, { progress }) => {
        for (let done = 0; done <= 10_000; done += 1) progress(done, 20_000, 'half way')
        await end.promise
        progress(20_000, 20_000)
        return { stored: 3, secret: 'ada@example.com' }
      },
      { shown: ['contactId'], result: Type.Object({ stored: Type.Integer() }) },
    ),
  ])
  const contactId = randomUUID()
  const one = newJob('work', contactId, { contactId, address: 'ada@example.com' })
  await enqueue(one)
  t.match(await find(one.id), { state: 'waiting', attempts: 0, progress: null, data: { contactId }, startedAt: null })
  await work()
  await until(async () => (await find(one.id)).progress?.done === 10_000)
  t.match(await find(one.id), { state: 'running', attempts: 1, progress: { total: 20_000, note: 'half way' }, result: null })
  end.resolve()
  await reaches(one.id, 'done')
  const done = await find(one.id)
  t.match(done, { progress: { done: 20_000, note: null }, correlationId: one.correlationId, causationId: one.causationId })
  t.same(done.result, { stored: 3 })
  t.same(done.data, { contactId })
  const rows = await pool.rows<{ output: object }>(sql.unsafe`select output from pgboss.job where id = ${one.id}`)
  t.same(rows, [{ output: { stored: 3 } }], 'nor stored')
})

t.test('text and numbers that Postgres does not take keep nobody from being settled', async (t) => {
  const odd = `a\0b\ud800c\\u0000 😀`
  const { enqueue, work, find, reaches } = await testJobs(t, [
    job(
      async ({ how }, { progress }) => {
        progress(Number.NaN, 1.5, odd)
        if (how === 'fails') throw new FailedForGood('odd', odd)
        if (how === 'bigint') return { text: 1n }
        return { text: odd }
      },
      { result: Type.Object({ text: Type.Unknown() }), retries: 0 },
    ),
  ])
  const [fails, bigint, does] = ['fails', 'bigint', 'does'].map((how) => newJob('work', how, { how })) as [never, never, never]
  const id = (one: { id: string }) => one.id
  await enqueue(fails, bigint, does)
  await work()
  await reaches(id(does), 'done')
  await reaches(id(fails), 'failed')
  await reaches(id(bigint), 'failed')
  const text = 'a\ufffdb\ufffdc\\u0000 😀'
  t.match(await find(id(does)), { result: { text }, progress: { done: 0, total: 2, note: text } })
  t.match(await find(id(fails)), { error: { code: 'odd', message: text } })
  t.match(await find(id(bigint)), { error: { code: 'internal-error' } })
})

t.test('a worker that ends lets its jobs end, and hands back at once those that do not', async (t) => {
  const starts: number[] = []
  let isFirst = true
  const { enqueue, work, find, reaches } = await testJobs(t, [
    job(async ({ name }, run) => {
      if (name === 'short') return undefined
      starts.push(run.attempt)
      if (isFirst) await untilAborted(run)
      return undefined
    }),
  ])
  const [long, ...short] = [newJob('work', 'k', { name: 'long' }), ...['a', 'b', 'c'].map((key) => newJob('work', key, { name: 'short' }))]
  await enqueue(long, ...short)
  const first = await work()
  await until(() => starts.length === 1)
  for (const { id } of short) await reaches(id, 'done')
  await first.close(50)
  t.match(await find(long.id), { state: 'waiting', attempts: 0 })
  isFirst = false
  await work()
  await reaches(long.id, 'done')
  t.same(starts, [1, 1], 'that it was handed back counts against nobody')
})

t.test('connections to Postgres that break at any moment leave no job undone', async (t) => {
  const done = new Set<number>()
  const { pool, enqueue, work, find } = await testJobs(t, [
    job(
      async ({ n }) => {
        done.add(n)
        return undefined
      },
      { concurrency: 5 },
    ),
  ])
  const some = Array.from({ length: 300 }, (_, n) => newJob('work', `k${n % 20}`, { n }))
  await enqueue(...some)
  await work()
  for (let round = 1; round <= 5; round += 1) {
    await until(() => done.size >= round * 40)
    await pool
      .rows(
        sql.unsafe`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
      )
      .catch(() => {})
  }
  for (const { id } of some) await until(async () => (await find(id).catch(() => null))?.state === 'done')
  t.equal(done.size, 300)
})

t.test('a job that gives way goes on behind all that wait, as often as it likes, and it costs no attempt', async (t) => {
  const ran: string[] = []
  const awaited: boolean[] = []
  const { enqueue, work, find, reaches } = await testJobs(t, [
    job(
      async ({ name }, { isAwaited, attempt }) => {
        ran.push(name)
        awaited.push(await isAwaited())
        if (name === 'long' && ran.filter((one) => one === 'long').length < 4) throw new GivesWay()
        return { attempt }
      },
      { concurrency: 1, retries: 1 },
    ),
  ])
  const jobs = ['long', 'of its key', 'of another'].map((name) => newJob('work', name === 'of another' ? 'b' : 'a', { name }))
  await enqueue(...jobs)
  await work()
  await reaches(jobs[0]!.id, 'done')
  t.strictSame(ran, ['long', 'of its key', 'of another', 'long', 'long', 'long'])
  t.strictSame(awaited, [true, true, true, false, false, false])
  t.match(await find(jobs[0]!.id), { state: 'done', error: null })
})

t.test('a job that has nothing to tell is not kept', async (t) => {
  const { enqueue, work, find, reaches, pool } = await testJobs(t, [
    job(async ({ quiet }, { leaveNoTrace, progress }) => {
      progress(1, 2)
      if (quiet) leaveNoTrace()
      return undefined
    }),
  ])
  const [quiet, told] = [newJob('work', 'k', { quiet: true }), newJob('work', 'k', { quiet: false })]
  await enqueue(quiet, told)
  await work()
  await reaches(told.id, 'done')
  t.equal(await find(quiet.id), null)
  t.strictSame(await keysAtRest(pool, 'work', ['k', 'other']), ['k', 'other'])
  await enqueue(newJob('work', 'waits', {}, undefined))
  await until(async () => (await keysAtRest(pool, 'work', ['waits'])).length === 1)
})
