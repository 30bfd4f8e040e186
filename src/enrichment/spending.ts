import { Type } from '@sinclair/typebox'
import { type Spending, spendingEvents, type Vendor, type VendorState } from '../../schema/enrichment-events.ts'
import { Id } from '../../schema/shared.ts'
import { type Context, decider, internalCommand } from '../platform/decider.ts'
import { Refused } from '../platform/refusal.ts'
import { uuidv5 } from '../platform/uuid.ts'

const { VendorCallReserved, VendorCallSettled, VendorFaltered } = spendingEvents

/** Namespace of the ids of months' spending (UUIDv5). For ever: what was spent is found by it. */
const NAMESPACE = '2d6c9f52-8d0b-4f6e-9a56-6f0c3b1a7e21'
/** `2026-03` of an instant. */
export const monthOf = (at: string): string => at.slice(0, 7)
export const spendingIdOf = (month: string): string => uuidv5(month, NAMESPACE)

const newVendor: VendorState = { calls: 0, microUsd: 0, failures: 0 }
const nothing = (day: string): Spending => ({
  day,
  dayMicroUsd: 0,
  dayCalls: 0,
  monthMicroUsd: 0,
  monthCalls: 0,
  open: [],
  vendors: { apify: newVendor, openai: newVendor },
})

type State = Spending | null
const told = (_: State, { spending }: { spending: Spending }): State => spending

/** Each event says all of the month, so the newest alone is the state. */
export const spending = decider<State, typeof spendingEvents>('spending', spendingEvents, null, {
  VendorCallReserved: told,
  VendorCallSettled: told,
  VendorFaltered: told,
})

/** How many failures in a row it takes until nothing more is asked of a vendor for a while. */
export const FAILURES = 5
const LONGEST_PAUSE_SECONDS = 600
/** An open call that old is somebody's who never came back: it goes on counting as money, and no longer as one that runs. */
const FORGOTTEN_MS = 3_600_000
/** So many may begin at once before the rate holds them back. */
const BURST = 5

const dayOf = (at: string) => at.slice(0, 10)
const whole = Type.Integer({ minimum: 0 })
const call = { callId: Id, enrichmentId: Id, vendor: Type.Union([Type.Literal('apify'), Type.Literal('openai')]) }
const strict = { additionalProperties: false }

/** What a day and a month may cost, and how fast one vendor may be asked. */
export const Limits = Type.Object(
  { dayMicroUsd: whole, dayCalls: whole, monthMicroUsd: whole, monthCalls: whole, concurrency: whole, perMinute: whole },
  strict,
)

/** The month so far, as it is on this day. */
const today = (state: State, now: string): Spending => {
  const known = state ?? nothing(dayOf(now))
  return known.day === dayOf(now) ? known : { ...known, day: dayOf(now), dayMicroUsd: 0, dayCalls: 0 }
}

const withVendor = (spent: Spending, vendor: Vendor, changes: Partial<VendorState>): Spending => ({
  ...spent,
  vendors: { ...spent.vendors, [vendor]: { ...spent.vendors[vendor], ...changes } },
})

const seconds = (untilMs: number, now: string) => Math.max(1, Math.ceil((untilMs - Date.parse(now)) / 1000))

/**
 * Reserves what a call may cost, before it is begun. Refused: `budget-reached`, for good until the day or month is over; `vendor-paused` and `vendor-busy`,
 * with the time after which to ask again. What is reserved already is reserved once.
 */
export const reserveCall = internalCommand(spending, 'reserve', {
  fromLast: true,
  body: Type.Object({ ...call, microUsd: whole, limits: Limits }, strict),
  decide: ({ callId, enrichmentId, vendor, microUsd, limits }, state, { id, now }) => {
    const spent = today(state, now)
    if (spent.open.some((open) => open.callId === callId)) return []
    const { failures, pausedUntil, nextAt, calls, microUsd: vendorMicroUsd } = spent.vendors[vendor]
    const running = spent.open.filter((open) => open.vendor === vendor && Date.parse(now) - Date.parse(open.at) < FORGOTTEN_MS)
    checkBudget(spent, microUsd, limits)
    if (pausedUntil !== undefined && pausedUntil > now)
      throw new Refused(
        'vendor-paused',
        `Nothing is asked of ${vendor} for a while: it failed too often.`,
        409,
        {},
        seconds(Date.parse(pausedUntil), now),
      )
    // After a pause one call alone tries whether it is well again.
    const most = failures >= FAILURES ? 1 : limits.concurrency
    if (running.length >= most) throw new Refused('vendor-busy', `As many calls of ${vendor} run as may.`, 409, {}, 1)
    const intervalMs = 60_000 / limits.perMinute
    const due = Math.max(nextAt ? Date.parse(nextAt) : 0, Date.parse(now))
    const early = due - Date.parse(now) - (BURST - 1) * intervalMs
    if (early > 0)
      throw new Refused(
        'vendor-busy',
        `As many calls of ${vendor} were begun this minute as may.`,
        409,
        {},
        seconds(Date.parse(now) + early, now),
      )
    const reserved = withVendor(
      {
        ...spent,
        dayMicroUsd: spent.dayMicroUsd + microUsd,
        dayCalls: spent.dayCalls + 1,
        monthMicroUsd: spent.monthMicroUsd + microUsd,
        monthCalls: spent.monthCalls + 1,
        open: [...spent.open, { callId, vendor, microUsd, at: now }],
      },
      vendor,
      { nextAt: new Date(due + intervalMs).toISOString(), calls: calls + 1, microUsd: vendorMicroUsd + microUsd },
    )
    return [VendorCallReserved({ spendingId: id, month: monthOf(now), callId, enrichmentId, vendor, microUsd, spending: reserved })]
  },
})

export type BudgetLimits = { dayMicroUsd: number; dayCalls: number; monthMicroUsd: number; monthCalls: number }

/** Which limit another call would go beyond, as words; null where none. */
export function budgetReached(spent: Spending, microUsd: number, limits: BudgetLimits): string | null {
  if (spent.dayCalls + 1 > limits.dayCalls) return `the ${limits.dayCalls} paid calls of a day`
  if (spent.monthCalls + 1 > limits.monthCalls) return `the ${limits.monthCalls} paid calls of a month`
  if (spent.dayMicroUsd + microUsd > limits.dayMicroUsd) return `the ${limits.dayMicroUsd / 1e6} US dollars of a day`
  if (spent.monthMicroUsd + microUsd > limits.monthMicroUsd) return `the ${limits.monthMicroUsd / 1e6} US dollars of a month`
  return null
}

function checkBudget(spent: Spending, microUsd: number, limits: BudgetLimits): void {
  const reached = budgetReached(spent, microUsd, limits)
  if (reached)
    throw new Refused('budget-reached', `The budget is used up: this call could go beyond ${reached}. Days and months are those of UTC.`)
}

/** The month as it stands now, for whoever shows it. */
export const spentSoFar = today

/**
 * What a reserved call really cost; again, or of one that was not reserved, it changes nothing. One that was not taken costs nothing and is no call.
 * `health`: whether the vendor is well by it, did not do its part (`fault`), or neither. `pauseSeconds`: of the first pause after too many faults.
 * `retryAfterSeconds`: the vendor said that nothing is to be asked of it for so long.
 */
export const settleCall = internalCommand(spending, 'settle', {
  fromLast: true,
  body: Type.Object(
    {
      ...call,
      microUsd: whole,
      outcome: Type.String(),
      health: Type.Union([Type.Literal('well'), Type.Literal('fault'), Type.Literal('same')]),
      pauseSeconds: whole,
      retryAfterSeconds: Type.Optional(whole),
    },
    strict,
  ),
  decide: ({ callId, enrichmentId, vendor, microUsd, outcome, health, pauseSeconds, retryAfterSeconds = 0 }, state, { id, now }) => {
    const spent = today(state, now)
    const open = spent.open.find((one) => one.callId === callId)
    if (!open) return []
    const isTaken = outcome !== 'not-taken'
    const cost = isTaken ? microUsd : 0
    const more = cost - open.microUsd
    const isToday = dayOf(open.at) === spent.day
    const before = spent.vendors[vendor]
    const settled = withVendor(
      {
        ...spent,
        dayMicroUsd: Math.max(0, spent.dayMicroUsd + (isToday ? more : 0)),
        dayCalls: spent.dayCalls - (isToday && !isTaken ? 1 : 0),
        monthMicroUsd: Math.max(0, spent.monthMicroUsd + more),
        monthCalls: spent.monthCalls - (isTaken ? 0 : 1),
        open: spent.open.filter((one) => one.callId !== callId),
      },
      vendor,
      { calls: before.calls - (isTaken ? 0 : 1), microUsd: Math.max(0, before.microUsd + more) },
    )
    const judged =
      health === 'fault'
        ? faltered(settled, vendor, pauseSeconds, now)
        : health === 'well'
          ? withVendor(settled, vendor, { failures: 0 })
          : settled
    const then = retryAfterSeconds > 0 ? paused(judged, vendor, retryAfterSeconds, now) : judged
    return [
      VendorCallSettled({ spendingId: id, month: monthOf(open.at), callId, enrichmentId, vendor, microUsd: cost, outcome, spending: then }),
    ]
  },
})

/** One failure more; from the fifth in a row on nothing is asked for a while, twice as long each time. */
function faltered(spent: Spending, vendor: Vendor, pauseSeconds: number, now: string): Spending {
  const failures = spent.vendors[vendor].failures + 1
  const counted = withVendor(spent, vendor, { failures })
  return failures < FAILURES ? counted : paused(counted, vendor, pauseSeconds * 2 ** Math.min(failures - FAILURES, 20), now)
}

function paused(spent: Spending, vendor: Vendor, seconds: number, now: string): Spending {
  const until = new Date(Date.parse(now) + Math.min(seconds, LONGEST_PAUSE_SECONDS) * 1000).toISOString()
  const before = spent.vendors[vendor].pausedUntil
  return withVendor(spent, vendor, { pausedUntil: before !== undefined && before > until ? before : until })
}

/** The vendor did not answer a question about an open call as it should. */
export const recordFaltered = internalCommand(spending, 'falter', {
  fromLast: true,
  body: Type.Object({ ...call, code: Type.String(), pauseSeconds: whole }, strict),
  decide: ({ callId, enrichmentId, vendor, code, pauseSeconds }, state, { id, now }: Context) => {
    const spent = faltered(today(state, now), vendor, pauseSeconds, now)
    return [VendorFaltered({ spendingId: id, month: monthOf(now), callId, enrichmentId, vendor, code, spending: spent })]
  },
})
