/*
 * `node --expose-gc zip-process.ts <files> <bytes>`: zips that many files of that size, and prints the zip's bytes and the most memory that it held on to, in bytes.
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
let [most, length, chunks] = [0, 0, 0]
const zip = zipped(async function* () {
  for (let number = 0; number < Number(files); number += 1) yield { path: `emails/${number}.eml`, content: [content] }
})
for await (const chunk of zip) {
  length += (chunk as Buffer).length
  chunks += 1
  if (chunks % 2_000 === 0) most = Math.max(most, held() - before)
}
process.stdout.write(`${length} ${most}\n`)
