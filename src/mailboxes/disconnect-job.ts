import { Type } from '@sinclair/typebox'
import { emails } from '../../projections/emails.ts'
import { imports } from '../../projections/imports.ts'
import { mailboxMessages } from '../../projections/mailbox-messages.ts'
import { onlyBroughtBy } from '../../projections/mailbox-sources.ts'
import { DISCONNECT_QUEUE } from '../../schema/mailbox.ts'
import { Id } from '../../schema/shared.ts'
import { SYNC_QUEUE } from '../../schema/sync.ts'
import { completeTables } from '../complete-tables.ts'
import { eraseEmail, eraseKeys } from '../emails/erase.ts'
import { defineJob, Failed, type JobRun } from '../platform/jobs.ts'
import { isWorkedOn } from '../platform/jobs-store.ts'
import { fold } from '../platform/runner.ts'
import { ProviderAway } from '../providers/mailbox.ts'
import type { Services } from '../services.ts'
import { mailbox } from './mailbox.ts'

/** What is to be done after a mailbox was disconnected; should it be connected again meanwhile, nothing more of it. */
export const disconnectJob = defineJob({
  queue: DISCONNECT_QUEUE,
  schema: Type.Object({ mailboxId: Id }),
  shown: ['mailboxId'],
  result: Type.Object({
    revoked: Type.Boolean({ description: 'The consent was given back.' }),
    erased: Type.Integer({ description: 'Mails that were erased for good.' }),
  }),
  // However long the provider is away: a consent that nobody needs any more is not to stay.
  retries: 100_000,
  backoff: { baseSeconds: 5, maxSeconds: 3_600 },
  run: ({ mailboxId }, job: JobRun<Services>) => afterDisconnected(mailboxId, job),
})

async function afterDisconnected(mailboxId: string, job: JobRun<Services>) {
  const { runner, pool } = job.services
  const state = async () => fold(mailbox, await runner.load(`mailbox-${mailboxId}`))
  const before = await state()
  if (before.status !== 'disconnected') return { revoked: false, erased: 0 }
  const revoked = await giveBack(mailboxId, job.services)
  if (!before.isErased) return { revoked, erased: 0 }
  // What it stores yet would be forgotten here.
  if (await isWorkedOn(pool, SYNC_QUEUE, mailboxId))
    throw new Failed('mailbox-in-use', 'A run still fetches from this mailbox; it ends soon.', { retryAfterSeconds: 5 })
  return { revoked, erased: await eraseAll(mailboxId, job) }
}

/** The token is kept, sealed, until the provider has said that it is good for nothing any more. */
async function giveBack(mailboxId: string, { vault, google }: Services): Promise<boolean> {
  const stored = await vault.tokens.get(mailboxId)
  if (!stored) return false
  if (!google)
    throw new Failed(
      'google-not-set-up',
      'Google is not set up, so the consent cannot be given back: set GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET.',
    )
  try {
    await google.provider.revoke(stored.token)
  } catch (error) {
    if (!(error instanceof ProviderAway)) throw error
    const { code, message, retryAfterSeconds } = error
    throw new Failed(code, message, { cause: error, ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) })
  }
  await vault.tokens.remove(mailboxId, stored.storedAt)
  return true
}

/** Erases what nothing else has brought. Asked of tables that hold all that the log says, for what they did not know yet might be erased wrongly. */
async function eraseAll(mailboxId: string, job: JobRun<Services>): Promise<number> {
  const { services, signal } = job
  const tables = await completeTables(services, [emails, imports, mailboxMessages], { signal })
  let erased = 0
  for await (const { emailIds, keyIds, total } of onlyBroughtBy(tables, mailboxId)) {
    for (const emailId of emailIds) {
      signal.throwIfAborted()
      const isErased = await eraseEmail(services, emailId, (index, ...rest) => job.execute(index, ...rest))
      if (isErased) erased += 1
      job.progress(erased, total)
    }
    await eraseKeys(services, keyIds)
  }
  return erased
}
