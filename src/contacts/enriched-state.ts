import type { Field } from '../../schema/enrichment.ts'

type Proposed = { readonly field: Field; readonly enrichmentId: string; readonly decision: 'none' | 'accepted' | 'rejected' }

/** What decisions need to know of a contact's enrichment. */
export type EnrichedState = {
  readonly enrichable: boolean
  readonly values: Readonly<Record<string, Proposed>>
  /** What people said that fields are. */
  readonly own: Readonly<Partial<Record<Field, readonly string[]>>>
  readonly locked: readonly Field[]
  readonly enrichments: readonly string[]
  readonly undone: readonly string[]
}

export const notEnriched: EnrichedState = { enrichable: true, values: {}, own: {}, locked: [], enrichments: [], undone: [] }

type Change<D> = (state: EnrichedState, data: D) => EnrichedState

const decided =
  (decision: Proposed['decision']): Change<{ valueId: string }> =>
  (state, { valueId }) => {
    const value = state.values[valueId]
    return value ? { ...state, values: { ...state.values, [valueId]: { ...value, decision } } } : state
  }
const without = <T>(list: readonly T[], item: T) => list.filter((other) => other !== item)

/** What each event makes of it. */
export const enriched = {
  ContactEnriched: (state, { enrichmentId, values }) => ({
    ...state,
    enrichments: [...state.enrichments, enrichmentId],
    values: {
      ...state.values,
      ...Object.fromEntries(values.map(({ id, field }): [string, Proposed] => [id, { field, enrichmentId, decision: 'none' }])),
    },
  }),
  ContactValueAccepted: decided('accepted'),
  ContactValueRejected: decided('rejected'),
  ContactValueReopened: decided('none'),
  ContactFieldSet: (state, { field, values }) => ({ ...state, own: { ...state.own, [field]: values } }),
  ContactFieldReleased: (state, { field }) => {
    const { [field]: _, ...own } = state.own
    return { ...state, own }
  },
  ContactFieldLocked: (state, { field }) => ({ ...state, locked: [...without(state.locked, field), field] }),
  ContactFieldUnlocked: (state, { field }) => ({ ...state, locked: without(state.locked, field) }),
  ContactEnrichmentUndone: (state, { enrichmentId }) => ({ ...state, undone: [...without(state.undone, enrichmentId), enrichmentId] }),
  ContactEnrichmentRedone: (state, { enrichmentId }) => ({ ...state, undone: without(state.undone, enrichmentId) }),
  ContactEnrichableChanged: (state, { enrichable }) => ({ ...state, enrichable }),
} as const satisfies {
  ContactEnriched: Change<{ enrichmentId: string; values: readonly { id: string; field: Field }[] }>
  ContactValueAccepted: Change<{ valueId: string }>
  ContactValueRejected: Change<{ valueId: string }>
  ContactValueReopened: Change<{ valueId: string }>
  ContactFieldSet: Change<{ field: Field; values: readonly string[] }>
  ContactFieldReleased: Change<{ field: Field }>
  ContactFieldLocked: Change<{ field: Field }>
  ContactFieldUnlocked: Change<{ field: Field }>
  ContactEnrichmentUndone: Change<{ enrichmentId: string }>
  ContactEnrichmentRedone: Change<{ enrichmentId: string }>
  ContactEnrichableChanged: Change<{ enrichable: boolean }>
}
