import { Type } from '@sinclair/typebox'
import { contactEvents } from '../../schema/contact-events.ts'
import { line } from '../../schema/shared.ts'
import { command } from '../platform/decider.ts'
import { contact, known } from './contact.ts'

export const addNote = command(contact, {
  operationId: 'addNote',
  method: 'POST',
  path: '/contacts/{id}/notes',
  summary: 'Write a note about a contact',
  body: Type.Object({ text: line(100_000, ['Met at the Royal Society.']) }, { additionalProperties: false }),
  success: 201,
  decide: ({ text }, state, { id, newId }) => {
    known(state)
    return [contactEvents.NoteAdded({ contactId: id, noteId: newId(0), text })]
  },
})
