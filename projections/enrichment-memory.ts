import { type Enriched, type Field, type SourceKind, sourceKinds } from '../schema/enrichment.ts'
import type { MemoryTables } from '../src/platform/rows.ts'
import type { enrichment } from './enrichment.ts'
import { factsFromMemory } from './enrichment-facts.ts'
import { shownValues } from './shown-values.ts'

/** What is shown of a contact's enrichment by its own events, which fields are locked, and whether there is to be more. */
export function enrichedFromMemory(
  tables: MemoryTables<typeof enrichment>,
  order: readonly SourceKind[] = sourceKinds,
): { enriched: Enriched; locked: Field[]; enrichable: boolean } {
  const facts = factsFromMemory(tables, order)
  const [said] = tables.rows('enrichmentContacts') as { enrichable: boolean }[]
  return {
    enriched: shownValues(facts),
    locked: facts.own.flatMap(({ field, lockedIn }) => (lockedIn === null ? [] : [field])),
    enrichable: said?.enrichable ?? true,
  }
}
