import { contact, isKnown } from '../contacts/contact.ts'
import { mayBeEnriched } from '../contacts/enriched.ts'
import { withSurvivor } from '../contacts/merging.ts'
import { Refused } from '../platform/refusal.ts'
import { fold, type Outcome, type Request } from '../platform/runner.ts'
import { everybody } from '../platform/viewer.ts'
import type { Services } from '../services.ts'
import { requestEnrichment } from './enrichment.ts'

export type Wanted = {
  readonly contactId: string
  /** Made of the command's id unless given. */
  readonly enrichmentId?: string
  readonly reason: 'asked' | 'bulk' | 'policy'
  readonly bulkId?: string
  readonly refresh?: boolean
  /** It follows from the contact's creation, and from whatever that followed from. */
  readonly isOfCreation?: boolean
}

/**
 * Asks for an enrichment of one contact. Its stream is sealed with the contact's key: whoever erases the contact erases what enrichment learned of it, too.
 * @throws Refused when there is no such contact, or none that the request's viewer sees, it is archived, erased, or not to be enriched
 */
export async function requestFor(
  { runner, vault }: Pick<Services, 'runner' | 'vault'>,
  { contactId, enrichmentId, reason, bulkId, refresh = false, isOfCreation = false }: Wanted,
  request: Request,
): Promise<Outcome> {
  const events = await runner.load(`contact-${contactId}`)
  if (events.some(({ erased }) => erased)) throw new Refused('erased', 'What this was about was erased.', 410)
  const state = fold(contact, events)
  const isHere = contact.isVisible!(state, request.viewer ?? everybody)
  mayBeEnriched(!isHere ? contact.initial : isKnown(state) ? await withSurvivor(runner, state) : state)
  const keyId = events.at(-1)!.meta.key!
  const key = (await vault.keys([keyId])).get(keyId)
  if (!key) throw new Refused('erased', 'What this was about was erased.', 410)
  const body = { contactId, reason, refresh, subject: contactId, ...(bulkId && { bulkId }) }
  return runner.execute(requestEnrichment, body, enrichmentId ? { id: enrichmentId } : {}, {
    ...request,
    ...(isOfCreation && { correlationId: events[0]!.meta.$correlationId, causationId: events[0]!.id }),
    ifMatch: undefined,
    key: { id: keyId, key },
  })
}
