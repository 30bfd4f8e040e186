import { setTimeout as delay } from 'node:timers/promises'
import { AwsV4Signer } from 'aws4fetch'
import { Fault } from './fault.ts'
import type { Kms } from './kms.ts'
import { Unavailable } from './refusal.ts'

/** @property keyId an id, an ARN or an alias. @property endpoint of a server other than Amazon's, without a slash at its end */
export type AwsKmsAddress = { readonly keyId: string; readonly region: string; readonly endpoint?: string }
export type AwsCredentials = { readonly accessKeyId: string; readonly secretAccessKey: string }

/** @property timeoutMs of one request; @property firstRetryMs doubles with each */
export type AwsKmsPatience = { readonly tries: number; readonly timeoutMs: number; readonly firstRetryMs: number }
const patience: AwsKmsPatience = { tries: 5, timeoutMs: 5_000, firstRetryMs: 100 }

/** What was wrapped by another key, or was changed: https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html#API_Decrypt_Errors */
const notOurs = ['IncorrectKeyException', 'InvalidCiphertextException']
const passing = [
  'KMSInternalException',
  'DependencyTimeoutException',
  'KeyUnavailableException',
  'ThrottlingException',
  'LimitExceededException',
]

/** Bound to what is wrapped: it has to be given again to unwrap, and stands in the service's own audit log. */
const EncryptionContext = { purpose: 'smartcrm master key' }

/** AWS KMS and what speaks its protocol, over HTTP: Encrypt and Decrypt with a symmetric key. */
export function awsKms({ keyId, region, endpoint }: AwsKmsAddress, credentials: AwsCredentials, how: AwsKmsPatience = patience): Kms {
  const url = `${endpoint ?? `https://kms.${region}.amazonaws.com`}/`
  const name = `the AWS KMS key ${keyId} (${region})`

  const attempt = async (action: string, input: object): Promise<{ status: number; answer: Record<string, unknown>; code: string }> => {
    const body = JSON.stringify({ KeyId: keyId, EncryptionContext, ...input })
    const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `TrentService.${action}` }
    const signed = await new AwsV4Signer({ method: 'POST', url, headers, body, ...credentials, region, service: 'kms' }).sign()
    const response = await fetch(signed.url, {
      method: 'POST',
      headers: signed.headers,
      body,
      signal: AbortSignal.timeout(how.timeoutMs),
      redirect: 'error',
    })
    const answer = (await response.json().catch(() => ({}))) as Record<string, unknown>
    // With or without the namespace before it.
    return { status: response.status, answer, code: String(answer['__type'] ?? '').replace(/^.*#/, '') }
  }

  /** @returns the field of the answer, from base64; null where it is none of ours */
  const ask = async (action: string, input: object, field: string): Promise<Buffer | null> => {
    for (let tried = 1; ; tried += 1) {
      const outcome = await attempt(action, input).catch((error: Error) => error)
      if (!(outcome instanceof Error)) {
        const { status, answer, code } = outcome
        if (status === 200 && typeof answer[field] === 'string') return Buffer.from(answer[field], 'base64')
        if (notOurs.includes(code)) return null
        if (status >= 400 && status < 500 && status !== 429 && !passing.includes(code)) {
          throw new Fault(
            `${name} refuses to ${action === 'Encrypt' ? 'wrap' : 'unwrap'} the master key (${code || status}): let it be used by this account.`,
          )
        }
      }
      if (tried >= how.tries) {
        const said = outcome instanceof Error ? 'cannot be reached' : `answers ${outcome.status} ${outcome.code}`.trim()
        throw new Unavailable(`${name} ${said}.`, { ...(outcome instanceof Error && { cause: outcome }), retryAfterSeconds: 10 })
      }
      await delay(Math.random() * how.firstRetryMs * 2 ** tried)
    }
  }

  return {
    name,
    async wrap(key) {
      const wrapped = await ask('Encrypt', { Plaintext: key.toString('base64') }, 'CiphertextBlob')
      if (!wrapped) throw new Fault(`${name} is no key that wraps.`)
      return wrapped
    },
    unwrap: (wrapped) => ask('Decrypt', { CiphertextBlob: wrapped.toString('base64') }, 'Plaintext'),
  }
}
