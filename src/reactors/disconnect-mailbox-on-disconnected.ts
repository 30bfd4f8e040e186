import { DISCONNECT_QUEUE } from '../../schema/mailbox.ts'
import { mailboxEvents } from '../../schema/mailbox-events.ts'
import { reactor } from '../platform/reactor.ts'

/** The consent is given back, and what is to be erased is erased. */
export const disconnectMailboxOnDisconnected = reactor({
  name: 'disconnect-mailbox-on-disconnected',
  events: mailboxEvents,
  on: {
    MailboxDisconnected: ({ mailboxId }) => [{ queue: DISCONNECT_QUEUE, key: mailboxId, data: { mailboxId } }],
  },
})
