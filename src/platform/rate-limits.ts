import type { RateLimit } from '../../schema/access.ts'
import { type Pool, sql } from './database.ts'
import { within } from './within.ts'

/** What is left to somebody of his present window. */
export type Allowance = { readonly isAllowed: boolean; readonly remaining: number; readonly resetSeconds: number }

export type RateLimits = {
  /** Counts one request. At once while the process has some in hand; else it gets more first. Never fails. */
  take(key: string, limit: RateLimit): Allowance | Promise<Allowance>
  /** How long somebody has to wait who was told already that nothing is left to him of his present window; null for anybody else. Counts nothing. */
  spent(key: string, limit: RateLimit): Allowance | null
}

/** The share of what is left that a process takes at once: so many requests cost one statement, and little is left over in the hands of others at the end. */
const SHARE = 8
/** For that long Postgres is waited for; then, and while it is away, each process counts by itself, a few seconds at a time. */
const PATIENCE_MS = 500
const ALONE_SECONDS = 5

/**
 * @property inHand what this process may still let through in the window. @property elsewhere what nobody has taken yet
 * @property isTold a request was refused
 */
type Hand = { inHand: number; elsewhere: number; readonly endsAt: number; readonly limit: RateLimit; isTold: boolean }

/**
 * Limits in fixed windows, which begin at multiples of their length by the clock of Postgres, shared by all processes. No more than the limit is ever let
 * through in a window; less, where one process has taken requests that came to another (an eighth of what was left each time it asked).
 * @param patienceMs for how long Postgres is waited for
 */
export function createRateLimits(pool: Pick<Pool, 'rows'>, patienceMs = PATIENCE_MS): RateLimits {
  const hands = new Map<string, Hand>()
  const asking = new Map<string, Promise<Hand>>()

  const lease = async (key: string, limit: RateLimit): Promise<Hand> => {
    const { requests, seconds } = limit
    const asked = pool.rows<{ used: number; granted: number; restMs: number }>({
      ...sql.unsafe`
        insert into smartcrm.rate_limits as r (key, window_start, used, granted)
        select ${key}, to_timestamp(floor(extract(epoch from clock_timestamp()) / ${seconds}::int) * ${seconds}::int), g, g
        from ceil(${requests}::bigint / ${SHARE}::numeric) g
        on conflict (key) do update set
          window_start = greatest(r.window_start, excluded.window_start),
          granted = case when r.window_start < excluded.window_start then excluded.granted
            else greatest(0, ceil((${requests}::bigint - r.used) / ${SHARE}::numeric)) end,
          used = case when r.window_start < excluded.window_start then excluded.used
            else r.used + greatest(0, ceil((${requests}::bigint - r.used) / ${SHARE}::numeric)) end
        returning used, granted, (extract(epoch from window_start - clock_timestamp()) + ${seconds}::int) * 1000 as "restMs"`,
      name: 'rate-limit',
    })
    try {
      const [row] = await within(patienceMs, asked, () => new Error('late'))
      const { used, granted, restMs } = row!
      // Of a window of another length, which this key had until just now, no more than one of ours is waited for.
      const endsAt = performance.now() + Math.min(Number(restMs), seconds * 1000)
      return { inHand: Number(granted), elsewhere: Math.max(0, requests - Number(used)), endsAt, limit, isTold: false }
    } catch {
      const alone = Math.min(seconds, ALONE_SECONDS)
      return {
        inHand: Math.ceil((requests * alone) / seconds),
        elsewhere: 0,
        endsAt: performance.now() + alone * 1000,
        limit,
        isTold: false,
      }
    }
  }

  const more = (key: string, limit: RateLimit): Promise<Hand> => {
    const running = asking.get(key)
    if (running) return running
    const asked = lease(key, limit)
      .then((hand) => {
        hands.set(key, hand)
        return hand
      })
      .finally(() => asking.delete(key))
    asking.set(key, asked)
    return asked
  }

  const isOf = (hand: Hand | undefined, { requests, seconds }: RateLimit): hand is Hand =>
    hand !== undefined && hand.endsAt > performance.now() && hand.limit.requests === requests && hand.limit.seconds === seconds
  const left = ({ inHand, elsewhere, endsAt }: Hand, isAllowed: boolean): Allowance => ({
    isAllowed,
    remaining: inHand + elsewhere,
    resetSeconds: Math.ceil((endsAt - performance.now()) / 1000),
  })

  /** What the hand gives; null where there is none, or more is to be had. */
  const fromHand = (hand: Hand | undefined, limit: RateLimit): Allowance | null => {
    if (!isOf(hand, limit) || (hand.inHand === 0 && hand.elsewhere > 0)) return null
    const isAllowed = hand.inHand > 0
    if (isAllowed) hand.inHand -= 1
    else hand.isTold = true
    return left(hand, isAllowed)
  }

  const ask = async (key: string, limit: RateLimit): Promise<Allowance> => {
    for (;;) {
      const allowance = fromHand(await more(key, limit), limit)
      if (allowance) return allowance
    }
  }

  return {
    take: (key, limit) => fromHand(hands.get(key), limit) ?? ask(key, limit),
    spent(key, limit) {
      const hand = hands.get(key)
      return isOf(hand, limit) && hand.isTold ? left(hand, false) : null
    },
  }
}
