import type { Account } from './account.ts'
import type { Clock } from './clock.ts'
import type { Faults } from './faults.ts'
import type { Quirks } from './gmail.ts'
import type { Mailbox, NewMessage, Stored } from './mailbox.ts'
import type { Pages } from './pages.ts'
import type { createPush, PushSubscription } from './push.ts'
import type { Quota } from './quota.ts'
import type { Seen } from './server.ts'
import type { Tokens } from './tokens.ts'

type World = {
  clock: Clock
  quota: Quota
  faults: Faults
  pages: Pages
  tokens: Tokens
  quirks: Quirks
  accounts: Map<string, Account>
  push: ReturnType<typeof createPush>
  seen: Seen[]
  subscription?: PushSubscription
}

export type Controls = ReturnType<typeof createControls>

/** What a test can do to Google, and ask of it. */
export function createControls({ clock, quota, faults, pages, tokens, quirks, accounts, push, seen, subscription }: World) {
  const pushed: { address: string; historyId: number; status: number | 'failed' }[] = []

  const account = (address: string): Account => {
    const found = accounts.get(address)
    if (!found) throw new Error(`there is no account ${address}, only ${[...accounts.keys()].join(', ')}`)
    return found
  }
  /** Changes a mailbox, and says so to who watches it. */
  function changed<T>(address: string, change: (mailbox: Mailbox) => T): T {
    const { mailbox, watch } = account(address)
    const result = change(mailbox)
    if (watch && watch.expiration > clock.now() && subscription) void notify(address, mailbox.historyId())
    return result
  }
  async function notify(address: string, historyId: number): Promise<void> {
    const status = await push.send(subscription!, address, historyId).catch(() => 'failed' as const)
    pushed.push({ address, historyId, status })
  }

  return {
    clock,
    quota,
    faults,
    quirks,
    /** Requests of Gmail's API and of the endpoint of tokens, in order, the refused too. */
    seen,
    /** Pushes that were sent, and how they were answered. */
    pushed,
    addresses: (): string[] => [...accounts.keys()],
    mailbox: (address: string): Mailbox => account(address).mailbox,
    add: (address: string, message: NewMessage): Stored => changed(address, (mailbox) => mailbox.add(message)),
    /** For good. */
    remove: (address: string, id: string): void => changed(address, (mailbox) => mailbox.delete(id)),
    relabel: (address: string, id: string, labels: { add?: readonly string[]; remove?: readonly string[] }): void =>
      changed(address, (mailbox) => mailbox.relabel(id, labels)),
    /** What somebody agrees to from now on: all scopes that are asked for, none, or these of them. */
    setGrants(address: string, grants: Account['grants']): void {
      account(address).grants = grants
    },
    /** Takes back all that somebody has consented to, as on Google's page of third-party access. */
    revokeConsent: (address: string): void => tokens.revokeAll(address),
    expireHistory: (address: string): void => account(address).mailbox.expireHistory(),
    expirePageTokens: (): void => pages.expire(),
    pushToken: push.token,
    pushBody: push.body,
    watchOf: (address: string): Account['watch'] => account(address).watch,
  }
}
