import type { FastifyReply } from 'fastify'
import type { RateLimit } from '../../../schema/access.ts'
import type { Caller } from '../api-keys.ts'
import type { RateLimits } from '../rate-limits.ts'
import { Refused } from '../refusal.ts'

/** What a key may ask for, unless it has a limit of its own, by its role; `*`: any other role's; `admin-key`: the settings' key, which has none else. */
export type LimitsByRole = Readonly<Record<string, RateLimit | null>>

/** The limit of somebody; null: none. */
export function limitOf({ actor, role, rateLimit }: Caller, byRole: LimitsByRole): RateLimit | null {
  if (rateLimit) return rateLimit
  if (actor === 'key:admin') return byRole['admin-key'] ?? null
  return (Object.hasOwn(byRole, role) ? byRole[role] : byRole['*']) ?? null
}

/**
 * Counts a request of somebody who has a limit, and says so: `RateLimit` and `RateLimit-Policy` as draft-ietf-httpapi-ratelimit-headers-10 has them.
 * @throws Refused (429, with Retry-After) beyond the limit
 */
export async function countRequest(caller: Caller, byRole: LimitsByRole, limits: RateLimits, reply: FastifyReply): Promise<void> {
  const limit = limitOf(caller, byRole)
  if (!limit) return
  const taken = limits.take(caller.actor, limit)
  const { isAllowed, remaining, resetSeconds } = taken instanceof Promise ? await taken : taken
  reply.header('ratelimit-policy', `"key";q=${limit.requests};w=${limit.seconds}`)
  reply.header('ratelimit', `"key";r=${remaining};t=${resetSeconds}`)
  if (isAllowed) return
  const message = `This key may ask ${limit.requests} times in ${limit.seconds} s, and has.`
  throw new Refused('rate-limited', message, 429, {}, Math.max(1, resetSeconds))
}
