import { Failed, FailedForGood, type JobType } from './jobs.ts'
import { Invalid, Refused, Unavailable } from './refusal.ts'

/** What is stored and shown of a failure. */
export type JobError = { readonly code: string; readonly message: string }

export type Failure = JobError & {
  /** How long to wait before the next attempt; null: there is none. */
  readonly delaySeconds: number | null
}

/**
 * What a job's error means: its words, and whether and when it is tried again.
 * Only sentences that we wrote ourselves are shown: others' may hold what nobody is to read (a row's values, a bearer token).
 * @param left how many attempts there still are
 */
export function failureOf(error: unknown, { retries, backoff }: JobType, left: number, random = Math.random): Failure {
  const shown = error instanceof Failed || error instanceof Refused || error instanceof Unavailable
  const words = shown
    ? { code: error instanceof Unavailable ? 'unavailable' : error.code, message: error.message }
    : { code: 'internal-error', message: 'Something went wrong that should not have. It was logged under this job.' }
  const asked = retryAfterSeconds(error)
  const isFinal = left <= 0 || error instanceof FailedForGood || error instanceof Invalid || (error instanceof Refused && asked === null)
  if (isFinal) return { ...words, delaySeconds: null }
  // Full jitter: many that failed together do not come back together.
  const delaySeconds = random() * Math.min(backoff.baseSeconds * 2 ** Math.min(Math.max(retries - left, 0), 30), backoff.maxSeconds)
  return { ...words, delaySeconds: Math.max(delaySeconds, asked ?? 0) }
}

/** However long somebody asks to wait, we look again after a day. */
const MAX_ASKED_SECONDS = 86_400

function retryAfterSeconds(error: unknown): number | null {
  const { retryAfterSeconds: asked } = (error ?? {}) as { retryAfterSeconds?: unknown }
  return typeof asked === 'number' && asked >= 0 ? Math.min(asked, MAX_ASKED_SECONDS) : null
}
