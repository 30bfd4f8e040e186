import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import t from 'tap'
import { type ZipEntry, zipped } from '../../src/platform/zip.ts'
import { unzip } from '../support/unzip.ts'

const at = new Date('2026-03-01T09:30:00Z')
async function* of(...entries: ZipEntry[]) {
  yield* entries
}

t.test('a zip holds what was put in, and its last entry can tell of all before it', async (t) => {
  const large = randomBytes(3_000_000)
  const zip = zipped(async function* (files) {
    yield { path: 'a.txt', content: ['Zażółć ', 'gęślą'], at }
    yield { path: 'emails/ünï.bin', content: [large.subarray(0, 1_000_000), large.subarray(1_000_000)] }
    yield { path: 'empty', content: [], at: new Date(0) }
    yield { path: 'list.json', content: [JSON.stringify(files)] }
  })
  const files = unzip(await buffer(zip))
  t.strictSame([...files.keys()], ['a.txt', 'emails/ünï.bin', 'empty', 'list.json'])
  t.equal(files.get('a.txt')!.toString(), 'Zażółć gęślą')
  t.ok(files.get('emails/ünï.bin')!.equals(large))
  const listed = JSON.parse(files.get('list.json')!.toString()) as { path: string; sizeBytes: number; sha256: string }[]
  for (const { path, sizeBytes, sha256 } of listed) {
    t.equal(sizeBytes, files.get(path)!.length)
    t.equal(sha256, createHash('sha256').update(files.get(path)!).digest('hex'))
  }
  t.equal(listed.length, 3)
})

t.test('one that fails in the middle never ends as if it were whole, wherever it fails', async (t) => {
  const wrong = new Error('the disk is gone')
  async function* failing() {
    yield 'half'
    throw wrong
  }
  for (const entries of [
    () => of({ path: 'a', content: ['x'] }, { path: 'b', content: failing() }),
    async function* () {
      yield { path: 'a', content: ['x'] }
      throw wrong
    },
    async function* (): AsyncGenerator<ZipEntry> {
      yield await Promise.reject(wrong)
    },
  ])
    await t.rejects(buffer(zipped(entries)), wrong)
})

t.test('nothing is drawn faster than it is taken, and who goes away ends what makes it', async (t) => {
  let [drawn, isEnded] = [0, false]
  const zip = zipped(async function* () {
    try {
      for (; ; drawn += 1) yield { path: `${drawn}`, content: [randomBytes(16_000)] }
    } finally {
      isEnded = true
    }
  })
  await once(zip, 'readable')
  for (let before = -1; before !== drawn; ) {
    before = drawn
    // As often as it could go on by itself.
    for (let turn = 0; turn < 200; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  }
  t.ok(drawn > 0 && drawn < 100, `${drawn} were drawn for somebody who takes nothing`)
  zip.destroy()
  await once(zip, 'close')
  for (let turn = 0; turn < 1_000 && !isEnded; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  t.ok(isEnded)
})

t.test('thousands of files take no more memory than a few', async (t) => {
  const program = join(import.meta.dirname, '../support/zip-process.ts')
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', program, '4000', '12000'])
  const [bytes, held] = stdout.split(' ').map(Number) as [number, number]
  t.ok(bytes > 48_000_000)
  // It is 7 MB at most; at half of the files 16 if each entry held on to its stream, and 85 with the pools that their names are from.
  t.ok(held < 11_000_000, `${held} bytes are held on to for ${bytes}`)
})
