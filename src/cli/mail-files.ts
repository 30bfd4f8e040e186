import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { SNIFFED_BYTES, sniff } from '../import/sniff.ts'

/** A file or folder that was named, and what is in it; `isMail` is told by its content. */
export type Found = { readonly path: string; readonly isMail: boolean }

/**
 * The files to import: of a folder all that are called like mails or mailboxes, also in folders below it. What cannot be looked at is given
 * as no mail: whoever reads it says why.
 */
export async function findFiles(paths: readonly string[]): Promise<Found[]> {
  const found = await Promise.all(
    paths.map(async (path) => ((await stat(path).catch(() => null))?.isDirectory() ? inFolder(path) : [path])),
  )
  return Promise.all(found.flat().map(async (path) => ({ path, isMail: await isMail(path) })))
}

async function inFolder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile() && /\.(eml|mbox|mbx)$/i.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
  // A folder without any is told of by itself.
  return files.length > 0 ? files.sort() : [folder]
}

async function isMail(path: string): Promise<boolean> {
  try {
    const file = await open(path)
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(SNIFFED_BYTES), 0, SNIFFED_BYTES, 0)
      const kind = sniff(buffer.subarray(0, bytesRead))
      return kind === 'eml' || kind === 'mbox'
    } finally {
      await file.close()
    }
  } catch {
    return false
  }
}

/** SHA-256 of a file, and how large it is. */
export async function digestOf(path: string): Promise<{ sha256: string; sizeBytes: number }> {
  const hash = createHash('sha256')
  let sizeBytes = 0
  for await (const piece of createReadStream(path)) {
    hash.update(piece)
    sizeBytes += piece.length
  }
  return { sha256: hash.digest('hex'), sizeBytes }
}
