import { ENRICHMENT_REACTOR } from '../../schema/enrichment.ts'
import { bulkEnrichmentEvents, enrichmentEvents } from '../../schema/enrichment-events.ts'
import { reactor } from '../platform/reactor.ts'

/** Enrichments of one contact run one after another. */
export const enrichContactOnRequested = reactor({
  name: ENRICHMENT_REACTOR,
  events: { ...enrichmentEvents, ...bulkEnrichmentEvents },
  on: {
    EnrichmentRequested: ({ enrichmentId, contactId }) => [{ queue: 'enrich', key: contactId, data: { enrichmentId } }],
    BulkEnrichmentRequested: ({ bulkId }) => [{ queue: 'enrich-bulk', key: bulkId, data: { bulkId } }],
  },
})
