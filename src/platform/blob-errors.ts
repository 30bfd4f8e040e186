import type { BlobId } from './blobs.ts'

const named = ({ keyId, sha256 }: BlobId) => `The blob ${sha256} of key ${keyId}`

/** It is not there: it was never put, or is lost. */
export class BlobMissing extends Error {
  readonly blob: BlobId
  constructor(blob: BlobId) {
    super(`${named(blob)} is missing.`)
    this.name = 'BlobMissing'
    this.blob = blob
  }
}

/** It is there, and is not what was put. */
export class BlobDamaged extends Error {
  readonly blob: BlobId
  readonly reason: string
  constructor(blob: BlobId, reason: string, options?: ErrorOptions) {
    super(`${named(blob)} is damaged: ${reason}.`, options)
    this.name = 'BlobDamaged'
    this.blob = blob
    this.reason = reason
  }
}

/** Its subject was erased: the key was destroyed, and nobody will ever read it again. */
export class BlobErased extends Error {
  readonly blob: BlobId
  constructor(blob: BlobId) {
    super(`${named(blob)} was erased with its key.`)
    this.name = 'BlobErased'
    this.blob = blob
  }
}
