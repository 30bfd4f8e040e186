import { setTimeout as delay } from 'node:timers/promises'
import { type Candidate, createdSince, policyNow } from '../../projections/enrichment-reads.ts'
import { domainOf, isFreeMail } from '../mailboxes/addresses.ts'
import type { Logger } from '../platform/log.ts'
import { Refused } from '../platform/refusal.ts'
import { uuidv5 } from '../platform/uuid.ts'
import type { Services } from '../services.ts'
import { requestFor } from './request.ts'

const EVERY_MS = 5_000
/** A contact may come into the tables so much later than it was created, by the clock of whoever created it. */
const LATE_MS = 600_000
const AT_ONCE = 200

/** Namespace of the ids of such enrichments (UUIDv5). For ever: a contact is enriched on its creation once. */
const NAMESPACE = '7d0b6a1c-95a4-4f3b-8d31-0d6a52c0e4b8'

/** Whether a contact may be enriched by itself: somebody who has only free-mail addresses is not a company's affair. */
export const isForPolicy = ({ emails }: Pick<Candidate, 'emails'>): boolean => emails.some((address) => !isFreeMail(domainOf(address)))

/**
 * Asks for the enrichment of contacts that were created since the policy says so. It looks into the tables, rather than make a job of each contact that
 * is ever created, since the policy is off for most; and each is asked for by an id made of its own, so that it happens once.
 * @returns up to where it has looked: the next time need not look before that
 */
export async function enrichCreated(services: Pick<Services, 'pool' | 'runner' | 'vault'>, from: string | null): Promise<string | null> {
  const { onCreationSince } = await policyNow(services.pool)
  if (onCreationSince === null) return null
  const since = from !== null && from > onCreationSince ? from : onCreationSince
  let last: Candidate | null = null
  for (;;) {
    const page: Candidate[] = await createdSince(services.pool, since, last, AT_ONCE)
    for (const candidate of page.filter(isForPolicy)) {
      const { contactId } = candidate
      const commandId = uuidv5(contactId, NAMESPACE)
      const request = { actor: 'system:worker', commandId, request: commandId, correlationId: commandId }
      await requestFor(services, { contactId, enrichmentId: commandId, reason: 'policy', isOfCreation: true }, request).catch(
        (error: unknown) => {
          if (!(error instanceof Refused)) throw error
        },
      )
    }
    if (page.length > 0) last = page.at(-1)!
    if (page.length < AT_ONCE) break
  }
  const latest = last ? new Date(Date.parse(last.createdAt) - LATE_MS).toISOString() : since
  return latest > since ? latest : since
}

/** Looks again and again. That several workers do so harms nobody. */
export function startEnrichingOnCreation(services: Services, log: Logger, everyMs = EVERY_MS): { close(): Promise<void> } {
  const closing = new AbortController()
  const { signal } = closing
  const looking = (async () => {
    for (let from: string | null = null; ; ) {
      await delay(everyMs, undefined, { signal, ref: false }).catch(() => {})
      if (signal.aborted) return
      try {
        from = await enrichCreated(services, from)
      } catch (err) {
        if (!signal.aborted) log.warn({ err }, 'new contacts were not looked at for enrichment; trying again')
      }
    }
  })()
  return {
    async close() {
      closing.abort()
      await looking
    },
  }
}
