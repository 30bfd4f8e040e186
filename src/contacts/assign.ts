import { Type } from '@sinclair/typebox'
import { OwnerName } from '../../schema/access.ts'
import { contactEvents } from '../../schema/contact-events.ts'
import { nullable } from '../../schema/shared.ts'
import { command } from '../platform/decider.ts'
import { contact, known } from './contact.ts'

const { ContactAssigned } = contactEvents

export const assignContact = command(contact, {
  operationId: 'assignContact',
  method: 'POST',
  path: '/contacts/{id}/assign',
  summary: 'Give a contact to somebody: who sees only his own, or those of his team, sees it by that; null to nobody',
  body: Type.Object(
    { owner: nullable(OwnerName), team: Type.Optional(nullable(OwnerName)) },
    { additionalProperties: false, examples: [{ owner: 'ada', team: 'engines' }] },
  ),
  decide: ({ owner, team = null }, state, { id }) => {
    const contact = known(state)
    return contact.owner === owner && contact.team === team ? [] : [ContactAssigned({ contactId: id, owner, team })]
  },
})
