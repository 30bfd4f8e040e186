import { claimEvents } from '../../schema/claim-events.ts'
import { reactor } from '../platform/reactor.ts'

const conceal = (stream: string) => [{ queue: 'conceal', key: stream, data: { stream } }]

/** Mostly it has been done already by who suppressed the address, or lifted that; this is for one who was killed before he came to it. */
export const concealOnSuppressed = reactor({
  name: 'conceal-on-suppressed',
  events: claimEvents,
  on: {
    AddressSuppressed: (_, { stream }) => conceal(stream),
    AddressSuppressionLifted: (_, { stream }) => conceal(stream),
  },
})
