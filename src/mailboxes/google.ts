import type { Config } from '../config.ts'
import type { MailboxProvider } from '../providers/mailbox.ts'

/** Of something that answers in Google's place all addresses begin alike; Google's own do not. */
const placesOf = (base: string | undefined) => ({
  consentUrl: `${base ?? 'https://accounts.google.com'}/o/oauth2/v2/auth`,
  tokenUrl: `${base ?? 'https://oauth2.googleapis.com'}/token`,
  revokeUrl: `${base ?? 'https://oauth2.googleapis.com'}/revoke`,
  apiUrl: base ?? 'https://gmail.googleapis.com',
  certsUrl: `${base ?? 'https://www.googleapis.com'}/oauth2/v1/certs`,
})

/** Google as the settings have it. */
export type Google = {
  readonly provider: MailboxProvider
  /** Where Google sends people back to after they have consented; it has to be among the client's at Google. */
  readonly callbackUrl: string
  /** The topic that Gmail is to tell of changes; null: nobody is told. */
  readonly pushTopic: string | null
  /** Whether who tells us of changes is Google, by an `Authorization` header; null: nobody is believed. @throws Unavailable */
  readonly push: ((authorization: string | undefined) => Promise<boolean>) | null
}

export const CALLBACK = '/v1/mailboxes/google/callback'
export const PUSH_HOOK = '/v1/hooks/gmail'

/** Google's client is loaded only where it is used. @returns null where the settings name no client */
export async function openGoogle(config: Config): Promise<Google | null> {
  const { googleClientId: clientId, googleClientSecret: clientSecret, googleUrl, gmailPrices, publicUrl } = config
  if (!clientId || !clientSecret) return null
  const { certsUrl, ...places } = placesOf(googleUrl)
  const [{ gmailProvider }, { pushVerifier }] = await Promise.all([import('../providers/gmail.ts'), import('../providers/google-push.ts')])
  const { gmailPushTopic, gmailPushAccount: account, gmailPushAudience: audience = `${publicUrl}${PUSH_HOOK}` } = config
  return {
    provider: gmailProvider({ clientId, clientSecret, ...places, ...(gmailPrices && { prices: gmailPrices }) }),
    callbackUrl: `${publicUrl}${CALLBACK}`,
    pushTopic: gmailPushTopic ?? null,
    push: account ? pushVerifier({ account, audience, certsUrl }) : null,
  }
}
