import { type BulkFilter, bulkEnrichmentEvents } from '../../schema/enrichment-events.ts'
import { decider } from '../platform/decider.ts'

export type Bulk = { status: 'unknown' } | { status: 'requested' | 'spread'; filter: BulkFilter; contacts: number }

export const bulk = decider<Bulk, typeof bulkEnrichmentEvents>(
  'bulkenrichment',
  bulkEnrichmentEvents,
  { status: 'unknown' },
  {
    BulkEnrichmentRequested: (_, { filter, contacts }) => ({ status: 'requested', filter, contacts }),
    BulkEnrichmentSpread: (state) => (state.status === 'unknown' ? state : { ...state, status: 'spread' }),
  },
)
