import { type BulkFilter, bulkEnrichmentEvents } from '../../schema/enrichment-events.ts'
import { decider } from '../platform/decider.ts'
import { everybody, type Viewer } from '../platform/viewer.ts'

export type Bulk = { status: 'unknown' } | { status: 'requested' | 'spread'; filter: BulkFilter; contacts: number; viewer: Viewer }

export const bulk = decider<Bulk, typeof bulkEnrichmentEvents>(
  'bulkenrichment',
  bulkEnrichmentEvents,
  { status: 'unknown' },
  {
    BulkEnrichmentRequested: (_, { filter, contacts, viewer = everybody }) => ({ status: 'requested', filter, contacts, viewer }),
    BulkEnrichmentSpread: (state) => (state.status === 'unknown' ? state : { ...state, status: 'spread' }),
  },
)
