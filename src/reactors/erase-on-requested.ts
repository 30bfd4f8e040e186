import { ERASURE_QUEUE, ERASURE_REACTOR } from '../../schema/erasure.ts'
import { erasureEvents } from '../../schema/erasure-events.ts'
import { reactor } from '../platform/reactor.ts'

const erase = (erasureId: string) => [{ queue: ERASURE_QUEUE, key: erasureId, data: { erasureId } }]

/** A person is erased as soon as nobody else has to confirm it. */
export const eraseOnRequested = reactor({
  name: ERASURE_REACTOR,
  events: erasureEvents,
  on: {
    ErasureRequested: ({ erasureId, confirm }) => (confirm ? [] : erase(erasureId)),
    ErasureConfirmed: ({ erasureId }) => erase(erasureId),
  },
})
