import { newestRun } from '../../projections/mailbox-standings.ts'
import { allOwnAddresses } from '../../projections/mailboxes.ts'
import { fold } from '../platform/runner.ts'
import { ConsentNeeded } from '../providers/mailbox.ts'
import type { Services } from '../services.ts'
import { mailbox, ownAddresses } from './mailbox.ts'
import type { SyncedMailbox } from './session.ts'
import { findRuns } from './sync-runs.ts'

/** @property consent names the consent by which it is open */
export type OpenedMailbox = SyncedMailbox & { readonly consent: string }

/**
 * A mailbox as its stream says, opened at its provider; null: nothing is to be fetched from it.
 * @throws ConsentNeeded where there is no token by which we would be let in; Unavailable
 */
export async function openMailbox(services: Services, mailboxId: string): Promise<OpenedMailbox | null> {
  const { runner, pool, vault, google, syncing } = services
  const state = fold(mailbox, await runner.load(`mailbox-${mailboxId}`))
  if (state.status !== 'connected' || !google) return null
  const stored = await vault.tokens.get(mailboxId)
  if (!stored) throw new ConsentNeeded('no-token')
  const own = ownAddresses(state)
  const pace = syncing.paces.take(mailboxId, await findRuns(services, mailboxId, await newestRun(pool, mailboxId)))
  return {
    mailboxId,
    consent: stored.storedAt,
    account: google.provider.open(stored.token, pace.take),
    left: (standing) => syncing.paces.keep(mailboxId, pace, standing),
    rules: state.rules,
    policy: state.policy,
    own,
    // Those of other mailboxes may be a moment old: the tables tell them.
    allOwn: own.union(await allOwnAddresses(pool)),
  }
}
