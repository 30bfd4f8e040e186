/*
 * The contract of every vendor that is paid for enrichment. A vendor is a file beside this one; test/providers/enricher.test.ts holds each to it.
 *
 * A paid call has a cause: an id that is known before anything is sent, and by which no second call is ever begun. `start` begins it and returns its id at
 * the vendor, before the work is done; `look` asks how it goes, and costs nothing; `find` tells, after a crash, whether a call was begun for a cause.
 */

/** What came of a call. Money is counted in millionths of a US dollar. */
export type Looked<Result> =
  | { readonly state: 'running' }
  | { readonly state: 'done'; readonly result: Result; readonly costMicroUsd: number }
  /** It ended without a result, for good. @property code kebab-case, for programs. @property message for people; names nobody. @property costMicroUsd null: nobody knows */
  | { readonly state: 'failed'; readonly code: string; readonly message: string; readonly costMicroUsd: number | null }

export type Enricher<Request, Result> = {
  readonly vendor: 'apify' | 'openai'
  /**
   * Begins paid work.
   * @returns its id at the vendor
   * @throws NotTaken, OutcomeUnknown, VendorRefused
   */
  start(cause: string, request: Request): Promise<string>
  /**
   * Looks whether work was begun for this cause.
   * @param since when the cause was recorded at the earliest, RFC 3339
   * @returns the id, or null when there is none; undefined where the vendor has no way to tell
   * @throws VendorAway
   */
  find(cause: string, since: string): Promise<string | null | undefined>
  /**
   * How the work goes. It may wait a moment for its end, never longer than `waitSeconds`.
   * @throws VendorAway; VendorRefused
   */
  look(id: string, waitSeconds: number): Promise<Looked<Result>>
  /** Ends work that takes too long, so that it costs no more. What it cost, a `look` tells. @throws VendorAway */
  cancel(id: string): Promise<void>
}

/** Nothing was begun, for sure: the vendor said so, or was never reached. Trying again is safe. */
export class NotTaken extends Error {
  override readonly name = 'NotTaken'
  readonly code: string
  readonly retryAfterSeconds: number | undefined
  constructor(code: string, message: string, retryAfterSeconds?: number, cause?: unknown) {
    super(message, { cause })
    this.code = code
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/** Nobody knows whether it was begun: no answer came, or none that says. It must not be begun again before `find` has told. */
export class OutcomeUnknown extends Error {
  override readonly name = 'OutcomeUnknown'
}

/** The vendor will not have it, now or later: the key, the address or what is asked for is wrong. Nothing was begun. */
export class VendorRefused extends Error {
  override readonly name = 'VendorRefused'
  readonly code: string
  constructor(code: string, message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

/** A question that costs nothing was not answered as it should be. Asking again is safe. */
export class VendorAway extends Error {
  override readonly name = 'VendorAway'
  readonly code: string
  readonly retryAfterSeconds: number | undefined
  constructor(code: string, message: string, retryAfterSeconds?: number, cause?: unknown) {
    super(message, { cause })
    this.code = code
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/** What an attempt to reach a vendor failed with, as far as its client tells. */
export type Failure = {
  readonly status?: number | undefined
  readonly code?: string | undefined
  readonly retryAfterSeconds?: number | undefined
}

/** The connection was never made, so nothing was sent. */
const NEVER_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT'])

/** What a failed `start` means. @param name the vendor's, for people */
export function startFailure(name: string, { status, code, retryAfterSeconds }: Failure, cause: unknown): Error {
  if (status === 429) return new NotTaken('rate-limited', `${name} takes no more for now.`, retryAfterSeconds, cause)
  if (status === 503) return new NotTaken('overloaded', `${name} is overloaded, and took nothing.`, retryAfterSeconds, cause)
  if (code && NEVER_SENT.has(code)) return new NotTaken('unreachable', `${name} cannot be reached.`, retryAfterSeconds, cause)
  if (status !== undefined && status >= 400 && status < 500) return refused(name, status, cause)
  return new OutcomeUnknown(`${name} did not say whether it began.`, { cause })
}

/** What a failed question means. */
export function askFailure(name: string, { status, retryAfterSeconds }: Failure, cause: unknown): Error {
  if (status !== undefined && status >= 400 && status < 500 && status !== 429 && status !== 408) return refused(name, status, cause)
  return new VendorAway('vendor-away', `${name} does not answer as it should.`, retryAfterSeconds, cause)
}

function refused(name: string, status: number, cause: unknown): VendorRefused {
  if (status === 401 || status === 403) return new VendorRefused('key-refused', `${name} does not accept the key of the settings.`, cause)
  if (status === 402) return new VendorRefused('vendor-unpaid', `${name} says that its account has no money left.`, cause)
  return new VendorRefused(
    'vendor-refused',
    `${name} refused what was asked of it (${status}). Look at the actor, the input template or the model of the settings.`,
    cause,
  )
}

/** A `Retry-After` in seconds (RFC 9110 §10.2.3), of either form; undefined where there is none. */
export function retryAfterOf(header: string | null | undefined, now: Date): number | undefined {
  if (!header) return undefined
  if (/^\d+$/.test(header)) return Number(header)
  const time = Date.parse(header)
  return Number.isNaN(time) ? undefined : Math.max(0, Math.ceil((time - now.getTime()) / 1000))
}
