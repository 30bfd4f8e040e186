import { enrichment } from '../../projections/enrichment.ts'
import { factsFromMemory } from '../../projections/enrichment-facts.ts'
import { shownValues } from '../../projections/shown-values.ts'
import type { Enriched } from '../../schema/enrichment.ts'
import { lockContactField } from '../contacts/enriched.ts'
import type { Execute } from '../platform/http/commands.ts'
import { foldInMemory } from '../platform/rows.ts'
import { fold, type Runner } from '../platform/runner.ts'
import { POLICY_ID, policy } from './policy.ts'

/**
 * Gives the command that locks a field what is shown of it, by the events of the contact and the order of sources as the log has them: no decider knows
 * that. What happens in between is held back by the lock, as what comes after it; nobody has seen it yet.
 */
export const withShownValues =
  ({ load }: Pick<Runner, 'load'>, execute: Execute): Execute =>
  async (command, body, params, request) => {
    if (command !== lockContactField) return execute(command, body, params, request)
    const [events, policies] = await Promise.all([load(`contact-${params['id']}`), load(`enrichmentpolicy-${POLICY_ID}`)])
    if (events.some(({ erased }) => erased)) return execute(command, body, params, request)
    const facts = factsFromMemory(foldInMemory(enrichment, events), fold(policy, policies).order)
    const found = shownValues(facts)[params['field'] as keyof Enriched] ?? []
    const shown = [found].flat().flatMap(({ valueId }) => valueId ?? [])
    return execute(command, { shown }, params, request)
  }
