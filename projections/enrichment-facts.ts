import type { SourceKind } from '../schema/enrichment.ts'
import type { MemoryTables } from '../src/platform/rows.ts'
import type { enrichment } from './enrichment.ts'
import type { EnrichmentFacts } from './shown-values.ts'

/** What decides what is shown of a contact, of its own events folded in memory. @param order of sources, which is no event of the contact */
export function factsFromMemory(tables: MemoryTables<typeof enrichment>, order: readonly SourceKind[]): EnrichmentFacts {
  return {
    values: tables.rows('enrichmentValues').map(({ valueId, details, ...row }) => ({ ...(details as object), ...row, id: valueId })),
    own: tables.rows('enrichmentFields').map(({ own, ownIn, ...row }) => ({ ...row, values: own, ownIn: ownIn ?? -1 })),
    methods: tables.rows('enrichmentMethods'),
    undone: tables.rows('enrichmentUndone').map(({ enrichmentId }) => enrichmentId),
    order,
  } as unknown as EnrichmentFacts
}
