import { createHash, randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CHUNK_BYTES, createSealer, HEADER_BYTES, inPiecesOf, sealedSize } from './sealed-stream.ts'
import type { SubjectKey } from './vault.ts'

export type Spooled = { readonly file: string; readonly sha256: string; readonly sizeBytes: number; readonly sealedBytes: number }

export const boundTo = (keyId: string, sha256: string): string => `${keyId}/${sha256}`

/**
 * Seals a content of any size into a file of the folder, for only its end tells what it is called. Nothing is ever on the disk in the clear, and what is
 * in the file is there after a power cut. The caller removes the file. @throws what reading or writing throws; nothing is left then
 */
export async function spool(folder: string, key: SubjectKey, content: AsyncIterable<Uint8Array>): Promise<Spooled> {
  const { file, handle } = await openNew(folder)
  try {
    const sealer = createSealer(key.key)
    const hash = createHash('sha256')
    const header = () => sealer.header(sizeBytes, boundTo(key.id, sha256))
    let sizeBytes = 0
    let sha256 = ''
    let index = 0
    for await (const { piece, isLast } of inPiecesOf(CHUNK_BYTES, content)) {
      hash.update(piece)
      sizeBytes += piece.length
      if (isLast) sha256 = hash.digest('hex')
      const chunk = sealer.chunk(index, isLast, piece)
      // At first there is but a place for the header, unless the first chunk is all: most contents are written at once.
      const before = isLast ? header : () => Buffer.alloc(HEADER_BYTES)
      await handle.appendFile(index === 0 ? Buffer.concat([before(), chunk]) : chunk)
      index += 1
    }
    if (index > 1) await handle.write(header(), 0, HEADER_BYTES, 0)
    await handle.sync()
    await handle.close()
    return { file, sha256, sizeBytes, sealedBytes: sealedSize(sizeBytes) }
  } catch (error) {
    await handle.close().catch(() => {})
    await rm(file, { force: true })
    throw error
  }
}

async function openNew(folder: string): Promise<{ file: string; handle: FileHandle }> {
  const file = join(folder, randomBytes(16).toString('hex'))
  const openIt = () => open(file, 'wx', 0o600)
  const handle = await openIt().catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    await mkdir(folder, { recursive: true, mode: 0o700 })
    return openIt()
  })
  return { file, handle }
}

/** Removes what processes left behind that were killed while they put something. @returns how many */
export async function clearSpool(folder: string, olderThan: Date): Promise<number> {
  let cleared = 0
  for (const name of await readdir(folder).catch(() => [])) {
    const file = join(folder, name)
    const found = await stat(file).catch(() => null)
    if (!found || found.mtime >= olderThan) continue
    await rm(file, { force: true })
    cleared += 1
  }
  return cleared
}
