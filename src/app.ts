import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { erasureFromMemory, erasures } from '../projections/erasures.ts'
import { projections, queries } from '../projections/index.ts'
import { mailboxes, mailboxFromMemory } from '../projections/mailboxes.ts'
import { Contact } from '../schema/contact.ts'
import { SourceKind } from '../schema/enrichment.ts'
import { Erasure } from '../schema/erasure.ts'
import { Mailbox } from '../schema/mailbox.ts'
import { Id } from '../schema/shared.ts'
import { access, permissionsOf } from './access.ts'
import { projectionRoutes } from './admin/projection-routes.ts'
import { recordWhatIsRead } from './audit/hook.ts'
import { recordedReads } from './audit/recorded-reads.ts'
import { commands } from './commands.ts'
import { batchRoute } from './contacts/batch.ts'
import { contactBlame } from './contacts/blame.ts'
import { duplicate } from './contacts/duplicates.ts'
import { mergeRoutes } from './contacts/merge-routes.ts'
import { contactAt, contactHistory, contactNowOrThen } from './contacts/past.ts'
import { dispatch } from './contacts/upsert.ts'
import { emailFileRoutes, onlySeen } from './emails/routes.ts'
import { withShownValues } from './enrichment/lock-field.ts'
import { policy } from './enrichment/policy.ts'
import { enrichmentRoutes } from './enrichment/routes.ts'
import { enrichmentMetrics } from './enrichment/status.ts'
import { erasureKeyRoute } from './erasure/key-route.ts'
import { erasureRoutes } from './erasure/routes.ts'
import { exportRoutes } from './export/routes.ts'
import { importRoutes } from './import/routes.ts'
import { jobRoutes } from './jobs/routes.ts'
import { journalRoutes } from './journal/routes.ts'
import { roleRoutes } from './keys/role-routes.ts'
import { keyRoutes } from './keys/routes.ts'
import { consentRoutes } from './mailboxes/consent-routes.ts'
import { changeRules } from './mailboxes/mailbox.ts'
import { pushRoutes } from './mailboxes/push-routes.ts'
import { rulesPreview } from './mailboxes/rules-preview.ts'
import { syncRoutes } from './mailboxes/sync-routes.ts'
import { type ApiKeys, createApiKeys } from './platform/api-keys.ts'
import { createAnswerCache } from './platform/http/answer-cache.ts'
import { commandRoute, type Preview, type View } from './platform/http/commands.ts'
import { type Check, healthRoutes } from './platform/http/health.ts'
import { createLimits, type LimitsByRole } from './platform/http/limits.ts'
import { openapiRoutes } from './platform/http/openapi.ts'
import { queryRoute, type Tables } from './platform/http/queries.ts'
import { allowOrigins, secureHeaders } from './platform/http/secure-headers.ts'
import { createServer, type ServerOptions } from './platform/http/server.ts'
import { jobMetrics } from './platform/jobs-metrics.ts'
import type { Logger } from './platform/log.ts'
import { createMetrics, metricsRoute, overloadMetrics, requestMetrics } from './platform/metrics.ts'
import { projectionMetrics } from './platform/projections/metrics.ts'
import { createPast } from './platform/projections/past.ts'
import { createProgress } from './platform/projections/progress.ts'
import { projectionChecks } from './platform/projections/readiness.ts'
import { verificationMetrics } from './platform/projections/verify-share.ts'
import { createRateLimits } from './platform/rate-limits.ts'
import { resubscriptionMetrics } from './platform/resubscriptions.ts'
import { foldInMemory } from './platform/rows.ts'
import { fold } from './platform/runner.ts'
import type { Services } from './services.ts'
import { snapshotRoutes } from './snapshots/routes.ts'
import { undoRoutes } from './undo/routes.ts'
import { verificationRoutes } from './verification/routes.ts'

/** What is left to say of a mail that was taken away. */
const EmailRemoval = Type.Object({ id: Id, removed: Type.Literal(true), revision: Type.Integer({ minimum: 0 }) }, { title: 'EmailRemoval' })

/** Of a pair that nobody ever said anything of, there is nothing to name. */
const PairOfContacts = Type.Object({ contactIds: Type.Array(Id), dismissed: Type.Boolean() }, { title: 'PairOfContacts' })

const EnrichmentPolicy = Type.Object({ order: Type.Array(SourceKind), onCreation: Type.Boolean() }, { title: 'EnrichmentPolicy' })

/** How the subject of each category of streams is shown. */
const views: Readonly<Record<string, View>> = {
  contact: {
    schema: Contact,
    render: (events, id) => contactAt(events, id)!,
    location: (id) => `/v1/contacts/${id}`,
  },
  email: {
    schema: EmailRemoval,
    render: (events, id) => ({ id, removed: true, revision: events.at(-1)!.revision }),
    location: (id) => `/v1/emails/${id}`,
  },
  duplicate: {
    schema: PairOfContacts,
    render: (events) => {
      const { contactId, otherId } = (events.at(-1)?.data ?? {}) as { contactId: string; otherId: string }
      return { contactIds: [contactId ?? [], otherId ?? []].flat(), ...fold(duplicate, events) }
    },
    location: () => '/v1/duplicates',
  },
  enrichmentpolicy: { schema: EnrichmentPolicy, render: (events) => fold(policy, events), location: () => '/v1/enrichment' },
  erasure: {
    schema: Erasure,
    render: (events, id) => erasureFromMemory(foldInMemory(erasures, events), id)!,
    location: (id) => `/v1/erasures/${id}`,
  },
  mailbox: {
    schema: Mailbox,
    render: (events, id) => mailboxFromMemory(foldInMemory(mailboxes, events), id)!,
    location: (id) => `/v1/mailboxes/${id}`,
  },
}

export type App = { readonly server: FastifyInstance; readonly keys: ApiKeys; setClosing(): void }

type Options = {
  services: Services
  tables: Tables
  /** What /readyz asks, if not of everything that is needed. */
  checks?: Readonly<Record<string, Check>>
  adminKey: string | undefined
  rateLimits?: LimitsByRole | undefined
  atOnce?: number | undefined
  tls?: ServerOptions['tls']
  /** The origins of pages that browsers let ask this service. */
  origins?: readonly string[] | undefined
  /** How much of answers is kept; 0: none is. */
  cacheBytes?: number
  version: string
  log: Logger
}

const CACHE_BYTES = 32 * 1024 * 1024

/** The HTTP API: every route is derived from the lists of commands and queries. */
export async function createApp(options: Options): Promise<App> {
  const { services, tables, checks, adminKey, rateLimits, cacheBytes = CACHE_BYTES, version, log, ...http } = options
  const { pool, store, runner, claims, vault, jobs } = services
  const keys = createApiKeys(pool, adminKey, { permissionsOf })
  const limits = rateLimits && createLimits(keys, rateLimits, createRateLimits(pool))
  const headers = secureHeaders(http.tls !== undefined)
  const server = createServer({ keys, access, log, ...(limits && { limits }), headers, atOnce: http.atOnce, tls: http.tls })
  await allowOrigins(server, http.origins ?? [])
  const secret = vault.secret('requests')
  const metrics = createMetrics()
  requestMetrics(metrics, server)
  recordWhatIsRead(server, recordedReads, services.reads)
  overloadMetrics(metrics, server.overload, limits)
  const progress = createProgress(pool, store)
  await openapiRoutes(server, version)
  const { setClosing } = healthRoutes(
    server,
    checks ?? {
      postgres: () => pool.ping().then(() => null),
      eventStore: () => store.end().then(() => null),
      ...projectionChecks(progress, projections),
    },
  )

  const execute = withShownValues(runner, onlySeen(pool, dispatch(runner, claims)))
  const previews: Readonly<Record<string, Preview>> = { [changeRules.operationId]: rulesPreview(services) }
  for (const command of commands)
    commandRoute(server, command, views[command.decider.category]!, execute, secret, previews[command.operationId])
  batchRoute(server, runner, claims, secret)
  mergeRoutes(server, services)

  const past = createPast(pool, store, projections)
  const answering = { tables, past, cache: createAnswerCache(pool, cacheBytes) }
  for (const query of queries) {
    const asked = query.operationId === 'getContact' ? contactNowOrThen(query, runner.load) : query
    queryRoute(server, asked, pool, answering)
  }
  queryRoute(server, contactHistory(runner.load, past), pool)
  queryRoute(server, contactBlame(runner.load, past), pool)
  journalRoutes(server, services)
  jobRoutes(server, jobs)
  projectionRoutes(server, services, progress)
  snapshotRoutes(server, services)
  verificationRoutes(server, services)
  erasureKeyRoute(server, services)
  await importRoutes(server, services)
  exportRoutes(server, services, tables)
  emailFileRoutes(server, services)
  syncRoutes(server, services)
  consentRoutes(server, services)
  pushRoutes(server, services)
  keyRoutes(server, services)
  roleRoutes(server, services)
  enrichmentRoutes(server, services, tables)
  undoRoutes(server, services, tables)
  erasureRoutes(server, services)

  jobMetrics(metrics, jobs)
  projectionMetrics(metrics, progress)
  resubscriptionMetrics(metrics, pool)
  enrichmentMetrics(metrics, pool, services.enrichers)
  verificationMetrics(metrics, pool)
  metricsRoute(server, metrics)
  await server.ready()
  return { server, keys, setClosing }
}
