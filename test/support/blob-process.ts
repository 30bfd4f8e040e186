/*
 * A process that works with a folder of blobs: `put <folder> <key id> <key> <first>` puts contents, from the first number on, until it is killed and prints each hash once it is put;
 * `stream <folder> <MiB>` puts and reads a content of that size, and prints the most memory that it took for that, in MiB.
 */

import { createBlobs } from '../../src/platform/blobs.ts'
import { openBlobFolder } from '../../src/platform/blobs-folder.ts'
import { newKey } from './blobs.ts'
import { numbered } from './numbered.ts'

const [, , what, folder, ...args] = process.argv
const blobs = createBlobs(openBlobFolder(folder!))

async function* content(index: number) {
  yield* numbered(index)
}

if (what === 'put') {
  const key = { id: args[0]!, key: Buffer.from(args[1]!, 'hex') }
  for (let index = Number(args[2]); ; index += 4) {
    const put = await Promise.all([0, 1, 2, 3].map((offset) => blobs.put(key, content(index + offset))))
    for (const { sha256 } of put) process.stdout.write(`put ${sha256}\n`)
  }
}

if (what === 'stream') {
  const mebibytes = Number(args[0])
  const key = newKey()
  async function* mebibytesOf() {
    const part = Buffer.alloc(1024 * 1024)
    for (let index = 0; index < mebibytes; index += 1) yield part.fill(index)
  }
  await blobs.put(key, Buffer.alloc(3_000_000))
  const before = process.resourceUsage().maxRSS
  const { sha256 } = await blobs.put(key, mebibytesOf())
  let length = 0
  for await (const chunk of await blobs.get(key, sha256)) length += chunk.length
  process.stdout.write(`${length} bytes, ${Math.round((process.resourceUsage().maxRSS - before) / 1024)} MiB\n`)
}
