import type { Test } from 'tap'
import { createLogger } from '../../src/platform/log.ts'
import { run as runWorker } from '../../src/roles/worker.ts'
import { testApi } from './api.ts'
import { pushAccount } from './google/push.ts'
import { type GoogleOptions, startGoogle, testClient } from './google/server.ts'

export const ADA = 'ada@example.com'
const PUBLIC_URL = 'http://127.0.0.1:9'

/** The whole service, set up with a simulated Google. @param worker whether jobs are worked on, too */
export async function googleApi(
  t: Test,
  options: Partial<GoogleOptions> = {},
  { worker = false, env = {} }: { worker?: boolean; env?: Record<string, string> } = {},
) {
  const google = await startGoogle({
    accounts: [
      { address: ADA, name: 'Ada', aliases: ['countess@example.com'], labels: ['Engines'] },
      { address: 'bea@example.org' },
      { address: 'dot@example.net' },
    ],
    auto: true,
    quota: { limit: 1_000_000 },
    ...options,
  })
  t.teardown(() => google.close())
  const api = await testApi(t, {
    env: {
      GOOGLE_CLIENT_ID: testClient.id,
      GOOGLE_CLIENT_SECRET: testClient.secret,
      GOOGLE_URL: google.url,
      SMARTCRM_PUBLIC_URL: PUBLIC_URL,
      GMAIL_PUSH_ACCOUNT: pushAccount,
      ...env,
    },
  })
  // The tables are there when this has been seen in them.
  await api.after(await api.ask('POST', '/v1/contacts', { name: 'Somebody' }), '/v1/contacts')
  if (worker) t.teardown((await runWorker(api.config, createLogger(process.env['TEST_LOG'] ?? 'silent', 'worker'))).close)

  /** Where Google sends the browser back to, as it is reached in this test. */
  const consent = async (consentUrl: string): Promise<string> => {
    const answer = await fetch(consentUrl, { redirect: 'manual' })
    const location = answer.headers.get('location')
    if (!location?.startsWith(`${PUBLIC_URL}/`)) throw new Error(`Google answers ${answer.status} ${location}`)
    return location.replace(PUBLIC_URL, api.url)
  }
  const comeBack = async (location: string) => {
    const answer = await fetch(location, { redirect: 'manual' })
    return { status: answer.status, headers: answer.headers, text: await answer.text() }
  }
  /** Connects a mailbox as a person does. @returns the page that he reads */
  const connect = async (address = ADA, headers: Record<string, string> = {}) => {
    const { body } = await api.ask('POST', '/v1/mailboxes/google/connect', { address }, headers)
    return comeBack(await consent(body.consentUrl))
  }
  return { google, api, consent, comeBack, connect }
}
