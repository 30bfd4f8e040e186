import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import canonicalize from 'canonicalize'

/** @property signature Ed25519 (RFC 8032) over the canonical JSON (RFC 8785) of what is signed, in base64 @property signedBy the public key, 32 bytes in base64 */
export type Signature = { readonly signature: string; readonly signedBy: string }

/** Signs documents in the service's name. */
export type Signer = {
  /** 32 bytes in base64, by which anybody checks what was signed. */
  readonly publicKey: string
  /** @throws TypeError when it is nothing that JSON can say */
  sign(document: object): Signature
}

/** What stands before the 32 bytes of a private and of a public Ed25519 key in DER (RFC 8410 §7, §4). */
const PRIVATE = Buffer.from('302e020100300506032b657004220420', 'hex')
const PUBLIC = Buffer.from('302a300506032b6570032100', 'hex')

const bytesOf = (document: object): Buffer => {
  const text = canonicalize(document)
  if (text === undefined) throw new TypeError('Only what JSON can say can be signed.')
  return Buffer.from(text)
}

/** @param secret 32 random bytes: they are an Ed25519 private key, so it is one more secret of the vault's, made once and sealed as the others are */
export function createSigner(secret: Buffer): Signer {
  const key = createPrivateKey({ key: Buffer.concat([PRIVATE, secret]), format: 'der', type: 'pkcs8' })
  const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(PUBLIC.length).toString('base64')
  return { publicKey, sign: (document) => ({ signature: sign(null, bytesOf(document), key).toString('base64'), signedBy: publicKey }) }
}

/** @throws RangeError when it is no public key */
export function publicKeyOf(text: string): KeyObject {
  const bytes = Buffer.from(text.trim(), 'base64')
  if (bytes.length !== 32) throw new RangeError('A public key is 32 bytes in base64.')
  return createPublicKey({ key: Buffer.concat([PUBLIC, bytes]), format: 'der', type: 'spki' })
}

/**
 * Whether this is what was signed, to the last letter.
 * @param publicKey of whom it has to be signed by: never what the document says of itself, which anybody can write
 * @throws RangeError when it is no public key
 */
export function isSigned(document: object, signature: string, publicKey: string): boolean {
  return verify(null, bytesOf(document), publicKeyOf(publicKey), Buffer.from(signature, 'base64'))
}
