import { Type } from '@sinclair/typebox'
import { events } from '../../schema/define.ts'
import { projection, table } from '../../src/platform/projection.ts'

export const tallyEvents = events({ Counted: { name: Type.String() }, Refused: { name: Type.String() }, Noticed: {} })
export const { Counted, Refused, Noticed } = tallyEvents

/** A projection that shows at once whether an event was applied twice or not at all. Its handler throws on `Refused`. */
export const tally = projection({
  name: 'tally',
  version: 1,
  tables: { tallies: table('name', { name: 'text', times: 'count', lastAt: 'last' }) },
  events: tallyEvents,
  on: {
    Counted: ({ tallies }, { name }, { meta }) => [tallies.merge({ name, times: 1, lastAt: meta.at })],
    Refused: () => {
      throw new Error('not this one')
    },
    Noticed: () => [],
  },
})
export const { tallies } = tally.tables
