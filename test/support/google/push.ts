import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { certificateOf } from './certificate.ts'

/** Where Pub/Sub pushes to, and who it says it is. */
export type PushSubscription = {
  endpoint: string
  /** Unless given, the endpoint. */
  audience?: string
  serviceAccount?: string
}

export type PushTokenOptions = {
  audience: string
  email?: string
  /** Other claims, or wrong ones. */
  claims?: Record<string, unknown>
}

const hourSeconds = 3600
const yearMs = 365 * 86_400_000
export const pushAccount = 'gmail-push@smartcrm-test.iam.gserviceaccount.example'

/** Made once a process: it takes the time of a hundred mails. */
let made: ReturnType<typeof makeKeys> | undefined
const makeKeys = () => generateKeyPairSync('rsa', { modulusLength: 2048 })

/** Google's keys, and what is signed by them: https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions */
export function createPush() {
  made ??= makeKeys()
  const keys = made
  const kid = randomUUID().replaceAll('-', '')
  // By our time, not by Google's: whoever verifies a token has a clock that nobody sets.
  const certificate = certificateOf(
    'federated-signon.system.gserviceaccount.example',
    keys,
    new Date(Date.now() - yearMs),
    new Date(Date.now() + yearMs),
  )
  const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  let messageId = 10_000_000_000_000_000n

  function token({ audience, email = pushAccount, claims = {} }: PushTokenOptions): string {
    const now = Math.floor(Date.now() / 1000)
    const who = { aud: audience, azp: '113774264463038321964', email, email_verified: true, sub: '113774264463038321964' }
    const all = { ...who, iat: now, exp: now + hourSeconds, iss: 'https://accounts.google.com', ...claims }
    const text = `${encoded({ alg: 'RS256', kid, typ: 'JWT' })}.${encoded(all)}`
    return `${text}.${sign('sha256', Buffer.from(text), keys.privateKey).toString('base64url')}`
  }

  /** What Pub/Sub sends when a mailbox has changed: https://developers.google.com/workspace/gmail/api/guides/push#receiving_notifications */
  function body(emailAddress: string, historyId: number, subscription = 'projects/smartcrm-test/subscriptions/gmail') {
    messageId += 1n
    const id = `${messageId}`
    const publishTime = new Date().toISOString()
    const data = Buffer.from(JSON.stringify({ emailAddress, historyId })).toString('base64url')
    return { message: { data, messageId: id, message_id: id, publishTime, publish_time: publishTime }, subscription }
  }

  return {
    jwks: { keys: [{ ...keys.publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' }] },
    certificates: { [kid]: certificate },
    token,
    body,
    /** Sends one. @returns the status of the answer */
    async send(
      { endpoint, audience = endpoint, serviceAccount = pushAccount }: PushSubscription,
      emailAddress: string,
      historyId: number,
    ): Promise<number> {
      const response = await fetch(endpoint, {
        method: 'POST',
        headers: { authorization: `Bearer ${token({ audience, email: serviceAccount })}`, 'content-type': 'application/json' },
        body: JSON.stringify(body(emailAddress, historyId)),
        signal: AbortSignal.timeout(10_000),
      })
      await response.body?.cancel()
      return response.status
    },
  }
}
