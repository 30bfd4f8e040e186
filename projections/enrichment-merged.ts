import type { contactEvents } from '../schema/contact-events.ts'
import type { RowWrite } from '../src/platform/projection.ts'
// Used only once both are loaded.
import { enrichment } from './enrichment.ts'
import { columnsOf, isField } from './enrichment-methods.ts'

/** What a merge brings, as if the contact had heard of it before all else. */
export function broughtBy({ contactId, from, values, words, methods, company, enrichable }: Merged, revision: number): RowWrite[] {
  const { enrichmentValues, enrichmentMergedWords, enrichmentMethods, enrichmentContacts, enrichmentFields } = enrichment.tables
  return [
    ...values.map(({ id, field, enrichmentId, proposedAt, order, decision, decidedIn, ...details }, place) =>
      enrichmentValues.put({
        contactId,
        valueId: id,
        enrichmentId,
        field,
        details,
        proposedAt,
        proposedIn: order,
        place,
        decision: decision ?? null,
        decidedIn: decidedIn ?? null,
      }),
    ),
    ...words.map(({ field, values, order }) =>
      enrichmentMergedWords.put({ contactId, fromId: from, field, own: values, ownIn: order ?? revision }),
    ),
    ...methods.filter(isField).map((method) => enrichmentMethods.put({ contactId, ...columnsOf(method) })),
    ...(company === undefined
      ? []
      : [enrichmentFields.merge({ contactId, field: 'company', own: company === null ? [] : [company], ownIn: revision })]),
    ...(enrichable === undefined ? [] : [enrichmentContacts.put({ contactId, enrichable })]),
  ]
}
type Merged = ReturnType<typeof contactEvents.ContactMerged>['data']
