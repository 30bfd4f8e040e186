import { createSecretKey, hkdfSync, randomBytes } from 'node:crypto'

/** One copy of a content, as it is stored. @property name the content's, see `blobName` */
export type StoredBlob = { readonly keyId: string; readonly name: string; readonly storedAt: Date; readonly path: string }

/**
 * What a content is called where it is stored: made of the subject's key and the hash, since by the bare hash, who sees the store could tell
 * whether a file that he has too is in it. (HKDF-SHA256, 128 bits: enough among the contents of one subject.)
 * @param sha256 of the plain content, 64 hex digits in lower case
 */
export function blobName(key: Uint8Array, sha256: string): string {
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw new RangeError('A SHA-256 has to be 64 hex digits in lower case.')
  return Buffer.from(hkdfSync('sha256', createSecretKey(key), Buffer.from(sha256, 'hex'), 'smartcrm blob name', 16)).toString('hex')
}

/** A name that nobody has or will ever have again; those of one content sort by age. */
export const newPath = (keyId: string, name: string, nowMs: number): string =>
  `${keyId}/${name}-${nowMs.toString(16).padStart(12, '0')}-${randomBytes(4).toString('hex')}`

/** Null for what is none of ours. */
export function parsePath(path: string): StoredBlob | null {
  const [, keyId, name, time] = /^([0-9a-f-]{36})\/([0-9a-f]{32})-([0-9a-f]{12})-[0-9a-f]{8}$/.exec(path) ?? []
  return time ? { keyId: keyId!, name: name!, storedAt: new Date(Number.parseInt(time, 16)), path } : null
}

/** It becomes part of a path. @throws RangeError */
export function checkKeyId(keyId: string): string {
  if (!/^[0-9a-f-]{36}$/.test(keyId)) throw new RangeError('The id of a key has to be a UUID in lower case.')
  return keyId
}
