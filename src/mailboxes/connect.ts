import { createHmac, createSecretKey } from 'node:crypto'
import { useOnce } from '../platform/used-once.ts'
import { uuidv5 } from '../platform/uuid.ts'
import { GMAIL_SCOPE } from '../providers/gmail-scope.ts'
import { ConsentNeeded, ProviderAway } from '../providers/mailbox.ts'
import type { Services } from '../services.ts'
import { consentOf, mailboxIdOf } from './consent.ts'
import { type Page, pages } from './consent-page.ts'
import type { Google } from './google.ts'
import { connectMailbox } from './mailbox.ts'

/** What the provider sends somebody back with. */
export type Answer = { readonly state?: string | undefined; readonly code?: string | undefined; readonly error?: string | undefined }

/** Namespace of the ids of what follows from a consent (UUIDv5). */
const CONSENTS = 'b7f6a0c4-3d6e-4c53-8f0e-1a9a3f1d7c21'

/** Two units in an hour at most: nothing that a pace would have to know of. */
const atOnce = async () => () => {}

/**
 * Connects the mailbox that somebody has consented to: its token is in the vault before the log says that it is connected, so a crash in between is one
 * more consent to give. What was consented to and is not wanted is given back, unless the same person's mailbox is connected already: with one consent
 * the provider would take all of them back.
 * @returns what the person is to read @throws Unavailable
 */
export async function connect(services: Services, { provider, callbackUrl }: Google, answer: Answer): Promise<Page> {
  const { vault, pool } = services
  const secret = vault.secret('mailboxes')
  const consent = consentOf(secret, answer.state ?? '', Date.now())
  if (!consent) return pages.stateUnknown
  if (!(await useOnce(pool, consent.id, consent.goodUntil))) return pages.stateUsed
  if (answer.error === 'access_denied') return pages.denied
  if (answer.error !== undefined || answer.code === undefined) return pages.refused

  try {
    const grant = await provider.exchange({ code: answer.code, codeVerifier: consent.codeVerifier, redirectUri: callbackUrl })
    if (!grant) return pages.codeUnknown
    const { refreshToken, scopes } = grant
    // Nobody knows then whose it is, nor whether it is all of that person's consent.
    if (!scopes.includes(GMAIL_SCOPE)) return pages.scopeMissing
    const account = provider.open(refreshToken, atOnce)
    const [{ address }, aliases] = await Promise.all([account.profile(), account.aliases()])
    const mailboxId = mailboxIdOf(secret, provider.name, address)
    if (consent.address !== null && consent.address !== address) {
      if (!(await vault.tokens.get(mailboxId))) await provider.revoke(refreshToken).catch(() => {})
      return pages.otherAddress(address, consent.address)
    }
    await vault.tokens.put(mailboxId, refreshToken)
    const { actor, correlationId, wishes } = consent
    const request = {
      actor,
      correlationId,
      commandId: uuidv5(`${consent.id} connect`, CONSENTS),
      request: createHmac('sha256', createSecretKey(secret)).update(`${consent.id} connect`).digest('base64url'),
    }
    const body = { provider: provider.name, address, scopes, aliases, wishes }
    await services.runner.execute(connectMailbox, body, { id: mailboxId }, request)
    return pages.connected(address)
  } catch (error) {
    if (error instanceof ConsentNeeded) return pages.scopeMissing
    if (error instanceof ProviderAway) return pages.away(error.message)
    throw error
  }
}
