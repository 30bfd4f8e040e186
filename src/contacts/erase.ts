import { Type } from '@sinclair/typebox'
import { contactEvents, type Method } from '../../schema/contact-events.ts'
import { Id } from '../../schema/shared.ts'
import { internalCommand } from '../platform/decider.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { contact, existing } from './contact.ts'

/** There is no such contact any more: no table shows it, and every command on it is refused, before its key is destroyed. */
export const eraseContact = internalCommand(contact, 'erase', {
  body: Type.Object({ erasureId: Id }, { additionalProperties: false }),
  decide: ({ erasureId }, state, { id }) => {
    existing(state)
    return [contactEvents.ContactErased({ contactId: id, erasureId })]
  },
})

type Told = Partial<{
  name: string
  methods: Method[]
  method: Method
  known: Method[]
  text: string
  values: { field?: string; value?: unknown }[] | string[]
}>

/** Every way to reach a contact that its events tell of, also those that it has no more. */
const methodsIn = (events: readonly RecordedEvent[]): Method[] =>
  events.flatMap(({ data }) => {
    const { methods = [], method, known = [] } = data as Told
    return [...methods, ...known, ...(method ? [method] : [])]
  })

/** The e-mail addresses that a contact has or had, in their normal form. */
export const everyAddress = (events: readonly RecordedEvent[]): string[] => [
  ...new Set(methodsIn(events).flatMap(({ type, normalized }) => (type === 'email' && normalized ? [normalized] : []))),
]

/** What is shorter than this is found everywhere. */
const MIN_CHARACTERS = 6
const MAX_CHARACTERS = 200
const MAX_VALUES = 1_000

/**
 * What a contact would be recognised by, wherever it was left: names, ways to reach it, notes (a stretch of each). Not what many have in common, such as a
 * company.
 */
export function distinctiveValues(events: readonly RecordedEvent[]): string[] {
  const texts = events.flatMap(({ type, data }) => {
    const { name, text } = data as Told
    return [...(name ? [name] : []), ...(type === contactEvents.NoteAdded.type && text ? [longestLine(text)] : [])]
  })
  const methods = methodsIn(events).flatMap(({ value, normalized, raw }) => [value, normalized ?? '', raw ?? ''])
  const all = [...texts, ...methods].map((text) => text.trim().slice(0, MAX_CHARACTERS))
  return [...new Set(all)].filter((text) => text.length >= MIN_CHARACTERS).slice(0, MAX_VALUES)
}

const longestLine = (text: string): string =>
  text.split(/\r?\n/).reduce((longest, line) => (line.length > longest.length ? line : longest), '')
