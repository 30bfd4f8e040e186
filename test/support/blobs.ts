import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import type { BlobStore } from '../../src/platform/blob-store.ts'
import type { Blobs } from '../../src/platform/blobs.ts'
import { openBlobFolder } from '../../src/platform/blobs-folder.ts'
import { openS3Blobs } from '../../src/platform/blobs-s3.ts'
import type { SubjectKey } from '../../src/platform/vault.ts'
import { startS3 } from './s3.ts'

type Teardown = { teardown(clear: () => unknown): void }

/** A place for blobs, and a look behind it. */
export type Place = {
  store: BlobStore
  /** The bytes of all that is stored, by name. */
  files(): Promise<Map<string, Buffer>>
  /** Changes what is stored, behind the store's back. */
  overwrite(name: string, bytes: Buffer): Promise<void>
}

export const newKey = (): SubjectKey => ({ id: randomUUID(), key: randomBytes(32) })

export async function temporaryFolder(t: Teardown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'smartcrm-blobs-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** What is stored in a folder, by name, without what is on its way. */
export async function filesIn(folder: string): Promise<Map<string, string>> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = found.filter((file) => file.isFile() && !file.parentPath.endsWith('incoming'))
  return new Map(files.map(({ name, parentPath }) => [name.replace('.', '/'), join(parentPath, name)]))
}

export async function inFolder(t: Teardown): Promise<Place> {
  const folder = join(await temporaryFolder(t), 'blobs')
  return {
    store: openBlobFolder(folder),
    async files() {
      const files = [...(await filesIn(folder))]
      return new Map(await Promise.all(files.map(async ([name, path]) => [name, await readFile(path)] as const)))
    },
    // A file of its own: other names may be links to the same.
    async overwrite(name, bytes) {
      const path = (await filesIn(folder)).get(name)!
      await rm(path)
      await writeFile(path, bytes)
    },
  }
}

export const quick = { tries: 4, idleMs: 2_000, totalMs: 20_000, firstRetryMs: 1, partBytes: 5 * 1024 * 1024 }

export async function inBucket(t: Teardown, patience = quick): Promise<Place & { s3: Awaited<ReturnType<typeof startS3>> }> {
  const s3 = await startS3(t)
  s3.pageLimit = 3
  const store = openS3Blobs(s3.settings, await temporaryFolder(t), patience)
  t.teardown(() => store.close())
  const { prefix } = s3.settings
  return {
    s3,
    store,
    files: async () => new Map([...s3.objects].map(([key, bytes]) => [key.slice(prefix.length), bytes])),
    overwrite: async (name, bytes) => void s3.objects.set(prefix + name, bytes),
  }
}

export const places: Record<string, (t: Teardown) => Promise<Place>> = { 'a folder': inFolder, 'a bucket': inBucket }

/** The content, read whole. */
export const contentOf = async (blobs: Blobs, ...args: Parameters<Blobs['get']>): Promise<Buffer> => buffer(await blobs.get(...args))
