import { UNDO_REACTOR } from '../../schema/undo.ts'
import { undoEvents } from '../../schema/undo-events.ts'
import { reactor } from '../platform/reactor.ts'

export const undoOnStarted = reactor({
  name: UNDO_REACTOR,
  events: undoEvents,
  on: { UndoStarted: ({ undoId }) => [{ queue: 'undo', key: undoId, data: { undoId } }] },
})
