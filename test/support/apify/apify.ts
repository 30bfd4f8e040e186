import { randomBytes } from 'node:crypto'
import type { Random } from '../soak/random.ts'
import type { Asked, Mix, Said } from '../vendors/http.ts'
import { nextFault, type StandInSettings, startStandIn, type Teardown } from '../vendors/stand-in.ts'

/** How a run may end, beside well: as failed, by its own time limit, or never. `huge`: well, with a page of 5 MB. */
export const runFaults = ['run-failed', 'run-timed-out', 'run-never-ends', 'huge'] as const
export type RunFault = (typeof runFaults)[number]

/** An item of a dataset, in the words of the actor apify/website-content-crawler. */
export type Page = { readonly url: string; readonly title?: string; readonly text: string }

type Run = {
  readonly id: string
  readonly actId: string
  readonly startedAt: number
  readonly input: Record<string, unknown> | null
  readonly fault: RunFault | null
  readonly endsAt: number
  readonly timeoutSecs: number
  readonly buildId: string
  aborted: number | null
}

export type ApifySettings = StandInSettings & {
  /** Pages by address; an address that is not here is a site that cannot be reached. */
  pages: Record<string, Page>
  /** How long a run takes, in ms. */
  runMs: number
  usd: number
  /** The next runs end so, one by each. */
  runFaults: (RunFault | null)[]
  mix: StandInSettings['mix'] & { run: Mix<RunFault> }
}

export type ApifyStandIn = {
  readonly url: string
  readonly token: string
  readonly settings: ApifySettings
  /** The runs that were started, by the cause that their input names. Each is paid. */
  startsByCause(): Record<string, number>
  /** The inputs of all runs, in their order. */
  inputs(): (Record<string, unknown> | null)[]
  requests: string[]
  close(): Promise<void>
}

const token = 'apify_api_test'
const HUGE = 5 * 1024 * 1024

/** As much of Apify's API (v2) as is used, over HTTP. */
export async function startApify(t?: Teardown, options: Partial<ApifySettings> & { port?: number } = {}): Promise<ApifyStandIn> {
  const { port, ...given } = options
  const settings: ApifySettings = {
    pages: {},
    runMs: 50,
    usd: 0.004,
    faults: [],
    runFaults: [],
    mix: { start: {}, read: {}, run: {} },
    seed: 1,
    ...given,
  }
  const runs = new Map<string, Run>()
  const error = (status: number, message: string, type = status === 429 ? 'rate-limit-exceeded' : 'internal-server-error'): Said => ({
    status,
    body: { error: { type, message } },
  })
  const notFound = () => error(404, 'Record was not found.', 'record-not-found')
  const isStart = ({ method, path }: Asked) => method === 'POST' && /\/act(or)?s\/[^/]+\/runs$/.test(path)

  const start = (actor: string, { body, query }: Asked, random: Random): Said => {
    const id = randomId()
    const fault = nextFault(settings.runFaults, settings.mix.run, random)
    const now = Date.now()
    runs.set(id, {
      id,
      actId: actor,
      startedAt: now,
      input: body as Run['input'],
      fault,
      endsAt: fault === 'run-never-ends' ? Number.POSITIVE_INFINITY : now + settings.runMs * (0.5 + random.next()),
      timeoutSecs: Number(query.get('timeout') ?? 300),
      buildId: randomId(),
      aborted: null,
    })
    return { status: 201, body: { data: runObject(runs.get(id)!, settings) } }
  }

  const answer = async (asked: Asked, random: Random): Promise<Said> => {
    const { method, path, query, key } = asked
    if (key !== token) return error(401, 'User was not found or authentication token is not valid', 'user-or-token-not-found')
    const [, , kind, id, what, ...rest] = path.split('/')
    if (isStart(asked)) return start(decodeURIComponent(id!), asked, random)
    if (method === 'GET' && /^act(or)?s$/.test(kind!) && what === 'runs') {
      const after = query.get('startedAfter')
      const found = [...runs.values()].filter(({ startedAt }) => !after || startedAt >= Date.parse(after))
      const ordered = query.get('desc') === '1' ? found.toReversed() : found
      const [offset, limit] = [Number(query.get('offset') ?? 0), Math.min(Number(query.get('limit') ?? 1000), 1000)]
      const items = ordered.slice(offset, offset + limit).map((run) => short(runObject(run, settings)))
      return {
        status: 200,
        body: { data: { total: found.length, offset, limit, desc: query.get('desc') === '1', count: items.length, items } },
      }
    }
    const run = runs.get(id!.replace(/^(ds|kv)-/, ''))
    if (!run) return notFound()
    if (kind === 'actor-runs' && method === 'GET' && what === undefined) {
      const waitMs = Math.min(Number(query.get('waitForFinish') ?? 0), 60) * 1000
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, Math.min(waitMs, run.endsAt - Date.now()))))
      return { status: 200, body: { data: runObject(run, settings) } }
    }
    if (kind === 'actor-runs' && method === 'POST' && what === 'abort') {
      run.aborted ??= Date.now()
      return { status: 200, body: { data: runObject(run, settings) } }
    }
    if (kind === 'datasets' && what === 'items') {
      const items = itemsOf(run, settings)
      const limit = Number(query.get('limit') ?? items.length)
      const headers = {
        'x-apify-pagination-total': `${items.length}`,
        'x-apify-pagination-offset': '0',
        'x-apify-pagination-limit': `${limit}`,
      }
      return { status: 200, body: items.slice(0, limit), headers }
    }
    if (kind === 'key-value-stores' && what === 'records' && rest[0] === 'INPUT') return { status: 200, body: run.input }
    return notFound()
  }

  const vendor = await startStandIn(t, {
    port,
    settings,
    isStart,
    answer,
    error: (status, message) => error(status, message),
    causes: () => runs.values().map(({ input }) => input?.['smartcrmCause']),
  })
  return {
    ...vendor,
    token,
    settings,
    inputs: () => [...runs.values()].map(({ input }) => input),
  }
}

const randomId = () => randomBytes(12).toString('base64url').replaceAll(/[-_]/g, 'x').slice(0, 17)

function statusOf(run: Run): { status: string; finishedAt: number | null } {
  const now = Date.now()
  const timesOutAt = run.startedAt + run.timeoutSecs * 1000
  if (run.aborted !== null && run.aborted < run.endsAt) return { status: 'ABORTED', finishedAt: run.aborted }
  if (now >= timesOutAt && run.endsAt > timesOutAt) return { status: 'TIMED-OUT', finishedAt: timesOutAt }
  if (now < run.endsAt) return { status: 'RUNNING', finishedAt: null }
  const status = run.fault === 'run-failed' ? 'FAILED' : run.fault === 'run-timed-out' ? 'TIMED-OUT' : 'SUCCEEDED'
  return { status, finishedAt: run.endsAt }
}

/** A run as https://docs.apify.com/api/v2/actor-run-get shows it. */
function runObject(run: Run, { usd }: ApifySettings) {
  const { status, finishedAt } = statusOf(run)
  const runSeconds = ((finishedAt ?? Date.now()) - run.startedAt) / 1000
  return {
    id: run.id,
    actId: run.actId,
    userId: 'wRsJZtadYvn4mBZmm',
    actorTaskId: null,
    startedAt: new Date(run.startedAt).toISOString(),
    finishedAt: finishedAt && new Date(finishedAt).toISOString(),
    status,
    statusMessage: status === 'SUCCEEDED' ? 'Finished!' : null,
    isStatusMessageTerminal: finishedAt !== null,
    meta: { origin: 'API', userAgent: 'ApifyClient' },
    stats: {
      inputBodyLen: JSON.stringify(run.input).length,
      restartCount: 0,
      resurrectCount: 0,
      runTimeSecs: runSeconds,
      computeUnits: runSeconds / 3600,
    },
    options: { build: 'latest', timeoutSecs: run.timeoutSecs, memoryMbytes: 1024, diskMbytes: 2048 },
    buildId: run.buildId,
    exitCode: finishedAt === null ? null : status === 'SUCCEEDED' ? 0 : 1,
    defaultKeyValueStoreId: `kv-${run.id}`,
    defaultDatasetId: `ds-${run.id}`,
    defaultRequestQueueId: `rq-${run.id}`,
    buildNumber: '0.3.42',
    containerUrl: `https://${run.id}.runs.apify.net`,
    usageTotalUsd: finishedAt === null ? 0 : usd,
  }
}

/** What a list of runs shows of each. */
function short(run: ReturnType<typeof runObject>) {
  const { id, actId, actorTaskId, status, startedAt, finishedAt, buildId, buildNumber, meta } = run
  const { defaultKeyValueStoreId, defaultDatasetId, defaultRequestQueueId, usageTotalUsd } = run
  return {
    id,
    actId,
    actorTaskId,
    status,
    startedAt,
    finishedAt,
    buildId,
    buildNumber,
    meta,
    defaultKeyValueStoreId,
    defaultDatasetId,
    defaultRequestQueueId,
    usageTotalUsd,
  }
}

function itemsOf(run: Run, { pages }: ApifySettings): unknown[] {
  if (statusOf(run).status !== 'SUCCEEDED') return []
  const starts = ((run.input?.['startUrls'] as { url: string }[] | undefined) ?? []).map(({ url }) => url)
  return starts.flatMap((url) => {
    const page = pages[url] ?? pages[url.replace(/\/$/, '')] ?? pages[`${url}/`]
    if (!page) return []
    const text = run.fault === 'huge' ? `${page.text}\n${'Nothing but words. '.repeat(Math.ceil(HUGE / 19))}` : page.text
    return [{ url: page.url, crawl: { loadedUrl: page.url, httpStatusCode: 200, depth: 0 }, metadata: { title: page.title ?? null }, text }]
  })
}
