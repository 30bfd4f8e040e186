import { contactEvents } from '../schema/contact-events.ts'
import { ENRICHMENT_REACTOR } from '../schema/enrichment.ts'
import {
  bulkEnrichmentEvents,
  enrichmentEvents,
  enrichmentPolicyEvents,
  type SpendingEvent,
  spendingEvents,
} from '../schema/enrichment-events.ts'
import { projection, type RowWrite } from '../src/platform/projection.ts'
import { reactorJobId } from '../src/platform/reactor.ts'
import { enrichmentTables } from './enrichment-tables.ts'
import { broughtBy, fieldColumnsOf, isField, takenBackBy } from './merged-enrichment.ts'

const {
  ContactCreated,
  ContactCompanyChanged,
  ContactMethodAdded,
  ContactMethodRemoved,
  ContactEnriched,
  ContactValueAccepted,
  ContactValueRejected,
  ContactValueReopened,
  ContactFieldSet,
  ContactFieldReleased,
  ContactFieldLocked,
  ContactFieldUnlocked,
  ContactEnrichmentUndone,
  ContactEnrichmentRedone,
  ContactEnrichableChanged,
  ContactMerged,
  ContactUnmerged,
  ContactUnmergedFrom,
  ContactErased,
} = contactEvents

/**
 * What enrichment proposed, and what people say: the facts from which shown-values.ts makes what is shown, whenever it is asked; so that another order of
 * sources needs no row written. And what enrichments were asked for, what they cost, and the pages that they read.
 */
export const enrichment = projection({
  name: 'enrichment',
  version: 3,
  tables: enrichmentTables,
  events: {
    ContactCreated,
    ContactCompanyChanged,
    ContactMethodAdded,
    ContactMethodRemoved,
    ContactEnriched,
    ContactValueAccepted,
    ContactValueRejected,
    ContactValueReopened,
    ContactFieldSet,
    ContactFieldReleased,
    ContactFieldLocked,
    ContactFieldUnlocked,
    ContactEnrichmentUndone,
    ContactEnrichmentRedone,
    ContactEnrichableChanged,
    ContactMerged,
    ContactUnmerged,
    ContactUnmergedFrom,
    ContactErased,
    ...enrichmentEvents,
    ...bulkEnrichmentEvents,
    ...enrichmentPolicyEvents,
    ...spendingEvents,
  },
  on: {
    ContactCreated: ({ enrichmentFields, enrichmentMethods }, { contactId, company, methods }, { revision }) => [
      ...(company ? [enrichmentFields.merge({ contactId, field: 'company', own: [company], ownIn: revision })] : []),
      ...methods.filter(isField).map((method) => enrichmentMethods.put({ contactId, ...fieldColumnsOf(method) })),
    ],
    ContactCompanyChanged: ({ enrichmentFields }, { contactId, company, since }, { revision }) => [
      enrichmentFields.merge({ contactId, field: 'company', own: company === null ? [] : [company], ownIn: since ?? revision }),
    ],
    ContactMethodAdded: ({ enrichmentMethods }, { contactId, method }) =>
      isField(method) ? [enrichmentMethods.put({ contactId, ...fieldColumnsOf(method) })] : [],
    ContactMethodRemoved: ({ enrichmentMethods }, { contactId, methodId, undone }) => [
      undone ? enrichmentMethods.remove({ contactId, methodId }) : enrichmentMethods.patch({ contactId, methodId, removed: true }),
    ],
    ContactEnriched: ({ enrichmentValues }, { contactId, enrichmentId, values }, { revision, meta }) =>
      values.map(({ id, field, ...details }, place) =>
        enrichmentValues.put({ contactId, valueId: id, enrichmentId, field, details, proposedAt: meta.at, proposedIn: revision, place }),
      ),
    ContactValueAccepted: ({ enrichmentValues }, { contactId, valueId, since }, { revision }) => [
      enrichmentValues.patch({ contactId, valueId, decision: 'accepted', decidedIn: since ?? revision }),
    ],
    ContactValueRejected: ({ enrichmentValues }, { contactId, valueId, since }, { revision }) => [
      enrichmentValues.patch({ contactId, valueId, decision: 'rejected', decidedIn: since ?? revision }),
    ],
    ContactValueReopened: ({ enrichmentValues }, { contactId, valueId }) => [
      enrichmentValues.patch({ contactId, valueId, decision: null, decidedIn: null }),
    ],
    ContactFieldSet: ({ enrichmentFields }, { contactId, field, values, since }, { revision }) => [
      enrichmentFields.merge({ contactId, field, own: values, ownIn: since ?? revision }),
    ],
    ContactFieldReleased: ({ enrichmentFields, enrichmentMergedWords }, { contactId, field }) => [
      enrichmentFields.merge({ contactId, field, own: null }),
      enrichmentMergedWords.remove({ contactId, field }),
    ],
    ContactFieldLocked: ({ enrichmentFields }, { contactId, field, shown, since }, { revision }) => [
      enrichmentFields.merge({ contactId, field, lockedIn: since ?? revision, shown: shown ?? null }),
    ],
    ContactFieldUnlocked: ({ enrichmentFields }, { contactId, field }) => [
      enrichmentFields.merge({ contactId, field, lockedIn: null, shown: null }),
    ],
    ContactEnrichmentUndone: ({ enrichmentUndone }, { contactId, enrichmentId }) => [enrichmentUndone.put({ contactId, enrichmentId })],
    ContactEnrichmentRedone: ({ enrichmentUndone }, { contactId, enrichmentId }) => [enrichmentUndone.remove({ contactId, enrichmentId })],
    ContactEnrichableChanged: ({ enrichmentContacts }, { contactId, enrichable }) => [enrichmentContacts.put({ contactId, enrichable })],
    ContactMerged: (tables, data, event) => broughtBy(tables, data, event),
    ContactUnmerged: (tables, data, event) => takenBackBy(tables, data, event),
    // All else of it is there still: nobody is shown what is known of one that is part of another.
    ContactUnmergedFrom: ({ enrichmentMethods }, { contactId, withheld }) =>
      withheld.map((methodId) => enrichmentMethods.patch({ contactId, methodId, removed: true })),
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
    VendorCallReserved: (_tables, data, { meta }) => [spent(data, meta.at)],
    VendorCallSettled: (_tables, data, { meta }) => [spent(data, meta.at)],
    VendorFaltered: (_tables, data, { meta }) => [spent(data, meta.at)],
  },
})

const spent = ({ spendingId, month, spending }: SpendingEvent['data'], at: string): RowWrite =>
  enrichment.tables.spendings.put({ spendingId, month, spending, at })
const idOf = ({ stream }: { stream: string }) => stream.slice(stream.indexOf('-') + 1)
const ofContacts = [
  'enrichmentValues',
  'enrichmentFields',
  'enrichmentMergedWords',
  'enrichmentMethods',
  'enrichmentUndone',
  'enrichmentContacts',
] as const
const ofEnrichments = ['enrichments', 'enrichmentCalls', 'enrichmentReads'] as const
