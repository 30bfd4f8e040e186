import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Enrichment } from '../../schema/enrichment.ts'
import { openPool, sql } from '../../src/platform/database.ts'
import { createLogger } from '../../src/platform/log.ts'
import { startApify } from './apify/apify.ts'
import { startOpenAi } from './openai/openai.ts'
import { until } from './processes.ts'
import { createRandom } from './soak/random.ts'
import { vendorEnv } from './vendors/env.ts'
import { madeUpPages, type OnPage } from './vendors/made-up-pages.ts'
import { startWhole } from './whole.ts'

const key = 'a-key-for-tests-0123456789'
const KNOWN_CODES = [
  'answer-refused',
  'answer-incomplete',
  'answer-invalid',
  'answer-failed',
  'answer-lost',
  'outcome-unknown',
  'took-too-long',
  'vendor-away',
  'rate-limited',
  'unreachable',
  // The pages could not be read, and there is no mail.
  'run-failed',
  'run-timed-out',
  'run-aborted',
  'nothing-to-read',
]

type Options = {
  contacts: number
  kills: number
  seed: number
  /** Of a database that is there; one of its own Postgres unless given. */
  databaseUrl?: string
  /** How much time the whole may take, in seconds. */
  patienceSeconds: number
  say(line: string): void
}
type Teardown = { teardown(clear: () => unknown): void }

/**
 * Enriches contacts in bulk while everything goes wrong: at the vendors by chance, and the worker and the event node die by `kill -9`. Then every
 * enrichment has one end, no call was paid twice, and the budget knows what was paid.
 * @returns what is wrong, and figures
 */
export async function enrichmentFaults(t: Teardown, { contacts, kills, seed, databaseUrl, patienceSeconds, say: tell }: Options) {
  const began = Date.now()
  const say = (line: string) => tell(`${((Date.now() - began) / 1000).toFixed(1)} s: ${line}`)
  const random = createRandom(seed)
  const people = Array.from(
    { length: contacts },
    (_, index): OnPage => ({ name: `Person Example${index}`, email: `person${index}@firm${index}.example.com` }),
  )
  const quiet = {
    none: 20,
    'rate-limited': 1,
    'error-before': 1,
    'error-after': 0.5,
    'hang-before': 0.5,
    'hang-after': 0.5,
    'hang-up': 0.5,
    cut: 0.5,
  }
  const apify = await startApify(t, {
    pages: madeUpPages(people),
    runMs: 300,
    seed,
    mix: {
      start: { ...quiet, none: 12 },
      read: quiet,
      run: { none: 20, 'run-failed': 1, 'run-timed-out': 0.5, 'run-never-ends': 0.5, huge: 1 },
    },
  })
  const openai = await startOpenAi(t, {
    answerMs: 300,
    seed: seed + 1,
    mix: {
      start: { ...quiet, none: 12 },
      read: quiet,
      answer: { none: 20, refusal: 0.7, incomplete: 0.7, 'other-schema': 0.7, 'no-json': 0.7, failed: 0.7, 'never-ends': 0.5, lost: 0.5 },
    },
  })
  const folder = await mkdtemp(join(tmpdir(), 'smartcrm-enrichment-'))
  await chmod(folder, 0o755)
  t.teardown(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  const whole = await startWhole(t, folder, {
    ...vendorEnv(apify, openai),
    SMARTCRM_ADMIN_KEY: key,
    ...(databaseUrl && { DATABASE_URL: databaseUrl }),
    APIFY_CONCURRENCY: '12',
    OPENAI_CONCURRENCY: '12',
    ENRICHMENT_REQUEST_SECONDS: '2',
    APIFY_RUN_SECONDS: '3',
    OPENAI_ANSWER_SECONDS: '3',
    ENRICHMENT_PATIENCE_SECONDS: '60',
    ENRICHMENT_DAILY_BUDGET: '10000',
    ENRICHMENT_MONTHLY_BUDGET: '10000',
    ENRICHMENT_DAILY_CALLS: '100000',
    ENRICHMENT_MONTHLY_CALLS: '100000',
  })
  const pool = openPool(databaseUrl ?? (await whole.database()), createLogger('silent', 'test'))
  t.teardown(() => pool.close())
  const ask = async (method: string, path: string, body?: object) => {
    const headers = { authorization: `Bearer ${key}`, ...(body && { 'content-type': 'application/json' }) }
    const response = await fetch(`${whole.url}${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) })
    // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
    return { status: response.status, body: (await response.json()) as any }
  }
  const get = async (path: string) => (await ask('GET', path)).body

  say('up')
  for (let from = 0; from < people.length; from += 500) {
    const inputs = people
      .slice(from, from + 500)
      .map(({ name, email }) => ({ name, company: 'Everybody Ltd', methods: [{ type: 'email', value: email }] }))
    await ask('POST', '/v1/contacts/batch', { inputs })
  }
  const filter = { company: 'Everybody Ltd' }
  await until(
    'all contacts in the tables',
    async () => (await ask('POST', '/v1/enrichments/bulk', { filter, dryRun: true })).body.contacts === contacts,
  )
  const accepted = await ask('POST', '/v1/enrichments/bulk', { filter, maxUsd: 100_000 })
  if (accepted.status !== 202) throw new Error(JSON.stringify(accepted.body))

  const overNow = async () => {
    const { enrichments } = await get('/v1/enrichment').catch(() => ({}))
    return enrichments ? enrichments.enriched + enrichments.failed : 0
  }
  /** Killed workers are noticed by their silence; here their last sign is made older, as in crashes/mail-import.ts. */
  const notice = async () => {
    await pool.rows(sql.unsafe`
      update pgboss.job set heartbeat_on = heartbeat_on - interval '1 minute' where name in ('enrich', 'enrich-bulk') and state = 'active'`)
    await pool.rows(sql.unsafe`update pgboss.queue set monitor_claim_on = null, monitor_on = null`)
  }
  say('asked for')
  const end = Date.now() + patienceSeconds * 1000
  const inTime = (what: string, look: () => Promise<boolean>) =>
    until(what, look, (end - Date.now()) / 1000).catch(async ({ message }) => {
      throw new Error(`${message}; ${JSON.stringify(await get('/v1/enrichment').catch(String))}`)
    })
  for (let killed = 1; killed <= kills; killed += 1) {
    const at = Math.floor((contacts * (killed - 0.5 + random.next() * 0.5)) / (kills + 1))
    await inTime(`${at} of ${contacts}`, async () => (await overNow()) >= at)
    await delay(random.between(0, 400))
    const role = killed % 3 === 2 ? 'eventstore' : 'worker'
    const pid = whole.pids(role).at(-1)!
    process.kill(pid, 'SIGKILL')
    say(`killed the ${role} with ${await overNow()} of ${contacts} over`)
    await until(`another ${role}`, () => whole.pids(role).at(-1) !== pid)
    if (role === 'worker') await notice()
  }
  await inTime('the end of all', async () => (await overNow()) >= contacts)
  say('ended')
  await inTime('the last call settled', async () =>
    (await get('/v1/enrichment')).vendors.every(({ running }: { running: number }) => running === 0),
  )

  say('all over')
  const faults: string[] = []
  const all: Enrichment[] = []
  for (let cursor = ''; ; ) {
    const page = await get(`/v1/enrichments?limit=200${cursor}`)
    all.push(...page.data)
    if (page.nextCursor === null) break
    cursor = `&cursor=${page.nextCursor}`
  }
  if (all.length !== contacts || new Set(all.map(({ contactId }) => contactId)).size !== contacts)
    faults.push(`${all.length} enrichments of ${contacts} contacts`)
  const took = ({ requestedAt, endedAt }: Enrichment) => Date.parse(endedAt!) - Date.parse(requestedAt)
  const slowest = all.toSorted((a, b) => took(b) - took(a)).slice(0, 3)
  for (const one of slowest) {
    say(`slow: ${took(one) / 1000} s, ${one.code ?? one.state}, ${one.message}`)
    if (process.env['ENRICHMENT_SLOW']) {
      const page = await get('/v1/events?limit=1000&category=enrichment,spending')
      for (const { type, at, data } of page.data)
        if (data.enrichmentId === one.id) say(`   ${at} ${type} ${data.vendor ?? ''} ${data.code ?? data.outcome ?? ''}`)
    }
  }
  const codes: Record<string, number> = {}
  for (const { state, code } of all) codes[code ?? state] = (codes[code ?? state] ?? 0) + 1
  for (const code of Object.keys(codes))
    if (!['enriched', ...KNOWN_CODES].includes(code)) faults.push(`an end that nobody expected: ${code}`)
  if ((codes['enriched'] ?? 0) < contacts / 10) faults.push(`few are enriched: ${JSON.stringify(codes)}`)

  for (const [vendor, starts] of [
    ['Apify', apify.startsByCause()],
    ['OpenAI', openai.startsByCause()],
  ] as const)
    for (const [cause, count] of Object.entries(starts)) if (count > 1) faults.push(`${vendor} was paid ${count} times for ${cause}`)

  const events = new Map<string, string[]>()
  for (let after = '', more = true; more; ) {
    const page = await get(`/v1/events?limit=1000&type=ContactEnriched,EnrichmentCompleted,EnrichmentFailed${after}`)
    for (const { type, data } of page.data) events.set(data.enrichmentId, [...(events.get(data.enrichmentId) ?? []), type])
    after = `&after=${page.nextAfter}`
    more = page.more
  }
  for (const { id, state } of all) {
    const expected = state === 'enriched' ? 'ContactEnriched,EnrichmentCompleted' : 'EnrichmentFailed'
    if (events.get(id)?.join() !== expected) faults.push(`enrichment ${id} is ${state}, and its events are ${events.get(id)}`)
  }
  const { day } = await get('/v1/enrichment')
  const told = all.reduce((sum, { usd }) => sum + usd, 0)
  if (Math.abs(told - day.spentUsd) > 1e-6) faults.push(`the budget knows of ${day.spentUsd} dollars, the enrichments of ${told}`)
  const begun = Object.keys(apify.startsByCause()).length + Object.keys(openai.startsByCause()).length
  if (begun > day.calls) faults.push(`${begun} calls were begun, and ${day.calls} counted`)
  return { faults, figures: { ...codes, begun, counted: day.calls, usd: day.spentUsd } }
}
