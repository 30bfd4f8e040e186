import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Problem } from '../../schema/problem.ts'
import type { Config } from '../config.ts'
import { Fault } from '../platform/fault.ts'

/** The SmartCRM service as the command line reaches it. */
export type Service = {
  url: string
  key: string
  /** How long a request is tried again while the service cannot be reached or is busy. */
  patienceSeconds: number
  /** Told, in words, when a request has to be tried again. */
  onWait?: (why: string) => void
}

export type Request = { method: 'GET' | 'POST' | 'PUT' | 'DELETE'; path: string; headers?: Record<string, string>; body?: unknown }
export type Answer = { status: number; headers: Headers; body: unknown }

/** The service did not do what was asked; the message says why and what to do. */
export class ServiceError extends Fault {
  override name = 'ServiceError'
  /** The call was wrong (address, key), so that trying it again will not help. */
  wrongCall: boolean
  constructor(message: string, wrongCall = false) {
    super(message)
    this.wrongCall = wrongCall
  }
}

const REQUEST_TIMEOUT_SECONDS = 120
/** For what somebody waits for at a terminal. */
const PATIENCE_SECONDS = 30
/** What a second try may not meet again. A 500 is none: it would come back as often as it is asked for. */
export const TRANSIENT = new Set([408, 429, 502, 503, 504])

/**
 * Sends a request until it is answered: with exponential back-off and full jitter, and no sooner than `Retry-After` says. Commands
 * must carry an `Idempotency-Key`, because an answer that got lost is asked for again.
 * @throws ServiceError when patience runs out, and for an answer of 300 and above
 */
export async function call(service: Service, request: Request): Promise<Answer> {
  const retry = backOff(service)
  for (;;) {
    const tried = await attempt(service, request)
    if (typeof tried === 'string') await retry(tried)
    else if (TRANSIENT.has(tried.status)) await retry(`it answers ${tried.status}`, retryAfterSeconds(tried.headers.get('retry-after')))
    else if (tried.status >= 300) throw refusal(service, tried)
    else return tried
  }
}

export type Asking = <T>(method: Request['method'], path: string, body?: unknown) => Promise<T>

/** Asks the service of the settings; every command with an `Idempotency-Key`, since it may be sent twice. @throws ServiceError */
export function asker(config: () => Config): Asking {
  const service = serviceOf(config())
  return async <T>(method: Request['method'], path: string, body?: unknown) => {
    const headers: Record<string, string> = method === 'GET' ? {} : { 'idempotency-key': randomUUID() }
    return (await call(service, { method, path, headers, body })).body as T
  }
}

/** The service of the settings. @throws ServiceError without a key for it */
export function serviceOf({ serviceUrl, apiKey }: Config): Service {
  if (!apiKey) throw new ServiceError(`Set SMARTCRM_KEY to an API key of the service at ${serviceUrl}.`, true)
  return { url: serviceUrl, key: apiKey, patienceSeconds: PATIENCE_SECONDS }
}

/** Waits before the next try; a function of its own for each thing that is tried. */
export function backOff({ url, patienceSeconds, onWait }: Service): (why: string, atLeastSeconds?: number) => Promise<void> {
  let startedAt: number | undefined
  let tries = 0
  return async (why, atLeastSeconds = 0) => {
    startedAt ??= performance.now()
    const waitedSeconds = (performance.now() - startedAt) / 1000
    const delaySeconds = atLeastSeconds + Math.random() * Math.min(20, 0.25 * 2 ** tries++)
    if (waitedSeconds + delaySeconds > patienceSeconds) {
      throw new ServiceError(
        `Given up: the service at ${url} cannot do it now (${why}). When it can, run the same command again: it goes on where it stopped.`,
      )
    }
    onWait?.(`waiting for the service at ${url}: ${why}`)
    await sleep(delaySeconds * 1000)
  }
}

/** An answer, or why there is none. */
async function attempt({ url, key }: Service, { method, path, headers, body }: Request): Promise<Answer | string> {
  try {
    const response = await fetch(url + path, {
      method,
      headers: {
        accept: 'application/json',
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      redirect: 'manual',
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_SECONDS * 1000),
    })
    return { status: response.status, headers: response.headers, body: parsed(await response.text()) }
  } catch (error) {
    const { name, cause } = error as Error & { cause?: { code?: string; message?: string } }
    if (name === 'TimeoutError') return `no answer within ${REQUEST_TIMEOUT_SECONDS} seconds`
    if (cause?.message === 'bad port')
      throw new ServiceError(
        `Node opens no connection to the port of ${url} (https://fetch.spec.whatwg.org/#port-blocking). Let the service have another.`,
        true,
      )
    if (cause?.code === 'ENOTFOUND') throw new ServiceError(`There is no machine by the name in ${url}. Check SMARTCRM_URL.`, true)
    if (!cause) throw error
    if (cause.code === 'ECONNREFUSED') return 'connection refused'
    return `connection lost (${cause.code ?? cause.message})`
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** RFC 9110 §10.2.3: seconds, or a date. */
function retryAfterSeconds(header: string | null): number {
  if (!header) return 0
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000
  return Number.isFinite(seconds) ? Math.max(seconds, 0) : 0
}

/** A problem as a sentence with everything that is wrong. */
export function problemText(problem: Partial<Problem> | undefined): string {
  const errors = (problem?.errors ?? []).map(({ path, message }) => [path, message].filter(Boolean).join(': '))
  const text = [problem?.detail ?? problem?.title, errors.join('; ')].filter(Boolean).join(' ')
  return text || 'The service gave no reason.'
}

/** Why the service does not do what was asked, and what to do. */
export function refusal({ url }: Service, { status, headers, body }: Answer): ServiceError {
  if (status === 401)
    return new ServiceError(`The service at ${url} does not know the key in SMARTCRM_KEY (401). Set it to a valid API key.`, true)
  if (status === 403)
    return new ServiceError(`The key in SMARTCRM_KEY may not do this at ${url} (403). Use the key of a role that may.`, true)
  const { code } = (body ?? {}) as Partial<Problem>
  if (status === 404 && (code === undefined || code === 'not-found'))
    return new ServiceError(`There is no SmartCRM service at ${url} (404). Check SMARTCRM_URL.`, true)
  if (status < 400) return new ServiceError(`${url} is elsewhere now: ${headers.get('location')}. Set SMARTCRM_URL to that.`, true)
  return new ServiceError(`The service at ${url} refused the request (${status}): ${problemText(body as Partial<Problem> | undefined)}`)
}
