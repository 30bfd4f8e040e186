import { IMPORT_REACTOR } from '../../schema/import.ts'
import { importEvents } from '../../schema/import-events.ts'
import { reactor } from '../platform/reactor.ts'

export const importOnStarted = reactor({
  name: IMPORT_REACTOR,
  events: importEvents,
  on: { ImportStarted: ({ importId }) => [{ queue: 'import', key: importId, data: { importId } }] },
})
