import { createHash } from 'node:crypto'
import { erasureEvents } from '../../schema/erasure-events.ts'
import type { Receipt } from '../../schema/erasure-receipt.ts'
import type { RecordedEvent } from '../platform/event.ts'
import type { Asked } from './erasure.ts'
import type { Proof } from './proof.ts'
import type { Uploads } from './uploads.ts'

type Done = {
  readonly contacts: number
  readonly keys: number
  readonly suppressed: number
  readonly uploads: Uploads
  /** The contacts that the person was part of for a time, and is not any more. */
  readonly leftBehind: readonly string[]
  readonly proof: Pick<Proof, 'scan' | 'physical' | 'notes'>
}

/** What an erasure came to. Pure. @param events of its stream */
export function receiptOf(events: readonly RecordedEvent[], state: Asked, done: Done, completedAt: string): Receipt {
  const requested = events.findLast(({ type }) => type === erasureEvents.ErasureRequested.type)!
  const masked = [...new Set(state.masked)].sort()
  const erased = new Set(state.erased)
  return {
    erasureId: state.contactId,
    contactId: state.contactId,
    reason: state.reason,
    requestedBy: state.requestedBy,
    requestedAt: requested.meta.at,
    confirmedBy: state.confirmedBy,
    completedAt,
    destroyed: {
      contacts: done.contacts,
      keys: done.keys + erased.size,
      emails: erased.size,
      blobs: state.blobs,
      enrichments: new Set(state.enrichments).size,
      uploads: done.uploads.removed,
    },
    suppressed: done.suppressed,
    stays: {
      emails: masked.length,
      emailsSha256: emailsSha256(masked),
      uploads: [...done.uploads.left],
      notes: [LOG, BACKUPS, ...(masked.length > 0 ? [MAILS] : []), ...done.leftBehind.map(historyOf), ...done.proof.notes],
    },
    scan: done.proof.scan,
    physical: done.proof.physical,
  }
}

/** @param emailIds in order */
export const emailsSha256 = (emailIds: readonly string[]): string =>
  createHash('sha256')
    .update(emailIds.map((id) => `${id}\n`).join(''))
    .digest('hex')

const LOG =
  'The log keeps its events, their positions, times, actors and hashes, so that its chains can be verified. What they say is sealed, and the key is destroyed.'
const BACKUPS =
  'Backups made before hold what was sealed and the keys of then; when one is restored, this erasure is applied again. Let them expire.'
const historyOf = (contactId: string) =>
  `The history of contact ${contactId}, which this one was merged into for a time, keeps what it took over then: erase that one too, if it is to go.`
const MAILS = 'Texts, attachments and the original of mails with other people stay: they are theirs, too.'
