import type { contactEvents, Method } from '../schema/contact-events.ts'
import { type Field, fieldNames } from '../schema/enrichment.ts'
import type { RecordedEvent } from '../src/platform/event.ts'
import type { RowWrite, TablesOf } from '../src/platform/projection.ts'
import type { enrichmentTables } from './enrichment-tables.ts'

type Tables = TablesOf<typeof enrichmentTables>
type Data<T extends 'ContactMerged' | 'ContactUnmerged'> = ReturnType<(typeof contactEvents)[T]>['data']

/** The field that a method of a contact is a value of, if any. */
const fieldOfMethod: Partial<Record<Method['type'], Field>> = { phone: 'phones', url: 'website', social: 'socialProfiles' }

export const isField = ({ type }: Method) => fieldOfMethod[type] !== undefined
export const fieldColumnsOf = ({ id, type, value }: Method) => ({ methodId: id, field: fieldOfMethod[type]!, value, removed: false })

/** What a merge brings, as if the contact had heard of it before all else. */
export function broughtBy(tables: Tables, data: Data<'ContactMerged'>, { revision }: RecordedEvent): RowWrite[] {
  const { contactId, from, values, words, methods, company, enrichable } = data
  const { enrichmentValues, enrichmentMergedWords, enrichmentMethods, enrichmentContacts, enrichmentFields } = tables
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
    ...methods.filter(isField).map((method) => enrichmentMethods.put({ contactId, ...fieldColumnsOf(method) })),
    ...(company === undefined
      ? []
      : [enrichmentFields.merge({ contactId, field: 'company', own: company === null ? [] : [company], ownIn: revision })]),
    ...(enrichable === undefined ? [] : [enrichmentContacts.put({ contactId, enrichable })]),
  ]
}

/** What goes again with who leaves. */
export function takenBackBy(tables: Tables, data: Data<'ContactUnmerged'>, { revision }: RecordedEvent): RowWrite[] {
  const { contactId, from, methodIds, methods, valueIds, company, enrichable } = data
  const { enrichmentValues, enrichmentMergedWords, enrichmentMethods, enrichmentContacts, enrichmentFields } = tables
  return [
    ...fieldNames.map((field) => enrichmentMergedWords.remove({ contactId, field, fromId: from })),
    ...valueIds.map((valueId) => enrichmentValues.remove({ contactId, valueId })),
    ...methodIds.map((methodId) => enrichmentMethods.remove({ contactId, methodId })),
    ...methods.filter(isField).map((method) => enrichmentMethods.put({ contactId, ...fieldColumnsOf(method) })),
    // That there was none before does not mean that somebody had said so.
    ...(company === undefined ? [] : [enrichmentFields.merge({ contactId, field: 'company', own: company && [company], ownIn: revision })]),
    ...(enrichable === undefined ? [] : [enrichmentContacts.put({ contactId, enrichable })]),
  ]
}
