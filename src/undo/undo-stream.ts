import { type Static, Type } from '@sinclair/typebox'
import { Id, PositionText } from '../../schema/shared.ts'
import { contact, isSeen } from '../contacts/contact.ts'
import { type Decider, internalCommand } from '../platform/decider.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { fold } from '../platform/runner.ts'
import { isErased, isOf, type Plan } from './plan.ts'
import { planContact } from './plan-contact.ts'
import { planDuplicate } from './plan-duplicate.ts'
import { planEmail } from './plan-email.ts'

type Events = readonly RecordedEvent[]

/** What has to be known of a stream to undo something in it is all that happened: its state is its events. They are gathered in place; each fold has its own. */
const eventsOf = (category: string, isVisible?: Decider<Events>['isVisible']): Decider<Events> => ({
  category,
  initial: [],
  evolve: (events, event) => {
    if (events.length === 0) return [event as RecordedEvent]
    ;(events as RecordedEvent[]).push(event as RecordedEvent)
    return events
  },
  isErased,
  ...(isVisible && { isVisible }),
})

const Asked = Type.Object(
  {
    commandId: Type.Optional(Id),
    correlationId: Type.Optional(Id),
    before: PositionText,
    may: Type.Object({ emails: Type.Boolean(), enrichment: Type.Boolean() }),
    /** Addresses that somebody else has by now. */
    taken: Type.Array(Type.String()),
    /** For a dry run: what the undone events merged would be unmerged by then. */
    isReleased: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
)
export type Asked = Static<typeof Asked>

const plans: Readonly<Record<string, (id: string, events: Events, asked: Asked) => Plan>> = {
  contact: (id, events, asked) => planContact(id, events, isOf(asked), asked),
  email: (id, events, asked) => planEmail(id, events, isOf(asked)),
  duplicate: (_id, events, asked) => planDuplicate(events, isOf(asked)),
}

/** What an undo makes of a stream with these events. Pure. */
export const planOf = (category: string, id: string, events: Events, asked: Asked): Plan => plans[category]!(id, events, asked)

/** Puts back what can be, at the revision at which it was found out that it can. */
const undoIn = (decider: Decider<Events>) =>
  internalCommand(decider, 'undo', {
    body: Asked,
    decide: (asked, events, { id }) => planOf(decider.category, id, events, asked).events,
  })

export const undoCommands = {
  contact: undoIn(eventsOf('contact', (events, viewer) => isErased(events) || isSeen(fold(contact, events), viewer))),
  email: undoIn(eventsOf('email')),
  duplicate: undoIn(eventsOf('duplicate')),
} as const
export type UndoableCategory = keyof typeof undoCommands
export const isUndoable = (category: string): category is UndoableCategory => Object.hasOwn(undoCommands, category)
