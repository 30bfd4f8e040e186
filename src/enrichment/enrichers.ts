import type { Vendor } from '../../schema/enrichment-events.ts'
import type { ApifySettings, PagesAsked, ReadPage } from '../providers/apify.ts'
import type { Enricher } from '../providers/enricher.ts'
import type { Answered, Asked, OpenAiSettings } from '../providers/openai.ts'
import type { EnrichmentConfig } from './settings.ts'
import type { BudgetLimits } from './spending.ts'

/** What enrichment works with: the vendors, as far as the settings name them, and how far one may go with them. */
export type Enrichers = {
  readonly config: EnrichmentConfig
  /** Null where no key is set. What talks to a vendor is loaded only by who asks for it. */
  pages(): Promise<Enricher<PagesAsked, readonly ReadPage[]> | null>
  model(): Promise<Enricher<Asked, Answered> | null>
  readonly openai: OpenAiSettings
  readonly budget: BudgetLimits
  limitsOf(vendor: Vendor): BudgetLimits & { concurrency: number; perMinute: number }
}

const once = <T>(make: () => Promise<T>) => {
  let made: Promise<T> | undefined
  return () => (made ??= make())
}

const micro = (usd: number) => Math.round(usd * 1e6)

export function createEnrichers(config: EnrichmentConfig): Enrichers {
  const answerSeconds = config.enrichmentRequestSeconds
  const apify: ApifySettings = {
    url: config.apifyUrl,
    token: config.apifyToken ?? '',
    actor: config.apifyActor,
    inputTemplate: config.apifyInput,
    runSeconds: config.apifyRunSeconds,
    maxUsd: config.apifyRunBudget,
    answerSeconds,
  }
  const openai: OpenAiSettings = {
    url: config.openaiUrl,
    key: config.openaiKey ?? '',
    model: config.openaiModel,
    inputPrice: config.openaiInputPrice,
    outputPrice: config.openaiOutputPrice,
    maxOutputTokens: config.openaiMaxOutputTokens,
    answerSeconds,
  }
  const budget = {
    dayMicroUsd: micro(config.enrichmentDailyBudget),
    dayCalls: config.enrichmentDailyCalls,
    monthMicroUsd: micro(config.enrichmentMonthlyBudget),
    monthCalls: config.enrichmentMonthlyCalls,
  }
  return {
    config,
    pages: once(async () => (config.apifyToken === undefined ? null : (await import('../providers/apify.ts')).createApify(apify))),
    model: once(async () => (config.openaiKey === undefined ? null : (await import('../providers/openai.ts')).createOpenAi(openai))),
    openai,
    budget,
    limitsOf: (vendor) =>
      vendor === 'apify'
        ? { ...budget, concurrency: config.apifyConcurrency, perMinute: config.apifyPerMinute }
        : { ...budget, concurrency: config.openaiConcurrency, perMinute: config.openaiPerMinute },
  }
}
