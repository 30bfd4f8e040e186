import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { carryOutErasure } from '../../src/erasure/carry-out.ts'
import type { Command } from '../../src/platform/decider.ts'
import { startHeartbeat } from '../../src/platform/heartbeat.ts'
import type { JobRun } from '../../src/platform/jobs.ts'
import { createLogger } from '../../src/platform/log.ts'
import type { Request } from '../../src/platform/runner.ts'
import { uuidv5 } from '../../src/platform/uuid.ts'
import type { Services } from '../../src/services.ts'
import { testApi } from '../support/api.ts'
import { person } from '../support/keys.ts'
import { until } from '../support/processes.ts'
import { mail } from '../support/sync.ts'

t.setTimeout(180_000)
const log = createLogger('silent', 'test')
const api = await testApi(t, { env: { ERASURE_CONFIRMATION: 'true' } })
const { services } = api
const { runner, store } = services

await services.jobs.ready()
const heartbeat = startHeartbeat(store, services.codec, log)
t.teardown(() => heartbeat.close())

const ME = 'me@example.com'
const ADA = 'ada@example.com'
const take = async (raw: Buffer): Promise<string> => {
  const commandId = randomUUID()
  const cause = { actor: 'system:test', commandId, request: commandId, correlationId: commandId, causationId: commandId }
  const about = { source: 'import:test', ownAddresses: new Set([ME]), cause, isKept: false, again: false }
  const ingested = await services.ingest(raw, about)
  if (ingested.outcome !== 'stored') throw new Error(`it is ${ingested.outcome}`)
  return ingested.emailId
}
const created = await api.ask('POST', '/v1/contacts', { name: 'Ada Canary', methods: [{ type: 'email', value: ADA }] })
const id = created.body.id as string
await api.after(created, '/v1/contacts')
const alone = await take(mail('alone', { from: ADA, to: ADA }))
const both = await take(mail('with grace', { from: ADA, to: `${ME}, grace@example.org` }))
await until('the mails', async () => (await api.ask('GET', '/v1/emails')).body.data.length === 2)

t.test('an erasure waits until another key confirms it, and may be withdrawn until then', async (t) => {
  const asked = await api.ask('POST', `/v1/contacts/${id}/erase`, { reason: 'retention' })
  t.match(asked, { status: 202, body: { state: 'waiting', jobId: null } })
  t.equal(asked.headers.get('location'), `/v1/erasures/${id}`)
  t.match(await api.ask('POST', `/v1/erasures/${id}/confirm`), { status: 403, body: { code: 'erasure-same-actor' } })
  t.match(await api.ask('POST', `/v1/erasures/${id}/withdraw`), { status: 200, body: { state: 'withdrawn' } })
  const other = await person(api, { role: 'administrator' })
  t.match(await other.ask('POST', `/v1/erasures/${id}/confirm`), { status: 409, body: { code: 'erasure-withdrawn' } })
  t.match(await api.ask('POST', `/v1/contacts/${id}/erase`, { reason: 'retention' }), { status: 202, body: { state: 'waiting' } })
  t.equal((await api.ask('GET', `/v1/contacts/${id}`)).status, 200, 'nothing has happened yet')
  const confirmed = await other.ask('POST', `/v1/erasures/${id}/confirm`)
  t.match(confirmed, { status: 200, body: { state: 'confirmed', requestedBy: /./, confirmedBy: other.actor, jobId: /^[0-9a-f-]{36}$/ } })
  t.match(await api.ask('POST', `/v1/erasures/${id}/withdraw`), { status: 409, body: { code: 'erasure-under-way' } })
})

class Crash extends Error {}

/** What an erasure changes, counted: the process is killed just before, or just after, a certain one of these. */
function crashing(kill: { before?: number; after?: number }): { services: Services; job: JobRun<Services>; steps(): number } {
  let step = 0
  const effect =
    <A extends unknown[], R>(work: (...given: A) => Promise<R>) =>
    async (...given: A): Promise<R> => {
      step += 1
      const now = step
      if (now === kill.before) throw new Crash()
      const result = await work(...given)
      if (now === kill.after) throw new Crash()
      return result
    }
  const execute = effect((command: Command, body: unknown, params: Readonly<Record<string, string>>, request: Request) =>
    runner.execute(command, body, params, request),
  )
  const wrapped: Services = {
    ...services,
    vault: { ...services.vault, destroy: effect(services.vault.destroy) },
    blobs: { ...services.blobs, remove: effect(services.blobs.remove) },
    concealed: { ...services.concealed, put: effect(services.concealed.put) },
    erasureList: { ...services.erasureList, append: effect(services.erasureList.append) },
  }
  const requestOf = (index: number | string): Request => {
    const commandId = uuidv5(String(index), id)
    return { actor: 'system:worker', commandId, request: commandId, correlationId: id }
  }
  const job: JobRun<Services> = {
    jobId: id,
    attempt: 1,
    signal: new AbortController().signal,
    log,
    services: wrapped,
    correlationId: id,
    causationId: id,
    progress: () => {},
    execute: (index, command, body, params = {}) => execute(command, body, params, requestOf(index)),
    requestOf,
    isAwaited: async () => false,
    leaveNoTrace: () => {},
  }
  return { services: wrapped, job, steps: () => step }
}

t.test('whoever is killed anywhere in it is followed by one who brings it to the same end', async (t) => {
  let crashes = 0
  // Each attempt comes one step further than the one before: first it dies before the step, then after it.
  for (let at = 1; ; at += 1) {
    for (const kill of [{ before: at }, { after: at }]) {
      const { job, steps } = crashing(kill)
      const error = await carryOutErasure(id, job).then(
        () => null,
        (error: unknown) => error,
      )
      if (error && !(error instanceof Crash)) throw error
      if (error) crashes += 1
      else if (steps() < at) {
        t.ok(crashes > 10, `it was killed ${crashes} times`)
        return check(t)
      }
    }
  }
})

async function check(t: Test): Promise<void> {
  const types = async (stream: string) => (await store.readStream(stream)).map(({ type }) => type)
  t.strictSame(await types(`contact-${id}`), ['ContactCreated', 'ContactErased'])
  t.strictSame(await types(`claim-${services.concealed.digestOf(ADA)}`), ['AddressClaimed', 'AddressSuppressed'])
  t.strictSame(await types(`email-${alone}`), ['EmailReceived', 'EmailRemoved'])
  t.strictSame(await types(`email-${both}`), ['EmailReceived', 'EmailPartiesMasked'])
  const erasure = await types(`erasure-${id}`)
  t.strictSame(erasure.slice(erasure.indexOf('ErasureConfirmed')), [
    'ErasureConfirmed',
    'ErasurePrepared',
    'ErasureFound',
    'ErasureCompleted',
  ])
  const { receipt, emailIds } = await until('the receipt', async () => {
    const { status, body } = await api.ask('GET', `/v1/contacts/${id}/erasure`)
    return status === 200 && body
  })
  t.match(receipt, { destroyed: { keys: 2, emails: 1, blobs: 1 }, suppressed: 1, stays: { emails: 1 }, scan: { found: [] } })
  t.strictSame(emailIds, [both])
  const { entries } = await services.erasureList.read()
  const keys = entries.flatMap((entry) => ('keyIds' in entry ? entry.keyIds : []))
  t.equal(new Set(keys).size, keys.length, 'each key is in the list once')
  t.ok((await services.vault.keys(keys)).values().every((key) => key === null))
}
