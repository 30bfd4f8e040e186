import type { SourceKind } from '../schema/enrichment.ts'
import type { MemoryTables } from '../src/platform/rows.ts'
import type { enrichment } from './enrichment.ts'
import { type EnrichmentFacts, latestWords } from './shown-values.ts'

type ValueRow = { valueId: string; details: object; proposedIn: number; place: number }

/** What decides what is shown of a contact, of its own events folded in memory. @param order of sources, which is no event of the contact */
export function factsFromMemory(tables: MemoryTables<typeof enrichment>, order: readonly SourceKind[]): EnrichmentFacts {
  return {
    // In the order in which they are read from the tables.
    values: (tables.rows('enrichmentValues') as ValueRow[])
      .toSorted((a, b) => b.proposedIn - a.proposedIn || a.place - b.place)
      .map(({ valueId, details, ...row }) => ({ ...details, ...row, id: valueId })),
    own: latestWords(
      [...tables.rows('enrichmentFields'), ...tables.rows('enrichmentMergedWords')].map(
        ({ field, own, ownIn, lockedIn = null, shown = null }) => ({ field, values: own, ownIn, lockedIn, shown }) as never,
      ),
    ),
    methods: tables.rows('enrichmentMethods'),
    undone: tables.rows('enrichmentUndone').map(({ enrichmentId }) => enrichmentId),
    order,
  } as unknown as EnrichmentFacts
}
