import type { JobRun } from '../platform/jobs.ts'
import { useOnce, wasUsed } from '../platform/used-once.ts'
import { uuidv5 } from '../platform/uuid.ts'
import { type MailAccount, ProviderAway } from '../providers/mailbox.ts'
import type { Services } from '../services.ts'
import { recordAliases, recordLabels } from './mailbox.ts'

const DAY_MS = 86_400_000

/**
 * What is to be done for a mailbox once a day, and once after each consent: its aliases and labels are asked for, since rules name these; and Gmail is
 * asked for notices anew, which it gives for a week (https://developers.google.com/workspace/gmail/api/guides/push#renewing_mailbox_watch). What cannot be
 * had now is no reason not to fetch mail, and is tried again with the next job.
 * @param consent names the consent by which the mailbox is open @throws ConsentNeeded; Unavailable; the signal's reason
 */
export async function lookAfter(
  { services, signal, log, execute }: Pick<JobRun<Services>, 'services' | 'signal' | 'log' | 'execute'>,
  { mailboxId, account, consent }: { mailboxId: string; account: MailAccount; consent: string },
  now = Date.now(),
): Promise<void> {
  const { pool, google } = services
  const day = Math.floor(now / DAY_MS)
  const id = uuidv5(`look after ${consent} ${day}`, mailboxId)
  if (await wasUsed(pool, id)) return
  try {
    const aliases = await account.aliases(signal)
    await execute(`aliases ${day}`, recordAliases, { aliases }, { id: mailboxId })
    const labels = await account.labels(signal)
    await execute(`labels ${day}`, recordLabels, { labels }, { id: mailboxId })
    if (google?.pushTopic) await account.watch(google.pushTopic, signal)
  } catch (err) {
    if (!(err instanceof ProviderAway)) throw err
    log.warn({ err, mailboxId }, 'labels, aliases or notices of a mailbox cannot be had now; asking again with its next job')
    return
  }
  await useOnce(pool, id, new Date((day + 2) * DAY_MS).toISOString())
}
