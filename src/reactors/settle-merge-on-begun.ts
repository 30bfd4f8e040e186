import { contactEvents } from '../../schema/contact-events.ts'
import { reactor } from '../platform/reactor.ts'

const { ContactMergedInto, ContactUnmerged } = contactEvents

/** Mostly it has been done already by who asked for it; this is for one who was killed when one of the two streams had it and the other not yet. */
export const settleMergeOnBegun = reactor({
  name: 'settle-merge-on-begun',
  events: { ContactMergedInto, ContactUnmerged },
  on: {
    ContactMergedInto: ({ contactId }) => [{ queue: 'settle-merge', key: contactId, data: { from: contactId } }],
    ContactUnmerged: ({ contactId, from }) => [{ queue: 'settle-merge', key: from, data: { from, unmergedBy: contactId } }],
  },
})
