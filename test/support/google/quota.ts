import type { Clock } from './clock.ts'

/** In quota units, as they are since May 2026: https://developers.google.com/workspace/gmail/api/reference/quota */
export const prices = {
  getProfile: 1,
  'messages.list': 5,
  'messages.get': 20,
  'history.list': 2,
  'attachments.get': 20,
  'threads.get': 40,
  'labels.list': 1,
  'settings.sendAs.list': 1,
  watch: 100,
  stop: 50,
}
export type Method = keyof typeof prices
export const methods = Object.keys(prices) as Method[]

export type QuotaOptions = {
  /** Units that a user may use in any 60 s of Google's time. */
  limit?: number
  prices?: Partial<Record<Method, number>>
  /** What a use above the limit is answered. */
  overLimit?: 403 | 429
}

type Use = { at: number; method: Method; units: number; granted: boolean }

/** What a user has used between two times. */
export type Account = {
  from: number
  to: number
  /** Requests, and the units of all of them, also of those that were refused. */
  requests: number
  units: number
  /** Requests that were refused because they were over the limit. */
  refused: number
  /** The most units that were asked for within any 60 s, refused ones with them. */
  maxUnitsIn60Seconds: number
  /** Units in proportion to what the limit allows in that time. */
  share: number
  byMethod: Partial<Record<Method, number>>
}

export type Quota = {
  readonly limit: number
  readonly overLimit: 403 | 429
  /** Enters a use. @returns the seconds after which there will be room for it, 0 when there is now */
  charge(user: string, method: Method): number
  /** @param from unless given, the first use @param to unless given, the last */
  account(user: string, from?: number, to?: number): Account
  set(options: QuotaOptions): void
  /** Forgets what was used, the window too. */
  reset(): void
}

const windowMs = 60_000

export function createQuota(clock: Clock, options: QuotaOptions = {}): Quota {
  let limit = options.limit ?? 6_000
  let overLimit = options.overLimit ?? 403
  const price: Record<Method, number> = { ...prices, ...options.prices }
  const users = new Map<string, { uses: Use[]; first: number; units: number }>()

  const windowOf = (user: string, at: number) => {
    const window = users.get(user) ?? { uses: [], first: 0, units: 0 }
    users.set(user, window)
    // What is granted counts for 60 s; what was refused does not count against the limit.
    for (let use = window.uses[window.first]; use && use.at <= at - windowMs; use = window.uses[window.first]) {
      if (use.granted) window.units -= use.units
      window.first += 1
    }
    return window
  }

  return {
    get limit() {
      return limit
    },
    get overLimit() {
      return overLimit
    },
    charge(user, method) {
      const at = clock.now()
      const window = windowOf(user, at)
      const units = price[method]
      const granted = window.units + units <= limit
      window.uses.push({ at, method, units, granted })
      if (granted) {
        window.units += units
        return 0
      }
      return (roomAt(window.uses.slice(window.first), window.units + units - limit, at) + windowMs - at) / 1000
    },
    account(user, from = Number.NEGATIVE_INFINITY, to = Number.POSITIVE_INFINITY) {
      const uses = (users.get(user)?.uses ?? []).filter(({ at }) => at >= from && at <= to)
      const begin = Number.isFinite(from) ? from : (uses[0]?.at ?? 0)
      const end = Number.isFinite(to) ? to : (uses.at(-1)?.at ?? begin)
      const units = uses.reduce((sum, use) => sum + use.units, 0)
      const byMethod: Account['byMethod'] = {}
      for (const { method } of uses) byMethod[method] = (byMethod[method] ?? 0) + 1
      return {
        from: begin,
        to: end,
        requests: uses.length,
        units,
        refused: uses.filter(({ granted }) => !granted).length,
        maxUnitsIn60Seconds: mostIn(uses, windowMs),
        share: end > begin ? units / ((limit * (end - begin)) / windowMs) : 0,
        byMethod,
      }
    },
    set(options) {
      limit = options.limit ?? limit
      overLimit = options.overLimit ?? overLimit
      Object.assign(price, options.prices)
    },
    reset: () => users.clear(),
  }
}

/** When the last of those uses was made that have to be out of the window for so many units to be free. */
function roomAt(uses: readonly Use[], units: number, now: number): number {
  let freed = 0
  for (const use of uses) {
    if (use.granted) freed += use.units
    if (freed >= units) return use.at
  }
  return now
}

function mostIn(uses: readonly Use[], lengthMs: number): number {
  let most = 0
  let sum = 0
  let first = 0
  for (const { at, units } of uses) {
    sum += units
    for (; uses[first]!.at <= at - lengthMs; first += 1) sum -= uses[first]!.units
    most = Math.max(most, sum)
  }
  return most
}
