import { type Enriched, type EnrichedValue, type Field, type SourceKind, sourceKinds } from '../schema/enrichment.ts'
import type { MemoryTables } from '../src/platform/rows.ts'
import type { enrichment } from './enrichment.ts'
import { type EnrichmentFacts, type ProposedValue, shownValues } from './shown-values.ts'

/** All that decides what is shown of a contact's enrichment, out of tables folded in memory from the contact's events alone. */
export function factsFromMemory(tables: MemoryTables<typeof enrichment>, order: readonly SourceKind[] = sourceKinds): EnrichmentFacts {
  const rows = <R>(name: Parameters<typeof tables.rows>[0]) => tables.rows(name) as unknown as R[]
  type ValueRow = Omit<ProposedValue, keyof EnrichedValue> & { valueId: string; field: Field; place: number; details: object }
  const values = rows<ValueRow>('enrichmentValues').toSorted((a, b) => b.proposedIn - a.proposedIn || a.place - b.place)
  type FieldRow = { field: Field; own: readonly string[] | null; ownIn: number | null; lockedIn: number | null }
  return {
    values: values.map(({ valueId, details, place: _, ...row }) => ({ ...details, ...row, id: valueId }) as unknown as ProposedValue),
    own: rows<FieldRow>('enrichmentFields').map(({ field, own, ownIn, lockedIn }) => ({
      field,
      values: own,
      ownIn: ownIn ?? -1,
      lockedIn,
    })),
    methods: rows<EnrichmentFacts['methods'][number]>('enrichmentMethods'),
    undone: rows<{ enrichmentId: string }>('enrichmentUndone').map(({ enrichmentId }) => enrichmentId),
    order,
  }
}

/** What is shown of it, which fields are locked, and whether there is to be more. */
export function enrichedFromMemory(
  tables: MemoryTables<typeof enrichment>,
  order?: readonly SourceKind[],
): { enriched: Enriched; locked: Field[]; enrichable: boolean } {
  const facts = factsFromMemory(tables, order)
  const [said] = tables.rows('enrichmentContacts') as { enrichable: boolean }[]
  return {
    enriched: shownValues(facts),
    locked: facts.own.flatMap(({ field, lockedIn }) => (lockedIn === null ? [] : [field])),
    enrichable: said?.enrichable ?? true,
  }
}
