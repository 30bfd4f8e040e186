import { ConsentNeeded, ProviderAway } from './mailbox.ts'

/**
 * What Google, or the way to it, answered instead of what was asked for. It is made of the vendor's own error and carries nothing of it that could
 * hold a token: neither the request, nor Google's sentence.
 * @property status of HTTP; null where no answer came @property reason Google's code for it, like `rateLimitExceeded`, or the connection's
 */
export class GoogleFault extends Error {
  override name = 'GoogleFault'
  readonly status: number | null
  readonly reason: string
  readonly retryAfterSeconds: number | undefined
  /** It said that the page token is wrong. */
  readonly isAboutPage: boolean
  constructor(status: number | null, reason: string, more: { retryAfterSeconds?: number | undefined; isAboutPage?: boolean } = {}) {
    super(status === null ? `Google cannot be reached (${reason}).` : `Google answers ${status} ${reason}.`)
    this.status = status
    this.reason = reason
    this.retryAfterSeconds = more.retryAfterSeconds
    this.isAboutPage = more.isAboutPage ?? false
  }
}

/** An answer that is none: another's error page, say. */
export const malformed = () => new GoogleFault(502, 'malformed')

type Answer = { readonly status: number; readonly data?: unknown; readonly headers?: { get?(name: string): string | null } }
type Refusal = {
  readonly error?:
    | string
    | { readonly message?: string; readonly status?: string; readonly errors?: readonly { readonly reason?: string }[] }
}

/**
 * Reads an error of the official client: https://developers.google.com/workspace/gmail/api/guides/handle-errors, and of OAuth (RFC 6749 §5.2).
 * @param now in milliseconds since 1970, for a time until which to wait
 */
export function googleFault(error: unknown, now: number): GoogleFault {
  if (error instanceof GoogleFault) return error
  const { response, code, cause } = (error ?? {}) as { response?: Answer; code?: unknown; cause?: unknown }
  if (!response || typeof response.status !== 'number') return new GoogleFault(null, connectionCode(code, cause))
  const { status } = response
  const refusal = refusalOf(response.data).error
  if (typeof refusal === 'string') return new GoogleFault(status, codeOnly(refusal))
  const message = typeof refusal?.message === 'string' ? refusal.message : ''
  const reason = codeOnly(refusal?.errors?.[0]?.reason ?? refusal?.status ?? 'unknown')
  return new GoogleFault(status, reason, {
    retryAfterSeconds: retryAfterSeconds(response, message, now),
    isAboutPage: /page ?token/i.test(message),
  })
}

function refusalOf(data: unknown): Refusal {
  if (typeof data === 'object' && data !== null) return data as Refusal
  if (typeof data !== 'string') return {}
  try {
    return (JSON.parse(data) ?? {}) as Refusal
  } catch {
    return {}
  }
}

/** Codes are words; whatever else stands in their place is not repeated. */
const codeOnly = (code: unknown): string => (typeof code === 'string' && /^[\w.-]{1,60}$/.test(code) ? code : 'unknown')

function connectionCode(code: unknown, cause: unknown): string {
  if (typeof code === 'string' && !/^(ERR_|AbortError$)/.test(code)) return codeOnly(code)
  const deeper = cause as { code?: unknown; cause?: unknown } | undefined
  return deeper && typeof deeper === 'object' ? connectionCode(deeper.code, deeper.cause) : 'no-answer'
}

/** `Retry-After` (RFC 9110 §10.2.3), or the instant that Gmail names in its sentence. */
function retryAfterSeconds({ headers }: Answer, message: string, now: number): number | undefined {
  const header = headers?.get?.('retry-after')?.trim()
  if (header && /^\d+$/.test(header)) return Number(header)
  const until = Date.parse(header ?? /retry after (\d{4}-\S+Z)/i.exec(message)?.[1] ?? '')
  return Number.isNaN(until) ? undefined : Math.max(0, Math.ceil((until - now) / 1000))
}

/** The same again may well be answered. 401: with a token that was fetched anew. */
export function isPassing({ status, reason }: GoogleFault): boolean {
  if (status === null || status >= 500) return true
  return [401, 408, 429].includes(status) ? !refusedForGood.has(reason) : status === 403 && tooFast.has(reason)
}

/** We are to ask less often. */
export const isTooFast = ({ status, reason }: GoogleFault): boolean =>
  (status === 429 || status === 403) && !refusedForGood.has(reason) && (status === 429 || tooFast.has(reason))

/** RFC 6749 §5.2 answers these with 401, too. */
const refusedForGood = new Set(['invalid_client', 'unauthorized_client', 'invalid_grant', 'deleted_client'])
const tooFast = new Set(['rateLimitExceeded', 'userRateLimitExceeded', 'quotaExceeded', 'RESOURCE_EXHAUSTED'])
const askAPerson = new Set(['invalid_grant', 'insufficientPermissions', 'ACCESS_TOKEN_SCOPE_INSUFFICIENT'])

/** What only who runs SmartCRM can mend: nobody's consent would help. */
const sentences: Readonly<Record<string, string>> = {
  invalid_client: 'Google does not know GOOGLE_CLIENT_ID with this GOOGLE_CLIENT_SECRET.',
  unauthorized_client: 'Google gave this consent to another client than GOOGLE_CLIENT_ID names.',
  deleted_client: 'The client that GOOGLE_CLIENT_ID names was deleted at Google.',
  accessNotConfigured: 'The Gmail API is not turned on in the Google project of GOOGLE_CLIENT_ID.',
  SERVICE_DISABLED: 'The Gmail API is not turned on in the Google project of GOOGLE_CLIENT_ID.',
  dailyLimitExceeded: 'The Google project of GOOGLE_CLIENT_ID has used up what it may ask in a day.',
  domainPolicy: 'The administrators of the Google account’s domain do not let SmartCRM read mail.',
  failedPrecondition: 'Google says that this account has no Gmail, or that it is turned off.',
}

/** The fault in the words of the contract (mailbox.ts). */
export function asContract(fault: GoogleFault): ConsentNeeded | ProviderAway {
  if (askAPerson.has(fault.reason)) return new ConsentNeeded(fault.reason, { cause: fault })
  const { retryAfterSeconds } = fault
  return new ProviderAway(fault.reason, sentences[fault.reason] ?? fault.message, { retryAfterSeconds, cause: fault })
}
