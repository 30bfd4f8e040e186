import type { Vendor } from '../../schema/enrichment-events.ts'
import type { Command } from '../platform/decider.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { FailedForGood, type JobRun } from '../platform/jobs.ts'
import type { Logger } from '../platform/log.ts'
import { fold } from '../platform/runner.ts'
import type { Services } from '../services.ts'
import { enrichment, type Running } from './enrichment.ts'
import { EnrichmentEnds } from './ledger.ts'
import type { EnrichmentConfig } from './settings.ts'
import type { BudgetLimits } from './spending.ts'

/** One job's view of its enrichment: what the stream says, and how to add to it. */
export type EnrichmentRun = {
  readonly enrichmentId: string
  readonly signal: AbortSignal
  readonly log: Logger
  readonly config: EnrichmentConfig
  limitsOf(vendor: Vendor): BudgetLimits & { concurrency: number; perMinute: number }
  now(): Date
  state(): Running
  reload(): Promise<Running>
  /** Carries a command out on the enrichment's stream. `name` is the same in every attempt of the job: a step that was made is not made again. */
  step(name: string, command: Command, body: object): Promise<void>
  /** The same on a month's spending. */
  spend(name: string, command: Command, body: object, spendingId: string): Promise<void>
  requestedAt(): string
  /** When the call that is open was intended, and begun. */
  intendedAt(): string
  begunAt(): string
  /** Which month's spending the newest call is in. */
  spendingId(): string
  /** @throws EnrichmentEnds when a call has been tried for longer than the settings say */
  giveUpIfDue(callId: string, code: string, message: string): void
  /** A question was answered. */
  isAnswered(): void
  /** A question was not answered. @returns how many in a row by now, and whether that has been so for longer than the settings say */
  isNotAnswered(): { times: number; isLong: boolean }
}

/** A vendor that was never even tried, since others found it failing, is waited for so long. */
const WAITED_MS = 86_400_000

/** @throws FailedForGood when there is no such enrichment, or its contact was erased */
export async function openRun(enrichmentId: string, job: JobRun<Services>, now = () => new Date()): Promise<EnrichmentRun> {
  const { services, signal, log, execute } = job
  const { runner, enrichers } = services
  const stream = `enrichment-${enrichmentId}`
  let events: readonly RecordedEvent[] = []
  let current: Running
  let notAnsweredSince: number | null = null
  let notAnswered = 0

  const take = (loaded: readonly RecordedEvent[]): Running => {
    if (loaded.some(({ erased }) => erased)) throw new FailedForGood('erased', 'The contact was erased.')
    const state = fold(enrichment, loaded)
    if (state.status === 'unknown') throw new FailedForGood('enrichment-not-found', 'There is no such enrichment.')
    events = loaded
    current = state
    return state
  }
  const reload = async () => take(await runner.load(stream))
  await reload()
  const timeOf = (type: string) => events.findLast((event) => event.type === type)?.meta.at
  const firstTry = (callId: string) =>
    events.find(({ type, data }) => type === 'EnrichmentCallIntended' && (data as { callId: string }).callId === callId)?.meta.at

  return {
    enrichmentId,
    signal,
    log,
    config: enrichers.config,
    limitsOf: enrichers.limitsOf,
    now,
    state: () => current,
    reload,
    async step(name, command, body) {
      const { repeated, events: known } = await execute(`${name} ${current.deferrals}`, command, body, { id: enrichmentId })
      if (repeated) await reload()
      else take(known)
    },
    async spend(name, command, body, spendingId) {
      await execute(`${name} ${current.deferrals}`, command, body, { id: spendingId })
    },
    requestedAt: () => events[0]!.meta.at,
    intendedAt: () => timeOf('EnrichmentCallIntended') ?? events[0]!.meta.at,
    begunAt: () => timeOf('EnrichmentCallBegun') ?? events[0]!.meta.at,
    spendingId: () => (events.findLast(({ type }) => type === 'EnrichmentCallIntended')!.data as { spendingId: string }).spendingId,
    giveUpIfDue(callId, code, message) {
      const first = firstTry(callId)
      const until = first
        ? Date.parse(first) + enrichers.config.enrichmentPatienceSeconds * 1000
        : Date.parse(events[0]!.meta.at) + WAITED_MS
      if (now().getTime() > until) throw new EnrichmentEnds(code, message)
    },
    isAnswered() {
      notAnsweredSince = null
      notAnswered = 0
    },
    isNotAnswered() {
      notAnswered += 1
      notAnsweredSince ??= now().getTime()
      return { times: notAnswered, isLong: now().getTime() - notAnsweredSince > enrichers.config.enrichmentPatienceSeconds * 1000 }
    },
  }
}
