import { createHash } from 'node:crypto'
import { BlobDamaged, BlobMissing } from './blob-errors.ts'
import { blobName, type StoredBlob } from './blob-name.ts'
import type { BlobId, Blobs } from './blobs.ts'
import type { Vault } from './vault.ts'

/** What refers to blobs: for each of these keys, the hashes that something still refers to. */
export type References = (keyIds: readonly string[]) => Promise<readonly BlobId[]>

/**
 * What `sweep` asks, out of a table of references, which knows hashes: only who has the keys can tell what a hash is called in the store.
 * Under a destroyed key nothing is referred to any more.
 * @throws Unavailable when keys cannot be looked up; what `references` throws
 */
export const isReferencedBy =
  (references: References, vault: Pick<Vault, 'keys'>) =>
  async (contents: readonly Pick<StoredBlob, 'keyId' | 'name'>[]): Promise<boolean[]> => {
    const keyIds = [...new Set(contents.map(({ keyId }) => keyId))]
    const [keys, referenced] = await Promise.all([vault.keys(keyIds), references(keyIds)])
    const names = new Set<string>()
    for (const { keyId, sha256 } of referenced) {
      const key = keys.get(keyId)
      if (key) names.add(`${keyId}/${blobName(key, sha256)}`)
    }
    return contents.map(({ keyId, name }) => names.has(`${keyId}/${name}`))
  }

export type Verification = {
  readonly checked: number
  readonly sizeBytes: number
  /** Not read, since their keys were destroyed. */
  readonly erased: number
  readonly missing: readonly BlobId[]
  readonly damaged: readonly (BlobId & { readonly reason: string })[]
}

const BATCH = 200

/**
 * Reads all that is referred to, from the first byte to the last, and names what is missing or damaged.
 * @throws Unavailable when the store or the vault is away: nothing is said then of what could not be looked at
 */
export async function verifyBlobs(
  blobs: Pick<Blobs, 'get'>,
  vault: Pick<Vault, 'keys'>,
  referenced: AsyncIterable<BlobId>,
): Promise<Verification> {
  const found = { checked: 0, sizeBytes: 0, erased: 0, missing: [] as BlobId[], damaged: [] as (BlobId & { reason: string })[] }

  const check = async ({ keyId, sha256 }: BlobId, key: Buffer | null) => {
    if (!key) {
      found.erased += 1
      return
    }
    found.checked += 1
    try {
      const hash = createHash('sha256')
      for await (const chunk of await blobs.get({ id: keyId, key }, sha256)) {
        hash.update(chunk)
        found.sizeBytes += chunk.length
      }
      if (hash.digest('hex') !== sha256) found.damaged.push({ keyId, sha256, reason: 'it opens, and is another content' })
    } catch (error) {
      if (error instanceof BlobMissing) found.missing.push({ keyId, sha256 })
      else if (error instanceof BlobDamaged) found.damaged.push({ keyId, sha256, reason: error.reason })
      else throw error
    }
  }

  const checkAll = async (batch: readonly BlobId[]) => {
    const keys = await vault.keys(batch.map(({ keyId }) => keyId))
    for (const blob of batch) await check(blob, keys.get(blob.keyId) ?? null)
  }

  const batch: BlobId[] = []
  for await (const blob of referenced) {
    batch.push(blob)
    if (batch.length === BATCH) await checkAll(batch.splice(0))
  }
  await checkAll(batch)
  return found
}
