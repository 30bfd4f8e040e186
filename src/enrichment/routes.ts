import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { ENRICHMENT_REACTOR } from '../../schema/enrichment.ts'
import { Id } from '../../schema/shared.ts'
import { commandSchema, positionHeader, requestOf, sendPosition } from '../platform/http/commands.ts'
import { problemResponse } from '../platform/http/problem-response.ts'
import { queryRoute, type Tables } from '../platform/http/queries.ts'
import { reactorJobId } from '../platform/reactor.ts'
import { type Fault, Invalid, Refused } from '../platform/refusal.ts'
import type { Outcome } from '../platform/runner.ts'
import { normaliseValue } from '../platform/values.ts'
import type { Services } from '../services.ts'
import { forecast, requestBulk } from './bulk.ts'
import { requestFor } from './request.ts'
import { enrichmentStatus } from './status.ts'

const strict = { additionalProperties: false }
const EnrichBody = Type.Object(
  { refresh: Type.Optional(Type.Boolean({ default: false, description: 'Read every page anew, also those that were read lately.' })) },
  { ...strict, examples: [{}] },
)
const Accepted = Type.Object({ id: Id, jobId: Id, contactId: Id }, { title: 'EnrichmentAccepted' })

const instant = Type.Optional(Type.String({ format: 'date-time', description: 'RFC 3339.', examples: ['2026-03-01T09:30:00Z'] }))
const BulkFilter = Type.Object(
  {
    company: Type.Optional(Type.String({ minLength: 1, maxLength: 500, pattern: '^[^\\u0000]*$', description: 'Only of this company.' })),
    createdAfter: instant,
    createdBefore: instant,
    contactIds: Type.Optional(Type.Array(Id, { maxItems: 10_000, description: 'Only these.' })),
    notEnrichedForDays: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 3_650, default: 30, description: 'Only those that were not enriched for so long.' }),
    ),
  },
  {
    ...strict,
    description: 'Contacts of which all of this is true; archived ones and those that are not to be enriched are never among them.',
  },
)

const BulkBody = Type.Object(
  {
    filter: BulkFilter,
    dryRun: Type.Optional(Type.Boolean({ default: false, description: 'Only say what it would be about and cost.' })),
    maxUsd: Type.Optional(
      Type.Number({
        minimum: 0,
        description: 'What all of it may cost at most, in US dollars: less than the forecast is refused. Required unless `dryRun`.',
      }),
    ),
  },
  { ...strict, examples: [{ filter: { company: 'Analytical Engines Ltd' }, dryRun: true }] },
)
const Forecast = Type.Object(
  {
    contacts: Type.Integer({ description: 'How many it is about; 10,000 at most.' }),
    withPages: Type.Integer({ description: 'How many of them have pages to be read.' }),
    estimatedUsd: Type.Union([Type.Number(), Type.Null()], { description: 'By what enrichments cost lately; null where none is known.' }),
    atMostUsd: Type.Number({ description: 'If each call costs as much as it may.' }),
    within: Type.Integer({ description: 'How many of them what is left of the budget is enough for, at that price.' }),
  },
  { title: 'EnrichmentForecast' },
)
const BulkAccepted = Type.Object({ id: Id, jobId: Id, forecast: Forecast }, { title: 'BulkEnrichmentAccepted' })

/** The filter with its times as the tables and events hold them. @throws Invalid */
function withInstants(filter: Static<typeof BulkFilter>) {
  const faults: Fault[] = []
  const read = { ...filter }
  for (const name of ['createdAfter', 'createdBefore'] as const) {
    if (filter[name] === undefined) continue
    try {
      read[name] = normaliseValue.instant(filter[name]) as string
    } catch {
      faults.push({ path: `/filter/${name}`, message: 'must be an instant with its time zone, like 2026-03-01T09:30:00Z' })
    }
  }
  if (faults.length > 0) throw new Invalid(faults)
  return read
}

/** Asking for enrichments, and how they stand. */
export function enrichmentRoutes(app: FastifyInstance, services: Services, tables: Tables): void {
  const { runner, vault, pool, enrichers } = services
  const secret = vault.secret('requests')
  const { headers } = commandSchema({})
  const tags = ['enrichment']
  const accepted = (schema: object) => ({
    202: {
      description: 'It is asked for.',
      headers: { ...positionHeader, Location: { type: 'string', description: 'The job that does it.' } },
      content: { 'application/json': { schema } },
    },
    default: problemResponse,
  })
  const jobOf = ({ events }: Outcome) => reactorJobId(ENRICHMENT_REACTOR, events[0]!.id)
  const checkSetUp = () => {
    if (enrichers.config.openaiKey === undefined)
      throw new Refused('not-set-up', 'No model is set up: set OPENAI_API_KEY (and APIFY_TOKEN, for pages), and start SmartCRM again.')
  }

  app.post('/v1/contacts/:id/enrich', {
    schema: {
      operationId: 'enrichContact',
      summary: 'Ask for an enrichment of a contact',
      description:
        'What it finds is proposed, with its source; people’s own values are never changed by it. The job that Location names ends when it does, whether as enriched or as failed.',
      tags,
      params: Type.Object({ id: Id }),
      headers,
      body: Type.Union([EnrichBody, Type.Null()]),
      response: accepted(Accepted),
    },
    async handler(http, reply) {
      checkSetUp()
      const { id: contactId } = http.params as { id: string }
      const { refresh = false } = (http.body ?? {}) as Static<typeof EnrichBody>
      const outcome = await requestFor(services, { contactId, reason: 'asked', refresh }, requestOf(http, secret))
      const jobId = jobOf(outcome)
      sendPosition(reply, outcome.position)
      return reply.code(202).header('location', `/v1/jobs/${jobId}`).send({ id: outcome.id, jobId, contactId })
    },
  })

  app.post('/v1/enrichments/bulk', {
    schema: {
      operationId: 'enrichInBulk',
      summary: 'Foresee, or ask for, the enrichment of many contacts',
      tags,
      headers,
      body: BulkBody,
      response: {
        200: { description: 'What it would be.', content: { 'application/json': { schema: Forecast } } },
        ...accepted(BulkAccepted),
      },
    },
    async handler(http, reply) {
      const { viewer } = http.caller
      const { filter: asked, dryRun = false, maxUsd } = http.body as Static<typeof BulkBody>
      const filter = withInstants(asked)
      const foreseen = await forecast(pool, enrichers, filter, viewer, new Date().toISOString())
      if (dryRun) return reply.code(200).send(foreseen)
      checkSetUp()
      if (maxUsd === undefined)
        throw new Invalid([
          { path: '/maxUsd', message: 'has to say what it may cost at most; with `dryRun` the forecast is told, and nothing is asked for' },
        ])
      if (foreseen.contacts === 0)
        throw new Refused('nobody-to-enrich', 'No contact is left by the filter that was not enriched lately.', 409, { forecast: foreseen })
      if (foreseen.atMostUsd > maxUsd)
        throw new Refused('forecast-exceeds', `It may cost up to ${foreseen.atMostUsd} US dollars, which is more than maxUsd.`, 409, {
          forecast: foreseen,
        })
      const body = { filter, contacts: foreseen.contacts, estimatedMicroUsd: Math.round(foreseen.atMostUsd * 1e6), viewer }
      const outcome = await runner.execute(requestBulk, body, {}, { ...requestOf(http, secret), ifMatch: undefined })
      const jobId = jobOf(outcome)
      sendPosition(reply, outcome.position)
      return reply.code(202).header('location', `/v1/jobs/${jobId}`).send({ id: outcome.id, jobId, forecast: foreseen })
    },
  })

  queryRoute(app, enrichmentStatus(enrichers), pool, { tables, past: null })
}
