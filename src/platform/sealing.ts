import { createCipheriv, createDecipheriv, createSecretKey, KeyObject, randomBytes } from 'node:crypto'

const IV_BYTES = 12
const TAG_BYTES = 16

/** Ciphers take bytes too, but need twice the time for them that making an object of them and using that does. */
const objectOf = (key: Uint8Array | KeyObject): KeyObject => (key instanceof KeyObject ? key : createSecretKey(key))

/**
 * Seals bytes with AES-256-GCM (NIST SP 800-38D), a fresh random 96-bit IV each time.
 * @param key 32 bytes; as an object where it is used often
 * @param boundTo additional data: the same text must be given to unseal, so that a ciphertext cannot be moved elsewhere
 * @returns IV, ciphertext and tag, in this order
 */
export function seal(key: Uint8Array | KeyObject, plain: Uint8Array, boundTo: string): Buffer {
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv('aes-256-gcm', objectOf(key), iv).setAAD(Buffer.from(boundTo))
  return Buffer.concat([iv, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

/** @throws when the key is another one, or a byte of the ciphertext or of what it is bound to was changed */
export function unseal(key: Uint8Array | KeyObject, sealed: Uint8Array, boundTo: string): Buffer {
  if (sealed.length < IV_BYTES + TAG_BYTES) throw new Error('sealed text is too short')
  const decipher = createDecipheriv('aes-256-gcm', objectOf(key), sealed.subarray(0, IV_BYTES)).setAAD(Buffer.from(boundTo))
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
  return Buffer.concat([decipher.update(sealed.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()])
}
