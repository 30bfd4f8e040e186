import { setTimeout as delay } from 'node:timers/promises'
import { gaxios } from 'google-auth-library'
import { asContract, type GoogleFault, googleFault, isPassing, isTooFast } from './google-faults.ts'
import { ProviderAway, type Turn } from './mailbox.ts'

/** @property timeoutMs of one request @property firstRetryMs doubles with each @property longestRetryMs whoever asks us to wait longer is left alone */
export type Patience = {
  readonly tries: number
  readonly timeoutMs: number
  readonly firstRetryMs: number
  readonly longestRetryMs: number
}
export const patience: Patience = { tries: 6, timeoutMs: 60_000, firstRetryMs: 500, longestRetryMs: 30_000 }

/** How Google's client sends: over the process's own connections, in its time, and once: who tries again is `asking`. */
export function transporterOf({ timeoutMs }: Patience): InstanceType<typeof gaxios.Gaxios> {
  const transporter = new gaxios.Gaxios({ timeout: timeoutMs, fetchImplementation: fetch, errorRedactor: false })
  transporter.interceptors.request.add({
    resolved: async (config) => Object.assign(config, { retry: false, retryConfig: { retry: 0, noResponseRetries: 0 } }),
  })
  return transporter
}

export type Asking = {
  readonly patience: Patience
  /** Waits for the turn of each try. */
  readonly pace?: () => Promise<Turn>
  readonly signal?: AbortSignal | undefined
  /** The token is not taken: the next try needs another. */
  readonly onUnauthorized?: () => void
}

/**
 * Asks Google until it answers: what passes is tried again with exponential back-off and full jitter, after `Retry-After` where that is said. The first
 * 401 is tried again at once, with a new token.
 * @throws GoogleFault of what does not pass; ProviderAway after the last try; the signal's reason
 */
export async function asking<T>({ patience, pace, signal, onUnauthorized }: Asking, ask: () => Promise<T>): Promise<T> {
  let unauthorized = 0
  for (let tried = 1; ; tried += 1) {
    const turn = await pace?.()
    signal?.throwIfAborted()
    const fault = await ask().then(
      (answer) => ({ answer }),
      (error: unknown) => googleFault(error, Date.now()),
    )
    turn?.(!('answer' in fault) && isTooFast(fault))
    if ('answer' in fault) return fault.answer
    signal?.throwIfAborted()
    if (!isPassing(fault)) throw fault
    if (fault.status === 401) {
      onUnauthorized?.()
      unauthorized += 1
      if (unauthorized === 1) continue
    }
    const asked = (fault.retryAfterSeconds ?? 0) * 1000
    if (tried >= patience.tries || asked > patience.longestRetryMs) throw away(fault)
    const jittered = Math.random() * Math.min(patience.longestRetryMs, patience.firstRetryMs * 2 ** (tried - 1))
    // Who was told when comes after that, and not all at once.
    await delay(asked + jittered, undefined, { signal }).catch(() => signal?.throwIfAborted())
  }
}

const away = (fault: GoogleFault) =>
  fault.status === 401
    ? new ProviderAway(fault.reason, 'Google does not take the token that it has just given.', { cause: fault })
    : asContract(fault)
