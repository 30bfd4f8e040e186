import { Type } from '@sinclair/typebox'
import {
  ContactEnrichment,
  type Enriched,
  type EnrichedValue,
  Enrichment,
  type Field,
  type SourceKind,
  sourceKinds,
} from '../schema/enrichment.ts'
import { Id, nullable } from '../schema/shared.ts'
import { type Database, sql } from '../src/platform/database.ts'
import { pageParameters, paging, type SortKey } from '../src/platform/page.ts'
import { query } from '../src/platform/projection.ts'
import type { Viewer } from '../src/platform/viewer.ts'
import { contacts } from './contacts.ts'
import { enrichment } from './enrichment.ts'
import { latestWords, type ProposedValue, shownValues, verdicts } from './shown-values.ts'
import { familyOf, goneOrMoved, isOwnRow } from './visibility.ts'

const { tables } = enrichment

type ValueRow = {
  id: string
  enrichmentId: string
  field: Field
  details: Omit<EnrichedValue, 'id' | 'field'>
  proposedAt: string
  proposedIn: number
  place: number
  decision: 'accepted' | 'rejected' | null
  decidedIn: number | null
}
type FactRows = {
  values: ValueRow[]
  own: { field: Field; values: string[] | null; ownIn: number | null; lockedIn: number | null; shown: string[] | null }[]
  methods: { field: Field; value: string; removed: boolean }[]
  undone: string[]
  order: SourceKind[] | null
}

/** All facts of a contact `c."contactId"`, as one JSON value; null where there are none, which is so for most. */
export const factsColumn = sql.fragment`(
  select case when f."values" is null and f.own is null then null else row_to_json(f) end from (select
    (select json_agg(json_build_object('id', value_id, 'enrichmentId', enrichment_id, 'field', field, 'details', details, 'proposedAt', proposed_at,
      'proposedIn', proposed_in, 'place', place, 'decision', decision, 'decidedIn', decided_in) order by proposed_in desc, place)
      from ${tables.enrichmentValues.sql} where contact_id = c."contactId") as "values",
    (select json_agg(json_build_object('field', field, 'values', own, 'ownIn', own_in, 'lockedIn', locked_in, 'shown', shown)) from (
      select field, own, own_in, locked_in, shown from ${tables.enrichmentFields.sql} where contact_id = c."contactId"
      union all select field, own, own_in, null, null from ${tables.enrichmentMergedWords.sql} where contact_id = c."contactId") w) as own,
    (select json_agg(json_build_object('field', field, 'value', value, 'removed', removed))
      from ${tables.enrichmentMethods.sql} where contact_id = c."contactId") as methods,
    (select json_agg(enrichment_id) from ${tables.enrichmentUndone.sql} where contact_id = c."contactId") as undone,
    (select source_order from ${tables.enrichmentPolicies.sql} limit 1) as "order") f) as facts`

const proposedOf = ({ details, proposedAt: _, place: __, ...row }: ValueRow): ProposedValue => ({ ...details, ...row })
const factsOf = ({ values, own, methods, undone, order }: { [N in keyof FactRows]: FactRows[N] | null }) => ({
  values: (values ?? []).map(proposedOf),
  own: latestWords(own ?? []),
  methods: methods ?? [],
  undone: undone ?? [],
  order: order ?? sourceKinds,
})

/** What is shown of a contact by its facts; undefined where there is nothing. */
export function enrichedOf(facts: FactRows | null): Enriched | undefined {
  if (!facts) return undefined
  const shown = shownValues(factsOf(facts))
  return Object.keys(shown).length > 0 ? shown : undefined
}

const callsColumn = sql.fragment`(
  select coalesce(json_agg(json_build_object('vendor', vendor, 'sent', sent, 'contentSha256', content_sha256, 'model', model,
    'usd', micro_usd / 1e6, 'at', at) order by at), '[]')
  from ${tables.enrichmentCalls.sql} k where k.enrichment_id = e.enrichment_id) as calls`
const columns = sql.fragment`e.enrichment_id as id, e.contact_id as "contactId", e.job_id as "jobId", e.reason, e.state, e.code, e.message,
  coalesce(e.found, 0) as values, exists (
    select from ${tables.enrichmentUndone.sql} u where u.contact_id = e.contact_id and u.enrichment_id = e.enrichment_id) as undone,
  (e.micro_usd / 1e6)::float8 as usd, ${callsColumn}, e.actor, e.requested_at as "requestedAt", e.ended_at as "endedAt"`

type Row = Omit<Enrichment, 'requestedAt' | 'endedAt'> & { requestedAt: Date; endedAt: Date | null }
const render = ({ calls, requestedAt, endedAt, ...row }: Row): Enrichment => ({
  ...(Object.fromEntries(Object.entries(row).filter(([name]) => !name.startsWith('cursor_'))) as typeof row),
  calls: calls.map((call) => ({ ...call, at: new Date(call.at).toISOString() })),
  requestedAt: new Date(requestedAt).toISOString(),
  endedAt: endedAt && new Date(endedAt).toISOString(),
})

const enrichmentsOf = (contactId: string) => sql.fragment`
  select ${columns} from ${tables.enrichments.sql} e where e.contact_id in (${familyOf(contactId)}) order by e.requested_at desc, e.enrichment_id desc`

/** Every enrichment of a contact, and of those that are part of it, the newest first. */
export const allEnrichmentsOf = async (db: Database, contactId: string): Promise<Enrichment[]> =>
  (await db.rows<Row>(sql.unsafe`${enrichmentsOf(contactId)}`)).map(render)

const getContactEnrichment = query({
  operationId: 'getContactEnrichment',
  path: '/contacts/{id}/enrichment',
  summary: 'What enrichments found of a contact: each value with its source, its evidence and why it is shown or not; and the enrichments',
  params: Type.Object({ id: Id }),
  querystring: Type.Object({}),
  response: ContactEnrichment,
  moves: true,
  async run(db, { params: { id }, viewer }) {
    const [row] = await db.rows<{ facts: FactRows | null; enrichable: boolean }>(sql.unsafe`
      select ${factsColumn}, coalesce((select enrichable from ${tables.enrichmentContacts.sql} n where n.contact_id = c."contactId"), true) as enrichable
      from (select contact_id as "contactId" from ${contacts.tables.contacts.sql} v where contact_id = ${id} and merged_into is null and ${isOwnRow(viewer, sql.fragment`v`)}) c`)
    if (!row) return goneOrMoved(db, viewer, id)
    const requests = await db.rows<Row>(sql.unsafe`${enrichmentsOf(id)} limit 50`)
    const facts = factsOf(row.facts ?? { values: null, own: null, methods: null, undone: null, order: null })
    const verdict = verdicts(facts)
    const values = (row.facts?.values ?? []).map(({ id, field, details, enrichmentId, proposedAt }) => ({
      id,
      field,
      ...details,
      enrichmentId,
      at: new Date(proposedAt).toISOString(),
      ...verdict.get(id)!,
    }))
    const locked = facts.own.flatMap(({ field, lockedIn }) => (lockedIn === null ? [] : [field]))
    return { contactId: id, enrichable: row.enrichable, locked, values, requests: requests.map(render) }
  },
})

const newestFirst: SortKey[] = [
  { sql: sql.fragment`e.requested_at`, kind: 'instant' },
  { sql: sql.fragment`e.enrichment_id`, kind: 'uuid' },
]
const stateFilter = Type.Union(
  ['waiting', 'running', 'enriched', 'failed'].map((state) => Type.Literal(state)),
  { description: 'Only those in this state.' },
)

const isOfContactSeen = (viewer: Viewer) =>
  viewer.sees === 'all'
    ? sql.fragment`true`
    : sql.fragment`exists (select from ${contacts.tables.contacts.sql} v where v.contact_id = e.contact_id and ${isOwnRow(viewer, sql.fragment`v`)})`

const listEnrichments = query({
  operationId: 'listEnrichments',
  path: '/enrichments',
  summary: 'List enrichments, the newest first',
  params: Type.Object({}),
  querystring: Type.Object({
    ...pageParameters,
    state: Type.Optional(stateFilter),
    bulk: Type.Optional({ ...Id, description: 'Only those of this bulk.' }),
  }),
  response: Type.Object(
    {
      data: Type.Array(Enrichment),
      nextCursor: nullable(Type.String({ description: 'Send it as `cursor`, with the same filters, for the page after this one.' })),
    },
    { title: 'EnrichmentPage' },
  ),
  async run(db, { query, viewer }) {
    const { state, bulk } = query
    const page = paging(query, { keys: newestFirst, descending: true, scope: ['enrichments', state, bulk] })
    const conditions = [
      page.after,
      isOfContactSeen(viewer),
      ...(state === undefined ? [] : [sql.fragment`e.state = ${state as string}`]),
      ...(bulk === undefined ? [] : [sql.fragment`e.bulk_id = ${bulk}`]),
    ]
    const rows = await db.rows<Row>(
      sql.unsafe`select ${columns}, ${page.columns} from ${tables.enrichments.sql} e where ${sql.join(conditions, sql.fragment` and `)} ${page.order}`,
    )
    return page.page(rows, render)
  },
})

export const enrichmentQueries = [getContactEnrichment, listEnrichments]
