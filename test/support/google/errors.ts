/** One entry of `errors`, as https://developers.google.com/workspace/gmail/api/guides/handle-errors shows it. */
export type Reason = { domain: string; reason: string; message: string; location?: string; locationType?: string }

/** An answer that is an error of Google's APIs. */
export class GoogleError extends Error {
  override name = 'GoogleError'
  code: number
  status: string
  reason: Reason
  headers: Record<string, string>
  details: object[] | undefined
  constructor(code: number, status: string, reason: Reason, more: { headers?: Record<string, string>; details?: object[] } = {}) {
    super(reason.message)
    this.code = code
    this.status = status
    this.reason = reason
    this.headers = more.headers ?? {}
    this.details = more.details
  }
  body(): object {
    const { code, message, status, reason, details } = this
    return { error: { code, message, errors: [reason], status, ...(details && { details }) } }
  }
}

const plain = (code: number, status: string, domain: string, reason: string, message: string, headers?: Record<string, string>) =>
  new GoogleError(code, status, { message, domain, reason }, { ...(headers && { headers }) })

const errorInfo = (reason: string, metadata: Record<string, string> = {}) => ({
  '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
  reason,
  domain: 'googleapis.com',
  metadata: { service: 'gmail.googleapis.com', ...metadata },
})

export const invalidArgument = (message: string): GoogleError => plain(400, 'INVALID_ARGUMENT', 'global', 'invalidArgument', message)
export const failedPrecondition = (message: string): GoogleError =>
  plain(400, 'FAILED_PRECONDITION', 'global', 'failedPrecondition', message)
export const notFound = (): GoogleError => plain(404, 'NOT_FOUND', 'global', 'notFound', 'Requested entity was not found.')
export const gone = (): GoogleError => plain(410, 'FAILED_PRECONDITION', 'global', 'deleted', 'Resource has been deleted')
export const delegationDenied = (user: string): GoogleError =>
  plain(403, 'PERMISSION_DENIED', 'global', 'forbidden', `Delegation denied for ${user}`)

export const unauthorized = (): GoogleError => {
  const location = { location: 'Authorization', locationType: 'header' }
  return new GoogleError(
    401,
    'UNAUTHENTICATED',
    { message: 'Invalid Credentials', domain: 'global', reason: 'authError', ...location },
    { headers: { 'www-authenticate': 'Bearer realm="https://accounts.google.com/", error="invalid_token"' } },
  )
}

export const insufficientPermissions = (): GoogleError =>
  new GoogleError(
    403,
    'PERMISSION_DENIED',
    { message: 'Request had insufficient authentication scopes.', domain: 'global', reason: 'insufficientPermissions' },
    { details: [errorInfo('ACCESS_TOKEN_SCOPE_INSUFFICIENT')] },
  )

const overQuota =
  "Quota exceeded for quota metric 'Total query cost' and limit 'Total query cost per minute per user' of service 'gmail.googleapis.com' for consumer 'project_number:1'."

/** What a use above the quota is answered: 403 `rateLimitExceeded`, or the same as 429. */
export const rateLimitExceeded = (code: 403 | 429 = 403, retryAfterSeconds?: number): GoogleError =>
  new GoogleError(
    code,
    code === 403 ? 'PERMISSION_DENIED' : 'RESOURCE_EXHAUSTED',
    { message: overQuota, domain: 'usageLimits', reason: 'rateLimitExceeded' },
    { details: [errorInfo('RATE_LIMIT_EXCEEDED')], headers: retryAfter(retryAfterSeconds) },
  )

export const userRateLimitExceeded = (retryAfterSeconds?: number): GoogleError =>
  plain(403, 'PERMISSION_DENIED', 'usageLimits', 'userRateLimitExceeded', 'User Rate Limit Exceeded', retryAfter(retryAfterSeconds))

/** Gmail's own limits of a user, of bandwidth and of requests at a time. It says in the message too until when. */
export const tooManyRequests = (until: number, retryAfterSeconds?: number): GoogleError => {
  const message = `User-rate limit exceeded.  Retry after ${new Date(until).toISOString()}`
  return plain(429, 'RESOURCE_EXHAUSTED', 'global', 'rateLimitExceeded', message, retryAfter(retryAfterSeconds))
}

export const tooManyConcurrent = (): GoogleError =>
  plain(429, 'RESOURCE_EXHAUSTED', 'usageLimits', 'rateLimitExceeded', 'Too many concurrent requests for user.')

export const internalError = (): GoogleError => plain(500, 'INTERNAL', 'global', 'backendError', 'Internal error encountered.')
export const unavailable = (retryAfterSeconds?: number): GoogleError =>
  plain(503, 'UNAVAILABLE', 'global', 'backendError', 'The service is currently unavailable.', retryAfter(retryAfterSeconds))

const retryAfter = (seconds?: number): Record<string, string> => (seconds === undefined ? {} : { 'retry-after': `${seconds}` })

/** An answer of Google's OAuth endpoints that is an error (RFC 6749, section 5.2). */
export class OAuthError extends Error {
  override name = 'OAuthError'
  code: number
  error: string
  constructor(code: number, error: string, description: string) {
    super(description)
    this.code = code
    this.error = error
  }
  body(): object {
    return { error: this.error, error_description: this.message }
  }
}
