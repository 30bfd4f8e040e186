import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { syncStatuses } from '../../projections/mailbox-ledger.ts'
import type { Ledger } from '../../schema/sync.ts'
import { noPeople } from '../../src/mailboxes/people.ts'
import { noRules } from '../../src/mailboxes/rules.ts'
import type { Job, SyncedMailbox } from '../../src/mailboxes/session.ts'
import { syncMailbox } from '../../src/mailboxes/sync-mailbox.ts'
import type { Task } from '../../src/mailboxes/tasks.ts'
import { createLogger } from '../../src/platform/log.ts'
import { uuidv5 } from '../../src/platform/uuid.ts'
import { gmailProvider } from '../../src/providers/gmail.ts'
import type { MailAccount, Pace } from '../../src/providers/mailbox.ts'
import type { TestApi } from './api.ts'
import { type GoogleOptions, startGoogle, testClient } from './google/server.ts'

type Teardown = { teardown(clear: () => unknown): void }
const log = createLogger(process.env['TEST_LOG'] ?? 'silent', 'test')

/** What a worker gives to a job. @property traceless whether it is not to be kept when it is done */
export function jobFor({ signal = new AbortController().signal, jobId = randomUUID(), attempt = 1 } = {}): Job & { traceless: boolean } {
  const job = {
    jobId,
    attempt,
    signal,
    log,
    traceless: false,
    progress() {},
    requestOf: (index: number | string) => ({
      actor: 'system:worker',
      commandId: uuidv5(String(index), jobId),
      request: 'a job',
      correlationId: jobId,
    }),
    isAwaited: async () => false,
    leaveNoTrace() {
      job.traceless = true
    },
  }
  return job
}

const patience = { tries: 6, timeoutMs: 5_000, firstRetryMs: 2, longestRetryMs: 5_000 }
/** Gives every turn at once. */
export const atOnce: Pace = async () => () => {}
export const ADDRESS = 'me@own.example'

/** A simulated Google with one mailbox, and that mailbox opened as a person has consented. */
export async function mailboxAtGoogle(t: Teardown, options: Partial<GoogleOptions> = {}, pace: Pace = atOnce) {
  const accounts = [{ address: ADDRESS, name: 'Me', aliases: ['me@alias.example'], labels: ['Private'] }]
  const google = await startGoogle({ accounts, auto: true, quota: { limit: 1_000_000 }, ...options })
  t.teardown(() => google.close())
  const { url } = google
  const provider = gmailProvider({
    clientId: testClient.id,
    clientSecret: testClient.secret,
    consentUrl: `${url}/o/oauth2/v2/auth`,
    tokenUrl: `${url}/token`,
    revokeUrl: `${url}/revoke`,
    apiUrl: url,
    patience,
  })
  const codeVerifier = randomBytes(32).toString('base64url')
  const codeChallenge = createHash('sha256').update(codeVerifier).digest('base64url')
  const redirectUri = 'http://127.0.0.1:9/callback'
  const asked = provider.consentUrl({ state: 's', codeChallenge, redirectUri, loginHint: ADDRESS })
  const back = new URL((await fetch(asked, { redirect: 'manual' })).headers.get('location')!)
  const { refreshToken } = (await provider.exchange({ code: back.searchParams.get('code')!, codeVerifier, redirectUri }))!
  return { google, account: provider.open(refreshToken, pace) }
}

/** Turns at a mailbox in the place of a worker, and what comes of them. */
export function syncing(api: TestApi, account: MailAccount, more: Partial<SyncedMailbox> = {}) {
  const own = new Set([ADDRESS, 'me@alias.example'])
  const mailbox = { mailboxId: randomUUID(), account, rules: noRules, policy: noPeople, own, allOwn: own, ...more }
  const { services } = api
  /** The tables show what was recorded. */
  const shown = async () => {
    const end = await services.store.tail()
    const position = `${end?.commit ?? 0}.${end?.prepare ?? 0}`
    await api.ask('GET', '/v1/contacts?limit=1', undefined, { 'smartcrm-after': position, prefer: 'wait=20' })
  }
  return {
    mailbox,
    shown,
    async turn(task: Task | null = null, { job = jobFor(), changes = {} }: { job?: Job; changes?: Partial<SyncedMailbox> } = {}) {
      try {
        return await syncMailbox(services, job, { ...mailbox, ...changes }, { lookMs: 2_000, turnMs: 60_000 }, task)
      } finally {
        await shown()
      }
    },
    async status() {
      await shown()
      return (await syncStatuses(services.pool, [mailbox.mailboxId])).get(mailbox.mailboxId)!
    },
    async ledger(query = ''): Promise<{ messageId: string; outcome: keyof Ledger; emailId: string | null; [field: string]: unknown }[]> {
      const all = []
      for (let cursor = ''; ; ) {
        const { body } = await api.ask('GET', `/v1/mailboxes/${mailbox.mailboxId}/ledger?limit=200${query}${cursor}`)
        all.push(...body.data)
        if (body.nextCursor === null) return all
        cursor = `&cursor=${body.nextCursor}`
      }
    },
    async runs(): Promise<{ kind: string; counts: object; [field: string]: unknown }[]> {
      return (await api.ask('GET', `/v1/mailboxes/${mailbox.mailboxId}/runs?limit=200`)).body.data
    },
  }
}

/** A mail of its own. */
export const mail = (subject: string, { from = 'Grace Hopper <grace@example.org>', to = `Me <${ADDRESS}>`, more = '' } = {}): Buffer =>
  Buffer.from(
    `From: ${from}\r\nTo: ${to}\r\nSubject: ${subject}\r\nDate: Mon, 2 Feb 2026 10:00:00 +0000\r\nMessage-ID: <${subject.replaceAll(' ', '-')}@example.org>\r\n${more}\r\n${subject}\r\n`,
  )
