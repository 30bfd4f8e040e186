import { type AlwaysSet, httpUrl, jsonObject, matching, optional, setting, usDollars, wholeNumber } from '../setting.ts'

const secret = matching(/^[\x21-\x7e]+$/, 'a key, without spaces')
const word = matching(/^[\w./~:-]+$/, 'a name, without spaces')
/** Nobody needs more of anything. */
const MOST = 999_999_999

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
    parse: jsonObject,
  }),
  apifyRunBudget: setting({
    name: 'APIFY_RUN_BUDGET',
    default: '0.05',
    description: 'What one run is reckoned with, and may cost at most (maxTotalChargeUsd), in US dollars',
    parse: usDollars,
  }),
  apifyRunSeconds: setting({
    name: 'APIFY_RUN_SECONDS',
    default: '300',
    description: 'How long one run may take; after that it is aborted',
    parse: wholeNumber(1, MOST),
  }),
  apifyConcurrency: setting({
    name: 'APIFY_CONCURRENCY',
    default: '4',
    description: 'How many runs there are at once, over all workers',
    parse: wholeNumber(1, MOST),
  }),
  apifyPerMinute: setting({
    name: 'APIFY_PER_MINUTE',
    default: '60',
    description: 'How many runs are begun a minute, over all workers',
    parse: wholeNumber(1, MOST),
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
    parse: usDollars,
  }),
  openaiOutputPrice: setting({
    name: 'OPENAI_OUTPUT_PRICE',
    default: '2',
    description: 'What a million tokens of output cost, in US dollars',
    parse: usDollars,
  }),
  openaiMaxOutputTokens: setting({
    name: 'OPENAI_MAX_OUTPUT_TOKENS',
    default: '4000',
    description: 'How long an answer may be, in tokens',
    parse: wholeNumber(16, MOST),
  }),
  openaiAnswerSeconds: setting({
    name: 'OPENAI_ANSWER_SECONDS',
    default: '300',
    description: 'How long an answer is waited for; after that it is cancelled',
    parse: wholeNumber(1, MOST),
  }),
  openaiConcurrency: setting({
    name: 'OPENAI_CONCURRENCY',
    default: '8',
    description: 'How many answers are waited for at once, over all workers',
    parse: wholeNumber(1, MOST),
  }),
  openaiPerMinute: setting({
    name: 'OPENAI_PER_MINUTE',
    default: '120',
    description: 'How many answers are asked for a minute, over all workers',
    parse: wholeNumber(1, MOST),
  }),
  enrichmentDailyBudget: setting({
    name: 'ENRICHMENT_DAILY_BUDGET',
    default: '5',
    description: 'What enrichment may cost a day (UTC), in US dollars; no call is begun that could go beyond it',
    parse: usDollars,
  }),
  enrichmentMonthlyBudget: setting({
    name: 'ENRICHMENT_MONTHLY_BUDGET',
    default: '50',
    description: 'The same a month',
    parse: usDollars,
  }),
  enrichmentDailyCalls: setting({
    name: 'ENRICHMENT_DAILY_CALLS',
    default: '1000',
    description: 'How many paid calls may be made a day (UTC)',
    parse: wholeNumber(0, MOST),
  }),
  enrichmentMonthlyCalls: setting({
    name: 'ENRICHMENT_MONTHLY_CALLS',
    default: '10000',
    description: 'The same a month',
    parse: wholeNumber(0, MOST),
  }),
  enrichmentCacheDays: setting({
    name: 'ENRICHMENT_CACHE_DAYS',
    default: '30',
    description: 'How old a page may be that is used again instead of being paid for again; 0 reads every page anew',
    parse: wholeNumber(0, MOST),
  }),
  enrichmentPatienceSeconds: setting({
    name: 'ENRICHMENT_PATIENCE_SECONDS',
    default: '3600',
    description: 'How long a vendor that fails is tried again before an enrichment fails',
    parse: wholeNumber(1, MOST),
  }),
  enrichmentLookSeconds: setting({
    name: 'ENRICHMENT_LOOK_SECONDS',
    default: '60',
    description: 'After how long a run that was perhaps begun, and is not found at Apify, is known not to have been',
    parse: wholeNumber(1, MOST),
  }),
  enrichmentRequestSeconds: setting({
    name: 'ENRICHMENT_REQUEST_SECONDS',
    default: '30',
    description: 'How long a vendor may take to answer one request',
    parse: wholeNumber(1, MOST),
  }),
  enrichmentPauseSeconds: setting({
    name: 'ENRICHMENT_PAUSE_SECONDS',
    default: '30',
    description:
      'How long nothing is asked of a vendor that failed 5 times in a row; twice as long with each failure more, up to 10 minutes',
    parse: wholeNumber(1, MOST),
  }),
}

type Declared = typeof enrichmentSettings
type WithDefault = AlwaysSet<Declared>
type ValueOf<N extends keyof Declared> = ReturnType<Declared[N]['parse']>

/** What enrichment goes by. */
export type EnrichmentConfig = Readonly<{ [N in WithDefault]: ValueOf<N> } & { [N in Exclude<keyof Declared, WithDefault>]?: ValueOf<N> }>
