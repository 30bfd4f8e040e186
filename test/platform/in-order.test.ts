import t from 'tap'
import { inOrder, sharedByKey } from '../../src/platform/in-order.ts'

t.test('work that shares a key is done one after the other, all other at once', async (t) => {
  const inTurn = inOrder()
  const log: string[] = []
  const gates = new Map<string, () => void>()
  const start = (name: string, keys: string[]) =>
    inTurn(keys, async () => {
      log.push(`${name} begins`)
      await new Promise<void>((resolve) => gates.set(name, resolve))
      log.push(`${name} ends`)
      if (name === 'b') throw new Error('failed')
      return name
    })
  const settled = () => new Promise((resolve) => setImmediate(resolve))
  const all = [start('a', ['x']), start('b', ['x', 'y']), start('c', ['z']), start('d', ['y'])]
  const results = Promise.allSettled(all)
  await settled()
  t.strictSame(log.splice(0), ['a begins', 'c begins'])
  gates.get('a')!()
  await settled()
  t.strictSame(log.splice(0), ['a ends', 'b begins'])
  gates.get('b')!()
  await settled()
  t.strictSame(log.splice(0), ['b ends', 'd begins'], 'also after one that failed')
  gates.get('c')!()
  gates.get('d')!()
  t.strictSame(
    (await results).map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
  )
  t.equal(await inTurn(['x'], async () => 'again'), 'again', 'what is over keeps nobody waiting')
})

t.test('who asks while a run is under way shares the next one, which begins after the asking', async (t) => {
  const runs: { key: string; end: (how?: Error) => void }[] = []
  const share = sharedByKey((key) => {
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    const number = runs.push({ key, end: (how) => (how ? reject(how) : resolve(number)) })
    return promise
  })
  const [first, second, third, other] = [share('a'), share('a'), share('a'), share('b')]
  t.same(
    runs.map(({ key }) => key),
    ['a', 'b'],
  )
  runs[0]!.end(new Error('of the first alone'))
  await t.rejects(first, { message: 'of the first alone' })
  t.equal(runs.length, 3)
  const late = share('a')
  runs[2]!.end()
  t.same([await second, await third], [3, 3])
  t.equal(runs.length, 4, 'who came later is not told of it')
  runs[3]!.end()
  runs[1]!.end()
  t.same([await late, await other], [4, 2])
  const again = share('a')
  t.equal(runs.length, 5, 'with nothing under way it begins at once')
  runs[4]!.end()
  t.equal(await again, 5)
})
