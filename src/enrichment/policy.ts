import { Type } from '@sinclair/typebox'
import { SourceKind, sourceKinds } from '../../schema/enrichment.ts'
import { enrichmentPolicyEvents } from '../../schema/enrichment-events.ts'
import { command, decider } from '../platform/decider.ts'

const { EnrichmentSourcesOrdered, EnrichmentOnCreationChanged } = enrichmentPolicyEvents

/** There is one policy. */
export const POLICY_ID = 'f6f3a1d0-6b5e-4d5a-9a56-3f2f6f5a7c10'

export type Policy = { readonly order: readonly SourceKind[]; readonly onCreation: boolean }

export const policy = decider<Policy, typeof enrichmentPolicyEvents>(
  'enrichmentpolicy',
  enrichmentPolicyEvents,
  { order: sourceKinds, onCreation: false },
  {
    EnrichmentSourcesOrdered: (state, { order }) => ({ ...state, order }),
    EnrichmentOnCreationChanged: (state, { onCreation }) => ({ ...state, onCreation }),
  },
)

const strict = { additionalProperties: false }

/** Changes which values are shown, of old enrichments too; nobody is called for it. */
export const orderEnrichmentSources = command(policy, {
  operationId: 'orderEnrichmentSources',
  method: 'PUT',
  path: '/enrichment/sources',
  summary: 'Say which sources go before which: what is shown of every contact follows at once, and no vendor is called',
  body: Type.Object(
    { order: Type.Array(SourceKind, { minItems: 1, uniqueItems: true, description: 'The best first. What is left out comes last.' }) },
    strict,
  ),
  idOf: () => POLICY_ID,
  decide: ({ order }, state) => (JSON.stringify(order) === JSON.stringify(state.order) ? [] : [EnrichmentSourcesOrdered({ order })]),
})

export const enrichOnCreation = command(policy, {
  operationId: 'enrichOnCreation',
  method: 'PUT',
  path: '/enrichment/on-creation',
  summary:
    'Say whether contacts that are created from now on are enriched by themselves; never those whose addresses are all free-mail ones',
  body: Type.Object({ onCreation: Type.Boolean() }, { ...strict, examples: [{ onCreation: true }] }),
  idOf: () => POLICY_ID,
  decide: ({ onCreation }, state) => (state.onCreation === onCreation ? [] : [EnrichmentOnCreationChanged({ onCreation })]),
})
