import t from 'tap'
import { gather, holdBack } from '../../src/platform/gather.ts'

const sizeOf = (item: number) => item
const all = { events: 1_000, bytes: 1_000_000 }
const LONG_MS = 60_000

/** Lets everything run that does not wait for a timer. */
const settle = () => new Promise((resolve) => setImmediate(resolve))

async function* from(items: readonly number[], failure?: Error): AsyncGenerator<number> {
  yield* items
  if (failure) throw failure
}

t.test('what gathers while the consumer works comes together, and an idle consumer waits for nothing', async (t) => {
  let push = (_item: number) => {}
  async function* source() {
    for (;;) yield await new Promise<number>((resolve) => (push = resolve))
  }
  const batches = gather(source(), sizeOf, all)
  const first = batches.next()
  await settle()
  push(1)
  t.same((await first).value, [1])
  for (const item of [2, 3, 4]) {
    push(item)
    await settle()
  }
  t.same((await batches.next()).value, [2, 3, 4])
})

t.test('in bulk it rests for long, but not once something comes that is awaited, nor when a batch is full', async (t) => {
  let push = (_item: number) => {}
  async function* source() {
    yield* [1, 1]
    for (;;) yield await new Promise<number>((resolve) => (push = resolve))
  }
  const isAwaited = (item: number) => item === 7
  const rest = { ms: 1, bulk: { ms: LONG_MS, quietMs: LONG_MS, count: 2, isAwaited } }
  const batches = gather(source(), sizeOf, { events: 5, bytes: 1_000_000 }, rest)
  const come = async (...items: number[]) => {
    const batch = batches.next()
    for (const item of items) {
      await settle()
      push(item)
    }
    return (await batch).value
  }
  t.same(await come(), [1, 1])
  t.same(await come(2, 3, 7), [2, 3, 7])
  t.same(await come(1, 2, 3, 4, 5), [1, 2, 3, 4, 5])
  t.same(await come(7), [7])
  t.same(await come(1), [1], 'after one alone it rests as shortly as ever')
})

t.test('in bulk it rests no longer than something comes', async (t) => {
  async function* source() {
    yield* [1, 1]
    await settle()
    yield 2
    await new Promise(() => {})
  }
  const rest = { ms: 0, bulk: { ms: LONG_MS, quietMs: 5, count: 2, isAwaited: () => false } }
  const batches = gather(source(), sizeOf, all, rest)
  t.same((await batches.next()).value, [1, 1])
  t.same((await batches.next()).value, [2])
})

t.test('a batch holds no more items than it may, and no more bytes, but always one', async (t) => {
  const batches = async (limits: Partial<typeof all>, items: number[]) =>
    Array.fromAsync(gather(from(items), sizeOf, { ...all, ...limits }))
  t.same((await batches({ events: 2 }, [1, 1, 1, 1, 1])).flat(), [1, 1, 1, 1, 1])
  t.ok((await batches({ events: 2 }, [1, 1, 1, 1, 1])).every((batch) => batch.length <= 2))
  t.ok((await batches({ bytes: 10 }, [4, 4, 4, 4])).every((batch) => batch.length <= 2))
  t.same(await batches({ bytes: 10 }, [50, 60]), [[50], [60]])
})

t.test('where it is said how long, a batch after the first waits to be full, or for the end', async (t) => {
  const filled = (ms: number, items: AsyncIterable<number>) => gather(items, sizeOf, { ...all, events: 2 }, { ms })
  async function* slowly() {
    for (const item of [1, 2, 3, 4, 5, 6]) {
      await settle()
      yield item
    }
  }
  const [first, ...others] = await Array.fromAsync(filled(60_000, slowly()))
  t.same([first, ...others].flat(), [1, 2, 3, 4, 5, 6])
  t.ok(
    others.slice(0, -1).every(({ length }) => length === 2),
    'all but the first and the last are full',
  )
  async function* silent() {
    yield 1
    yield 2
    yield 3
    await new Promise(() => {})
  }
  const batches = filled(1, silent())
  t.same((await batches.next()).value, [1, 2])
  t.same((await batches.next()).value, [3], 'but no longer than that')
})

t.test('reading pauses while a batch waits that is as large as one may be', async (t) => {
  let read = 0
  async function* source() {
    for (;;) yield read++
  }
  const batches = gather(source(), sizeOf, { events: 10, bytes: 1_000_000 })
  await batches.next()
  await settle()
  t.ok(read <= 22, `${read} were read`)
  await batches.return(undefined)
  const before = read
  await settle()
  t.ok(read <= before + 1, 'leaving stops the reading')
})

t.test('what the source throws comes after what it gave before', async (t) => {
  const got: number[] = []
  const reading = (async () => {
    for await (const batch of gather(from([1, 2], new Error('gone')), sizeOf, all)) got.push(...batch)
  })()
  await t.rejects(reading, { message: 'gone' })
  t.same(got, [1, 2])
})

/** Even numbers are work. */
const isIdle = (batch: readonly number[]) => batch.every((item) => item % 2 === 1)

t.test('batches without work are held back until one comes with work, and are one with it', async (t) => {
  async function* source() {
    yield* [[1], [3], [5, 6], [2], [7]]
  }
  t.same(await Array.fromAsync(holdBack(source(), isIdle, LONG_MS, 100)), [[1, 3, 5, 6], [2], [7]])
})

t.test('nothing is held back for longer than it may be, nor more of it', async (t) => {
  async function* silent() {
    yield [1]
    await new Promise(() => {})
  }
  t.same((await holdBack(silent(), isIdle, 1, 100).next()).value, [1])
  async function* many() {
    for (;;) yield [1, 3]
  }
  t.same((await holdBack(many(), isIdle, LONG_MS, 5).next()).value, [1, 3, 1, 3, 1, 3])
})

t.test('a failure of the source is met after what came before it was taken, or held back', async (t) => {
  async function* failing() {
    yield [2]
    yield [1]
    throw new Error('gone')
  }
  const batches = holdBack(failing(), isIdle, LONG_MS, 100)
  t.same((await batches.next()).value, [2])
  await t.rejects(batches.next(), { message: 'gone' })
})
