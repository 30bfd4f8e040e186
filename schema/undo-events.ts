import { type Static, Type } from '@sinclair/typebox'
import { type EventOf, events, personal } from './define.ts'
import { Viewer } from './import-events.ts'
import { Id, Instant, oneOf, PositionText } from './shared.ts'

export const undoOutcomes = ['undone', 'partly', 'conflict', 'unchanged', 'kept', 'absent'] as const
export type UndoOutcomeKind = (typeof undoOutcomes)[number]

export const undoConflictCodes = [
  'changed-since',
  'address-taken',
  'address-suppressed',
  'merged',
  'merge-refused',
  'there-already',
  'brought-elsewhere',
  'content-gone',
  'not-allowed',
  'erased',
] as const
export type UndoConflictCode = (typeof undoConflictCodes)[number]

/** How many streams came to which end, from the beginning on. */
export const UndoCounts = Type.Object(
  Object.fromEntries(undoOutcomes.map((outcome) => [outcome, Type.Integer({ minimum: 0 })])) as Record<
    UndoOutcomeKind,
    ReturnType<typeof Type.Integer>
  >,
)
export type UndoCounts = Static<typeof UndoCounts>

/**
 * What became of one stream. Of what it says only the names of fields: what they were and are is asked of the stream itself, up to `revision`, so that who is
 * erased is erased here too.
 */
export const UndoOutcome = Type.Object({
  stream: Type.String(),
  outcome: oneOf(undoOutcomes),
  /** The stream's newest event that it was decided by. */
  revision: Type.Optional(Type.Integer({ minimum: 0 })),
  fields: Type.Array(Type.String()),
  conflicts: Type.Array(
    Type.Object({
      field: Type.String(),
      code: oneOf(undoConflictCodes),
      /** What made it what it is now. */
      eventId: Type.Optional(Id),
      /** Of a taken address: the contact that has it. */
      owner: Type.Optional(Id),
    }),
  ),
  /** Of what is kept: why it can't be undone. */
  code: Type.Optional(Type.String()),
})
export type UndoOutcome = Static<typeof UndoOutcome>

/** Before which entry of the log all streams have their outcome; the newest come first. */
export const UndoCursor = Type.Object({ recordedAt: Instant, position: PositionText })
export type UndoCursor = Static<typeof UndoCursor>

const progress = { done: Type.Integer({ minimum: 0 }), counts: UndoCounts }

// Stored for ever: a field may be added as optional, never renamed or retyped.
export const undoEvents = events({
  /** Of the two ids it has one. `dryRun`: it is only found out what would be done. */
  UndoStarted: {
    undoId: Id,
    commandId: Type.Optional(Id),
    correlationId: Type.Optional(Id),
    dryRun: Type.Boolean(),
    /** What the one who asked may change beside contacts. */
    may: Type.Object({ emails: Type.Boolean(), enrichment: Type.Boolean() }),
    /** Whose it is, and what he sees: nothing else is touched. */
    viewer: personal(Viewer),
  },
  UndoProgressed: { undoId: Id, ...progress, cursor: UndoCursor, outcomes: Type.Array(UndoOutcome, { maxItems: 500 }) },
  UndoEnded: { undoId: Id, ...progress },
})
export type UndoEvent = EventOf<typeof undoEvents>
