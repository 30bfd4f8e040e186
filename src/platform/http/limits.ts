import type { FastifyReply } from 'fastify'
import type { RateLimit } from '../../../schema/access.ts'
import type { ApiKeys, Caller } from '../api-keys.ts'
import type { Allowance, RateLimits } from '../rate-limits.ts'
import { type Doorkeeper, refusedFor } from './door.ts'

/** What a key may ask for, unless it has a limit of its own, by its role; `*`: any other role's; `admin-key`: the settings' key, which has none else. */
export type LimitsByRole = Readonly<Record<string, RateLimit | null>>

/** The limit of somebody; null: none. */
export function limitOf({ actor, role, rateLimit }: Caller, byRole: LimitsByRole): RateLimit | null {
  if (rateLimit) return rateLimit
  if (actor === 'key:admin') return byRole['admin-key'] ?? null
  return (Object.hasOwn(byRole, role) ? byRole[role] : byRole['*']) ?? null
}

/** The key in `Authorization: Bearer <key>` (RFC 6750 §2.1). */
export const keyIn = (authorization = ''): string | undefined => /^Bearer +(\S+) *$/i.exec(authorization)?.[1]

/** @property turnedAway how many requests were turned away at the door */
export type Limits = {
  readonly keeper: Doorkeeper
  readonly turnedAway: () => number
  /**
   * Counts a request of somebody who has a limit, and says so: `RateLimit` and `RateLimit-Policy` as draft-ietf-httpapi-ratelimit-headers-10 has them.
   * @throws Refused (429, with Retry-After) beyond the limit
   */
  count(caller: Caller, reply: FastifyReply): Promise<void>
}

/** Limits by role and key. Who was told in the present window that he is beyond his is told so again at the door: it is no work to speak of. */
export function createLimits(keys: ApiKeys, byRole: LimitsByRole, counted: RateLimits): Limits {
  let turnedAway = 0
  const headersOf = ({ requests, seconds }: RateLimit, { remaining, resetSeconds }: Allowance) => ({
    'ratelimit-policy': `"key";q=${requests};w=${seconds}`,
    ratelimit: `"key";r=${remaining};t=${resetSeconds}`,
  })
  const refusalOf = ({ requests, seconds }: RateLimit, { resetSeconds }: Allowance) => ({
    status: 429 as const,
    code: 'rate-limited',
    detail: `This key may ask ${requests} times in ${seconds} s, and has.`,
    retryAfterSeconds: Math.max(1, resetSeconds),
  })
  return {
    turnedAway: () => turnedAway,
    keeper({ headers }) {
      const key = keyIn(headers.authorization)
      const caller = key && keys.known(key)
      const limit = caller ? limitOf(caller, byRole) : null
      const spent = caller && limit && counted.spent(caller.actor, limit)
      if (!spent) return null
      turnedAway += 1
      return { ...refusalOf(limit, spent), headers: headersOf(limit, spent) }
    },
    async count(caller, reply) {
      const limit = limitOf(caller, byRole)
      if (!limit) return
      const taken = counted.take(caller.actor, limit)
      const allowance = taken instanceof Promise ? await taken : taken
      reply.headers(headersOf(limit, allowance))
      if (allowance.isAllowed) return
      throw refusedFor(refusalOf(limit, allowance))
    },
  }
}
