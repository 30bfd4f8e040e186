import { createRandom, type Random } from '../soak/random.ts'
import type { Clock } from './clock.ts'
import * as errors from './errors.ts'
import type { Method } from './quota.ts'

/** What can go wrong, by Google's own names where it has them. */
export const faultNames = [
  'unauthorized',
  'rateLimitExceeded',
  'userRateLimitExceeded',
  'insufficientPermissions',
  'notFound',
  'gone',
  'tooManyRequests',
  'internalError',
  'badGateway',
  'unavailable',
  'expiredPageToken',
  'invalidGrant',
  'vanish',
  'hang',
  'cut',
  'reset',
] as const
export type FaultName = (typeof faultNames)[number]

/** Those that are no answer of an API. */
const breaks = ['hang', 'cut', 'reset', 'badGateway'] as const
export type Break = (typeof breaks)[number]
export const isBreak = (fault?: FaultName): fault is Break => breaks.some((name) => name === fault)

/** Which requests fail, and how. Of several rules that fit the first is followed. */
export type FaultRule = {
  fault: FaultName
  /** Unless given, any method of Gmail; `token` is the endpoint of tokens. */
  method?: Method | 'token' | readonly (Method | 'token')[]
  user?: string
  messageId?: string
  /** Only the next so many that fit. Unless given, all of them. */
  times?: number
  /** Of those that fit, a share that follows from the seed. */
  probability?: number
  seed?: number
  /** In Google's time. Only 403, 429 and 503 say it. */
  retryAfterSeconds?: number
}

export type Request = { method: Method | 'token'; user?: string | undefined; messageId?: string | undefined; hasPageToken?: boolean }

type Armed = { rule: FaultRule; left: number; hits: number; random: Random }

export type Faults = {
  add(...rules: readonly FaultRule[]): void
  clear(): void
  /** The rules, with how many requests each has failed. */
  list(): (FaultRule & { hits: number })[]
  /** @returns the rule that this request falls under */
  strike(request: Request): FaultRule | undefined
}

export function createFaults(): Faults {
  let armed: Armed[] = []
  return {
    add: (...rules) => {
      armed.push(
        ...rules.map((rule) => ({ rule, left: rule.times ?? Number.POSITIVE_INFINITY, hits: 0, random: createRandom(rule.seed ?? 1) })),
      )
    },
    clear: () => {
      armed = []
    },
    list: () => armed.map(({ rule, hits }) => ({ ...rule, hits })),
    strike(request) {
      const struck = armed.find((one) => one.left > 0 && fits(one.rule, request) && one.random.chance(one.rule.probability ?? 1))
      if (!struck) return undefined
      struck.left -= 1
      struck.hits += 1
      return struck.rule
    },
  }
}

function fits({ fault, method, user, messageId }: FaultRule, request: Request): boolean {
  if (fault === 'expiredPageToken' && !request.hasPageToken) return false
  if (fault === 'vanish' && request.method !== 'messages.get') return false
  // The endpoint of tokens is meant only by who names it, or what happens nowhere else.
  const named = fault === 'invalidGrant' ? 'token' : method
  const isMethod = named === undefined ? request.method !== 'token' : [named].flat().includes(request.method)
  return isMethod && (user === undefined || user === request.user) && (messageId === undefined || messageId === request.messageId)
}

/** The answer that a rule makes; null where there is none, since something becomes of the connection. */
export function errorOf({ fault, retryAfterSeconds }: FaultRule, clock: Clock): Error | null {
  if (fault === 'unauthorized') return errors.unauthorized()
  if (fault === 'rateLimitExceeded') return errors.rateLimitExceeded(403, retryAfterSeconds)
  if (fault === 'userRateLimitExceeded') return errors.userRateLimitExceeded(retryAfterSeconds)
  if (fault === 'insufficientPermissions') return errors.insufficientPermissions()
  if (fault === 'notFound' || fault === 'vanish') return errors.notFound()
  if (fault === 'gone') return errors.gone()
  if (fault === 'tooManyRequests') return errors.tooManyRequests(clock.now() + (retryAfterSeconds ?? 30) * 1000, retryAfterSeconds)
  if (fault === 'internalError') return errors.internalError()
  if (fault === 'unavailable') return errors.unavailable(retryAfterSeconds)
  if (fault === 'expiredPageToken') return errors.invalidArgument('Invalid pageToken')
  if (fault === 'invalidGrant') return new errors.OAuthError(400, 'invalid_grant', 'Token has been expired or revoked.')
  return null
}
