import { setTimeout as delay } from 'node:timers/promises'
import type { SourceReference } from '../../schema/enrichment-events.ts'
import { Failed } from '../platform/jobs.ts'
import { Refused } from '../platform/refusal.ts'
import { uuidv5 } from '../platform/uuid.ts'
import { type Enricher, type Looked, NotTaken, OutcomeUnknown, VendorAway, VendorRefused } from '../providers/enricher.ts'
import { callBegun, callDeferred, intendCall } from './enrichment.ts'
import type { EnrichmentRun } from './enrichment-run.ts'
import { EnrichmentEnds, falter, insist, reserve, settle } from './ledger.ts'

/** The ids of an enrichment's two calls, the same in every attempt. */
export const pagesCallOf = (enrichmentId: string): string => uuidv5('pages', enrichmentId)
export const modelCallOf = (enrichmentId: string): string => uuidv5('model', enrichmentId)

export type Paid<Result> = { readonly looked: Exclude<Looked<Result>, { state: 'running' }>; readonly costMicroUsd: number }

type PaidCall<Request, Result> = {
  readonly enricher: Enricher<Request, Result>
  readonly callId: string
  /** What it may cost at most. */
  readonly microUsd: number
  readonly request: Request
  readonly intent: {
    readonly contentSha256: string
    readonly sent: readonly string[]
    readonly model?: string
    readonly promptVersion?: string
    readonly addresses: readonly string[]
    readonly sources: readonly SourceReference[]
  }
  /** How long the work may take, in seconds, once it is begun. */
  readonly workSeconds: number
}

/** A worker that was silent for 12 s has lost its job to another (jobs-queue.ts): what it meant to do that long ago it must not do any more. */
const STALE_MS = 6_000
const TOO_LATE = 'too-late'

/**
 * Makes a paid call, or goes on with it: reserved in the budget, intended in the enrichment's stream, begun, its id recorded, then asked after until it
 * ends, and settled. Wherever this process dies in between, the next one goes on from what the stream says, and begins nothing that may have been begun:
 * what was intended and has no id is looked for at the vendor, and where that cannot tell it counts as paid, and the enrichment fails.
 * @throws EnrichmentEnds; Failed, when the job is to come again
 */
export async function paidCall<Request, Result>(run: EnrichmentRun, call: PaidCall<Request, Result>): Promise<Paid<Result>> {
  const { enricher, callId } = call
  if (run.state().call?.callId !== callId) await begin(run, call)
  else if (run.state().call?.remoteId === null) await lookFor(run, call)
  const { remoteId } = run.state().call!
  if (remoteId === null) throw new Failed('enrichment-unclear', 'It is not clear yet whether the vendor began.', { retryAfterSeconds: 1 })

  const looked = await theEnd(run, call, remoteId)
  const costMicroUsd = looked.costMicroUsd ?? call.microUsd
  await settle(run, reservedOf(call), looked.state === 'done' ? 'done' : 'failed', costMicroUsd, 'well')
  run.log.info({ vendor: enricher.vendor, callId, state: looked.state, costMicroUsd }, 'a paid call ended')
  return { looked, costMicroUsd }
}

async function begin<Request, Result>(run: EnrichmentRun, call: PaidCall<Request, Result>): Promise<void> {
  const { enricher, callId, intent, microUsd, request } = call
  const { vendor } = enricher
  const spendingId = await reserve(run, reservedOf(call))
  const since = performance.now()
  const body = { callId, vendor, spendingId, estimatedMicroUsd: microUsd, ...intent }
  await run.step(`intend ${vendor}`, intendCall, body).catch(async (error: unknown) => {
    // Another worker has been here: what was reserved for a call that is over already must not stay reserved.
    if (error instanceof Refused && (await run.reload()).call?.callId !== callId)
      await settle(run, reservedOf(call), 'not-taken', 0, 'same', undefined, spendingId)
    throw error
  })
  let remoteId: string
  try {
    if (run.signal.aborted || performance.now() - since > STALE_MS) throw new NotTaken(TOO_LATE, 'This worker has no time for it any more.')
    remoteId = await enricher.start(callId, request)
  } catch (error) {
    await notBegun(run, call, error)
    return
  }
  // Whatever happens to the log now: the id is worth more than this process's time.
  await insist(run, () => run.step(`begun ${vendor}`, callBegun, { callId, remoteId }))
}

/** A start failed. @throws EnrichmentEnds; Failed; nothing, when it turned out to have begun */
async function notBegun<Request, Result>(run: EnrichmentRun, call: PaidCall<Request, Result>, error: unknown): Promise<void> {
  const { callId, enricher } = call
  if (error instanceof VendorRefused) {
    await settle(run, reservedOf(call), 'not-taken', 0, 'fault')
    throw new EnrichmentEnds(error.code, error.message)
  }
  if (error instanceof OutcomeUnknown) {
    run.log.warn({ err: error, vendor: enricher.vendor, callId }, 'nobody knows whether a paid call was begun')
    await falter(run, reservedOf(call), 'outcome-unknown')
    return lookFor(run, call)
  }
  const code = error instanceof NotTaken ? error.code : 'not-begun'
  const after = error instanceof NotTaken ? error.retryAfterSeconds : undefined
  // Who says when to come back is well.
  const isFault = error instanceof NotTaken && code !== TOO_LATE && after === undefined
  await run.step(`deferred ${enricher.vendor}`, callDeferred, { callId, code })
  await settle(run, reservedOf(call), 'not-taken', 0, isFault ? 'fault' : 'same', after)
  if (!(error instanceof NotTaken)) throw error
  run.giveUpIfDue(callId, code, error.message)
  throw new Failed(code, error.message, { retryAfterSeconds: after ?? 2, cause: error })
}

/** It was intended, and nobody knows whether it was begun. */
async function lookFor<Request, Result>(run: EnrichmentRun, call: PaidCall<Request, Result>): Promise<void> {
  const { enricher, callId } = call
  const intendedAt = run.intendedAt()
  for (;;) {
    run.signal.throwIfAborted()
    let found: string | null | undefined
    try {
      found = await enricher.find(callId, intendedAt)
      run.isAnswered()
    } catch (error) {
      await askAgain(run, call, error)
      continue
    }
    if (found === undefined) {
      await settle(run, reservedOf(call), 'unknown', call.microUsd, 'same')
      const why =
        'The vendor may have been paid, and the answer is lost; it is not paid again by itself. Ask for the enrichment anew if you want to.'
      throw new EnrichmentEnds('outcome-unknown', why, call.microUsd)
    }
    if (found !== null) return void (await insist(run, () => run.step(`begun ${enricher.vendor}`, callBegun, { callId, remoteId: found })))
    const lookMs = run.config.enrichmentLookSeconds * 1000
    const leftMs = Date.parse(intendedAt) + lookMs - run.now().getTime()
    if (leftMs <= 0) break
    await delay(Math.min(leftMs, 1_000), undefined, { signal: run.signal })
  }
  // It was never begun: so much later it would be there.
  await run.step(`deferred ${enricher.vendor}`, callDeferred, { callId, code: 'never-begun' })
  await settle(run, reservedOf(call), 'not-taken', 0, 'same')
  run.giveUpIfDue(callId, 'vendor-away', 'The vendor does not begin what it is asked for.')
  throw new Failed('never-begun', 'The vendor never began; it is asked again.', { retryAfterSeconds: 1 })
}

/** Asks until it ended, or took too long. */
async function theEnd<Request, Result>(run: EnrichmentRun, call: PaidCall<Request, Result>, remoteId: string) {
  const { enricher, workSeconds, microUsd } = call
  const deadline = Date.parse(run.begunAt()) + workSeconds * 1000
  let pauseMs = 100
  for (let cancelled = false; ; ) {
    run.signal.throwIfAborted()
    const leftMs = deadline - run.now().getTime()
    try {
      if (leftMs <= 0 && !cancelled) {
        // What cannot be told to stop has ended, or is not known any more: looking at it tells which.
        await enricher.cancel(remoteId).catch((error: unknown) => {
          if (!(error instanceof VendorRefused)) throw error
        })
        cancelled = true
      }
      const looked = await enricher.look(remoteId, cancelled ? 0 : Math.min(5, leftMs / 1000))
      run.isAnswered()
      if (looked.state === 'done') return looked
      if (looked.state === 'failed')
        return cancelled ? { ...looked, code: 'took-too-long', message: 'The vendor took too long, and was told to stop.' } : looked
      // It was told to stop, and does not.
      if (leftMs < -30_000)
        return {
          state: 'failed',
          code: 'took-too-long',
          message: 'The vendor took too long, and did not stop.',
          costMicroUsd: microUsd,
        } as const
    } catch (error) {
      await askAgain(run, call, error)
      continue
    }
    await delay(pauseMs, undefined, { signal: run.signal })
    pauseMs = Math.min(pauseMs * 1.5, 2_000)
  }
}

/** A question was not answered. @throws EnrichmentEnds, when that goes on for too long, or never helps */
async function askAgain<Request, Result>(run: EnrichmentRun, call: PaidCall<Request, Result>, error: unknown): Promise<void> {
  if (error instanceof VendorRefused) {
    await settle(run, reservedOf(call), 'unknown', call.microUsd, 'fault')
    throw new EnrichmentEnds(error.code, error.message, call.microUsd)
  }
  if (!(error instanceof VendorAway)) throw error
  const { isLong, times } = run.isNotAnswered()
  // Once is nothing, and however often one call is asked after, it speaks once: a single answer that cannot be had must not stop all others.
  if (times === 2) await falter(run, reservedOf(call), error.code)
  if (isLong) {
    await settle(run, reservedOf(call), 'unknown', call.microUsd, 'fault')
    throw new EnrichmentEnds('vendor-away', `${error.message} What it was asked for may have been paid.`, call.microUsd)
  }
  await delay(Math.min((error.retryAfterSeconds ?? 0.5) * 1000, 10_000) * (0.5 + Math.random()), undefined, { signal: run.signal })
}

const reservedOf = <Request, Result>({ callId, enricher, microUsd }: PaidCall<Request, Result>) => ({
  callId,
  vendor: enricher.vendor,
  microUsd,
})
