import { setTimeout as delay } from 'node:timers/promises'
import type { ContactEnrichment, Enrichment } from '../../schema/enrichment.ts'
import { createLogger } from '../../src/platform/log.ts'
import { run as runWorker } from '../../src/roles/worker.ts'
import { type TestApi, testApi } from './api.ts'
import { type ApifySettings, startApify } from './apify/apify.ts'
import { type OpenAiSettings, startOpenAi } from './openai/openai.ts'
import { vendorEnv } from './vendors/env.ts'
import { madeUpPages, type OnPage } from './vendors/made-up-pages.ts'

type Teardown = { teardown(clear: () => unknown): void }

export const people: OnPage[] = [
  { name: 'Ada Lovelace', email: 'ada@engines.example.com', title: 'Head of Operations', city: 'Leeds', phone: '+44 20 7946 0123' },
  { name: 'Grace Hopper', email: 'grace@compilers.example.com', title: 'Lead Engineer', city: 'Porto' },
]

type Options = { env?: Record<string, string>; apify?: Partial<ApifySettings>; openai?: Partial<OpenAiSettings> }

/** The service with a worker, and both vendors as stand-ins. */
export async function enrichingApi(t: Teardown, { env = {}, apify: ofApify = {}, openai: ofOpenai = {} }: Options = {}) {
  const apify = await startApify(t, { pages: madeUpPages(people), ...ofApify })
  const openai = await startOpenAi(t, ofOpenai)
  const api = await testApi(t, { env: { ...vendorEnv(apify, openai), ...env } })
  t.teardown((await runWorker(api.config, createLogger(process.env['TEST_LOG'] ?? 'silent', 'worker'))).close)
  return { api, apify, openai, ...helpers(api) }
}

function helpers(api: TestApi) {
  const enrichmentOf = async (contactId: string): Promise<ContactEnrichment> =>
    (await api.ask('GET', `/v1/contacts/${contactId}/enrichment`)).body
  return {
    enrichmentOf,
    async contact({ name, email }: Pick<OnPage, 'name' | 'email'>, more: object = {}): Promise<string> {
      const methods = [{ type: 'email', value: email }]
      const { body, status } = await api.ask('POST', '/v1/contacts', { name, methods, ...more })
      if (status !== 201) throw new Error(JSON.stringify(body))
      return body.id
    },
    /** Asks for an enrichment, and waits for its end. */
    async enrich(contactId: string, body: object = {}): Promise<Enrichment> {
      const { body: accepted, status } = await api.ask('POST', `/v1/contacts/${contactId}/enrich`, body)
      if (status !== 202) throw new Error(JSON.stringify(accepted))
      return ended(enrichmentOf, contactId, accepted.id)
    },
  }
}

/** Waits for the end of an enrichment. */
export async function ended(
  enrichmentOf: (contactId: string) => Promise<ContactEnrichment>,
  contactId: string,
  id: string,
): Promise<Enrichment> {
  for (const end = Date.now() + 60_000; Date.now() < end; await delay(30)) {
    const found = (await enrichmentOf(contactId)).requests?.find((request) => request.id === id)
    if (found?.endedAt) return found
  }
  throw new Error(`waited in vain for the end of enrichment ${id}`)
}
