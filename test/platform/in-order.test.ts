import t from 'tap'
import { inOrder } from '../../src/platform/in-order.ts'

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
