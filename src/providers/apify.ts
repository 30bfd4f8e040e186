import { ApifyApiError, ApifyClient } from 'apify-client'
import { askFailure, type Enricher, type Failure, startFailure } from './enricher.ts'

export type ApifySettings = {
  /** Without `/v2`. */
  readonly url: string
  readonly token: string
  /** `apify/website-content-crawler`, or an id. */
  readonly actor: string
  /** JSON; see `inputOf`. */
  readonly inputTemplate: string
  /** How long a run may take, in seconds, and cost. Apify itself ends it after that. */
  readonly runSeconds: number
  readonly maxUsd: number
  /** How long one answer may take; for tests. */
  readonly answerSeconds?: number
}

export type PagesAsked = { readonly addresses: readonly string[]; readonly name: string; readonly company: string | null }
export type ReadPage = { readonly url: string; readonly title?: string; readonly text: string }

/** What our own marker is called in a run's input. Apify has no idempotency key for runs; by this a run is found again. */
export const CAUSE_FIELD = 'smartcrmCause'
/** More than that of a page is never looked at. */
const MAX_PAGE_CHARACTERS = 20_000
const MAX_ITEMS = 10
const RUNS_AT_ONCE = 200
const READ_AT_ONCE = 8
/** So many runs' causes are remembered. */
const MOST_REMEMBERED = 20_000
/** Their clock is not ours. */
const CLOCKS_APART_MS = 120_000

/**
 * The actor's input: the template with `"{{startUrls}}"` as a list of `{url}`, `"{{urls}}"` as a list of addresses, and `{{name}}`, `{{company}}` and
 * `{{cause}}` as text. The cause is in it in any case.
 * @throws SyntaxError when the template is no JSON
 */
export function inputOf(template: string, cause: string, { addresses, name, company }: PagesAsked): Record<string, unknown> {
  const texts: Record<string, string> = { name, company: company ?? '', cause }
  const fill = (value: unknown): unknown => {
    if (value === '{{startUrls}}') return addresses.map((url) => ({ url }))
    if (value === '{{urls}}') return [...addresses]
    if (typeof value === 'string') return value.replaceAll(/\{\{(name|company|cause)\}\}/g, (_, key: string) => texts[key]!)
    if (Array.isArray(value)) return value.map(fill)
    if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, fill(inner)]))
    return value
  }
  return { ...(fill(JSON.parse(template)) as object), [CAUSE_FIELD]: cause }
}

/** Apify (API v2): an actor that finds and reads public pages. Pages are fetched by it, never by us. */
export function createApify(settings: ApifySettings): Enricher<PagesAsked, readonly ReadPage[]> {
  const { url, token, actor, inputTemplate, runSeconds, maxUsd, answerSeconds = 30 } = settings
  // Its own retries would begin a run again whose answer was lost: a run is begun once, and found again by its marker.
  const client = new ApifyClient({ baseUrl: url, token, maxRetries: 0, timeoutSecs: answerSeconds })
  const asking = <T>(work: Promise<T>): Promise<T> =>
    work.catch((error: unknown) => {
      throw askFailure('Apify', failureOf(error), error)
    })

  /** Which run was begun for which cause: a run's input never changes, and each is read once. */
  const causes = new Map<string, unknown>()
  const remember = (id: string, cause: unknown) => {
    if (causes.size >= MOST_REMEMBERED) causes.delete(causes.keys().next().value!)
    causes.set(id, cause ?? null)
  }

  return {
    vendor: 'apify',
    async start(cause, asked) {
      const input = inputOf(inputTemplate, cause, asked)
      const started = client.actor(actor).start(input, { timeout: runSeconds, maxTotalChargeUsd: maxUsd, maxItems: MAX_ITEMS })
      const { id } = await started.catch((error: unknown) => {
        throw startFailure('Apify', failureOf(error), error)
      })
      remember(id, cause)
      return id
    },
    async find(cause, since) {
      const startedAfter = new Date(Date.parse(since) - CLOCKS_APART_MS).toISOString()
      for (let offset = 0; ; offset += RUNS_AT_ONCE) {
        // The oldest first: runs that begin meanwhile come behind, and move nothing.
        const { items } = await asking(client.actor(actor).runs().list({ startedAfter, limit: RUNS_AT_ONCE, offset }))
        const unknown = items.filter(({ id }) => !causes.has(id))
        for (let from = 0; from < unknown.length; from += READ_AT_ONCE) {
          const read = unknown.slice(from, from + READ_AT_ONCE).map(async ({ id, defaultKeyValueStoreId }) => {
            const record = await asking(client.keyValueStore(defaultKeyValueStoreId).getRecord('INPUT'))
            remember(id, (record?.value as Record<string, unknown> | null | undefined)?.[CAUSE_FIELD])
          })
          // What was read is remembered, also when one could not be: the next time goes on from there.
          const failed = (await Promise.allSettled(read)).find(({ status }) => status === 'rejected')
          if (failed) throw (failed as PromiseRejectedResult).reason
        }
        const found = items.find(({ id }) => causes.get(id) === cause)
        if (found) return found.id
        if (items.length < RUNS_AT_ONCE) return null
      }
    },
    async look(id, waitSeconds) {
      const run = await asking(
        (async () => {
          const waitForFinish = Math.max(0, Math.min(Math.floor(waitSeconds), answerSeconds - 5))
          return client.run(id).get(waitForFinish > 0 ? { waitForFinish } : {})
        })(),
      )
      if (!run) return { state: 'failed', code: 'run-gone', message: 'Apify does not know the run any more.', costMicroUsd: null }
      const { status, usageTotalUsd, defaultDatasetId } = run
      const costMicroUsd = microUsd(usageTotalUsd ?? maxUsd)
      if (['READY', 'RUNNING', 'TIMING-OUT', 'ABORTING'].includes(status)) return { state: 'running' }
      if (status !== 'SUCCEEDED') {
        const code = `run-${status.toLowerCase()}`
        return { state: 'failed', code, message: `The run of the actor ended as ${status}.`, costMicroUsd }
      }
      const { items } = await asking(client.dataset<Record<string, unknown>>(defaultDatasetId).listItems({ limit: MAX_ITEMS, clean: true }))
      if (!Array.isArray(items)) throw askFailure('Apify', {}, new Error('The items of a dataset are no list.'))
      return { state: 'done', result: items.flatMap(pageOf), costMicroUsd }
    },
    async cancel(id) {
      await asking(client.run(id).abort())
    },
  }
}

const microUsd = (usd: number) => Math.round(usd * 1e6)

/** An item of any actor's dataset as a page: its address, and its text, or whatever text there is in it. */
function pageOf(item: Record<string, unknown>): ReadPage[] {
  const { url, text, markdown, title, metadata } = item
  if (typeof url !== 'string') return []
  const named = typeof title === 'string' ? title : (metadata as { title?: unknown } | undefined)?.title
  const words = typeof text === 'string' && text !== '' ? text : typeof markdown === 'string' ? markdown : textIn(item)
  return [
    {
      url: url.slice(0, 2_000),
      ...(typeof named === 'string' && { title: named.slice(0, 500) }),
      text: words.slice(0, MAX_PAGE_CHARACTERS),
    },
  ]
}

/** `key: value` a line, of an item that is no page but a record. */
function textIn(value: unknown, key = '', depth = 0): string {
  if (typeof value === 'string' || typeof value === 'number') return key ? `${key}: ${value}` : String(value)
  if (!value || typeof value !== 'object' || depth > 4) return ''
  return Object.entries(value)
    .map(([name, inner]) => textIn(inner, Array.isArray(value) ? key : name, depth + 1))
    .filter(Boolean)
    .join('\n')
}

function failureOf(error: unknown): Failure {
  if (error instanceof ApifyApiError) return { status: error.statusCode }
  const { code, cause, status } = error as { code?: string; status?: number; cause?: { code?: string } }
  return { code: code ?? cause?.code, status }
}
