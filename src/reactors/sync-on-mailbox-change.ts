import { mailboxEvents } from '../../schema/mailbox-events.ts'
import { SYNC_QUEUE } from '../../schema/sync.ts'
import { reactor } from '../platform/reactor.ts'

/** A mailbox is fetched from as soon as it is connected; and gone through when it is decided whose mail stays out. */
export const syncOnMailboxChange = reactor({
  name: 'sync-on-mailbox-change',
  events: mailboxEvents,
  on: {
    MailboxConnected: ({ mailboxId }) => [{ queue: SYNC_QUEUE, key: mailboxId, data: { mailboxId } }],
    MailboxRulesChanged: ({ mailboxId }, { meta }) => [
      { queue: SYNC_QUEUE, key: mailboxId, data: { mailboxId, task: 'rules', requestedBy: meta.actor } },
    ],
  },
})
