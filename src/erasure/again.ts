import { contactEvents } from '../../schema/contact-events.ts'
import { contact } from '../contacts/contact.ts'
import { eraseContact } from '../contacts/erase.ts'
import { keepConcealed, suppressAddress } from '../contacts/suppression.ts'
import { eraseKeys, forgetEmail } from '../emails/erase.ts'
import { forgetEnrichment } from '../enrichment/enrichment.ts'
import type { Command } from '../platform/decider.ts'
import type { Erasing } from '../platform/erasure/reapply.ts'
import { Refused } from '../platform/refusal.ts'
import { fold } from '../platform/runner.ts'
import { uuidv5 } from '../platform/uuid.ts'
import type { Services } from '../services.ts'
import { requestErasure } from './erasure.ts'

/** That the subject was erased, or is not in this log, is as good. */
const FINE = ['erased', 'contact-not-found']

/**
 * Makes an erasure again of which log, tables or vault were restored from before: what may not come back is suppressed, contact, mails and enrichments are
 * taken away at once; the rest, such as masking mails in the tables, the job does that the request leads to.
 */
export function erasingAgain(services: Services): Erasing {
  const { runner, store } = services
  const execute = async (subjectId: string, name: string, command: Command, body: object, id: string) => {
    const commandId = uuidv5(`erase again ${name} ${id}`, subjectId)
    const request = { actor: 'system:restore', commandId, request: commandId, correlationId: subjectId }
    await runner.execute(command, body, { id }, request).catch((error: unknown) => {
      if (!(error instanceof Refused && FINE.includes(error.code))) throw error
    })
  }
  return {
    /** Nothing comes after it in the stream of a contact. */
    isRecorded: async ({ subjectId }) => (await store.readLast(`contact-${subjectId}`))?.type === contactEvents.ContactErased.type,
    async record({ subjectId, streams, suppressed }) {
      for (const digest of suppressed) {
        await execute(subjectId, 'suppress', suppressAddress, { contactIds: [subjectId], keptBy: null }, digest)
        await keepConcealed(services, digest)
      }
      const known = fold(contact, await runner.load(`contact-${subjectId}`)).status !== 'unknown'
      await execute(subjectId, 'contact', eraseContact, { erasureId: subjectId }, subjectId)
      for (const stream of streams) {
        const [category, id] = [stream.slice(0, stream.indexOf('-')), stream.slice(stream.indexOf('-') + 1)]
        if (category === 'email') await execute(subjectId, 'email', forgetEmail, {}, id)
        if (category === 'enrichment') await execute(subjectId, 'enrichment', forgetEnrichment, { contactId: subjectId }, id)
      }
      if (known) await execute(subjectId, 'request', requestErasure, { reason: 'other', now: false, confirm: false }, subjectId)
    },
    destroy: (keyIds) => eraseKeys(services, keyIds),
  }
}
