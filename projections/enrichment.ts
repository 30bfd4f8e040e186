import { contactEvents, type Method } from '../schema/contact-events.ts'
import { ENRICHMENT_REACTOR, type Field } from '../schema/enrichment.ts'
import { bulkEnrichmentEvents, enrichmentEvents, enrichmentPolicyEvents, spendingEvents } from '../schema/enrichment-events.ts'
import { projection } from '../src/platform/projection.ts'
import { reactorJobId } from '../src/platform/reactor.ts'
import { enrichmentTables } from './enrichment-tables.ts'

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
  tables: enrichmentTables,
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
