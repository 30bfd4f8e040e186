import { table } from '../src/platform/projection.ts'

/** What enrichment.ts keeps. */
export const enrichmentTables = {
  // `details` is the value as it was proposed (EnrichedValue without id and field).
  enrichmentValues: table(['contactId', 'valueId'], {
    contactId: 'uuid',
    valueId: 'uuid',
    enrichmentId: 'uuid',
    field: 'text',
    details: 'json',
    proposedAt: 'instant',
    proposedIn: 'integer',
    place: 'integer',
    decision: 'text',
    decidedIn: 'integer',
  }),
  // What people said of a field: `own` is null when they took it back, `shown` is what was shown of it when it was locked.
  enrichmentFields: table(['contactId', 'field'], {
    contactId: 'uuid',
    field: 'text',
    own: 'json',
    ownIn: 'integer',
    lockedIn: 'integer',
    shown: 'json',
  }),
  // What people had said of one that was merged into the contact. Of a field the word counts that is `ownIn` last.
  enrichmentMergedWords: table(['contactId', 'field', 'fromId'], {
    contactId: 'uuid',
    field: 'text',
    fromId: 'uuid',
    own: 'json',
    ownIn: 'integer',
  }),
  // A removed one stays: enrichment must not bring it back.
  enrichmentMethods: table(['contactId', 'methodId'], {
    contactId: 'uuid',
    methodId: 'uuid',
    field: 'text',
    value: 'text',
    removed: 'boolean',
  }),
  enrichmentUndone: table(['contactId', 'enrichmentId'], { contactId: 'uuid', enrichmentId: 'uuid' }),
  enrichmentContacts: table('contactId', { contactId: 'uuid', enrichable: 'boolean' }),
  enrichments: table(
    'enrichmentId',
    {
      enrichmentId: 'uuid',
      contactId: 'uuid',
      jobId: 'uuid',
      reason: 'text',
      bulkId: 'uuid',
      state: 'text',
      code: 'text',
      message: 'text',
      found: 'integer',
      microUsd: 'count',
      actor: 'text',
      requestedAt: 'instant',
      endedAt: 'instant',
    },
    'contact_id, requested_at, enrichment_id',
    'requested_at, enrichment_id',
    'state, requested_at, enrichment_id',
    'bulk_id, requested_at, enrichment_id',
  ),
  enrichmentCalls: table(['enrichmentId', 'callId'], {
    enrichmentId: 'uuid',
    callId: 'uuid',
    vendor: 'text',
    sent: 'json',
    contentSha256: 'text',
    model: 'text',
    microUsd: 'integer',
    at: 'instant',
  }),
  // The cache of pages: what an address led to, a row each time that it was really asked.
  enrichmentReads: table(
    ['enrichmentId', 'address'],
    { enrichmentId: 'uuid', address: 'text', readAt: 'instant', pages: 'json' },
    '"left"(address, 500), read_at',
  ),
  spendings: table('spendingId', { spendingId: 'uuid', month: 'text', spending: 'json', at: 'instant' }, 'month'),
  enrichmentPolicies: table('policyId', { policyId: 'uuid', sourceOrder: 'json', onCreation: 'boolean', onCreationSince: 'instant' }),
  bulkEnrichments: table('bulkId', {
    bulkId: 'uuid',
    jobId: 'uuid',
    filter: 'json',
    contacts: 'integer',
    microUsd: 'integer',
    requested: 'integer',
    refused: 'integer',
    at: 'instant',
    spreadAt: 'instant',
    owner: 'text',
    team: 'text',
  }),
}
