import { httpUrl, matching, type Setting } from '../setting.ts'

// Their types tell those that always have a value from those that may be unset (`WithDefault`).
const setting = <Value>(setting: Setting<Value> & { default: string }) => setting
const optional = <Value>(setting: Setting<Value>) => setting

const secret = matching(/^[\x21-\x7e]+$/, 'a key, without spaces')
const word = matching(/^[\w./~:-]+$/, 'a name, without spaces')
const usd = (text: string): number => {
  if (/^\d{1,9}(\.\d{1,6})?$/.test(text)) return Number(text)
  throw new Error('has to be an amount in US dollars, like 5 or 0.25')
}
const whole =
  (least: number, what: string) =>
  (text: string): number => {
    if (/^\d{1,9}$/.test(text) && Number(text) >= least) return Number(text)
    throw new Error(`has to be ${what}: a whole number from ${least} on`)
  }
const json = (text: string): string => {
  try {
    const template: unknown = JSON.parse(text)
    if (template && typeof template === 'object' && !Array.isArray(template)) return text
  } catch {}
  throw new Error('has to be a JSON object')
}

export const enrichmentSettings = {
  apifyToken: optional({
    name: 'APIFY_TOKEN',
    description:
      'API token of Apify, whose actor reads public pages. Unset: no pages are read, and contacts are enriched from their mails alone',
    parse: secret,
  }),
  apifyUrl: setting({ name: 'APIFY_URL', default: 'https://api.apify.com', description: "Base address of Apify's API", parse: httpUrl }),
  apifyActor: setting({
    name: 'APIFY_ACTOR',
    default: 'apify/website-content-crawler',
    description: 'The actor that reads pages, as owner/name or by its id',
    parse: word,
  }),
  apifyInput: setting({
    name: 'APIFY_INPUT',
    default: '{"startUrls":"{{startUrls}}","maxCrawlPages":3,"maxCrawlDepth":1,"crawlerType":"cheerio"}',
    description:
      'Template of its input, as JSON: "{{startUrls}}" becomes the list of {url}, "{{urls}}" the list of addresses, {{name}} and {{company}} the contact’s; `smartcrmCause` is added, by which a run is found again',
    parse: json,
  }),
  apifyRunBudget: setting({
    name: 'APIFY_RUN_BUDGET',
    default: '0.05',
    description: 'What one run is reckoned with, and may cost at most (maxTotalChargeUsd), in US dollars',
    parse: usd,
  }),
  apifyRunSeconds: setting({
    name: 'APIFY_RUN_SECONDS',
    default: '300',
    description: 'How long one run may take; after that it is aborted',
    parse: whole(1, 'a time in seconds'),
  }),
  apifyConcurrency: setting({
    name: 'APIFY_CONCURRENCY',
    default: '4',
    description: 'How many runs there are at once, over all workers',
    parse: whole(1, 'a number'),
  }),
  apifyPerMinute: setting({
    name: 'APIFY_PER_MINUTE',
    default: '60',
    description: 'How many runs are begun a minute, over all workers',
    parse: whole(1, 'a number'),
  }),
  openaiKey: optional({ name: 'OPENAI_API_KEY', description: 'API key of OpenAI. Unset: nothing is enriched', parse: secret }),
  openaiUrl: setting({
    name: 'OPENAI_URL',
    default: 'https://api.openai.com/v1',
    description: "Base address of OpenAI's API",
    parse: httpUrl,
  }),
  openaiModel: setting({
    name: 'OPENAI_MODEL',
    default: 'gpt-5-mini',
    description: 'The model; it has to know strict JSON schemas',
    parse: word,
  }),
  openaiInputPrice: setting({
    name: 'OPENAI_INPUT_PRICE',
    default: '0.25',
    description: 'What a million tokens of input cost, in US dollars',
    parse: usd,
  }),
  openaiOutputPrice: setting({
    name: 'OPENAI_OUTPUT_PRICE',
    default: '2',
    description: 'What a million tokens of output cost, in US dollars',
    parse: usd,
  }),
  openaiMaxOutputTokens: setting({
    name: 'OPENAI_MAX_OUTPUT_TOKENS',
    default: '4000',
    description: 'How long an answer may be, in tokens',
    parse: whole(16, 'a number of tokens'),
  }),
  openaiAnswerSeconds: setting({
    name: 'OPENAI_ANSWER_SECONDS',
    default: '300',
    description: 'How long an answer is waited for; after that it is cancelled',
    parse: whole(1, 'a time in seconds'),
  }),
  openaiConcurrency: setting({
    name: 'OPENAI_CONCURRENCY',
    default: '8',
    description: 'How many answers are waited for at once, over all workers',
    parse: whole(1, 'a number'),
  }),
  openaiPerMinute: setting({
    name: 'OPENAI_PER_MINUTE',
    default: '120',
    description: 'How many answers are asked for a minute, over all workers',
    parse: whole(1, 'a number'),
  }),
  enrichmentDailyBudget: setting({
    name: 'ENRICHMENT_DAILY_BUDGET',
    default: '5',
    description: 'What enrichment may cost a day (UTC), in US dollars; no call is begun that could go beyond it',
    parse: usd,
  }),
  enrichmentMonthlyBudget: setting({
    name: 'ENRICHMENT_MONTHLY_BUDGET',
    default: '50',
    description: 'The same a month',
    parse: usd,
  }),
  enrichmentDailyCalls: setting({
    name: 'ENRICHMENT_DAILY_CALLS',
    default: '1000',
    description: 'How many paid calls may be made a day (UTC)',
    parse: whole(0, 'a number'),
  }),
  enrichmentMonthlyCalls: setting({
    name: 'ENRICHMENT_MONTHLY_CALLS',
    default: '10000',
    description: 'The same a month',
    parse: whole(0, 'a number'),
  }),
  enrichmentCacheDays: setting({
    name: 'ENRICHMENT_CACHE_DAYS',
    default: '30',
    description: 'How old a page may be that is used again instead of being paid for again; 0 reads every page anew',
    parse: whole(0, 'a number of days'),
  }),
  enrichmentPatienceSeconds: setting({
    name: 'ENRICHMENT_PATIENCE_SECONDS',
    default: '3600',
    description: 'How long a vendor that fails is tried again before an enrichment fails',
    parse: whole(1, 'a time in seconds'),
  }),
  enrichmentLookSeconds: setting({
    name: 'ENRICHMENT_LOOK_SECONDS',
    default: '60',
    description: 'After how long a run that was perhaps begun, and is not found at Apify, is known not to have been',
    parse: whole(1, 'a time in seconds'),
  }),
  enrichmentRequestSeconds: setting({
    name: 'ENRICHMENT_REQUEST_SECONDS',
    default: '30',
    description: 'How long a vendor may take to answer one request',
    parse: whole(1, 'a time in seconds'),
  }),
  enrichmentPauseSeconds: setting({
    name: 'ENRICHMENT_PAUSE_SECONDS',
    default: '30',
    description:
      'How long nothing is asked of a vendor that failed 5 times in a row; twice as long with each failure more, up to 10 minutes',
    parse: whole(1, 'a time in seconds'),
  }),
}

type Declared = typeof enrichmentSettings
/** Those that are always there. */
export type WithDefault = { [N in keyof Declared]: Declared[N] extends { default: string } ? N : never }[keyof Declared]
type ValueOf<N extends keyof Declared> = ReturnType<Declared[N]['parse']>

/** What enrichment goes by. */
export type EnrichmentConfig = Readonly<{ [N in WithDefault]: ValueOf<N> } & { [N in Exclude<keyof Declared, WithDefault>]?: ValueOf<N> }>
