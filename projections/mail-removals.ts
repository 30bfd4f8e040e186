import { emailEvents } from '../schema/email-events.ts'
import { projection, table } from '../src/platform/projection.ts'

const { EmailRemoved } = emailEvents

/**
 * Which mails were taken away, and where in the log: of all other tables they are gone then, and who asks how it was before has to be told where to look.
 * Not whose they were. What was erased is left out, for its own events tell nothing any more.
 */
export const mailRemovals = projection({
  name: 'mail-removals',
  version: 1,
  tables: {
    mailRemovals: table(
      ['emailId', 'revision'],
      { emailId: 'uuid', revision: 'integer', commitPosition: 'integer', preparePosition: 'integer' },
      'commit_position, prepare_position',
    ),
  },
  events: { EmailRemoved },
  on: {
    EmailRemoved: ({ mailRemovals }, { emailId, reason }, { revision, position }) =>
      reason === 'erased'
        ? []
        : [
            mailRemovals.put({
              emailId,
              revision,
              commitPosition: Number(position.commit),
              preparePosition: Number(position.prepare),
            }),
          ],
  },
})
