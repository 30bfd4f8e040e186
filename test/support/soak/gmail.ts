import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { projections } from '../../../projections/index.ts'
import type { Mailbox } from '../../../schema/mailbox.ts'
import { SYNC_QUEUE } from '../../../schema/sync.ts'
import { readConfig } from '../../../src/config.ts'
import { sql } from '../../../src/platform/database.ts'
import { createLogger } from '../../../src/platform/log.ts'
import { formatPosition } from '../../../src/platform/position.ts'
import { openServices } from '../../../src/services.ts'
import { madeUpMailbox } from '../google/made-up-mailbox.ts'
import { testClient } from '../google/server.ts'
import { tablesEqualLog } from '../tables-equal-log.ts'
import { type Cluster, soakKey, startCluster } from './cluster.ts'
import { createFaults } from './faults.ts'
import { checkMailbox, type Entry } from './gmail-checks.ts'
import { type GoogleProcess, startGoogleProcess } from './google.ts'
import { checkStreams, readLog } from './log-checks.ts'
import { createRandom, type Random } from './random.ts'
import { emptyDatabase, type Report } from './soak.ts'

export type GmailSettings = {
  readonly seed: number
  readonly messages: number
  /** What may be used of the mailbox in a minute of Google's time, which is a second of ours. */
  readonly quotaUnits: number
  /** How many times something is killed. */
  readonly blows: number
  /** Beside one API. */
  readonly processes?: { readonly projectors: number; readonly workers: number }
  readonly pauseMs: readonly [number, number]
  /** The share of the mailbox that is fetched before the first of them. */
  readonly quietShare: number
  /** Whether too little use of the quota in that time is a fault: where others use the machine, it says nothing. */
  readonly isUseHeld: boolean
  /** A worker that was killed is missed at once, instead of after 12 s. */
  readonly hurry?: boolean
  readonly keep?: boolean
  say(line: string): void
}

const SPEED = 60
const log = createLogger('error', 'soak')

/**
 * The service as processes fetches a mailbox from a simulated Google whose clock runs 60 times as fast, while everything fails there that can, the mailbox
 * changes, and worker, projector and event node are killed at random. Afterwards every message is there once, the ledger adds up, and a comparison finds
 * nothing; and Google has never been asked for more than it allows.
 */
export async function gmailSoak(settings: GmailSettings): Promise<Report> {
  const { seed, messages, quotaUnits, blows, pauseMs, quietShare, isUseHeld, hurry = false, keep = false, say } = settings
  const { projectors, workers } = settings.processes ?? { projectors: 2, workers: 2 }
  const startedAt = performance.now()
  const tell = (line: string) => say(`${((performance.now() - startedAt) / 1000).toFixed(1).padStart(7)} s  ${line}`)
  const faults = createFaults()
  const random = createRandom(seed)
  const folder = await mkdtemp(join(tmpdir(), 'smartcrm-gmail-'))
  await chmod(folder, 0o755)
  tell(`seed ${seed}, in ${folder}`)
  const now = Date.now()
  const threads = Math.max(40, Math.round(messages / 5))
  const people = Math.max(8, Math.min(600, Math.round(threads / 4)))
  const sizes = { messages, threads, people, seed }
  const google = await startGoogleProcess([
    '--auto',
    ...['--speed', `${SPEED}`, '--now', `${now}`, '--quota-limit', `${quotaUnits}`, '--secret', 'of tokens'],
    ...Object.entries(sizes).flatMap(([name, value]) => [`--${name}`, `${value}`]),
  ])
  const env = {
    GOOGLE_CLIENT_ID: testClient.id,
    GOOGLE_CLIENT_SECRET: testClient.secret,
    GOOGLE_URL: google.url,
    GMAIL_QUOTA_UNITS: `${quotaUnits}`,
    GMAIL_QUOTA_SECONDS: '1',
    MAILBOX_SYNC_SECONDS: '60',
  }
  const cluster = await startCluster({ folder, apis: 1, projectors, workers, env })
  const config = {
    ...readConfig({ ...env, SMARTCRM_DATA: join(folder, 'data') }),
    databaseUrl: cluster.databaseUrl,
    eventStoreUrl: cluster.eventStoreUrl,
  }
  const services = await openServices(config, log)
  try {
    const api = askingOf(cluster.apis[0]!)
    await api.connect()
    const { id } = await api.until(60, 'a mailbox', async () => (await api.ask('GET', '/v1/mailboxes')).data?.[0] as Mailbox | undefined)
    const status = async () => ((await api.ask('GET', `/v1/mailboxes/${id}`)) as Mailbox).sync!
    const done = async () => {
      const { ledger } = await status()
      return ledger.listed - ledger.pending
    }

    await api.until(120, 'the listing', async () => (await status()).progress.state === 'fetching')
    const from = await google.now()
    await api.until(messages, 'the quiet part', async () => (await done()) > messages * quietShare)
    // What is in use just now is not over yet.
    const quiet = await google.quota(from, await google.now())
    tell(`${await done()} done; quiet use of the quota ${(100 * quiet.share).toFixed(1)} %, ${quiet.refused} refused`)
    if (quiet.share < 0.9 && isUseHeld) faults.add('too little use of the quota', `${(100 * quiet.share).toFixed(1)} %`)

    await google.fail(everyFault(seed))
    await google.quirks({ repeatedOnPages: 3 })
    const counted: Record<string, number> = {}
    for (let blow = 0; blow < blows; blow += 1) {
      const node = random.pick(cluster.nodes.filter(({ role }) => ['worker', 'projector', 'eventstore'].includes(role)))
      await node.kill('SIGKILL')
      counted[node.role] = (counted[node.role] ?? 0) + 1
      tell(`kill ${node.name.padEnd(14)} ${await done().catch(() => '?')} done`)
      await disturb(google, random, blow)
      if (hurry) await missAtOnce(services)
      await delay(random.between(...pauseMs))
    }
    await google.heal()
    await google.quirks({ repeatedOnPages: 0 })
    tell('calm')

    const settledSeconds = 240 + (messages * 20 * 3) / quotaUnits
    await api.until(settledSeconds, 'everything', async () => {
      if (hurry) await missAtOnce(services)
      return (await status()).progress.state === 'up-to-date'
    })
    tell(`up to date: ${JSON.stringify((await status()).ledger)}`)
    const task = async (name: string) => {
      const { jobId } = await api.until(60, name, () => api.ask('POST', `/v1/mailboxes/${id}/${name}`))
      return api.until(settledSeconds, `the end of ${name}`, async () => {
        const job = await api.ask('GET', `/v1/jobs/${jobId}`)
        return job.state === 'done' ? job.result : null
      })
    }
    await task('sync')
    await task('retry')
    const first = await task('reconcile')
    const second = await task('reconcile')
    tell(`compared: ${JSON.stringify(first)}, then ${JSON.stringify(second)}`)
    if (second.missing !== 0 || second.gone !== 0) faults.add('a comparison that is not empty', JSON.stringify(second))

    const whole = await google.quota()
    if (whole.maxUnitsIn60Seconds > quotaUnits)
      faults.add('too much use of the quota', `${whole.maxUnitsIn60Seconds} of ${quotaUnits} units`)
    const entries: Entry[] = []
    for (let cursor = ''; ; ) {
      const page = await api.ask('GET', `/v1/mailboxes/${id}/ledger?limit=200${cursor}`)
      entries.push(...page.data)
      if (page.nextCursor === null) break
      cursor = `&cursor=${page.nextCursor}`
    }
    const events = await readLog(services.store, services.codec)
    checkStreams(events, faults)
    const made = new Map(madeUpMailbox({ now, ...sizes }).messages.map(({ messageId, raw }) => [messageId, raw]))
    const { ledger } = await status()
    const stored = await checkMailbox({ events, entries, ledger, there: await google.messages(), made, api, random, faults })
    // Who was shown a mail just now is in the log, too.
    const all = await readLog(services.store, services.codec)
    const last = formatPosition(all.findLast(({ type }) => type !== 'HeartbeatRecorded')!.position)
    await api.ask('GET', '/v1/contacts?limit=1', undefined, { 'smartcrm-after': last, prefer: 'wait=20' })
    const scratch = await emptyDatabase(cluster.databaseUrl)
    const { differences } = await tablesEqualLog({ live: services.pool, scratch, projections, events: all, log })
    await scratch.close()
    for (const difference of differences) faults.add('tables that are not the log', difference)
    const figures = {
      ledger,
      stored,
      kills: counted,
      restarts: cluster.restarts(),
      firstComparison: first,
      quotaUnits,
      quietUse: Number(quiet.share.toFixed(3)),
      mostUnitsInAMinute: whole.maxUnitsIn60Seconds,
      refusedForTheQuota: whole.refused,
      requests: whole.byMethod,
      events: all.length,
      seconds: Math.round((performance.now() - startedAt) / 1000),
    }
    return { faults: faults.lines(), figures }
  } finally {
    await services.close()
    await cluster.close()
    await google.close()
    if (!keep) await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** Everything that can be wrong with Google, each now and then. */
const everyFault = (seed: number): Parameters<GoogleProcess['fail']>[0] => [
  { fault: 'expiredPageToken', method: ['messages.list', 'history.list'], probability: 0.1, seed },
  { fault: 'gone', method: 'history.list', probability: 0.05, seed: seed + 1 },
  { fault: 'vanish', method: 'messages.get', probability: 0.002, seed: seed + 2 },
  { fault: 'notFound', method: 'messages.get', probability: 0.002, seed: seed + 3 },
  { fault: 'unauthorized', probability: 0.01, seed: seed + 4 },
  { fault: 'rateLimitExceeded', probability: 0.002, seed: seed + 5 },
  { fault: 'tooManyRequests', probability: 0.001, retryAfterSeconds: 2, seed: seed + 6 },
  { fault: 'internalError', probability: 0.01, seed: seed + 7 },
  { fault: 'unavailable', probability: 0.005, retryAfterSeconds: 1, seed: seed + 8 },
  { fault: 'badGateway', probability: 0.005, seed: seed + 9 },
  { fault: 'cut', probability: 0.005, seed: seed + 10 },
  { fault: 'reset', probability: 0.005, seed: seed + 11 },
]

/** The mailbox goes on living: mail comes and goes, is relabelled, and Google forgets what it had to tell. */
async function disturb(google: GoogleProcess, random: Random, blow: number): Promise<void> {
  const there = await google.messages()
  const raw = (n: number) =>
    Buffer.from(
      `From: Late <late@later.example>\r\nTo: ${google.address}\r\nSubject: late ${blow} ${n}\r\nMessage-ID: <late-${blow}-${n}@later.example>\r\nDate: Mon, 2 Feb 2026 10:00:00 +0000\r\n\r\nlate\r\n`,
    )
  for (let n = 0; n < 3; n += 1) await google.add(raw(n), n === 2 ? { labelIds: ['SPAM'] } : {})
  await google.remove(random.pick(there).id).catch(unlessGone)
  await google.relabel(random.pick(there).id, { add: ['STARRED'] }).catch(unlessGone)
  const spam = there.find(({ labelIds }) => labelIds.includes('SPAM'))
  if (spam) await google.relabel(spam.id, { remove: ['SPAM'], add: ['INBOX'] }).catch(unlessGone)
  if (blow % 4 === 1) await google.expireHistory()
  if (blow % 4 === 2) await google.expirePages()
}

/** Messages vanish by themselves meanwhile, as one of the faults. */
function unlessGone(error: Error): void {
  if (!/not found/i.test(error.message)) throw error
}

/** The jobs of a worker that is no more are another's at once; those of one that lives are told so before. */
async function missAtOnce({ pool }: Pick<Awaited<ReturnType<typeof openServices>>, 'pool'>): Promise<void> {
  await pool.rows(sql.unsafe`
    update pgboss.job set heartbeat_on = heartbeat_on - interval '1 minute'
    where name = ${SYNC_QUEUE} and state = 'active' and heartbeat_on < now() - interval '4 seconds'`)
  await pool.rows(sql.unsafe`update pgboss.queue set monitor_claim_on = null, monitor_on = null`)
}

export type Api = ReturnType<typeof askingOf>

// biome-ignore lint/suspicious/noExplicitAny: answers of every shape
type Answer = any

function askingOf(url: string) {
  const headers = { authorization: `Bearer ${soakKey}` }
  const ask = async (method: string, path: string, body?: object, more: Record<string, string> = {}): Promise<Answer> => {
    const response = await fetch(url + path, {
      method,
      headers: { ...headers, ...(body && { 'content-type': 'application/json' }), ...more },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(20_000),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return JSON.parse(text)
  }
  /** Looks until there is something; what cannot be asked is asked again. */
  async function until<T>(seconds: number, what: string, look: () => Promise<T>): Promise<NonNullable<T>> {
    let last: unknown = null
    for (const end = performance.now() + seconds * 1000; performance.now() < end; await delay(250)) {
      const found = await look().catch((error) => {
        last = error
        return null
      })
      if (found) return found
    }
    throw new Error(`waited in vain for ${what}`, { cause: last })
  }
  return {
    ask,
    until,
    raw: async (emailId: string) => Buffer.from(await (await fetch(`${url}/v1/emails/${emailId}/raw`, { headers })).arrayBuffer()),
    /** As a person does it in a browser. */
    async connect() {
      const { consentUrl } = await until(60, 'the API', () => ask('POST', '/v1/mailboxes/google/connect', {}))
      const back = (await fetch(consentUrl, { redirect: 'manual' })).headers.get('location')!
      const page = await fetch(back.replace(/^https?:\/\/[^/]+/, url))
      if (!page.ok) throw new Error(`the mailbox is not connected: ${page.status} ${await page.text()}`)
    },
  }
}

export type { Cluster }
