import { createHash, createHmac, createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import { seal, unseal } from '../platform/sealing.ts'
import { toUuid } from '../platform/uuid.ts'
import type { Wishes } from './mailbox.ts'

/** For how long a person may take to consent. */
export const CONSENT_MS = 15 * 60_000

/**
 * What we have to know again when somebody comes back from the provider's page, carried by `state` itself, sealed: who asked, so that nobody else's
 * mailbox comes to him by another's state; the verifier of PKCE, so that the code is of use to nobody else; until when it is good, and for once.
 */
export type Consent = {
  readonly id: string
  readonly actor: string
  readonly correlationId: string
  readonly codeVerifier: string
  /** The only address that will do, in its normal form. */
  readonly address: string | null
  readonly wishes: Wishes
  readonly goodUntil: string
}

const STATE = 'smartcrm/consent/1'
const keyOf = (secret: Uint8Array) => createHmac('sha256', createSecretKey(secret)).update(STATE).digest()

/** @param now milliseconds since 1970 @returns the consent to be asked for, and its state */
export function beginConsent(
  secret: Uint8Array,
  asked: Pick<Consent, 'actor' | 'correlationId' | 'address' | 'wishes'>,
  now: number,
): { state: string; codeChallenge: string; consent: Consent } {
  const consent: Consent = {
    ...asked,
    id: randomUUID(),
    // RFC 7636 §4.1: 43 characters.
    codeVerifier: randomBytes(32).toString('base64url'),
    goodUntil: new Date(now + CONSENT_MS).toISOString(),
  }
  const codeChallenge = createHash('sha256').update(consent.codeVerifier).digest('base64url')
  const state = seal(keyOf(secret), Buffer.from(JSON.stringify(consent)), STATE).toString('base64url')
  return { state, codeChallenge, consent }
}

/** @returns null where the state is none of ours, or too old */
export function consentOf(secret: Uint8Array, state: string, now: number): Consent | null {
  try {
    const consent = JSON.parse(unseal(keyOf(secret), Buffer.from(state, 'base64url'), STATE).toString('utf8')) as Consent
    return Date.parse(consent.goodUntil) > now ? consent : null
  } catch {
    return null
  }
}

/** A mailbox's id: the same for the same address at the same provider, and nobody who sees it in the log can tell whose it is. */
export const mailboxIdOf = (secret: Uint8Array, provider: string, address: string): string =>
  toUuid(
    createHmac('sha256', createSecretKey(secret))
      .update(JSON.stringify(['smartcrm/mailbox/1', provider, address]))
      .digest()
      .subarray(0, 16),
    8,
  )
