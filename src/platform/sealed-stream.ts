import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, randomBytes } from 'node:crypto'

/*
 * What a sealed blob looks like, byte by byte:
 *
 *   header   "SMCB", version (1 byte), salt (16), size of the plain content (8, big endian), tag (16)
 *   chunks   64 KiB of content each, the last one shorter (an empty content has one empty chunk), each followed by its tag (16)
 *
 * All of it is AES-256-GCM under a key of the blob's own: HKDF-SHA256 (RFC 5869) of the subject's key and the salt. A key that seals one blob
 * only may count its nonces: the chunk's index and whether it is the last, so that no chunk can be left out, moved, added or taken from
 * another blob (the STREAM construction). The header's tag binds what the blob is stored as, its size and its salt, hence the chunks.
 */
export const CHUNK_BYTES = 64 * 1024
export const TAG_BYTES = 16
const MAGIC = Buffer.from('SMCB\x01', 'latin1')
const SALT_BYTES = 16
const SIZE_AT = MAGIC.length + SALT_BYTES
const TAG_AT = SIZE_AT + 8
export const HEADER_BYTES = TAG_AT + TAG_BYTES
export const SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES

/** A cut chunk must not be taken for one with a shorter tag, which could be guessed. */
const TAG = { authTagLength: TAG_BYTES }

/** Last byte of a nonce: what it is the nonce of. Stored for ever. */
const MORE_FOLLOW = 0
const LAST = 1
const HEADER = 2

export const chunkCount = (sizeBytes: number): number => Math.max(1, Math.ceil(sizeBytes / CHUNK_BYTES))

/** How large a content of this size is when it is sealed. */
export const sealedSize = (sizeBytes: number): number => HEADER_BYTES + sizeBytes + chunkCount(sizeBytes) * TAG_BYTES

export type Sealer = {
  /** @param plain 64 KiB, less only when it is the last; may be anything for the last */
  chunk(index: number, isLast: boolean, plain: Uint8Array): Buffer
  /** What goes before the chunks, known only when all of them are. @param boundTo what it is stored as: the same text must be given to open it */
  header(sizeBytes: number, boundTo: string): Buffer
}

/** Seals one content. @param key the subject's, 32 bytes */
export function createSealer(key: Uint8Array): Sealer {
  const salt = randomBytes(SALT_BYTES)
  const own = ownKey(key, salt)
  const sealOne = (nonce: Buffer, plain: Uint8Array) => {
    const cipher = createCipheriv('aes-256-gcm', own, nonce)
    return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  }
  return {
    chunk: (index, isLast, plain) => sealOne(nonceOf(index, isLast ? LAST : MORE_FOLLOW), plain),
    header(sizeBytes, boundTo) {
      const size = Buffer.alloc(8)
      size.writeBigUInt64BE(BigInt(sizeBytes))
      const open = Buffer.concat([MAGIC, salt, size])
      const cipher = createCipheriv('aes-256-gcm', own, nonceOf(0, HEADER)).setAAD(aad(open, boundTo))
      cipher.final()
      return Buffer.concat([open, cipher.getAuthTag()])
    },
  }
}

export type Opener = {
  readonly sizeBytes: number
  /** @throws Error when it is not this chunk of this blob */
  chunk(index: number, sealed: Uint8Array): Buffer
}

/**
 * @param header the first HEADER_BYTES bytes
 * @throws Error saying what is wrong with it
 */
export function openHeader(key: Uint8Array, header: Buffer, boundTo: string): Opener {
  if (header.length < HEADER_BYTES) throw new Error('it is cut short')
  if (!header.subarray(0, MAGIC.length).equals(MAGIC)) throw new Error('it does not begin as a blob does')
  const own = ownKey(key, header.subarray(MAGIC.length, SIZE_AT))
  try {
    const decipher = createDecipheriv('aes-256-gcm', own, nonceOf(0, HEADER), TAG).setAAD(aad(header.subarray(0, TAG_AT), boundTo))
    decipher.setAuthTag(header.subarray(TAG_AT, HEADER_BYTES)).final()
  } catch {
    throw new Error('its beginning was changed, or belongs to another blob')
  }
  const sizeBytes = Number(header.readBigUInt64BE(SIZE_AT))
  const last = chunkCount(sizeBytes) - 1
  return {
    sizeBytes,
    chunk(index, sealed) {
      try {
        const decipher = createDecipheriv('aes-256-gcm', own, nonceOf(index, index === last ? LAST : MORE_FOLLOW), TAG)
        decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
        return Buffer.concat([decipher.update(sealed.subarray(0, -TAG_BYTES)), decipher.final()])
      } catch {
        throw new Error(`the ${CHUNK_BYTES / 1024} KiB from byte ${index * CHUNK_BYTES} on were changed`)
      }
    },
  }
}

const ownKey = (key: Uint8Array, salt: Uint8Array) =>
  createSecretKey(new Uint8Array(hkdfSync('sha256', createSecretKey(key), salt, 'smartcrm blob', 32)))

function nonceOf(index: number, kind: number): Buffer {
  const nonce = Buffer.alloc(12)
  nonce.writeUIntBE(index, 5, 6)
  nonce[11] = kind
  return nonce
}

const aad = (header: Buffer, boundTo: string) => Buffer.concat([header, Buffer.from(boundTo)])

/** Pieces of any sizes as pieces of `bytes` each, the last one shorter; an empty one when there is nothing at all. */
export async function* inPiecesOf(bytes: number, source: AsyncIterable<Uint8Array>): AsyncGenerator<{ piece: Buffer; isLast: boolean }> {
  let parts: Uint8Array[] = []
  let gathered = 0
  for await (let part of source) {
    // A full piece is held back until more comes: only then is it known not to be the last.
    while (gathered + part.length > bytes) {
      const missing = bytes - gathered
      if (missing > 0) parts.push(part.subarray(0, missing))
      yield { piece: joined(parts), isLast: false }
      part = part.subarray(missing)
      parts = []
      gathered = 0
    }
    // Copied where it waits: who gave it may use its buffer again.
    if (part.length > 0) parts.push(Uint8Array.prototype.slice.call(part))
    gathered += part.length
  }
  yield { piece: joined(parts), isLast: true }
}

const joined = (parts: readonly Uint8Array[]): Buffer => {
  const [only] = parts
  return parts.length === 1 ? Buffer.from(only!.buffer, only!.byteOffset, only!.byteLength) : Buffer.concat(parts)
}
