import fc from 'fast-check'
import t from 'tap'
import { createPace, type Turn } from '../../src/platform/pace.ts'

/** Time that goes on only when everybody waits for it. */
function createTime() {
  let at = 0
  const timers: { at: number; wake: () => void }[] = []
  return {
    now: () => at,
    sleep: (ms: number) => new Promise<void>((wake) => void timers.push({ at: at + ms, wake })),
    async until(end: number) {
      for (;;) {
        await new Promise(setImmediate)
        timers.sort((a, b) => a.at - b.at)
        if (timers.length === 0 || timers[0]!.at > end) break
        const { at: then, wake } = timers.shift()!
        at = Math.max(at, then)
        wake()
      }
      at = Math.max(at, end)
    },
  }
}

type Use = { at: number; units: number }
const most = (uses: readonly Use[], windowMs: number) =>
  Math.max(
    0,
    ...uses.map(({ at }) => uses.filter((use) => use.at > at - windowMs && use.at <= at).reduce((sum, { units }) => sum + units, 0)),
  )

const MINUTE = 60_000
const limit = { units: 6_000, windowMs: MINUTE }

/** Somebody who asks for as much as he gets, several at a time, until he is killed. */
async function work(
  time: ReturnType<typeof createTime>,
  uses: Use[],
  {
    lastsMs,
    units,
    latencies,
    atOnce,
  }: { lastsMs: number; units: readonly number[]; latencies: readonly (readonly [number, number])[]; atOnce: number },
) {
  const pace = createPace(limit, time)
  const killed = new AbortController()
  let asked = 0
  const one = async () => {
    while (!killed.signal.aborted) {
      const index = asked
      asked += 1
      const price = units[index % units.length]!
      const end = await pace.take(price, killed.signal).catch((): Turn | null => null)
      if (!end || killed.signal.aborted) return
      // Counted at some moment between being asked and being answered.
      const [before, after] = latencies[index % latencies.length]!
      await time.sleep(before)
      uses.push({ at: time.now(), units: price })
      await time.sleep(after)
      end()
    }
  }
  const all = Array.from({ length: atOnce }, one)
  await time.until(time.now() + lastsMs)
  killed.abort(new Error('killed'))
  await time.until(time.now())
  return all
}

t.test('whatever is asked for, however long answers take, and whoever is killed: no window has more than the limit', async (t) => {
  const latency = fc.tuple(fc.integer({ min: 0, max: 4_000 }), fc.integer({ min: 0, max: 4_000 }))
  const worker = fc.record({
    lastsMs: fc.integer({ min: 500, max: 150_000 }),
    units: fc.array(fc.constantFrom(1, 2, 5, 20, 20, 20, 40, 100), { minLength: 1, maxLength: 8 }),
    latencies: fc.array(latency, { minLength: 1, maxLength: 8 }),
    atOnce: fc.integer({ min: 1, max: 20 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(worker, { minLength: 1, maxLength: 4 }), async (workers) => {
      const time = createTime()
      const uses: Use[] = []
      for (const one of workers) await work(time, uses, one)
      // What was on its way when somebody was killed arrives.
      await time.until(time.now() + 10_000)
      const used = most(uses, MINUTE)
      if (used > limit.units) throw new Error(`${used} units in a minute`)
    }),
    { numRuns: 40 },
  )
  t.pass('none has')
})

t.test('of what may be used more than nine tenths are', async (t) => {
  const time = createTime()
  const uses: Use[] = []
  await work(time, uses, { lastsMs: 10 * MINUTE, units: [20], latencies: [[150, 150]], atOnce: 12 })
  const used = uses.filter(({ at }) => at > MINUTE).reduce((sum, { units }) => sum + units, 0)
  t.ok(used / (9 * limit.units) > 0.95, `${used} in 9 minutes`)
  t.ok(most(uses, MINUTE) <= limit.units)
})

t.test('who begins may ask whether there is anything to do, and then has to wait; who has rested has not', async (t) => {
  const time = createTime()
  const pace = createPace(limit, time)
  const ready: string[] = []
  const take = (name: string, units: number, of = pace) => void of.take(units).then(() => ready.push(name))
  take('a look', 2)
  take('a message', 20)
  await time.until(5_000)
  t.strictSame(ready, ['a look'])
  await time.until(20_000)
  t.strictSame(ready, ['a look', 'a message'])
  const rested = createPace(limit, time)
  rested.rested()
  take('at once', 20, rested)
  await time.until(20_000)
  t.strictSame(ready.at(-1), 'at once')
})

t.test('who is told that he asks too fast asks half as often, and by and by as often as before', async (t) => {
  const time = createTime()
  const pace = createPace(limit, time)
  pace.rested()
  const at: number[] = []
  const asking = async () => {
    for (;;) {
      const end = await pace.take(20)
      at.push(time.now())
      end(at.length === 300)
    }
  }
  void asking()
  await time.until(6 * MINUTE)
  const refusedAt = at[299]!
  const inMinute = (from: number) => at.filter((time) => time >= from && time < from + MINUTE).length
  t.ok(inMinute(refusedAt + 1) <= 155, 'half as often')
  t.ok(inMinute(refusedAt + 2 * MINUTE) >= 280, 'as before')
})

t.test('who does not want his turn any more holds up nobody', async (t) => {
  const time = createTime()
  const pace = createPace(limit, time)
  const gone = new AbortController()
  const unwanted = pace.take(100, gone.signal)
  const wanted = pace.take(20)
  gone.abort(new Error('not wanted'))
  await t.rejects(Promise.all([unwanted, time.until(30_000)]), { message: 'not wanted' })
  await t.resolves(wanted)
})
