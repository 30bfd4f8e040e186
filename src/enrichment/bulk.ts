import { Type } from '@sinclair/typebox'
import { averageCost, type Candidate, candidates, spendingOf } from '../../projections/enrichment-reads.ts'
import { type BulkFilter, bulkEnrichmentEvents } from '../../schema/enrichment-events.ts'
import { domainOf, isFreeMail } from '../mailboxes/addresses.ts'
import type { Database } from '../platform/database.ts'
import { internalCommand } from '../platform/decider.ts'
import { FailedForGood, type JobRun } from '../platform/jobs.ts'
import { Refused } from '../platform/refusal.ts'
import { fold } from '../platform/runner.ts'
import { uuidv5 } from '../platform/uuid.ts'
import type { Viewer } from '../platform/viewer.ts'
import { mostOf } from '../providers/openai-prices.ts'
import type { Services } from '../services.ts'
import { bulk } from './bulk-decider.ts'
import type { Enrichers } from './enrichers.ts'
import { requestFor } from './request.ts'
import { monthOf, spentSoFar } from './spending.ts'

const { BulkEnrichmentRequested, BulkEnrichmentSpread } = bulkEnrichmentEvents
const strict = { additionalProperties: false }
const { bulkId: _id, ...requested } = BulkEnrichmentRequested.schema.properties
const { bulkId: __id, ...spread } = BulkEnrichmentSpread.schema.properties

export const requestBulk = internalCommand(bulk, 'request', {
  body: Type.Object(requested, strict),
  decide: (body, { status }, { id }) => (status === 'unknown' ? [BulkEnrichmentRequested({ bulkId: id, ...body })] : []),
})

const recordSpread = internalCommand(bulk, 'spread', {
  body: Type.Object(spread, strict),
  decide: (body, { status }, { id }) => (status === 'requested' ? [BulkEnrichmentSpread({ bulkId: id, ...body })] : []),
})

const AT_ONCE = 200
const TOGETHER = 16
/** More contacts than that are another bulk. */
export const MOST = 10_000
/** What the material of one contact comes to at most, in bytes, with instructions and schema (material.ts). */
const MOST_SENT_BYTES = 90_000

export type Forecast = {
  contacts: number
  /** How many of them have pages to be read. */
  withPages: number
  /** By what enrichments cost lately; null where none is known. */
  estimatedUsd: number | null
  atMostUsd: number
  /** How many of them today's and this month's budget is enough for, if each costs as much as it may. */
  within: number
}

/** What a bulk would be about and cost, of the contacts that somebody sees; nothing is asked of anybody. */
export async function forecast(
  db: Database,
  { budget, config, openai }: Enrichers,
  filter: BulkFilter,
  viewer: Viewer,
  now: string,
): Promise<Forecast> {
  const found: Candidate[] = []
  for (let after: string | null = null; found.length < MOST; ) {
    const page: Candidate[] = await candidates(db, viewer, filter, null, after, Math.min(2_000, MOST - found.length), now)
    found.push(...page)
    if (page.length === 0) break
    after = page.at(-1)!.contactId
  }
  const pages = config.apifyToken === undefined ? 0 : config.apifyRunBudget * 1e6
  const withPages = found.filter(({ urls, emails }) => urls > 0 || emails.some((address) => !isFreeMail(domainOf(address)))).length
  const model = mostOf(openai, MOST_SENT_BYTES)
  const average = await averageCost(db)
  const spent = spentSoFar(await spendingOf(db, monthOf(now)), now)
  const each = pages + model
  const left = Math.min(budget.dayMicroUsd - spent.dayMicroUsd, budget.monthMicroUsd - spent.monthMicroUsd)
  const calls = Math.min(budget.dayCalls - spent.dayCalls, budget.monthCalls - spent.monthCalls)
  return {
    contacts: found.length,
    withPages,
    estimatedUsd: average === null ? null : Math.round(average * found.length) / 1e6,
    atMostUsd: Math.round(withPages * pages + found.length * model) / 1e6,
    within: Math.max(0, Math.min(found.length, Math.floor(left / each), Math.floor(calls / (pages > 0 ? 2 : 1)))),
  }
}

/** Asks for the enrichment of each contact that the filter finds, and of no more than were foreseen. Done again, it asks for none twice. */
export async function runBulk(bulkId: string, { services, signal, progress, execute, correlationId, causationId }: JobRun<Services>) {
  const { runner, pool } = services
  const events = await runner.load(`bulkenrichment-${bulkId}`)
  const state = fold(bulk, events)
  if (state.status === 'unknown') throw new FailedForGood('bulk-not-found', 'There is no such bulk.')
  const { viewer } = state
  const now = events[0]!.meta.at
  /** False where it was archived, opted out or erased since the tables were read. */
  const ask = async (contactId: string): Promise<boolean> => {
    const commandId = uuidv5(`request ${contactId}`, bulkId)
    const request = { actor: 'system:worker', viewer, commandId, request: commandId, correlationId, causationId }
    try {
      await requestFor(services, { contactId, enrichmentId: uuidv5(contactId, bulkId), reason: 'bulk', bulkId }, request)
      return true
    } catch (error) {
      if (error instanceof Refused) return false
      throw error
    }
  }
  let [done, refused] = [0, 0]
  for (let after: string | null = null; done + refused < state.contacts; ) {
    const page: Candidate[] = await candidates(
      pool,
      viewer,
      state.filter,
      bulkId,
      after,
      Math.min(AT_ONCE, state.contacts - done - refused),
      now,
    )
    if (page.length === 0) break
    for (let from = 0; from < page.length; from += TOGETHER) {
      signal.throwIfAborted()
      const asked = await Promise.all(page.slice(from, from + TOGETHER).map(({ contactId }) => ask(contactId)))
      done += asked.filter(Boolean).length
      refused += asked.filter((isAsked) => !isAsked).length
      progress(done + refused, state.contacts)
    }
    after = page.at(-1)!.contactId
  }
  await execute('spread', recordSpread, { requested: done, refused }, { id: bulkId })
  return { requested: done, refused }
}
