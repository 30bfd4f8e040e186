import { createHash, randomBytes } from 'node:crypto'
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CHUNK_BYTES, createSealer, HEADER_BYTES, inPiecesOf, sealedSize } from './sealed-stream.ts'
import type { SubjectKey } from './vault.ts'

export type Spooled = { readonly file: string; readonly sha256: string; readonly sizeBytes: number; readonly sealedBytes: number }

export const boundTo = (keyId: string, sha256: string): string => `${keyId}/${sha256}`

/**
 * Seals a content of any size into a file of the folder, for only its end tells what it is called. Nothing is ever on the disk in the clear.
 * The caller removes the file. @throws what reading or writing throws; nothing is left then
 */
export async function spool(folder: string, key: SubjectKey, content: AsyncIterable<Uint8Array>): Promise<Spooled> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const file = join(folder, randomBytes(16).toString('hex'))
  const handle = await open(file, 'wx', 0o600)
  try {
    const sealer = createSealer(key.key)
    const hash = createHash('sha256')
    let sizeBytes = 0
    let index = 0
    // The header's place; what it says is known at the end.
    await handle.appendFile(Buffer.alloc(HEADER_BYTES))
    for await (const { piece, isLast } of inPiecesOf(CHUNK_BYTES, content)) {
      hash.update(piece)
      sizeBytes += piece.length
      await handle.appendFile(sealer.chunk(index, isLast, piece))
      index += 1
    }
    const sha256 = hash.digest('hex')
    await handle.write(sealer.header(sizeBytes, boundTo(key.id, sha256)), 0, HEADER_BYTES, 0)
    await handle.close()
    return { file, sha256, sizeBytes, sealedBytes: sealedSize(sizeBytes) }
  } catch (error) {
    await handle.close().catch(() => {})
    await rm(file, { force: true })
    throw error
  }
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
