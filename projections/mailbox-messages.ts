import { type SyncOutcome, syncEvents } from '../schema/sync-events.ts'
import { computing, projection, shared, table } from '../src/platform/projection.ts'

/**
 * What there is in a mailbox, by the provider's ids, and what became of each; and the runs that found out. A message is one row, whatever runs list it, so
 * that the counts of what they came to add up to the count of what was listed.
 */
export const mailboxMessages = projection({
  name: 'mailbox-messages',
  version: 1,
  tables: {
    mailboxMessages: shared(
      computing(
        table(
          ['mailboxId', 'messageId'],
          {
            mailboxId: 'uuid',
            messageId: 'text',
            threadId: 'text',
            /** As its newest outcome says; none: it is pending. */
            outcome: 'text',
            /** The run that stored it: later ones only find it known. */
            storedBy: 'uuid',
            emailId: 'uuid',
            rule: 'text',
            /** Which address, domain or label it was that the rule names. */
            by: 'text',
            code: 'text',
            reason: 'text',
            raw: 'json',
            rawKeyId: 'uuid',
            attempts: 'integer',
            retryAt: 'instant',
            labels: 'json',
            /** At the provider. */
            deleted: 'boolean',
            listedAt: 'last',
            settledAt: 'last',
          },
          'mailbox_id, standing, rule, message_id',
          'mailbox_id, retry_at, message_id',
          'email_id, mailbox_id',
          'raw_key_id',
        ),
        {
          standing: `text generated always as (case when outcome is null then 'pending' when outcome = 'known' and stored_by is not null then 'stored' else outcome end) stored`,
        },
      ),
    ),
    mailboxRuns: table(
      'syncId',
      {
        syncId: 'uuid',
        mailboxId: 'uuid',
        number: 'integer',
        kind: 'text',
        jobId: 'uuid',
        actor: 'text',
        startedAt: 'instant',
        fromTime: 'instant',
        compared: 'json',
        listed: 'count',
        stored: 'count',
        known: 'count',
        excluded: 'count',
        failed: 'count',
        changed: 'count',
        isListed: 'boolean',
        /** Of its newest event. */
        at: 'instant',
        finishedAt: 'instant',
        fault: 'text',
      },
      'mailbox_id, number',
      'mailbox_id, finished_at',
      'job_id',
    ),
  },
  events: syncEvents,
  on: {
    SyncStarted: ({ mailboxRuns }, { syncId, mailboxId, number, kind, from, jobId, requestedBy, compared }, { meta }) => [
      mailboxRuns.put({
        syncId,
        mailboxId,
        number,
        kind,
        jobId: jobId ?? null,
        actor: requestedBy ?? meta.actor,
        startedAt: meta.at,
        fromTime: from ?? null,
        compared: compared ?? null,
        isListed: false,
        at: meta.at,
      }),
    ],
    SyncListed: ({ mailboxMessages, mailboxRuns }, { syncId, mailboxId, messages, next }, { meta }) => [
      mailboxRuns.merge({ syncId, listed: messages.length, isListed: next === undefined, at: meta.at }),
      ...messages.map(({ id, threadId }) =>
        mailboxMessages.merge({ mailboxId, messageId: id, deleted: false, listedAt: meta.at, ...(threadId !== undefined && { threadId }) }),
      ),
    ],
    SyncChanged: ({ mailboxMessages, mailboxRuns }, { syncId, mailboxId, changes }, { meta }) => [
      mailboxRuns.merge({ syncId, changed: changes.length, at: meta.at }),
      ...changes.map(({ id, labels, deleted }) =>
        mailboxMessages.patch({
          mailboxId,
          messageId: id,
          ...(labels !== undefined && { labels }),
          // One that has labels again is there again.
          deleted: deleted === true,
        }),
      ),
    ],
    SyncSettled: ({ mailboxMessages, mailboxRuns }, { syncId, mailboxId, outcomes }, { meta }) => {
      const counts = { stored: 0, known: 0, excluded: 0, failed: 0 }
      for (const { outcome } of outcomes) counts[outcome] += 1
      return [
        mailboxRuns.merge({ syncId, ...counts, at: meta.at }),
        ...outcomes.map((outcome) => mailboxMessages.merge({ mailboxId, settledAt: meta.at, ...settled(outcome, syncId) })),
      ]
    },
    SyncFinished: ({ mailboxRuns }, { syncId, fault }, { meta }) => [
      mailboxRuns.patch({ syncId, at: meta.at, finishedAt: meta.at, fault: fault ?? null }),
    ],
  },
})

/** What an outcome says of its message; what it does not say of one that was only found known stays. */
function settled({ id, outcome, emailId, labels, threadId, rule, by, code, reason, attempts, retryAt, raw }: SyncOutcome, syncId: string) {
  return {
    messageId: id,
    outcome,
    emailId: emailId ?? null,
    rule: rule ?? null,
    by: by ?? null,
    code: code ?? null,
    reason: reason ?? null,
    raw: raw ?? null,
    rawKeyId: raw?.keyId ?? null,
    attempts: attempts ?? 0,
    retryAt: retryAt ?? null,
    ...(labels !== undefined && { labels }),
    ...(threadId !== undefined && { threadId }),
    ...(outcome === 'stored' ? { storedBy: syncId } : outcome === 'known' ? {} : { storedBy: null }),
    ...(rule === 'vanished' && { deleted: true }),
  }
}
