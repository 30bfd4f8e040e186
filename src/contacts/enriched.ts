import { Type } from '@sinclair/typebox'
import { contactEvents } from '../../schema/contact-events.ts'
import { EnrichedValue, type Field, fieldNames, fields } from '../../schema/enrichment.ts'
import { Id, line } from '../../schema/shared.ts'
import { command, internalCommand } from '../platform/decider.ts'
import { Refused } from '../platform/refusal.ts'
import { active, type Contact, contact, known } from './contact.ts'
import { type EnrichedState, notEnriched } from './enriched-state.ts'

const {
  ContactEnriched,
  ContactValueAccepted,
  ContactValueRejected,
  ContactFieldSet,
  ContactFieldReleased,
  ContactFieldLocked,
  ContactFieldUnlocked,
  ContactEnrichmentUndone,
  ContactEnrichableChanged,
} = contactEvents

const strict = { additionalProperties: false }
const nothing = Type.Object({}, strict)

const enrichedOf = (state: { enriched?: EnrichedState }) => state.enriched ?? notEnriched

function fieldOf(params: Readonly<Record<string, string>>): Field {
  const field = fieldNames.find((name) => name === params['field'])
  if (!field) throw new Refused('field-not-found', `There is no such field. There are: ${fieldNames.join(', ')}.`, 404)
  return field
}

function proposedOf(state: Contact, params: Readonly<Record<string, string>>) {
  const valueId = params['valueId']!
  const value = enrichedOf(active(state)).values[valueId]
  if (!value) throw new Refused('value-not-found', 'No enrichment of this contact proposed such a value.', 404)
  return { valueId, ...value }
}

/** Records what an enrichment proposes. It is refused where the contact may not be enriched any more. */
export const recordEnriched = internalCommand(contact, 'enriched', {
  body: Type.Object({ enrichmentId: Id, values: Type.Array(EnrichedValue) }, strict),
  decide: ({ enrichmentId, values }, state, { id }) => {
    const { enrichable, enrichments } = enrichedOf(active(state))
    if (enrichments.includes(enrichmentId)) return []
    if (!enrichable) throw notEnrichable()
    return [ContactEnriched({ contactId: id, enrichmentId, values })]
  },
})

export const notEnrichable = () =>
  new Refused('contact-not-enrichable', 'This contact is not to be enriched. Set `enrichable` to true first, if it may be after all.')

/** Whether a contact may be enriched. @throws Refused saying why not */
export function mayBeEnriched(state: Contact): void {
  if (!enrichedOf(active(state)).enrichable) throw notEnrichable()
}

export const acceptContactValue = command(contact, {
  operationId: 'acceptContactValue',
  method: 'POST',
  path: '/contacts/{id}/enrichment/values/{valueId}/accept',
  summary: 'Accept a proposed value: it is shown from now on, whatever later enrichments find',
  body: nothing,
  decide: (_, state, { id, params }) => {
    const { valueId, decision } = proposedOf(state, params)
    return decision === 'accepted' ? [] : [ContactValueAccepted({ contactId: id, valueId })]
  },
})

export const rejectContactValue = command(contact, {
  operationId: 'rejectContactValue',
  method: 'POST',
  path: '/contacts/{id}/enrichment/values/{valueId}/reject',
  summary: 'Reject a proposed value: it is not shown, nor is the same value when it is found again',
  body: nothing,
  decide: (_, state, { id, params }) => {
    const { valueId, decision } = proposedOf(state, params)
    return decision === 'rejected' ? [] : [ContactValueRejected({ contactId: id, valueId })]
  },
})

const MAX_VALUES = 50

export const setContactField = command(contact, {
  operationId: 'setContactField',
  method: 'PUT',
  path: '/contacts/{id}/fields/{field}',
  summary: 'Say what a field is: no enrichment changes it; an empty list says that there is nothing',
  body: Type.Object(
    {
      values: Type.Array(line(2_000, ['Head of Operations']), {
        maxItems: MAX_VALUES,
        description: 'One at most, where a field has one value.',
      }),
    },
    strict,
  ),
  decide: (body, state, { id, params }) => {
    const field = fieldOf(params)
    const values = [...new Set(body.values.map((value) => value.trim()))]
    if (field === 'company')
      throw new Refused('field-elsewhere', 'The company is a field of the contact itself: PATCH /v1/contacts/{id}.', 422)
    if (fields[field].single && values.length > 1) throw new Refused('field-single', `There is one ${field} at most.`, 422)
    const { own } = enrichedOf(active(state))
    return JSON.stringify(own[field]) === JSON.stringify(values) ? [] : [ContactFieldSet({ contactId: id, field, values })]
  },
})

export const releaseContactField = command(contact, {
  operationId: 'releaseContactField',
  method: 'DELETE',
  path: '/contacts/{id}/fields/{field}',
  summary: 'Take back what was said of a field: what enrichment found counts again',
  body: nothing,
  decide: (_, state, { id, params }) => {
    const field = fieldOf(params)
    return enrichedOf(active(state)).own[field] === undefined ? [] : [ContactFieldReleased({ contactId: id, field })]
  },
})

export const lockContactField = command(contact, {
  operationId: 'lockContactField',
  method: 'PUT',
  path: '/contacts/{id}/locks/{field}',
  summary: 'Lock a field: what is shown of it stays, whatever enrichments propose, have proposed before, or come to count for',
  body: nothing,
  decide: (body, state, { id, params }) => {
    const field = fieldOf(params)
    // Put in by what knows it (src/enrichment/lock-field.ts), not by who asks.
    const { shown } = body as { shown?: readonly string[] }
    const { locked, values } = enrichedOf(active(state))
    if (locked.includes(field)) return []
    return [
      ContactFieldLocked({ contactId: id, field, ...(shown && { shown: shown.filter((valueId) => values[valueId]?.field === field) }) }),
    ]
  },
})

export const unlockContactField = command(contact, {
  operationId: 'unlockContactField',
  method: 'DELETE',
  path: '/contacts/{id}/locks/{field}',
  summary: 'Unlock a field',
  body: nothing,
  decide: (_, state, { id, params }) => {
    const field = fieldOf(params)
    return enrichedOf(active(state)).locked.includes(field) ? [ContactFieldUnlocked({ contactId: id, field })] : []
  },
})

export const undoContactEnrichment = command(contact, {
  operationId: 'undoContactEnrichment',
  method: 'POST',
  path: '/contacts/{id}/enrichments/{enrichmentId}/undo',
  summary: 'Undo a whole enrichment: none of its values counts any more, but those that somebody accepted',
  body: nothing,
  decide: (_, state, { id, params }) => {
    const { enrichments, undone } = enrichedOf(active(state))
    const enrichmentId = params['enrichmentId']!
    if (!enrichments.includes(enrichmentId))
      throw new Refused('enrichment-not-found', 'No such enrichment proposed anything for this contact.', 404)
    return undone.includes(enrichmentId) ? [] : [ContactEnrichmentUndone({ contactId: id, enrichmentId })]
  },
})

export const setContactEnrichable = command(contact, {
  operationId: 'setContactEnrichable',
  method: 'PUT',
  path: '/contacts/{id}/enrichable',
  summary: 'Say whether a contact may be enriched; false keeps every vendor from hearing of it',
  body: Type.Object({ enrichable: Type.Boolean() }, { ...strict, examples: [{ enrichable: false }] }),
  decide: ({ enrichable }, state, { id }) =>
    enrichedOf(known(state)).enrichable === enrichable ? [] : [ContactEnrichableChanged({ contactId: id, enrichable })],
})
