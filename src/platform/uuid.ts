import { createHash } from 'node:crypto'

/**
 * A name-based UUID, version 5 (RFC 9562 §5.5): the same name in the same namespace always gives the same id.
 * @param namespace a UUID in its canonical text form
 */
export function uuidv5(name: string, namespace: string): string {
  const space = Buffer.from(namespace.replaceAll('-', ''), 'hex')
  const hash = createHash('sha1').update(space).update(name, 'utf8').digest().subarray(0, 16)
  return toUuid(hash, 5)
}

/** Sixteen bytes written as a UUID of the given version (version 8 is for custom content, RFC 9562 §5.8). */
export function toUuid(bytes: Uint8Array, version: number): string {
  const copy = Buffer.from(bytes)
  copy[6] = (copy[6]! & 0x0f) | (version << 4)
  copy[8] = (copy[8]! & 0x3f) | 0x80
  const hex = copy.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`
}

/** Whether a text is a UUID as we write them: in lower case. */
export const isUuid = (text: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)
