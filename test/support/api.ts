import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import type { Test } from 'tap'
import { createApp } from '../../src/app.ts'
import { type Config, readConfig } from '../../src/config.ts'
import { startEventStore } from '../../src/eventstore/server.ts'
import { isLed } from '../../src/platform/checkpoint.ts'
import { watchPosition } from '../../src/platform/position-watch.ts'

const runProjector: any = null

import { openServices, type Services } from '../../src/services.ts'
import { testDatabase } from './postgres.ts'

export type Answer<T = any> = { status: number; headers: Headers; body: T }

export type TestApi = {
  readonly url: string
  readonly config: Config & { databaseUrl: string; eventStoreUrl: string }
  readonly services: Services
  /** Asks as the administrator. A body that is a string goes as it is. */
  ask(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  /** Asks a query that has seen what this answer tells of. */
  after(answer: Answer, path: string, headers?: Record<string, string>): Promise<Answer>
}

export const adminKey = 'a-key-for-tests-0123456789'

/** The whole service on its real servers, in this process: event store and database of this test's own. */
export async function testApi(t: Test, { projector = true } = {}): Promise<TestApi> {
  const folder = await mkdtemp(join(tmpdir(), 'smartcrm-test-'))
  const { url: databaseUrl } = await testDatabase(t)
  const log = pino({ level: process.env['TEST_LOG'] ?? 'silent' })
  const eventStore = await startEventStore({ file: join(folder, 'events.db'), log })
  const config = { ...readConfig({ SMARTCRM_DATA: folder, SMARTCRM_ADMIN_KEY: adminKey }), databaseUrl, eventStoreUrl: eventStore.url }
  const services = await openServices(config, log)
  const projecting = projector ? await runProjector(config, log) : null
  const tables = await watchPosition(services.pool, log)
  const checks = { projector: async () => ((await isLed(services.pool)) ? null : 'none') }
  const { server } = await createApp({ services, tables, checks, adminKey, version: '0.0.0', log })
  const url = await server.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(async () => {
    await server.close()
    await tables.close()
    await projecting?.close()
    await services.close()
    await eventStore.close()
    await rm(folder, { recursive: true, force: true })
  })

  const ask: TestApi['ask'] = async (method, path, body, headers = {}) => {
    const response = await fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${adminKey}`, ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: text === '' ? null : JSON.parse(text) }
  }
  return {
    url,
    config,
    services,
    ask,
    after: (answer, path, headers = {}) =>
      ask('GET', path, undefined, { 'smartcrm-after': answer.headers.get('smartcrm-position') ?? '0.0', prefer: 'wait=20', ...headers }),
  }
}
