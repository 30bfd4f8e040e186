import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { blobName } from '../../src/platform/blob-name.ts'
import { createBlobs } from '../../src/platform/blobs.ts'
import { openBlobFolder } from '../../src/platform/blobs-folder.ts'
import { contentOf, filesIn, inFolder, newKey, temporaryFolder } from '../support/blobs.ts'
import { numbered } from '../support/numbered.ts'
import { startNode } from '../support/processes.ts'

const program = resolve(import.meta.dirname, '../support/blob-process.ts')

t.test('a process that is killed while it puts leaves nothing half, and nothing of what it had put is lost', async (t) => {
  const folder = join(await temporaryFolder(t), 'blobs')
  const key = newKey()
  const known = new Map<string, string>()
  for (let index = 0; index < 4_000; index += 1) {
    const hash = createHash('sha256')
    for (const part of numbered(index)) hash.update(part)
    const sha256 = hash.digest('hex')
    known.set(blobName(key.key, sha256), sha256)
    if (index % 500 === 499) await delay()
  }
  const acknowledged = new Set<string>()
  for (let round = 0; round < 4; round += 1) {
    // Each begins anew: the first contents are there already, then it comes to new ones.
    const { child, line, lines, ended } = startNode(t, [program, 'put', folder, key.id, key.key.toString('hex'), String(round * 100)])
    await line(/^put/)
    await delay(Math.random() * 150)
    child.kill('SIGKILL')
    t.equal(await ended, 'SIGKILL')
    // The last line may be half.
    for (const text of lines) if (/^put [0-9a-f]{64}$/.test(text)) acknowledged.add(text.slice(4))
  }
  t.ok(acknowledged.size > 0)

  const blobs = createBlobs(openBlobFolder(folder))
  const stored = await Array.fromAsync(blobs.list())
  t.equal(stored.length, (await filesIn(folder)).size, 'nothing else is there')
  const there = new Set<string>()
  for (const { name } of stored) {
    const sha256 = known.get(name)!
    const hash = createHash('sha256')
    for await (const chunk of await blobs.get(key, sha256)) hash.update(chunk)
    if (hash.digest('hex') !== sha256) t.fail(`${sha256} is half`)
    there.add(sha256)
  }
  t.same(
    [...acknowledged].filter((sha256) => !there.has(sha256)),
    [],
  )
})

const isRoot = process.getuid?.() === 0
const skip = isRoot && process.platform === 'linux' ? false : 'a small disk can be made by root on Linux only'

t.test('a full disk is said in words and leaves nothing', { skip }, async (t) => {
  const folder = join(await temporaryFolder(t), 'blobs')
  await mkdir(folder)
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder])
  if (status !== 0) return t.pass(`no disk could be made: ${stderr}`)
  t.teardown(() => spawnSync('umount', [folder]))
  const blobs = createBlobs(openBlobFolder(folder))
  const key = newKey()
  const small = await blobs.put(key, Buffer.alloc(500_000, 1))
  await t.rejects(blobs.put(key, Buffer.alloc(3_000_000, 2)), {
    name: 'Unavailable',
    message: `The disk that holds ${folder}/incoming is full: make room there.`,
  })
  t.same(await readdir(join(folder, 'incoming')), [])
  t.equal((await filesIn(folder)).size, 1)
  t.ok((await contentOf(blobs, key, small.sha256)).equals(Buffer.alloc(500_000, 1)), 'what was there can be read')
  const next = await blobs.put(key, Buffer.alloc(500_000, 3))
  t.ok((await contentOf(blobs, key, next.sha256)).equals(Buffer.alloc(500_000, 3)), 'and what fits can be put')
})

for (const code of ['ENOSPC', 'EDQUOT']) {
  t.test(`${code} when it is stored: the same`, async (t) => {
    const { store, files } = await inFolder(t)
    const full = async () => {
      throw Object.assign(new Error(`${code}: no space left`), { code })
    }
    const blobs = createBlobs({ ...store, store: full })
    await t.rejects(blobs.put(newKey(), Buffer.from('x')), {
      name: 'Unavailable',
      message: /^The disk that holds .* is full: make room there\.$/,
    })
    t.equal((await files()).size, 0)
    t.same(await readdir(store.spool), [])
  })
}

t.test('on a file system without links, what is old is written again', async (t) => {
  const { store } = await inFolder(t)
  const key = newKey()
  const { sha256 } = await createBlobs(store).put(key, Buffer.from('x'))
  const later = createBlobs({ ...store, copy: async () => false }, () => Date.now() + 86_400_000)
  await later.put(key, Buffer.from('x'))
  const [old, ...others] = await Array.fromAsync(later.list())
  t.equal(others.length, 1)
  await later.remove(old!)
  t.equal((await contentOf(later, key, sha256)).toString(), 'x')
})

t.test('a folder that was taken away while the process runs is made again', async (t) => {
  const { store } = await inFolder(t)
  const blobs = createBlobs(store)
  const key = newKey()
  await blobs.put(key, Buffer.from('x'))
  await rm(store.spool.replace(/incoming$/, ''), { recursive: true })
  const { sha256 } = await blobs.put(key, Buffer.from('x'))
  t.equal((await contentOf(blobs, key, sha256)).toString(), 'x')
})

t.test('a content of any size takes little memory, put and read', async (t) => {
  const { line } = startNode(t, [program, 'stream', join(await temporaryFolder(t), 'blobs'), '192'])
  const [, length, mebibytes] = /^(\d+) bytes, (\d+) MiB$/.exec(await line(/bytes/))!
  t.equal(Number(length), 192 * 1024 * 1024)
  t.ok(Number(mebibytes) < 128, `${mebibytes} MiB`)
})
