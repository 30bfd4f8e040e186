import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { projections } from '../../projections/index.ts'
import { createApp } from '../../src/app.ts'
import { readConfig } from '../../src/config.ts'
import { startEventStore } from '../../src/eventstore/server.ts'
import { ANSWER_MS } from '../../src/platform/database.ts'
import { createLogger, type Logger } from '../../src/platform/log.ts'
import { watchPosition } from '../../src/platform/position-watch.ts'
import { run as runProjector } from '../../src/roles/projector.ts'
import { type Connected, openServices, type Services } from '../../src/services.ts'
import { contractOf } from './contract.ts'
import { withLiveTables } from './live-template.ts'
import { migrated, type Template, testDatabase } from './postgres.ts'

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape, and each is checked against its schema
export type Answer<T = any> = { status: number; headers: Headers; body: T }

export type TestApi = {
  readonly url: string
  readonly config: Connected
  readonly services: Services
  readonly server: FastifyInstance
  setClosing(): void
  /** Asks as the administrator. A body that is a string goes as it is. @throws when the answer does not fit what /openapi.json says of it */
  ask(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  /** Asks a query that has seen what this answer tells of. */
  after(answer: Answer, path: string, headers?: Record<string, string>): Promise<Answer>
}

export const adminKey = 'a-key-for-tests-0123456789'

type Options = {
  /** What the API reaches its servers through; without, it reaches them directly. */
  through?: { database(url: string): Promise<string>; eventStore(url: string): Promise<string> }
  /** How long a statement may take. */
  statementMs?: number
  /** The servers of another one, as a second process has them. */
  on?: Connected
  projector?: boolean
  /** More settings of the service. */
  env?: Readonly<Record<string, string>>
  log?: Logger
  /** What /readyz asks, if not of everything. */
  checks?: Parameters<typeof createApp>[0]['checks']
  /** Limits, origins, TLS. */
  http?: Pick<Parameters<typeof createApp>[0], 'rateLimits' | 'atOnce' | 'origins' | 'tls'>
}

/** As much of tap's `t` as is needed. */
type Teardown = { teardown(clear: () => unknown): void }

/** The whole service on its real servers, in this process: event store and database of this test's own. */
export async function testApi(t: Teardown, options: Options = {}): Promise<TestApi> {
  const {
    projector = options.on === undefined,
    log = createLogger(process.env['TEST_LOG'] ?? 'silent', 'test'),
    checks,
    statementMs = ANSWER_MS,
    through,
    http = {},
  } = options
  // A projector that finds its tables there need not build them first, which takes longer than most tests.
  const template = projector ? withLiveTables(projections) : migrated
  const config = options.on ?? (await ownServers(t, log, template, options.env))
  const reached = through
    ? { ...config, databaseUrl: await through.database(config.databaseUrl), eventStoreUrl: await through.eventStore(config.eventStoreUrl) }
    : config
  const services = await openServices(reached, log, statementMs)
  t.teardown(services.close)
  if (projector) t.teardown((await runProjector(reached, log)).close)
  const tables = await watchPosition(services.pool, log)
  t.teardown(tables.close)
  const { server, setClosing } = await createApp({ services, tables, ...(checks && { checks }), adminKey, version: '0.0.0', log, ...http })
  const url = await server.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => server.close())
  const contract = contractOf(server.swagger())

  const ask: TestApi['ask'] = async (method, path, body, headers = {}) => {
    const response = await fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${adminKey}`, ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    const answer = { status: response.status, headers: response.headers, body: text === '' ? null : JSON.parse(text) }
    contract(method, path, answer)
    return answer
  }
  return {
    url,
    config,
    services,
    server,
    setClosing,
    ask,
    after: (answer, path, headers = {}) =>
      ask('GET', path, undefined, { 'smartcrm-after': answer.headers.get('smartcrm-position') ?? '0.0', prefer: 'wait=20', ...headers }),
  }
}

async function ownServers(t: Teardown, log: Logger, template: Template, env: Readonly<Record<string, string>> = {}): Promise<Connected> {
  const folder = await mkdtemp(join(tmpdir(), 'smartcrm-test-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const { url: databaseUrl } = await testDatabase(t, template)
  const eventStore = await startEventStore({ file: join(folder, 'events.db'), log })
  t.teardown(eventStore.close)
  return { ...readConfig({ SMARTCRM_DATA: folder, SMARTCRM_ADMIN_KEY: adminKey, ...env }), databaseUrl, eventStoreUrl: eventStore.url }
}
