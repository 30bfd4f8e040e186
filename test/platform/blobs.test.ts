import { createHash } from 'node:crypto'
import { chmod, mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { BlobDamaged, BlobErased, BlobMissing } from '../../src/platform/blob-errors.ts'
import { blobName } from '../../src/platform/blob-name.ts'
import { createBlobs, FRESH_MS } from '../../src/platform/blobs.ts'
import { CHUNK_BYTES, HEADER_BYTES, SEALED_CHUNK_BYTES, sealedSize } from '../../src/platform/sealed-stream.ts'
import { contentOf, inFolder, newKey, places } from '../support/blobs.ts'

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
/** Bytes of which no two chunks are alike. */
const bytesOf = (length: number) => Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 17 + (i >> 16) * 7) & 0xff))

async function* inParts(bytes: Buffer, partBytes: number) {
  // One buffer for all parts, as some sources have it.
  const part = Buffer.alloc(partBytes)
  for (let at = 0; at < bytes.length; at += partBytes) {
    const length = bytes.copy(part, 0, at, at + partBytes)
    yield part.subarray(0, length)
    part.fill(0)
  }
}

for (const [where, place] of Object.entries(places)) {
  t.test(`blobs in ${where}`, async (t) => {
    t.test('what is put comes back, whole and in ranges, whatever its size and in whatever parts it came', async (t) => {
      const { store } = await place(t)
      const blobs = createBlobs(store)
      const near = fc.tuple(fc.integer({ min: 0, max: 18 }), fc.integer({ min: -2, max: 2 }))
      const sizes = near.map(([chunks, off]) => Math.max(0, chunks * CHUNK_BYTES + off))
      const size = fc.oneof({ weight: 4, arbitrary: sizes }, { weight: 1, arbitrary: fc.nat(3 * CHUNK_BYTES) })
      const run = async (length: number, partBytes: number, ranges: [number, number][]) => {
        const key = newKey()
        const plain = bytesOf(length)
        const put = await blobs.put(key, inParts(plain, partBytes))
        t.same(put, { sha256: sha256(plain), sizeBytes: length })
        t.same(await blobs.stat(key, put.sha256), { sizeBytes: length })
        t.ok((await contentOf(blobs, key, put.sha256)).equals(plain))
        for (const [a, b] of ranges) {
          const [start, end] = [a % (length + 3), b % (length + 3)]
          t.ok(
            (await contentOf(blobs, key, put.sha256, { start, end })).equals(plain.subarray(start, end)),
            `${start} to ${end} of ${length}`,
          )
        }
      }
      const ranges = fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 2, maxLength: 4 })
      await fc.assert(fc.asyncProperty(size, fc.integer({ min: 700, max: 200_000 }), ranges, run), {
        numRuns: 30,
        examples: [
          [0, 1000, [[0, 0]]],
          [CHUNK_BYTES, CHUNK_BYTES, [[0, 1]]],
          [
            17 * CHUNK_BYTES,
            100_000,
            [
              [CHUNK_BYTES - 1, CHUNK_BYTES + 1],
              [16 * CHUNK_BYTES, 17 * CHUNK_BYTES],
            ],
          ],
        ],
      })
    })

    t.test('a range costs the chunks that it touches, no more', async (t) => {
      const { store } = await place(t)
      const read: [number, number][] = []
      const blobs = createBlobs({
        ...store,
        read: (name, start, end) => {
          read.push([start, end])
          return store.read(name, start, end)
        },
      })
      const key = newKey()
      const { sha256 } = await blobs.put(key, bytesOf(40 * CHUNK_BYTES))
      read.length = 0
      await contentOf(blobs, key, sha256, { start: 30 * CHUNK_BYTES + 5, end: 31 * CHUNK_BYTES + 5 })
      t.same(read, [
        [0, HEADER_BYTES + SEALED_CHUNK_BYTES],
        [HEADER_BYTES + 30 * SEALED_CHUNK_BYTES, HEADER_BYTES + 32 * SEALED_CHUNK_BYTES],
      ])
    })

    t.test(
      'nothing of the content, nor its hash, can be seen in the store, and the same under another key looks like another',
      async (t) => {
        const { store, files } = await place(t)
        const blobs = createBlobs(store)
        const plain = Buffer.from('Dear Grace, '.repeat(50))
        const keys = [newKey(), newKey()]
        for (const key of keys) await blobs.put(key, plain)
        const stored = [...(await files())]
        t.equal(stored.length, 2)
        for (const [name, bytes] of stored) {
          t.notOk(name.includes(sha256(plain).slice(0, 16)))
          t.equal(bytes.indexOf('Grace'), -1)
          t.equal(bytes.length, sealedSize(plain.length))
        }
        t.not(blobName(keys[0]!.key, sha256(plain)), blobName(keys[1]!.key, sha256(plain)))
        t.notOk(stored[0]![1].subarray(HEADER_BYTES).equals(stored[1]![1].subarray(HEADER_BYTES)))
      },
    )

    t.test('the same again writes nothing', async (t) => {
      const { store, files } = await place(t)
      const blobs = createBlobs(store)
      const key = newKey()
      const first = await blobs.put(key, bytesOf(1000))
      const before = await files()
      t.same(await blobs.put(key, bytesOf(1000)), first)
      t.same(await blobs.put(key, inParts(bytesOf(1000), 900)), first)
      t.same(await files(), before)
    })

    t.test('the same again when it is old gets a new name, and is sent nowhere', async (t) => {
      const { store, files } = await place(t)
      const key = newKey()
      const { sha256 } = await createBlobs(store).put(key, bytesOf(1000))
      const [old] = (await files()).keys()
      const refusing = { ...store, store: async () => t.fail('nothing is to be stored') }
      const later = createBlobs(refusing, () => Date.now() + FRESH_MS + 1)
      await later.put(key, bytesOf(1000))
      const stored = await Array.fromAsync(later.list(key.id))
      t.equal(stored.length, 2)
      t.equal(stored[0]!.path, old, 'the newest comes last')
      await later.remove(stored[0]!)
      t.ok((await contentOf(later, key, sha256)).equals(bytesOf(1000)), 'and stands by itself')
    })

    t.test('many that put the same at once all succeed', async (t) => {
      const { store } = await place(t)
      const blobs = createBlobs(store)
      const key = newKey()
      const put = await Promise.all(Array.from({ length: 8 }, () => blobs.put(key, inParts(bytesOf(100_000), 30_000))))
      t.equal(new Set(put.map(({ sha256 }) => sha256)).size, 1)
      t.ok((await contentOf(blobs, key, put[0]!.sha256)).equals(bytesOf(100_000)))
      t.same(await readdir(store.spool), [], 'and nothing is left of the others')
    })

    t.test('missing, damaged and erased are three things, and say which blob', async (t) => {
      const { store, files, overwrite } = await place(t)
      const blobs = createBlobs(store)
      const key = newKey()
      const { sha256: hash } = await blobs.put(key, bytesOf(1000))
      const other = sha256(Buffer.from('never put'))
      for (const look of [blobs.get, blobs.stat] as ((...args: Parameters<typeof blobs.stat>) => Promise<unknown>)[]) {
        await t.rejects(look(key, other), {
          name: 'BlobMissing',
          blob: { keyId: key.id, sha256: other },
          message: new RegExp(`${other} of key ${key.id}`),
        })
        await t.rejects(look(newKey(), hash), BlobMissing, 'nor is it there for another key')
        await t.rejects(look({ id: key.id, key: null }, hash), { name: 'BlobErased', blob: { keyId: key.id, sha256: hash } })
      }
      await t.rejects(blobs.get({ id: key.id, key: null }, other), BlobErased)
      const [[name, bytes]] = [...(await files())] as [[string, Buffer]]
      await overwrite(name, bytes.subarray(0, -1))
      for (const look of [blobs.get, blobs.stat] as ((...args: Parameters<typeof blobs.stat>) => Promise<unknown>)[]) {
        await t.rejects(look(key, hash), { name: 'BlobDamaged', blob: { keyId: key.id, sha256: hash }, reason: /1060 bytes where 1061/ })
      }
    })

    t.test('every changed byte is noticed, and so is every cut, addition and exchange', async (t) => {
      const { store, files, overwrite } = await place(t)
      const blobs = createBlobs(store)
      const key = newKey()
      const { sha256 } = await blobs.put(key, Buffer.from('Hello, Grace.'))
      const [[name, bytes]] = [...(await files())] as [[string, Buffer]]
      const isNoticed = async (changed: Buffer, what: string) => {
        await overwrite(name, changed)
        await t.rejects(contentOf(blobs, key, sha256), BlobDamaged, what)
      }
      for (let at = 0; at < bytes.length; at += 1) {
        const changed = Buffer.from(bytes)
        changed[at]! ^= 1 << (at % 8)
        await isNoticed(changed, `byte ${at}`)
      }
      for (let length = 0; length < bytes.length; length += 1) await isNoticed(bytes.subarray(0, length), `cut to ${length}`)
      await isNoticed(Buffer.concat([bytes, Buffer.alloc(1)]), 'one more')
      await overwrite(name, bytes)
      t.equal((await contentOf(blobs, key, sha256)).toString(), 'Hello, Grace.')
    })

    t.test('chunks cannot be left out, moved or taken from another blob, and what is good before them is read', async (t) => {
      const { store, files, overwrite } = await place(t)
      const blobs = createBlobs(store)
      const key = newKey()
      const [plain, otherPlain] = [bytesOf(5 * CHUNK_BYTES), bytesOf(5 * CHUNK_BYTES).reverse()] as [Buffer, Buffer]
      const { sha256 } = await blobs.put(key, plain)
      const [[name, bytes]] = [...(await files())] as [[string, Buffer]]
      await blobs.put(key, otherPlain)
      const other = [...(await files())].find(([path]) => path !== name)![1]
      const header = bytes.subarray(0, HEADER_BYTES)
      const chunk = (of: Buffer, index: number) =>
        of.subarray(HEADER_BYTES + index * SEALED_CHUNK_BYTES, HEADER_BYTES + (index + 1) * SEALED_CHUNK_BYTES)
      const order = (...indices: number[]) => Buffer.concat([header, ...indices.map((index) => chunk(bytes, index))])
      const changes: [string, Buffer, number | null][] = [
        ['left out', order(0, 1, 3, 4), null],
        ['the last is missing', order(0, 1, 2, 3), null],
        ['two exchanged', order(0, 2, 1, 3, 4), 1],
        ['one twice', order(0, 1, 2, 3, 3), 4],
        ['of another blob', Buffer.concat([header, chunk(bytes, 0), chunk(other, 1), ...[2, 3, 4].map((index) => chunk(bytes, index))]), 1],
        ['another header', Buffer.concat([other.subarray(0, HEADER_BYTES), bytes.subarray(HEADER_BYTES)]), null],
        ['another blob', other, null],
      ]
      for (const [what, changed, goodChunks] of changes) {
        await overwrite(name, changed)
        if (goodChunks === null) {
          await t.rejects(blobs.get(key, sha256), BlobDamaged, what)
          continue
        }
        let length = 0
        await t.rejects(
          async () => {
            for await (const part of await blobs.get(key, sha256)) length += part.length
          },
          { name: 'BlobDamaged', blob: { keyId: key.id, sha256 }, reason: new RegExp(`from byte ${goodChunks * CHUNK_BYTES} on`) },
          what,
        )
        t.equal(length, goodChunks * CHUNK_BYTES)
      }
    })

    t.test('what is damaged is mended by putting it again', async (t) => {
      const { store, files, overwrite } = await place(t)
      let now = Date.now()
      const blobs = createBlobs(store, () => now++)
      const key = newKey()
      const { sha256 } = await blobs.put(key, bytesOf(1000))
      const [[name, bytes]] = [...(await files())] as [[string, Buffer]]
      await overwrite(name, bytes.subarray(0, 500))
      await blobs.put(key, bytesOf(1000))
      t.ok((await contentOf(blobs, key, sha256)).equals(bytesOf(1000)))
    })

    t.test('a content that fails while it is read leaves nothing', async (t) => {
      const { store, files } = await place(t)
      const blobs = createBlobs(store)
      async function* failing() {
        yield bytesOf(200_000)
        throw new Error('the mail server hung up')
      }
      await t.rejects(blobs.put(newKey(), failing()), /hung up/)
      t.equal((await files()).size, 0)
      t.same(await readdir(store.spool), [])
    })

    t.test('all is listed, of one key and of all, copies of one content together; foreign names are passed over', async (t) => {
      const { store, overwrite } = await place(t)
      let now = Date.now()
      const blobs = createBlobs(store, () => now)
      const keys = Array.from({ length: 4 }, newKey)
      for (const key of keys) for (const size of [10, 20]) await blobs.put(key, bytesOf(size))
      now += FRESH_MS
      await blobs.put(keys[0]!, bytesOf(10))
      if (where === 'a bucket') await overwrite('a note.txt', Buffer.from('not ours'))
      const all = await Array.fromAsync(blobs.list())
      t.equal(all.length, 9)
      t.same(
        [...all].sort((a, b) => (a.path < b.path ? -1 : 1)),
        all,
      )
      const ofOne = await Array.fromAsync(blobs.list(keys[0]!.id))
      t.same(
        ofOne,
        all.filter(({ keyId }) => keyId === keys[0]!.id),
      )
      t.equal(ofOne.length, 3)
      for (const blob of ofOne) await blobs.remove(blob)
      await blobs.remove(ofOne[0]!)
      t.equal((await Array.fromAsync(blobs.list())).length, 6)
      await t.rejects(contentOf(blobs, keys[0]!, sha256(bytesOf(10))), BlobMissing)
    })

    t.test('names that would lead elsewhere are refused', async (t) => {
      const { store } = await place(t)
      const blobs = createBlobs(store)
      const hash = sha256(Buffer.from(''))
      for (const id of ['../../../etc/passwd', '', 'A'.repeat(36)]) {
        await t.rejects(blobs.put({ ...newKey(), id }, Buffer.from('x')), RangeError)
        await t.rejects(blobs.get({ ...newKey(), id }, hash), RangeError)
      }
      await t.rejects(blobs.get(newKey(), '../x'), RangeError)
    })
  })
}

t.test('what was stored once can be read for ever', async (t) => {
  const { store } = await inFolder(t)
  const key = { id: '6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11', key: Buffer.alloc(32, 7) }
  const file = join(store.spool, 'stored')
  await mkdir(store.spool, { recursive: true })
  await writeFile(
    file,
    Buffer.from('U01DQgHQYk8NNQQmD9VPyo7Tvsb3AAAAAAAAAA0XutbDv92G74PMzAcP2G3SsK7RcqUPlAZzj6zKPcebLv/6bar8h2sswWemXaY=', 'base64'),
  )
  await store.store(`${key.id}/183786d5a13d324ea6c1780c23aea854-019ab0c1d2e3-00c0ffee`, file, 74)
  const plain = Buffer.from('Hello, Grace.')
  t.ok((await contentOf(createBlobs(store), key, sha256(plain))).equals(plain))
})

t.test('a folder of blobs may be entered by its user only', async (t) => {
  const { store } = await inFolder(t)
  await store.check()
  await createBlobs(store).put(newKey(), bytesOf(1))
  const root = store.spool.replace(/incoming$/, '')
  for (const path of [root, store.spool]) t.equal((await stat(path)).mode & 0o777, 0o700)
  const files = await readdir(root, { recursive: true })
  for (const path of files) t.equal((await stat(`${root}/${path}`)).mode & 0o077, 0, path)
})

t.test(
  'a folder that cannot be used is a fault that says so',
  { skip: process.getuid?.() === 0 && 'root may write anywhere' },
  async (t) => {
    const { store } = await inFolder(t)
    await store.check()
    const root = store.spool.replace(/incoming$/, '')
    await chmod(root, 0o500)
    await t.rejects(store.check(), { name: 'Fault', message: /cannot be used/ })
  },
)
