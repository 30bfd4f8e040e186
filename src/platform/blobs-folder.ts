import { closeSync, fsync, openSync, renameSync } from 'node:fs'
import { access, constants, link, mkdir, open, readdir, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { BlobStore } from './blob-store.ts'
import { Fault } from './fault.ts'
import { sharedByKey } from './in-order.ts'

/** Two levels of folders by the first three digits of the key's id, 4,096 in all: few enough to be made once, and a million blobs are 250 in each. */
const folderOf = (keyId: string) => join(keyId.slice(0, 2), keyId.slice(2, 3))

const isMissing = (error: NodeJS.ErrnoException) => error.code === 'ENOENT'
const nullIfMissing = (error: NodeJS.ErrnoException) => {
  if (isMissing(error)) return null
  throw error
}

/**
 * Blobs as files of a folder, which is made (mode 0700) where there is none: `ab/c/<key id>.<name>-<time>-<random>`.
 * A file is synced before it gets its name, by rename, and its folder after that.
 */
export function openBlobFolder(root: string): BlobStore {
  const spool = join(root, 'incoming')
  const made = new Map<string, Promise<void>>()
  const syncFolder = sharedByKey(syncOne)

  const pathOf = (name: string) => {
    const [keyId, rest] = name.split('/') as [string, string]
    return join(root, folderOf(keyId), `${keyId}.${rest}`)
  }

  /**
   * The folder is there after a power cut. Synced once by each process, whoever made it: who did may have been killed right after.
   * A folder's name is in the folder above it.
   */
  const ensure = (folder: string): Promise<void> => {
    const known = made.get(folder)
    if (known) return known
    const making = (async () => {
      if (folder !== root) await ensure(dirname(folder))
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await syncFolder(dirname(folder))
    })()
    made.set(folder, making)
    making.catch(() => made.delete(folder))
    return making
  }

  return {
    spool,

    async store(name, file) {
      const path = pathOf(name)
      await ensure(dirname(path))
      try {
        // As cheap as in blob-spool.ts: the sync of the folder is what waits for the disk.
        renameSync(file, path)
      } catch (error) {
        if (!isMissing(error as NodeJS.ErrnoException)) throw error
        // Somebody took the folders away.
        made.clear()
        await ensure(dirname(path))
        renameSync(file, path)
      }
      await syncFolder(dirname(path)).catch(async (error) => {
        // Who put it was told that it is not there, so it must not be.
        await unlink(path).catch(() => {})
        throw error
      })
      return true
    },

    async copy(from, to) {
      try {
        await link(pathOf(from), pathOf(to))
      } catch {
        // Not every file system has links.
        return false
      }
      await syncFolder(dirname(pathOf(to)))
      return true
    },

    async settle(name) {
      const folder = dirname(pathOf(name))
      await ensure(folder)
      await syncFolder(folder)
    },

    async read(name, start, end) {
      const handle = await open(pathOf(name), 'r').catch(nullIfMissing)
      if (!handle) return null
      try {
        const { size: sizeBytes } = await handle.stat()
        const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(end, sizeBytes) - start))
        let length = 0
        while (length < bytes.length) {
          const { bytesRead } = await handle.read(bytes, length, bytes.length - length, start + length)
          if (bytesRead === 0) break
          length += bytesRead
        }
        return { bytes: bytes.subarray(0, length), sizeBytes }
      } finally {
        await handle.close()
      }
    },

    async *list(prefix) {
      const [keyId, rest] = prefix.split('/')
      const folders = keyId ? [folderOf(keyId)] : await leaves(root)
      for (const folder of folders) {
        const start = keyId ? `${keyId}.${rest}` : ''
        const files = (await names(join(root, folder))).filter((file) => file.startsWith(start))
        for (const file of files) yield file.replace('.', '/')
      }
    },

    async remove(name) {
      await unlink(pathOf(name)).catch(nullIfMissing)
    },

    async check() {
      try {
        await ensure(root)
        await access(root, constants.R_OK | constants.W_OK | constants.X_OK)
      } catch (cause) {
        throw new Fault(`The folder ${root} cannot be used for blobs: let this user write to it.`, { cause })
      }
    },

    close() {},
  }
}

const names = async (folder: string): Promise<string[]> => (await readdir(folder).catch(nullIfMissing))?.sort() ?? []

async function leaves(root: string): Promise<string[]> {
  const outer = (await names(root)).filter((name) => /^[0-9a-f]{2}$/.test(name))
  const inner = await Promise.all(outer.map(async (folder) => (await names(join(root, folder))).map((name) => join(folder, name))))
  return inner.flat()
}

const sync = promisify(fsync)

/** Windows cannot open a folder, and needs none of this. */
async function syncOne(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const folder = openSync(path, 'r')
  await sync(folder).finally(() => closeSync(folder))
}
