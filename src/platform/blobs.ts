import { createHash } from 'node:crypto'
import { unlink } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { BlobDamaged, BlobErased, BlobMissing } from './blob-errors.ts'
import { blobName, checkKeyId, newPath, parsePath, type StoredBlob } from './blob-name.ts'
import { boundTo, spool } from './blob-spool.ts'
import type { BlobStore } from './blob-store.ts'
import { Unavailable } from './refusal.ts'
import { CHUNK_BYTES, chunkCount, HEADER_BYTES, type Opener, openHeader, SEALED_CHUNK_BYTES, sealedSize } from './sealed-stream.ts'
import type { SubjectKey } from './vault.ts'

/** A content is named by its subject's key and the SHA-256, in hex, of what it is in the clear. */
export type BlobId = { readonly keyId: string; readonly sha256: string }
/** A subject's key as the vault gives it; null when it was destroyed. */
export type BlobKey = { readonly id: string; readonly key: Buffer | null }
/** From `start` to before `end`, as in `slice`; bounds beyond the end mean the end. */
export type ByteRange = { readonly start: number; readonly end: number }

export type OpenBlob = { readonly sizeBytes: number; read(range?: ByteRange): Readable }

/** Contents too large for an event, sealed with their subjects' keys: destroying a key erases what it sealed. */
export type Blobs = {
  /**
   * Puts a content of any size there, to stay if something refers to it within 12 hours. When this resolves it is there after a power cut too;
   * when it throws, nothing of it is. What is there already is not written again.
   * @param isFirst the key was claimed for this: nothing can be there under it, so nobody looks
   * @throws Unavailable when the disk is full, or the store is away; what reading the content throws
   */
  put(key: SubjectKey, content: AsyncIterable<Uint8Array> | Uint8Array, isFirst?: boolean): Promise<{ sha256: string; sizeBytes: number }>
  /** What is there, for who has to know its size before he reads. @throws as `get` */
  open(key: BlobKey, sha256: string): Promise<OpenBlob>
  /**
   * The content, or a range of it, checked as it is read: what was changed makes the stream fail with BlobDamaged, after what is good before it.
   * @throws BlobErased, BlobMissing, BlobDamaged; Unavailable when the store is away
   */
  get(key: BlobKey, sha256: string, range?: ByteRange): Promise<Readable>
  /** @throws as `get`, but looks at the beginning and the size only */
  stat(key: BlobKey, sha256: string): Promise<{ sizeBytes: number }>
  /** All that is stored, of one key or of all. Of each content there may be several copies: they follow one another, the newest last. */
  list(keyId?: string): AsyncIterable<StoredBlob>
  /** One copy as it is stored, sealed; nothing where it is gone. @throws Unavailable when the store is away */
  readSealed(blob: Pick<StoredBlob, 'path'>): AsyncIterable<Buffer>
  /** Removes one copy, whatever it holds. */
  remove(blob: Pick<StoredBlob, 'path'>): Promise<void>
  /** @throws Fault when the settings are wrong; Unavailable when the store cannot be reached */
  check(): Promise<void>
  readonly spool: string
  close(): void
}

/** For so long a copy is relied on by those who put the same again. The sweep spares what is twice as old. */
export const FRESH_MS = 12 * 60 * 60 * 1000
/** How much is read at once, hence what a reader holds in memory. */
const READ_CHUNKS = 16

/** @param now for tests */
export function createBlobs(store: BlobStore, now: () => number = Date.now): Blobs {
  const newest = async (keyId: string, name: string): Promise<StoredBlob | null> => {
    let last: StoredBlob | null = null
    for await (const path of store.list(`${keyId}/${name}-`)) last = parsePath(path) ?? last
    return last
  }

  /** The newest copy, its opened header, and what else of it the first `bytes` bytes hold. */
  const look = async (key: BlobKey, sha256: string, bytes: number) => {
    const blob = { keyId: checkKeyId(key.id), sha256 }
    if (!key.key) throw new BlobErased(blob)
    const name = blobName(key.key, sha256)
    // What is gone between the two looks was an older copy that the sweep took: then there is a newer one.
    for (let tries = 0; tries < 3; tries += 1) {
      const copy = await newest(key.id, name)
      const found = copy && (await store.read(copy.path, 0, bytes))
      if (found) return { blob, copy, begin: found.bytes, opener: openBlob(blob, key.key, found) }
      if (!copy) break
    }
    throw new BlobMissing(blob)
  }

  /** Whether it is there, and will be for as long as who puts it now may need to refer to it. */
  const isThere = async (key: SubjectKey, sha256: string): Promise<boolean> => {
    const found = await look(key, sha256, HEADER_BYTES).catch((error) => {
      // A damaged one is mended by putting it again.
      if (error instanceof BlobMissing || error instanceof BlobDamaged) return null
      throw error
    })
    if (!found) return false
    const { path, name, storedAt } = found.copy
    if (storedAt.getTime() > now() - FRESH_MS) {
      await store.settle(path)
      return true
    }
    return store.copy(path, newPath(key.id, name, now()))
  }

  const open = async (key: BlobKey, sha256: string): Promise<OpenBlob> => {
    // Most contents are one chunk, and are read with that.
    const { blob, copy, begin, opener } = await look(key, sha256, HEADER_BYTES + SEALED_CHUNK_BYTES)
    const { sizeBytes } = opener

    async function* plainChunks(start: number, end: number) {
      const count = end > start ? chunkCount(end) : 0
      let index = Math.floor(start / CHUNK_BYTES)
      let sealed = begin.subarray(index === 0 ? HEADER_BYTES : begin.length)
      for (; index < count; index += 1) {
        if (sealed.length === 0) sealed = await readChunks(index, Math.min(index + READ_CHUNKS, count))
        const plain = orDamaged(blob, () => opener.chunk(index, sealed.subarray(0, SEALED_CHUNK_BYTES)))
        const from = index * CHUNK_BYTES
        yield plain.subarray(Math.max(0, start - from), Math.min(plain.length, end - from))
        sealed = sealed.subarray(SEALED_CHUNK_BYTES)
      }
    }

    const readChunks = async (from: number, to: number): Promise<Buffer> => {
      const found = await store.read(copy.path, HEADER_BYTES + from * SEALED_CHUNK_BYTES, HEADER_BYTES + to * SEALED_CHUNK_BYTES)
      if (!found) throw new BlobMissing(blob)
      if (found.bytes.length === 0) throw new BlobDamaged(blob, 'it is cut short')
      return found.bytes
    }

    return {
      sizeBytes,
      read: ({ start, end } = { start: 0, end: sizeBytes }) =>
        Readable.from(plainChunks(start, Math.min(end, sizeBytes)), { objectMode: false, highWaterMark: CHUNK_BYTES }),
    }
  }

  return {
    async put(key, content, isFirst = false) {
      checkKeyId(key.id)
      try {
        if (content instanceof Uint8Array && !isFirst) {
          const sha256 = createHash('sha256').update(content).digest('hex')
          if (await isThere(key, sha256)) return { sha256, sizeBytes: content.length }
        }
        const spooled = await spool(store.spool, key, content)
        const { file, sha256, sizeBytes, sealedBytes } = spooled
        let isUsedUp = false
        try {
          const isKnown = !isFirst && !(content instanceof Uint8Array) && (await isThere(key, sha256))
          if (!isKnown) isUsedUp = await store.store(newPath(key.id, blobName(key.key, sha256), now()), file, sealedBytes)
          return { sha256, sizeBytes }
        } finally {
          if (!isUsedUp) await unlink(file).catch(() => {})
        }
      } catch (error) {
        throw diskFull(error, store.spool) ?? error
      }
    },

    open,
    get: async (key, sha256, range) => (await open(key, sha256)).read(range),

    async stat(key, sha256) {
      const { opener } = await look(key, sha256, HEADER_BYTES)
      return { sizeBytes: opener.sizeBytes }
    },

    async *list(keyId) {
      for await (const path of store.list(keyId === undefined ? '' : `${checkKeyId(keyId)}/`)) {
        const blob = parsePath(path)
        if (blob) yield blob
      }
    },

    async *readSealed({ path }) {
      for (let start = 0; ; ) {
        const found = await store.read(path, start, start + READ_CHUNKS * CHUNK_BYTES)
        if (!found || found.bytes.length === 0) return
        yield found.bytes
        start += found.bytes.length
      }
    },

    remove: ({ path }) => store.remove(path),
    check: () => store.check(),
    spool: store.spool,
    close: () => store.close(),
  }
}

function openBlob(blob: BlobId, key: Buffer, { bytes, sizeBytes }: { bytes: Buffer; sizeBytes: number }): Opener {
  const opener = orDamaged(blob, () => openHeader(key, bytes, boundTo(blob.keyId, blob.sha256)))
  const expected = sealedSize(opener.sizeBytes)
  if (sizeBytes !== expected) throw new BlobDamaged(blob, `it has ${sizeBytes} bytes where ${expected} were written`)
  return opener
}

function orDamaged<T>(blob: BlobId, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw new BlobDamaged(blob, (error as Error).message, { cause: error })
  }
}

function diskFull(error: unknown, folder: string): Unavailable | null {
  const { code } = error as NodeJS.ErrnoException
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return null
  return new Unavailable(`The disk that holds ${folder} is full: make room there.`, { cause: error, retryAfterSeconds: 60 })
}
