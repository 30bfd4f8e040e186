import { type Static, Type } from '@sinclair/typebox'
import { type UndoCounts, UndoCursor, UndoOutcome, undoEvents, undoOutcomes } from '../../schema/undo-events.ts'
import { decider, internalCommand } from '../platform/decider.ts'
import { Refused } from '../platform/refusal.ts'

const { UndoStarted, UndoProgressed, UndoEnded } = undoEvents

/** @property done how many streams have their outcome @property cursor before which entry of the log they are */
export type Undo =
  | { status: 'unknown' }
  | { status: 'running' | 'finished'; done: number; counts: UndoCounts; cursor: Static<typeof UndoCursor> | null }

export const noCounts = Object.fromEntries(undoOutcomes.map((outcome) => [outcome, 0])) as UndoCounts

/** Each event says all from the beginning on, as those of an import do, so the newest alone is the state. */
export const undo = decider<Undo, typeof undoEvents>(
  'undo',
  undoEvents,
  { status: 'unknown' },
  {
    UndoStarted: () => ({ status: 'running', done: 0, counts: noCounts, cursor: null }),
    UndoProgressed: (_, { done, counts, cursor }) => ({ status: 'running', done, counts, cursor }),
    UndoEnded: (_, { done, counts }) => ({ status: 'finished', done, counts, cursor: null }),
  },
)

const strict = { additionalProperties: false }
const { undoId: _id, ...started } = UndoStarted.schema.properties

export const startUndo = internalCommand(undo, 'start', {
  fromLast: true,
  body: Type.Object(started, strict),
  decide: (body, { status }, { id }) => (status === 'unknown' ? [UndoStarted({ undoId: id, ...body })] : []),
})

/** Another run of the undo went on with it meanwhile. Looking again, from where it is now, helps. */
const elsewhere = () => new Refused('undo-elsewhere', 'Another run has gone on with this undo.', 409, {}, 1)

const running = (state: Undo) => {
  if (state.status !== 'running') throw new Refused('undo-not-running', 'This undo is not under way.')
  return state
}

/** Records what became of the streams that come next. @property from how many had their outcome before */
export const recordUndone = internalCommand(undo, 'progress', {
  fromLast: true,
  body: Type.Object(
    { from: Type.Integer({ minimum: 0 }), cursor: UndoCursor, outcomes: Type.Array(UndoOutcome, { minItems: 1, maxItems: 500 }) },
    strict,
  ),
  decide: ({ from, cursor, outcomes }, state, { id }) => {
    const { done, counts } = running(state)
    if (from !== done) throw elsewhere()
    const added = { ...counts }
    for (const { outcome } of outcomes) added[outcome] += 1
    return [UndoProgressed({ undoId: id, done: done + outcomes.length, counts: added, cursor, outcomes })]
  },
})

export const endUndo = internalCommand(undo, 'end', {
  fromLast: true,
  body: Type.Object({ done: Type.Integer({ minimum: 0 }) }, strict),
  decide: ({ done }, state, { id }) => {
    if (state.status === 'finished') return []
    const { counts, ...at } = running(state)
    if (at.done !== done) throw elsewhere()
    return [UndoEnded({ undoId: id, done, counts })]
  },
})
