import t from 'tap'
import { gather } from '../../src/platform/gather.ts'

const sizeOf = (item: number) => item
const all = { events: 1_000, bytes: 1_000_000 }

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

t.test('a batch holds no more items than it may, and no more bytes, but always one', async (t) => {
  const batches = async (limits: Partial<typeof all>, items: number[]) =>
    Array.fromAsync(gather(from(items), sizeOf, { ...all, ...limits }))
  t.same((await batches({ events: 2 }, [1, 1, 1, 1, 1])).flat(), [1, 1, 1, 1, 1])
  t.ok((await batches({ events: 2 }, [1, 1, 1, 1, 1])).every((batch) => batch.length <= 2))
  t.ok((await batches({ bytes: 10 }, [4, 4, 4, 4])).every((batch) => batch.length <= 2))
  t.same(await batches({ bytes: 10 }, [50, 60]), [[50], [60]])
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
