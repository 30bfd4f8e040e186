import { setTimeout as delay } from 'node:timers/promises'
import type { Vendor } from '../../schema/enrichment-events.ts'
import { inOrder } from '../platform/in-order.ts'
import { Failed } from '../platform/jobs.ts'
import { Refused, Unavailable } from '../platform/refusal.ts'
import type { EnrichmentRun } from './enrichment-run.ts'
import { monthOf, recordFaltered, reserveCall, settleCall, spendingIdOf } from './spending.ts'

/** An enrichment ends here: why, for programs and for people, and what the call cost that it ended at. */
export class EnrichmentEnds extends Error {
  override readonly name = 'EnrichmentEnds'
  readonly code: string
  readonly costMicroUsd: number
  constructor(code: string, message: string, costMicroUsd = 0) {
    super(message)
    this.code = code
    this.costMicroUsd = costMicroUsd
  }
}

/** A call as the budget knows it. @property microUsd what it may cost at most */
export type Reserved = { readonly callId: string; readonly vendor: Vendor; readonly microUsd: number }

/** How long a place is waited for before the job makes way for others. */
const WAIT_MS = 20_000
/** Whoever took a place in line may change the month's spending; in one process one after the other. */
const ledger = inOrder()

/** Reserves what the call may cost, and waits a while for a place. @returns which month's spending it is in */
export async function reserve(run: EnrichmentRun, { callId, vendor, microUsd }: Reserved): Promise<string> {
  for (const end = performance.now() + WAIT_MS; ; ) {
    run.signal.throwIfAborted()
    const spendingId = spendingIdOf(monthOf(run.now().toISOString()))
    const body = { callId, enrichmentId: run.enrichmentId, vendor, microUsd, limits: run.limitsOf(vendor) }
    try {
      await ledger([spendingId], () => run.spend(`reserve ${vendor}`, reserveCall, body, spendingId))
      return spendingId
    } catch (error) {
      if (error instanceof Refused && error.code === 'budget-reached') throw new EnrichmentEnds(error.code, error.message)
      const waits = error instanceof Unavailable || (error instanceof Refused && ['vendor-busy', 'vendor-paused'].includes(error.code))
      if (!waits) throw error
      if (error instanceof Refused && error.code === 'vendor-paused') run.giveUpIfDue(callId, 'vendor-away', error.message)
      const waitSeconds = error.retryAfterSeconds ?? 1
      if (performance.now() + waitSeconds * 1000 > end)
        throw new Failed(error instanceof Refused ? error.code : 'unavailable', error.message, { retryAfterSeconds: waitSeconds })
      await delay(waitSeconds * 1000 * (0.25 + Math.random()), undefined, { signal: run.signal })
    }
  }
}

export async function settle(
  run: EnrichmentRun,
  { callId, vendor }: Reserved,
  outcome: 'done' | 'failed' | 'unknown' | 'not-taken',
  microUsd: number,
  health: 'well' | 'fault' | 'same',
  retryAfterSeconds?: number,
  spendingId = run.spendingId(),
): Promise<void> {
  const body = {
    callId,
    enrichmentId: run.enrichmentId,
    vendor,
    microUsd,
    outcome,
    health,
    pauseSeconds: run.config.enrichmentPauseSeconds,
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds: Math.ceil(retryAfterSeconds) }),
  }
  await insist(run, () => ledger([spendingId], () => run.spend(`settle ${vendor}`, settleCall, body, spendingId)))
}

export async function falter(run: EnrichmentRun, { callId, vendor }: Reserved, code: string): Promise<void> {
  const body = { callId, enrichmentId: run.enrichmentId, vendor, code, pauseSeconds: run.config.enrichmentPauseSeconds }
  const spendingId = spendingIdOf(monthOf(run.now().toISOString()))
  await insist(run, () => ledger([spendingId], () => run.spend(`falter ${vendor}`, recordFaltered, body, spendingId)))
}

/** Tries again while the log is away; what is to be written is known here alone. */
export async function insist<T>(run: EnrichmentRun, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error
      run.signal.throwIfAborted()
      await delay(500 * (0.5 + Math.random()), undefined, { signal: run.signal })
    }
  }
}
