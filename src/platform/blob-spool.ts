import { createHash, hash, randomBytes } from 'node:crypto'
import { closeSync, fsync, mkdirSync, openSync, writeFileSync } from 'node:fs'
import { type FileHandle, open, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { CHUNK_BYTES, createSealer, HEADER_BYTES, inPiecesOf, sealedSize } from './sealed-stream.ts'
import type { SubjectKey } from './vault.ts'

export type Spooled = { readonly file: string; readonly sha256: string; readonly sizeBytes: number; readonly sealedBytes: number }

export const boundTo = (keyId: string, sha256: string): string => `${keyId}/${sha256}`

/**
 * Seals a content of any size into a file of the folder, for only its end tells what it is called. Nothing is ever on the disk in the clear, and what is
 * in the file is there after a power cut. The caller removes the file. @throws what reading or writing throws; nothing is left then
 */
export function spool(folder: string, key: SubjectKey, content: AsyncIterable<Uint8Array> | Uint8Array): Promise<Spooled> {
  if (!(content instanceof Uint8Array)) return spoolStream(folder, key, content)
  return content.length <= CHUNK_BYTES ? spoolChunk(folder, key, content) : spoolStream(folder, key, only(content))
}

const sync = promisify(fsync)

/**
 * Of one chunk, as most contents are. To make and write a small file ends in the kernel's memory, and costs a fraction of having another thread do it;
 * what waits for the disk is the sync.
 */
async function spoolChunk(folder: string, key: SubjectKey, content: Uint8Array): Promise<Spooled> {
  const sizeBytes = content.length
  const sha256 = hash('sha256', content, 'hex')
  const sealer = createSealer(key.key)
  const sealed = Buffer.concat([sealer.header(sizeBytes, boundTo(key.id, sha256)), sealer.chunk(0, true, content)])
  const file = newFile(folder)
  const descriptor = openNow(folder, file)
  try {
    try {
      writeFileSync(descriptor, sealed)
      await sync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    return { file, sha256, sizeBytes, sealedBytes: sealed.length }
  } catch (error) {
    await rm(file, { force: true })
    throw error
  }
}

async function spoolStream(folder: string, key: SubjectKey, content: AsyncIterable<Uint8Array>): Promise<Spooled> {
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

const newFile = (folder: string) => join(folder, randomBytes(16).toString('hex'))

function makeMissing(folder: string, error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  mkdirSync(folder, { recursive: true, mode: 0o700 })
}

function openNow(folder: string, file: string): number {
  try {
    return openSync(file, 'wx', 0o600)
  } catch (error) {
    makeMissing(folder, error)
    return openSync(file, 'wx', 0o600)
  }
}

async function openNew(folder: string): Promise<{ file: string; handle: FileHandle }> {
  const file = newFile(folder)
  const openIt = () => open(file, 'wx', 0o600)
  const handle = await openIt().catch((error: NodeJS.ErrnoException) => {
    makeMissing(folder, error)
    return openIt()
  })
  return { file, handle }
}

async function* only(content: Uint8Array) {
  yield content
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
