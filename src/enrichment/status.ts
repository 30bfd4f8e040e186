import { Type } from '@sinclair/typebox'
import { enrichmentCounts, policyNow, spendingOf } from '../../projections/enrichment-reads.ts'
import { SourceKind } from '../../schema/enrichment.ts'
import { vendors } from '../../schema/enrichment-events.ts'
import { Instant, nullable } from '../../schema/shared.ts'
import type { Database } from '../platform/database.ts'
import { gauge, type Metrics } from '../platform/metrics.ts'
import { type QueryEndpoint, query } from '../platform/projection.ts'
import { sharedAnswer } from '../platform/shared-answer.ts'
import type { Enrichers } from './enrichers.ts'
import { budgetReached, FAILURES, monthOf, spentSoFar } from './spending.ts'

const Budget = Type.Object({
  limitUsd: Type.Number(),
  spentUsd: Type.Number({ description: 'Calls that are not over are counted with what they may cost.' }),
  limitCalls: Type.Integer(),
  calls: Type.Integer(),
})

const oneOf = (...values: string[]) => Type.Union(values.map((value) => Type.Literal(value)))
const Status = Type.Object(
  {
    state: oneOf('open', 'budget-reached', 'not-set-up'),
    reached: nullable(Type.String({ description: 'Which limit is reached.', examples: ['the 5 US dollars of a day'] })),
    day: Budget,
    month: Budget,
    vendors: Type.Array(
      Type.Object({
        vendor: Type.String({ examples: ['openai'] }),
        state: Type.Unsafe<string>({
          ...oneOf('well', 'failing', 'paused', 'not-set-up'),
          description: `\`paused\`: it failed ${FAILURES} times or more in a row, and nothing is asked of it until \`pausedUntil\`; then one call tries it.`,
        }),
        running: Type.Integer({ description: 'Calls that are not over.' }),
        calls: Type.Integer({ description: 'Of this month.' }),
        usd: Type.Number({ description: 'Of this month.' }),
        failures: Type.Integer({ description: 'In a row.' }),
        pausedUntil: nullable(Instant),
      }),
    ),
    sources: Type.Array(SourceKind, { description: 'The best first.' }),
    onCreation: Type.Boolean({ description: 'Whether new contacts are enriched by themselves.' }),
    enrichments: Type.Object({ waiting: Type.Integer(), running: Type.Integer(), enriched: Type.Integer(), failed: Type.Integer() }),
  },
  { title: 'EnrichmentStatus' },
)

/** How much is spent, and how the vendors do, by what the tables know. */
async function statusNow(db: Database, { budget, config }: Enrichers, now: string) {
  const [spending, { order, onCreationSince }, counts] = await Promise.all([
    spendingOf(db, monthOf(now)),
    policyNow(db),
    enrichmentCounts(db),
  ])
  const spent = spentSoFar(spending, now)
  const reached = budgetReached(spent, 1, budget)
  const isSetUp = { apify: config.apifyToken !== undefined, openai: config.openaiKey !== undefined }
  const count = (state: string) => counts.find((one) => one.state === state)?.count ?? 0
  return {
    state: !isSetUp.openai ? 'not-set-up' : reached ? 'budget-reached' : 'open',
    reached,
    day: { limitUsd: budget.dayMicroUsd / 1e6, spentUsd: spent.dayMicroUsd / 1e6, limitCalls: budget.dayCalls, calls: spent.dayCalls },
    month: {
      limitUsd: budget.monthMicroUsd / 1e6,
      spentUsd: spent.monthMicroUsd / 1e6,
      limitCalls: budget.monthCalls,
      calls: spent.monthCalls,
    },
    vendors: vendors.map((vendor) => {
      const { failures, pausedUntil, calls, microUsd } = spent.vendors[vendor]
      const isPaused = pausedUntil !== undefined && pausedUntil > now
      return {
        vendor,
        state: !isSetUp[vendor] ? 'not-set-up' : isPaused ? 'paused' : failures > 0 ? 'failing' : 'well',
        running: spent.open.filter((open) => open.vendor === vendor).length,
        calls,
        usd: microUsd / 1e6,
        failures,
        pausedUntil: isPaused ? pausedUntil : null,
      }
    }),
    sources: order,
    onCreation: onCreationSince !== null,
    enrichments: { waiting: count('waiting'), running: count('running'), enriched: count('enriched'), failed: count('failed') },
  }
}

/** `GET /enrichment`. */
export const enrichmentStatus = (enrichers: Enrichers, now = () => new Date()): QueryEndpoint =>
  query({
    operationId: 'getEnrichmentStatus',
    path: '/enrichment',
    summary: 'What enrichment has cost, what is left of its budgets, and how its vendors do',
    params: Type.Object({}),
    querystring: Type.Object({}),
    response: Status,
    run: (db) => statusNow(db, enrichers, now().toISOString()),
  })

const FRESH_MS = 2_000

/** The same for those who scrape. */
export function enrichmentMetrics(metrics: Metrics, db: Database, enrichers: Enrichers): void {
  const status = sharedAnswer(() => statusNow(db, enrichers, new Date().toISOString()), FRESH_MS)
  gauge(metrics, {
    name: 'smartcrm_enrichments',
    help: 'Enrichments by state (waiting, running, enriched, failed).',
    labels: ['state'],
    async tell(sample) {
      for (const [state, count] of Object.entries((await status()).enrichments)) sample({ state }, count)
    },
  })
  gauge(metrics, {
    name: 'smartcrm_enrichment_spent_usd',
    help: 'What enrichment has cost this day and month (UTC), in US dollars.',
    labels: ['period'],
    async tell(sample) {
      const { day, month } = await status()
      sample({ period: 'day' }, day.spentUsd)
      sample({ period: 'month' }, month.spentUsd)
    },
  })
  gauge(metrics, {
    name: 'smartcrm_enrichment_budget_usd',
    help: 'What it may cost, in US dollars.',
    labels: ['period'],
    async tell(sample) {
      const { day, month } = await status()
      sample({ period: 'day' }, day.limitUsd)
      sample({ period: 'month' }, month.limitUsd)
    },
  })
  gauge(metrics, {
    name: 'smartcrm_enrichment_vendor_failures',
    help: 'How often a vendor failed in a row; from 5 on nothing is asked of it for a while.',
    labels: ['vendor'],
    async tell(sample) {
      for (const { vendor, failures } of (await status()).vendors) sample({ vendor }, failures)
    },
  })
}
