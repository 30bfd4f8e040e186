import { Type } from '@sinclair/typebox'
import { contactEvents } from '../../schema/contact-events.ts'
import { type Context, command } from '../platform/decider.ts'
import { type Contact, contact, known } from './contact.ts'

const { ContactArchived, ContactRestored } = contactEvents
const strict = { additionalProperties: false }

const archive = {
  body: Type.Object({}, strict),
  decide: (_: object, state: Contact, { id }: Context) => (known(state).status === 'active' ? [ContactArchived({ contactId: id })] : []),
}

export const archiveContact = command(contact, {
  operationId: 'archiveContact',
  method: 'POST',
  path: '/contacts/{id}/archive',
  summary: 'Archive a contact',
  ...archive,
})

export const deleteContact = command(contact, {
  operationId: 'deleteContact',
  method: 'DELETE',
  path: '/contacts/{id}',
  summary: 'Archive a contact: what was recorded is never deleted',
  ...archive,
})

export const restoreContact = command(contact, {
  operationId: 'restoreContact',
  method: 'POST',
  path: '/contacts/{id}/restore',
  summary: 'Restore an archived contact',
  body: Type.Object({}, strict),
  decide: (_, state, { id }) => (known(state).status === 'active' ? [] : [ContactRestored({ contactId: id })]),
})
