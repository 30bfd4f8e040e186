import { contactEvents, type Method } from '../schema/contact-events.ts'
import { ENRICHMENT_REACTOR, type Field } from '../schema/enrichment.ts'
import { bulkEnrichmentEvents, enrichmentEvents, enrichmentPolicyEvents, spendingEvents } from '../schema/enrichment-events.ts'
import { projection, table } from '../src/platform/projection.ts'
import { reactorJobId } from '../src/platform/reactor.ts'

const {
  ContactCreated,
  ContactCompanyChanged,
  ContactMethodAdded,
  ContactMethodRemoved,
  ContactEnriched,
  ContactValueAccepted,
  ContactValueRejected,
  ContactFieldSet,
  ContactFieldReleased,
  ContactFieldLocked,
  ContactFieldUnlocked,
  ContactEnrichmentUndone,
  ContactEnrichableChanged,
  ContactErased,
} = contactEvents
/**
 * What enrichment proposed, and what people say: the facts from which shown-values.ts makes what is shown, whenever it is asked; so that another order of
 * sources needs no row written. And what enrichments were asked for, what they cost, and the pages that they read.
 */
export const enrichment = projection({
  name: 'enrichment',
  version: 2,
  tables: {
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
  },
  events: {
    ContactCreated,
    ContactCompanyChanged,
    ContactMethodAdded,
    ContactMethodRemoved,
    ContactEnriched,
    ContactValueAccepted,
    ContactValueRejected,
    ContactFieldSet,
    ContactFieldReleased,
    ContactFieldLocked,
    ContactFieldUnlocked,
    ContactEnrichmentUndone,
    ContactEnrichableChanged,
    ContactErased,
    ...enrichmentEvents,
    ...bulkEnrichmentEvents,
    ...enrichmentPolicyEvents,
    ...spendingEvents,
  },
  on: {
    ContactCreated: ({ enrichmentFields, enrichmentMethods }, { contactId, company, methods }, { revision }) => [
      ...(company ? [enrichmentFields.merge({ contactId, field: 'company', own: [company], ownIn: revision })] : []),
      ...methods.filter(isField).map((method) => enrichmentMethods.put({ contactId, ...columnsOf(method) })),
    ],
    ContactCompanyChanged: ({ enrichmentFields }, { contactId, company }, { revision }) => [
      enrichmentFields.merge({ contactId, field: 'company', own: company === null ? [] : [company], ownIn: revision }),
    ],
    ContactMethodAdded: ({ enrichmentMethods }, { contactId, method }) =>
      isField(method) ? [enrichmentMethods.put({ contactId, ...columnsOf(method) })] : [],
    ContactMethodRemoved: ({ enrichmentMethods }, { contactId, methodId }) => [
      enrichmentMethods.patch({ contactId, methodId, removed: true }),
    ],
    ContactEnriched: ({ enrichmentValues }, { contactId, enrichmentId, values }, { revision, meta }) =>
      values.map(({ id, field, ...details }, place) =>
        enrichmentValues.put({ contactId, valueId: id, enrichmentId, field, details, proposedAt: meta.at, proposedIn: revision, place }),
      ),
    ContactValueAccepted: ({ enrichmentValues }, { contactId, valueId }, { revision }) => [
      enrichmentValues.patch({ contactId, valueId, decision: 'accepted', decidedIn: revision }),
    ],
    ContactValueRejected: ({ enrichmentValues }, { contactId, valueId }, { revision }) => [
      enrichmentValues.patch({ contactId, valueId, decision: 'rejected', decidedIn: revision }),
    ],
    ContactFieldSet: ({ enrichmentFields }, { contactId, field, values }, { revision }) => [
      enrichmentFields.merge({ contactId, field, own: values, ownIn: revision }),
    ],
    ContactFieldReleased: ({ enrichmentFields }, { contactId, field }) => [enrichmentFields.merge({ contactId, field, own: null })],
    ContactFieldLocked: ({ enrichmentFields }, { contactId, field, shown }, { revision }) => [
      enrichmentFields.merge({ contactId, field, lockedIn: revision, shown: shown ?? null }),
    ],
    ContactFieldUnlocked: ({ enrichmentFields }, { contactId, field }) => [
      enrichmentFields.merge({ contactId, field, lockedIn: null, shown: null }),
    ],
    ContactEnrichmentUndone: ({ enrichmentUndone }, { contactId, enrichmentId }) => [enrichmentUndone.put({ contactId, enrichmentId })],
    ContactEnrichableChanged: ({ enrichmentContacts }, { contactId, enrichable }) => [enrichmentContacts.put({ contactId, enrichable })],
    ContactErased: (tables, { contactId }) => ofContacts.map((table) => tables[table].remove({ contactId })),
    EnrichmentErased: (tables, { enrichmentId }) => ofEnrichments.map((table) => tables[table].remove({ enrichmentId })),
    EnrichmentRequested: ({ enrichments }, { enrichmentId, contactId, reason, bulkId }, { id, meta }) => [
      enrichments.put({
        enrichmentId,
        contactId,
        jobId: reactorJobId(ENRICHMENT_REACTOR, id),
        reason,
        bulkId: bulkId ?? null,
        state: 'waiting',
        found: 0,
        actor: meta.actor,
        requestedAt: meta.at,
      }),
    ],
    EnrichmentCallIntended: ({ enrichments, enrichmentCalls }, { enrichmentId, callId, vendor, sent, contentSha256, model }, { meta }) => [
      enrichments.patch({ enrichmentId, state: 'running' }),
      enrichmentCalls.put({ enrichmentId, callId, vendor, sent, contentSha256, model: model ?? null, at: meta.at }),
    ],
    EnrichmentCallBegun: () => [],
    EnrichmentCallDeferred: ({ enrichmentCalls }, { enrichmentId, callId }) => [enrichmentCalls.remove({ enrichmentId, callId })],
    EnrichmentPagesRead: (
      { enrichments, enrichmentCalls, enrichmentReads },
      { enrichmentId, callId, costMicroUsd, asked, pages, readAt },
    ) => [
      enrichments.patch({ enrichmentId, state: 'running', microUsd: costMicroUsd }),
      ...(callId ? [enrichmentCalls.patch({ enrichmentId, callId, microUsd: costMicroUsd })] : []),
      ...asked.map((address) =>
        enrichmentReads.put({ enrichmentId, address, readAt, pages: pages.filter((page) => page.asked === address && !page.cachedFrom) }),
      ),
    ],
    EnrichmentAnswered: ({ enrichments, enrichmentCalls }, { enrichmentId, callId, costMicroUsd }) => [
      enrichments.patch({ enrichmentId, microUsd: costMicroUsd }),
      enrichmentCalls.patch({ enrichmentId, callId, microUsd: costMicroUsd }),
    ],
    EnrichmentCompleted: ({ enrichments }, { enrichmentId, values }, { meta }) => [
      enrichments.patch({ enrichmentId, state: 'enriched', found: values, endedAt: meta.at }),
    ],
    EnrichmentFailed: ({ enrichments }, { enrichmentId, code, message, costMicroUsd }, { meta }) => [
      enrichments.patch({ enrichmentId, state: 'failed', code, message, microUsd: costMicroUsd, endedAt: meta.at }),
    ],
    BulkEnrichmentRequested: ({ bulkEnrichments }, { bulkId, filter, contacts, estimatedMicroUsd, viewer }, { id, meta }) => [
      bulkEnrichments.put({
        bulkId,
        jobId: reactorJobId(ENRICHMENT_REACTOR, id),
        filter,
        contacts,
        microUsd: estimatedMicroUsd,
        requested: 0,
        refused: 0,
        at: meta.at,
        owner: viewer?.owner ?? null,
        team: viewer?.team ?? null,
      }),
    ],
    BulkEnrichmentSpread: ({ bulkEnrichments }, { bulkId, requested, refused }, { meta }) => [
      bulkEnrichments.patch({ bulkId, requested, refused, spreadAt: meta.at }),
    ],
    EnrichmentSourcesOrdered: ({ enrichmentPolicies }, { order }, event) => [
      enrichmentPolicies.merge({ policyId: idOf(event), sourceOrder: order }),
    ],
    EnrichmentOnCreationChanged: ({ enrichmentPolicies }, { onCreation }, event) => [
      enrichmentPolicies.merge({ policyId: idOf(event), onCreation, onCreationSince: onCreation ? event.meta.at : null }),
    ],
    VendorCallReserved: ({ spendings }, { spendingId, month, spending }, { meta }) => [
      spendings.put({ spendingId, month, spending, at: meta.at }),
    ],
    VendorCallSettled: ({ spendings }, { spendingId, month, spending }, { meta }) => [
      spendings.put({ spendingId, month, spending, at: meta.at }),
    ],
    VendorFaltered: ({ spendings }, { spendingId, month, spending }, { meta }) => [
      spendings.put({ spendingId, month, spending, at: meta.at }),
    ],
  },
})

/** The field that a method of a contact is a value of, if any. */
const fieldOfMethod: Partial<Record<Method['type'], Field>> = { phone: 'phones', url: 'website', social: 'socialProfiles' }
const isField = ({ type }: Method) => fieldOfMethod[type] !== undefined
const columnsOf = ({ id, type, value }: Method) => ({ methodId: id, field: fieldOfMethod[type]!, value, removed: false })
const idOf = ({ stream }: { stream: string }) => stream.slice(stream.indexOf('-') + 1)
const ofContacts = ['enrichmentValues', 'enrichmentFields', 'enrichmentMethods', 'enrichmentUndone', 'enrichmentContacts'] as const
const ofEnrichments = ['enrichments', 'enrichmentCalls', 'enrichmentReads'] as const
