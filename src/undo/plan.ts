import { contactEvents } from '../../schema/contact-events.ts'
import type { NewEvent } from '../../schema/define.ts'
import type { UndoConflictCode } from '../../schema/undo-events.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { comparePositions, type Position, parsePosition } from '../platform/position.ts'
import type { MergeStep } from './merge-fields.ts'

/** What an undo is about: the events of a command, or of all that has one correlation id; those that were there when it was asked for. */
export type Scope = {
  readonly commandId?: string | undefined
  readonly correlationId?: string | undefined
  /** Of the undo's own first event. */
  readonly before: string
}

export function isOf({ commandId, correlationId, before }: Scope): (event: RecordedEvent) => boolean {
  const end = parsePosition(before) as Position
  return ({ meta, position }) =>
    (commandId === undefined ? meta.$correlationId === correlationId : meta.commandId === commandId) && comparePositions(position, end) < 0
}

/** A field that is put back. */
export type PutBack = { readonly field: string; readonly from: unknown; readonly to: unknown }

/** What stays as it is, and why. @property by the event that made it what it is now */
export type Conflict = {
  readonly field: string
  readonly code: UndoConflictCode
  readonly now: unknown
  readonly by: RecordedEvent | null
}

/** What an undo makes of one stream. @property events what puts it back, in their order */
export type Plan = {
  readonly putBack: readonly PutBack[]
  readonly conflicts: readonly Conflict[]
  readonly events: readonly NewEvent[] /** To be taken back, or made again, before all else. */
  readonly merges: readonly MergeStep[]
}

/** What may be done beside changing contacts. */
export type May = { readonly emails: boolean; readonly enrichment: boolean }

/** Whether what a stream was about was erased; also as long as its key is there. */
export const isErased = (events: readonly RecordedEvent[]): boolean =>
  events.some(({ erased, type }) => erased || type === contactEvents.ContactErased.type)

export const erased = (events: readonly RecordedEvent[]): Plan => ({
  putBack: [],
  conflicts: [{ field: '', code: 'erased', now: null, by: events.findLast(isErasure) ?? null }],
  events: [],
  merges: [],
})

const isErasure = ({ type }: RecordedEvent) => type === contactEvents.ContactErased.type
