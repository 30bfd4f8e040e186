import { type Static, Type } from '@sinclair/typebox'
import { ERASURE_REACTOR, Erasure, ErasurePage, SignedReceipt } from '../schema/erasure.ts'
import { erasureEvents } from '../schema/erasure-events.ts'
import type { Receipt } from '../schema/erasure-receipt.ts'
import { Id } from '../schema/shared.ts'
import { sql } from '../src/platform/database.ts'
import { pageParameters, paging, type SortKey } from '../src/platform/page.ts'
import { projection, query, table } from '../src/platform/projection.ts'
import { reactorJobId } from '../src/platform/reactor.ts'
import type { MemoryTables } from '../src/platform/rows.ts'

/** Erasures of persons, and what they came to. Nothing in here says who it was. */
export const erasures = projection({
  name: 'erasures',
  version: 1,
  tables: {
    erasures: table(
      'erasureId',
      {
        erasureId: 'uuid',
        contactId: 'uuid',
        state: 'text',
        reason: 'text',
        now: 'boolean',
        requestedBy: 'text',
        requestedAt: 'instant',
        confirmedBy: 'text',
        completedAt: 'instant',
        jobId: 'uuid',
        receipt: 'json',
        signature: 'text',
        signedBy: 'text',
      },
      'requested_at, erasure_id',
    ),
    // Mails with other people, whose texts stay.
    erasureEmails: table(['erasureId', 'emailId'], { erasureId: 'uuid', emailId: 'uuid' }),
  },
  events: erasureEvents,
  on: {
    ErasureRequested: ({ erasures }, { erasureId, contactId, reason, now, requestedBy, confirm }, { id, meta }) => [
      erasures.put({
        erasureId,
        contactId,
        state: confirm ? 'waiting' : 'confirmed',
        reason,
        now,
        requestedBy,
        requestedAt: meta.at,
        jobId: confirm ? null : reactorJobId(ERASURE_REACTOR, id),
      }),
    ],
    ErasureConfirmed: ({ erasures }, { erasureId, confirmedBy }, { id }) => [
      erasures.patch({ erasureId, state: 'confirmed', confirmedBy, jobId: reactorJobId(ERASURE_REACTOR, id) }),
    ],
    ErasureWithdrawn: ({ erasures }, { erasureId }) => [erasures.patch({ erasureId, state: 'withdrawn' })],
    ErasurePrepared: () => [],
    ErasureFound: ({ erasureEmails }, { erasureId, masked }) => masked.map((emailId) => erasureEmails.put({ erasureId, emailId })),
    ErasureCompleted: ({ erasures }, { erasureId, receipt, signature, signedBy }) => [
      erasures.patch({
        erasureId,
        state: 'completed',
        completedAt: receipt.completedAt,
        receipt,
        signature: signature ?? null,
        signedBy: signedBy ?? null,
      }),
    ],
  },
})
const { erasures: erasureTable, erasureEmails } = erasures.tables

type Row = Omit<Erasure, 'requestedAt' | 'completedAt'> & { requestedAt: string | Date; completedAt: string | Date | null }

const toErasure = ({ id, contactId, state, reason, now, requestedBy, requestedAt, confirmedBy, completedAt, jobId }: Row): Erasure => ({
  id,
  contactId,
  state,
  reason,
  now,
  requestedBy,
  requestedAt: new Date(requestedAt).toISOString(),
  confirmedBy,
  completedAt: completedAt && new Date(completedAt).toISOString(),
  jobId,
})

/** An erasure as it is in tables folded in memory; null when there is none. */
export function erasureFromMemory(tables: MemoryTables<typeof erasures>, id: string): Erasure | null {
  const row = tables.rows('erasures').find(({ erasureId }) => erasureId === id)
  return row ? toErasure({ ...row, id } as unknown as Row) : null
}

const columns = sql.fragment`e.erasure_id as "id", e.contact_id as "contactId", e.state, e.reason, e.now, e.requested_by as "requestedBy",
  e.requested_at as "requestedAt", e.confirmed_by as "confirmedBy", e.completed_at as "completedAt", e.job_id as "jobId"`

const newestFirst: SortKey[] = [
  { sql: sql.fragment`e.requested_at`, kind: 'instant' },
  { sql: sql.fragment`e.erasure_id`, kind: 'uuid' },
]

const listErasures = query({
  operationId: 'listErasures',
  path: '/erasures',
  summary: 'List erasures of persons, the newest first',
  params: Type.Object({}),
  querystring: Type.Object({
    ...pageParameters,
    state: Type.Optional({ ...Erasure.properties.state, description: 'Only those in this state.' }),
  }),
  response: ErasurePage,
  async run(db, { query }) {
    const { state } = query
    const page = paging(query, { keys: newestFirst, descending: true, scope: ['erasures', state] })
    const ofState = state === undefined ? sql.fragment`true` : sql.fragment`e.state = ${state}`
    const rows = await db.rows<Row>(
      sql.unsafe`select ${columns}, ${page.columns} from ${erasureTable.sql} e where ${ofState} and ${page.after} ${page.order}`,
    )
    return page.page(rows, toErasure)
  },
})

const getErasure = query({
  operationId: 'getErasure',
  path: '/erasures/{id}',
  summary: 'How the erasure of a person stands. Its id is the contact’s',
  params: Type.Object({ id: Id }),
  querystring: Type.Object({}),
  response: Erasure,
  async run(db, { params: { id } }) {
    const [row] = await db.rows<Row>(sql.unsafe`select ${columns} from ${erasureTable.sql} e where e.erasure_id = ${id}`)
    return row ? toErasure(row) : null
  },
})

const getContactErasure = query({
  operationId: 'getContactErasure',
  path: '/contacts/{id}/erasure',
  summary: 'The receipt of an erased contact: what was destroyed, what stays and why, and what was found of it afterwards',
  params: Type.Object({ id: Id }),
  querystring: Type.Object({}),
  response: SignedReceipt,
  async run(db, { params: { id } }): Promise<Static<typeof SignedReceipt> | null> {
    const [row] = await db.rows<{ receipt: Receipt; signature: string | null; signedBy: string | null; emailIds: string[] }>(sql.unsafe`
      select e.receipt, e.signature, e.signed_by as "signedBy", array(
        select m.email_id::text from ${erasureEmails.sql} m where m.erasure_id = e.erasure_id order by m.email_id) as "emailIds"
      from ${erasureTable.sql} e where e.contact_id = ${id} and e.receipt is not null`)
    return row ?? null
  },
})

export const erasureQueries = [listErasures, getErasure, getContactErasure]
