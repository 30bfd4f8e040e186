import { OAuth2Client } from 'google-auth-library'
import { Unavailable } from '../platform/refusal.ts'
import { patience, transporterOf } from './google-requests.ts'

/** @property audience for which the token has to be made out @property account the service account that has to have sent it */
export type PushSettings = { readonly account: string; readonly audience: string; readonly certsUrl: string }

/** Google's issuer: https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions#jwt_format */
const ISSUERS = ['https://accounts.google.com', 'accounts.google.com']
const CERTS_MS = 5_000

/**
 * Tells whether a push is from Google's Pub/Sub by the token that it brings (OIDC): signed by Google, not expired, made out for us, and by the account
 * that we expect; anybody at Google can have tokens made out for us by others.
 * @returns asks of the value of an `Authorization` header @throws Unavailable where Google's certificates cannot be had
 */
export function pushVerifier({ account, audience, certsUrl }: PushSettings): (authorization: string | undefined) => Promise<boolean> {
  const client = new OAuth2Client({
    transporter: transporterOf({ ...patience, timeoutMs: CERTS_MS }),
    endpoints: { oauth2FederatedSignonPemCertsUrl: certsUrl },
  })
  return async (authorization) => {
    const [, token] = /^Bearer +([\w.-]+) *$/i.exec(authorization ?? '') ?? []
    if (token === undefined) return false
    const { certs } = await client.getFederatedSignonCertsAsync().catch((error: Error) => {
      throw new Unavailable("Google's certificates cannot be had.", { cause: new Error(error.message), retryAfterSeconds: 10 })
    })
    try {
      const payload = (await client.verifySignedJwtWithCertsAsync(token, certs, audience, ISSUERS)).getPayload()
      return payload?.email === account && payload.email_verified === true
    } catch {
      return false
    }
  }
}
