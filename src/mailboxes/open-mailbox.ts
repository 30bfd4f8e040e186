import { allOwnAddresses } from '../../projections/mailboxes.ts'
import { createPace } from '../platform/pace.ts'
import { fold } from '../platform/runner.ts'
import { ConsentNeeded } from '../providers/mailbox.ts'
import type { Services } from '../services.ts'
import { mailbox, ownAddresses } from './mailbox.ts'
import type { SyncedMailbox } from './session.ts'

/** @property consent names the consent by which it is open */
export type OpenedMailbox = SyncedMailbox & { readonly consent: string }

/**
 * A mailbox as its stream says, opened at its provider; null: nothing is to be fetched from it.
 * @throws ConsentNeeded where there is no token by which we would be let in; Unavailable
 */
export async function openMailbox({ runner, pool, vault, google, syncing }: Services, mailboxId: string): Promise<OpenedMailbox | null> {
  const state = fold(mailbox, await runner.load(`mailbox-${mailboxId}`))
  if (state.status !== 'connected' || !google) return null
  const stored = await vault.tokens.get(mailboxId)
  if (!stored) throw new ConsentNeeded('no-token')
  const own = ownAddresses(state)
  // A new one for each turn: who worked on it before may have been another process, and killed.
  const { take, rested } = createPace(syncing.limit)
  return {
    mailboxId,
    consent: stored.storedAt,
    account: google.provider.open(stored.token, take),
    // What was done is recorded every few seconds, so twice a window is far more than enough.
    rest: { afterMs: 2 * syncing.limit.windowMs, rested },
    rules: state.rules,
    policy: state.policy,
    own,
    // Those of other mailboxes may be a moment old: the tables tell them.
    allOwn: own.union(await allOwnAddresses(pool)),
  }
}
