import { setTimeout as delay } from 'node:timers/promises'
import { allBlobReferences, blobReferences, keyOwners } from '../projections/blob-references.ts'
import { emails } from '../projections/emails.ts'
import { imports } from '../projections/imports.ts'
import { mailboxMessages } from '../projections/mailbox-messages.ts'
import { type Asking, completeTables } from './complete-tables.ts'
import { isReferencedBy, type Verification, verifyBlobs } from './platform/blob-references.ts'
import { type SweepReport, sweep } from './platform/blob-sweep.ts'
import type { BlobId } from './platform/blobs.ts'
import type { Logger } from './platform/log.ts'
import type { Services } from './services.ts'

/** Those that know of blobs. */
const projections = [emails, imports, mailboxMessages]

type Needs = Pick<Services, 'pool' | 'store' | 'vault' | 'blobs'>
/**
 * Removes the blobs that no mail, no import and no mailbox's ledger refers to and that are a day old.
 * @throws Unavailable when the read tables do not hold all that the log said when this began; also midway, when they begin to be built anew
 */
export async function sweepBlobs(services: Needs, { now = new Date(), ...asking }: Asking & { now?: Date } = {}): Promise<SweepReport> {
  const { vault, blobs } = services
  const tables = await completeTables(services, projections, asking)
  const isReferenced = isReferencedBy((keyIds) => blobReferences(tables, keyIds), vault)
  return sweep({ blobs, isReferenced, now, ...(asking.signal && { signal: asking.signal }) })
}

/** @property of what refers to it: `email <id>`, `import <id>`, `mailbox <id> message <its id there>` */
export type BadBlob = BlobId & { readonly of: string; readonly what: string }
export type BlobsReport = Omit<Verification, 'missing' | 'damaged'> & { readonly bad: readonly BadBlob[] }

/** Reads every blob that a mail or an import refers to, and names those that are missing or damaged. @throws Unavailable */
export async function verifyReferenced(services: Needs, asking: Asking = {}): Promise<BlobsReport> {
  const { vault, blobs } = services
  const { missing, damaged, ...counts } = await verifyBlobs(
    blobs,
    vault,
    allBlobReferences(await completeTables(services, projections, asking)),
  )
  const found = [
    ...damaged.map(({ reason, ...blob }) => ({ ...blob, what: reason })),
    ...missing.map((blob) => ({ ...blob, what: 'missing' })),
  ]
  if (found.length === 0) return { ...counts, bad: [] }

  // What went while this read was perhaps no longer referred to: a mail was removed, or an import came to its end.
  const keyIds = [...new Set(found.map(({ keyId }) => keyId))]
  const tables = await completeTables(services, projections, asking)
  const referenced = await blobReferences(tables, keyIds)
  const owners = await keyOwners(tables, keyIds)
  const still = new Set(referenced.map(({ keyId, sha256 }) => `${keyId}/${sha256}`))
  const bad = found.filter(({ keyId, sha256 }) => still.has(`${keyId}/${sha256}`))
  return { ...counts, bad: bad.map((blob) => ({ ...blob, of: owners.get(blob.keyId) ?? 'nobody' })) }
}

const FIRST_MS = 5 * 60_000
const EVERY_MS = 24 * 60 * 60_000

/** Sweeps soon after the start, and then once a day. That several workers do so harms nobody. */
export function startSweeping(services: Needs, log: Logger, { firstMs = FIRST_MS, everyMs = EVERY_MS } = {}): { close(): Promise<void> } {
  const closing = new AbortController()
  const { signal } = closing
  const sweeping = (async () => {
    for (let waitMs = firstMs; ; waitMs = everyMs) {
      await delay(waitMs, undefined, { signal, ref: false }).catch(() => {})
      if (signal.aborted) return
      try {
        log.info(await sweepBlobs(services, { signal }), 'swept the blobs')
      } catch (err) {
        if (!signal.aborted) log.warn({ err }, 'the blobs were not swept, or not all of them; the next time is in a day')
      }
    }
  })()
  return {
    async close() {
      closing.abort()
      await sweeping
    },
  }
}
