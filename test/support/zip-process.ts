/*
 * `node --expose-gc zip-process.ts <files> <bytes>`: zips that many files of that size, and prints the zip's bytes, and the memory that it held on to in its second half, in
 * bytes: the least of four looks, since what is just under way comes and goes.
 * A process of its own, since what else runs in one comes and goes in its heap.
 */
import { randomBytes } from 'node:crypto'
import { zipped } from '../../src/platform/zip.ts'

const [, , files, bytes] = process.argv
const content = randomBytes(Number(bytes))
const held = () => {
  globalThis.gc!()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

const before = held()
const looks: number[] = []
let length = 0
const zip = zipped(async function* () {
  for (let number = 1; number <= Number(files); number += 1) {
    yield { path: `emails/${number}.eml`, content: [content] }
    if (number % (Number(files) / 8) === 0) looks.push(held() - before)
  }
})
for await (const chunk of zip) length += (chunk as Buffer).length
process.stdout.write(`${length} ${Math.min(...looks.slice(-4))}\n`)
