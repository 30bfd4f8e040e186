import type { Label } from '../../schema/mailbox-events.ts'
import type { ListedMessage, MessageChange } from '../../schema/sync-events.ts'

/** A provider of mailboxes. One file a vendor; `test/support/mailbox-contract.ts` holds each to what is said here. */
export type MailboxProvider = {
  readonly name: 'google'
  /** Where a person gives consent. @param state comes back with the answer. @param codeChallenge of PKCE (RFC 7636), S256 */
  consentUrl(asked: { state: string; codeChallenge: string; redirectUri: string; loginHint?: string }): string
  /** @returns null where the code is not taken: used up, too old, or not ours */
  exchange(answer: { code: string; codeVerifier: string; redirectUri: string }): Promise<Grant | null>
  /** Takes the grant back at the provider; one that it no longer knows is fine. @throws ProviderAway */
  revoke(refreshToken: string): Promise<void>
  open(refreshToken: string, pace: Pace): MailAccount
}

export type Grant = { readonly refreshToken: string; readonly scopes: readonly string[] }

/** To be called when the provider has answered, or the wait for it is over. @param wasTooFast it said that we ask too fast */
export type Turn = (wasTooFast?: boolean) => void

/** Resolves when so many of the provider's units may be used. @throws the signal's reason */
export type Pace = (units: number, signal?: AbortSignal) => Promise<Turn>

/**
 * A mailbox that we may read. Every call waits for its turn by `Pace`, tries again by itself what passes soon, and throws
 * `ConsentNeeded` where the grant is no longer taken, `ProviderAway` where the provider cannot be had or says that we are too fast.
 */
export type MailAccount = {
  /** `cursor`: changes are listed from here on. */
  profile(signal?: AbortSignal): Promise<{ address: string; cursor: string; messages: number }>
  /** The other addresses that it sends as, in their normal form. */
  aliases(signal?: AbortSignal): Promise<string[]>
  labels(signal?: AbortSignal): Promise<Label[]>
  /** A page of all messages, the newest first, without spam and trash. @param from only from this instant on. @throws PageExpired */
  list(asked: { next?: string; from?: string }, signal?: AbortSignal): Promise<Page>
  /** A page of what changed after a cursor. @throws CursorExpired, PageExpired */
  changes(asked: { after: string; next?: string }, signal?: AbortSignal): Promise<ChangePage>
  /** @returns null where it is gone */
  get(id: string, signal?: AbortSignal): Promise<FetchedMessage | null>
  /** Asks for notices of changes. @returns until when it does; an instant */
  watch(topic: string, signal?: AbortSignal): Promise<string>
  unwatch(signal?: AbortSignal): Promise<void>
}

/** `estimate`: how many messages there are in all, as far as the provider knows. */
export type Page = { readonly messages: readonly ListedMessage[]; readonly next?: string; readonly estimate?: number }

/** `added` may be there already, or be gone by now; `cursor` is where the next listing of changes begins, once this one is at its end. */
export type ChangePage = {
  readonly added: readonly ListedMessage[]
  readonly changes: readonly MessageChange[]
  readonly next?: string
  readonly cursor: string
}

/** A message as it came. `receivedAt`: when the provider got it, an instant. */
export type FetchedMessage = {
  readonly id: string
  readonly raw: Uint8Array
  readonly labels: readonly string[]
  readonly threadId?: string
  readonly receivedAt?: string
}

/** The grant is taken no longer, or too little was granted: only a person can mend it. `code` is the provider's, such as `invalid_grant`. */
export class ConsentNeeded extends Error {
  override name = 'ConsentNeeded'
  readonly code: string
  constructor(code: string, options?: ErrorOptions) {
    super(`The provider asks for consent (${code}).`, options)
    this.code = code
  }
}

/** The provider cannot be had, or asks us to be slower; the same again later goes on. The sentence is shown to people. */
export class ProviderAway extends Error {
  override name = 'ProviderAway'
  readonly code: string
  readonly retryAfterSeconds: number | undefined
  constructor(code: string, message: string, options: { retryAfterSeconds?: number | undefined; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.code = code
    this.retryAfterSeconds = options.retryAfterSeconds
  }
}

/** The provider no longer knows what changed after this cursor: everything has to be listed anew. */
export class CursorExpired extends Error {
  override name = 'CursorExpired'
}

/** The provider no longer knows this page of a list: it has to be begun anew. */
export class PageExpired extends Error {
  override name = 'PageExpired'
}

/** This one message cannot be had, whatever is tried now; others can. */
export class MessageUnreadable extends Error {
  override name = 'MessageUnreadable'
  readonly code: string
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
