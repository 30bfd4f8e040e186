import { contentOf, email } from '../emails/email.ts'
import { BlobErased } from '../platform/blob-errors.ts'
import { fold } from '../platform/runner.ts'
import type { Services } from '../services.ts'

/**
 * A mail as it came, with its attachments inside; null when there is none any more.
 * @throws BlobMissing, BlobDamaged; Unavailable
 */
export async function emailFile({ runner, vault, blobs }: Services, emailId: string): Promise<AsyncIterable<Uint8Array> | null> {
  const events = await runner.load(`email-${emailId}`)
  const last = events.at(-1)
  if (!last || events.some(({ erased }) => erased) || fold(email, events).status !== 'stored') return null
  const { raw } = contentOf(events)!.content
  const id = last.meta.key!
  try {
    const { read } = await blobs.open({ id, key: (await vault.keys([id])).get(id) ?? null }, raw.sha256)
    return read()
  } catch (error) {
    if (error instanceof BlobErased) return null
    throw error
  }
}
