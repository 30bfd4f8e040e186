import t from 'tap'
import type { Mailbox } from '../../schema/mailbox.ts'
import { ADA, googleApi } from '../support/google-api.ts'
import { until } from '../support/processes.ts'
import { mail } from '../support/sync.ts'

t.setTimeout(240_000)
const BEA = 'bea@example.org'
// Often looked at, and so much of the quota that nobody waits for it.
const env = { MAILBOX_SYNC_SECONDS: '2', GMAIL_QUOTA_UNITS: '1000000' }
const { google, api, connect } = await googleApi(t, {}, { worker: true, env })
const mailboxOf = async (address: string): Promise<Mailbox> => {
  const found = await until(`the mailbox ${address}`, async () =>
    ((await api.ask('GET', '/v1/mailboxes')).body.data as Mailbox[]).find((mailbox) => mailbox.address === address),
  )
  return found as Mailbox
}
const ledgerOf = async (address: string) => (await mailboxOf(address)).sync!.ledger
const job = async (path: string, body?: object) => {
  const asked = await api.ask('POST', path, body)
  t.equal(asked.status, 202)
  t.equal(asked.headers.get('location'), `/v1/jobs/${asked.body.jobId}`)
  return asked.body.jobId as string
}
const finished = (jobId: string) =>
  until(`job ${jobId}`, async () => {
    const { body } = await api.ask('GET', `/v1/jobs/${jobId}`)
    return body.state === 'done' && body
  })
const entry = async (id: string, messageId: string) =>
  (
    (await api.ask('GET', `/v1/mailboxes/${id}/ledger?limit=200`)).body.data as {
      messageId: string
      outcome: string
      code: string | null
    }[]
  ).find((entry) => entry.messageId === messageId)!

t.test('a mailbox that is connected is fetched from by itself, and goes on being', async (t) => {
  for (let n = 0; n < 20; n += 1) google.add(ADA, { raw: mail(`job ${n}`, { to: ADA }), internalDate: Date.UTC(2026, 0, 1 + n) })
  await connect()
  await until('all of it', async () => (await ledgerOf(ADA)).stored === 20)
  const { sync } = await mailboxOf(ADA)
  t.match(sync, { ledger: { listed: 20, pending: 0, failed: 0 }, progress: { state: 'up-to-date', secondsLeft: 0 }, lastError: null })
  google.add(ADA, { raw: mail('job new', { to: ADA }) })
  await until('what is new', async () => (await ledgerOf(ADA)).stored === 21)
  const { body } = await api.ask('GET', '/v1/jobs?queue=sync-mailbox&limit=200')
  const done = body.data.filter(({ state }: { state: string }) => state === 'done')
  t.ok(
    done.every(({ result }: { result: { listed: number } }) => result.listed > 0),
    'who found nothing left no trace',
  )
})

t.test('what somebody asks for is a job that tells what came of it', async (t) => {
  const { id } = await mailboxOf(ADA)
  t.match(await finished(await job(`/v1/mailboxes/${id}/reconcile`)), {
    result: { missing: 0, gone: 0, listed: 0 },
    data: { mailboxId: id, task: 'reconcile' },
  })
  t.match(await finished(await job(`/v1/mailboxes/${id}/rewind`, { to: '2026-01-11T00:00:00.000Z' })), {
    result: { listed: 11, known: 11 },
  })
  t.match(await finished(await job(`/v1/mailboxes/${id}/retry`)), { result: { listed: 0 } })
  t.match(await finished(await job(`/v1/mailboxes/${id}/sync`)), { result: { listed: 0 } }, 'also that there was nothing')
  const key = { 'idempotency-key': 'the same' }
  const [one, two] = [
    await api.ask('POST', `/v1/mailboxes/${id}/reconcile`, undefined, key),
    await api.ask('POST', `/v1/mailboxes/${id}/reconcile`, undefined, key),
  ]
  t.equal(one.body.jobId, two.body.jobId, 'the same again is the same job')
  await finished(one.body.jobId)
  const run = await until('its run', async () => {
    const runs: { jobId: string; state: string }[] = (await api.ask('GET', `/v1/mailboxes/${id}/runs`)).body.data
    return runs.find(({ jobId, state }) => jobId === one.body.jobId && state === 'finished')
  })
  t.match(run, {
    kind: 'reconcile',
    state: 'finished',
    actor: /^key:/,
    jobId: one.body.jobId,
    compared: { listed: 21, missing: 0, gone: 0 },
  })
  t.equal((await api.ask('POST', `/v1/mailboxes/${id}/rewind`, { to: 'yesterday' })).status, 400)
  t.equal((await api.ask('POST', '/v1/mailboxes/6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11/reconcile')).status, 404)
})

t.test('a task that is cancelled is over, with what it had not looked at; on request that is tried again', async (t) => {
  const { id } = await mailboxOf(ADA)
  const { id: messageId } = google.add(ADA, { raw: mail('job hidden', { to: ADA }) })
  google.faults.add({ fault: 'notFound', method: 'messages.get', messageId })
  await until('it is taken for gone', async () => (await ledgerOf(ADA)).excluded === 1)
  google.faults.clear()
  google.faults.add({ fault: 'hang', method: 'messages.get', messageId })
  const jobId = await job(`/v1/mailboxes/${id}/rewind`, { to: '2026-01-01T00:00:00.000Z' })
  await until('it hangs', () => google.faults.list().some(({ hits }) => hits > 0))
  t.match((await api.ask('POST', `/v1/jobs/${jobId}/cancel`)).body, { state: 'cancelled' })
  const run = await until('it is given up', async () => {
    const runs: { jobId: string; state: string }[] = (await api.ask('GET', `/v1/mailboxes/${id}/runs`)).body.data
    return runs.find((run) => run.jobId === jobId && run.state === 'finished')
  })
  t.match(run, { fault: 'cancelled', counts: { failed: 1, known: 21 } })
  t.match(await entry(id, messageId), { outcome: 'failed', code: 'cancelled', retryAt: null })
  google.faults.clear()
  t.match(await finished(await job(`/v1/mailboxes/${id}/retry`)), { result: { listed: 1, stored: 1 } })
  await until('it is stored', async () => (await entry(id, messageId)).outcome === 'stored')
})

t.test('a provider that is away is tried again when it says so, which is shown; other mailboxes go on', async (t) => {
  google.faults.add({ fault: 'unavailable', user: BEA, retryAfterSeconds: 120 })
  const connecting = await connect(BEA)
  t.equal(connecting.status, 503, 'nor can it be connected')
  google.faults.clear()
  await connect(BEA)
  await until('it is listed', async () => (await mailboxOf(BEA)).sync!.progress.state === 'up-to-date')
  google.faults.add({ fault: 'unavailable', user: BEA, retryAfterSeconds: 120 })
  const { lastError } = (await until('the error', async () => {
    const { sync } = await mailboxOf(BEA)
    return sync!.lastError && sync
  })) as NonNullable<Mailbox['sync']>
  t.match(lastError, { code: /./, message: /^Google answers 503/ })
  t.ok(Date.parse(lastError!.nextAttemptAt!) - Date.now() > 100_000)
  google.add(ADA, { raw: mail('job beside', { to: ADA }) })
  await until('the other goes on', async () => (await ledgerOf(ADA)).stored === 23)
  google.faults.clear()
})

t.test('where consent is no longer given nothing is fetched until it is', async (t) => {
  const { id } = await mailboxOf(ADA)
  google.revokeConsent(ADA)
  await until('consent is needed', async () => (await mailboxOf(ADA)).state === 'consent-needed')
  t.match(await api.ask('POST', `/v1/mailboxes/${id}/sync`), { status: 409, body: { code: 'mailbox-not-connected' } })
  google.add(ADA, { raw: mail('job waiting', { to: ADA }) })
  t.equal((await connect()).status, 200)
  await until('it is fetched from again', async () => (await ledgerOf(ADA)).stored === 24)
  t.match(await mailboxOf(ADA), { id, state: 'connected' })
})
