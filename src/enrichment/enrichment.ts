import { Type } from '@sinclair/typebox'
import type { EnrichedValue } from '../../schema/enrichment.ts'
import { enrichmentEvents, type FetchedPage, type SourceReference, type Vendor } from '../../schema/enrichment-events.ts'
import { Id } from '../../schema/shared.ts'
import { decider, internalCommand } from '../platform/decider.ts'
import { Refused } from '../platform/refusal.ts'

const {
  EnrichmentRequested,
  EnrichmentCallIntended,
  EnrichmentCallBegun,
  EnrichmentCallDeferred,
  EnrichmentPagesRead,
  EnrichmentAnswered,
  EnrichmentCompleted,
  EnrichmentFailed,
  EnrichmentErased,
} = enrichmentEvents

/** A paid call that was intended, and whose result is not there (yet: an enrichment may fail before). `remoteId`: its id at the vendor, where that is known. */
export type Call = {
  readonly callId: string
  readonly vendor: Vendor
  readonly spendingId: string
  readonly estimatedMicroUsd: number
  readonly remoteId: string | null
  readonly model: string | null
  readonly promptVersion: string | null
  readonly addresses: readonly string[]
}

export type Running = {
  readonly status: 'running' | 'enriched' | 'failed'
  readonly contactId: string
  readonly refresh: boolean
  readonly call: Call | null
  /** How often a vendor surely did not take a call: each try is another one. */
  readonly deferrals: number
  readonly pages: readonly FetchedPage[] | null
  /** Why there are not as many pages as there might be. */
  readonly pagesFault: string | null
  readonly sources: readonly SourceReference[]
  readonly values: readonly EnrichedValue[] | null
  readonly failure: { readonly code: string; readonly message: string } | null
}
export type Enrichment = { status: 'unknown' } | Running

const change = (state: Enrichment, to: (running: Running) => Partial<Running>): Enrichment =>
  state.status === 'unknown' ? state : { ...state, ...to(state) }

export const enrichment = decider<Enrichment, typeof enrichmentEvents>(
  'enrichment',
  enrichmentEvents,
  { status: 'unknown' },
  {
    EnrichmentRequested: (_, { contactId, refresh }) => ({
      status: 'running',
      contactId,
      refresh,
      call: null,
      deferrals: 0,
      pages: null,
      pagesFault: null,
      sources: [],
      values: null,
      failure: null,
    }),
    EnrichmentCallIntended: (state, { callId, vendor, spendingId, estimatedMicroUsd, model, promptVersion, sources, addresses }) =>
      change(state, () => ({
        sources,
        call: {
          callId,
          vendor,
          spendingId,
          estimatedMicroUsd,
          addresses,
          remoteId: null,
          model: model ?? null,
          promptVersion: promptVersion ?? null,
        },
      })),
    EnrichmentCallBegun: (state, { remoteId }) => change(state, ({ call }) => ({ call: call && { ...call, remoteId } })),
    EnrichmentCallDeferred: (state) => change(state, ({ deferrals }) => ({ call: null, deferrals: deferrals + 1 })),
    EnrichmentPagesRead: (state, { pages, fault }) => change(state, () => ({ call: null, pages, pagesFault: fault ?? null })),
    EnrichmentAnswered: (state, { values }) => change(state, () => ({ call: null, values })),
    EnrichmentCompleted: (state) => change(state, () => ({ status: 'enriched' })),
    EnrichmentFailed: (state, { code, message }) => change(state, () => ({ status: 'failed', failure: { code, message } })),
    EnrichmentErased: (state) =>
      change(state, () => ({ status: 'failed', failure: { code: 'erased', message: 'The contact was erased.' } })),
  },
)

const strict = { additionalProperties: false }
const without = <P extends object, K extends keyof P>(properties: P, ...names: K[]) =>
  Object.fromEntries(Object.entries(properties).filter(([name]) => !names.includes(name as K))) as Omit<P, K>
const ids = ['enrichmentId', 'contactId'] as const

/** Another worker has this enrichment by now. Looking again, from where it is, helps. */
const elsewhere = () => new Refused('enrichment-elsewhere', 'Another worker has gone on with this enrichment.', 409, {}, 1)

function running(state: Enrichment): Running {
  if (state.status !== 'running') throw new Refused('enrichment-over', 'This enrichment is over, or there is none.')
  return state
}
const openCall = (state: Enrichment, callId: string): Call => {
  const { call } = running(state)
  if (call?.callId !== callId) throw elsewhere()
  return call
}

export const requestEnrichment = internalCommand(enrichment, 'request', {
  body: Type.Object(without(EnrichmentRequested.schema.properties, 'enrichmentId'), strict),
  decide: (body, { status }, { id }) => (status === 'unknown' ? [EnrichmentRequested({ enrichmentId: id, ...body })] : []),
})

/** Before a call is begun: from here on it is paid at most once. */
export const intendCall = internalCommand(enrichment, 'intend', {
  body: Type.Object(without(EnrichmentCallIntended.schema.properties, ...ids), strict),
  decide: (body, state, { id }) => {
    const { call, contactId, pages, values } = running(state)
    if (call || (body.vendor === 'apify' ? pages : values)) throw elsewhere()
    return [EnrichmentCallIntended({ enrichmentId: id, contactId, ...body })]
  },
})

export const callBegun = internalCommand(enrichment, 'begun', {
  body: Type.Object({ callId: Id, remoteId: Type.String() }, strict),
  decide: ({ callId, remoteId }, state, { id }) => {
    const { remoteId: known } = openCall(state, callId)
    if (known !== null && known !== remoteId) throw elsewhere()
    return known === null ? [EnrichmentCallBegun({ enrichmentId: id, contactId: running(state).contactId, callId, remoteId })] : []
  },
})

export const callDeferred = internalCommand(enrichment, 'deferred', {
  body: Type.Object({ callId: Id, code: Type.String() }, strict),
  decide: ({ callId, code }, state, { id }) => {
    if (openCall(state, callId).remoteId !== null) throw elsewhere()
    return [EnrichmentCallDeferred({ enrichmentId: id, contactId: running(state).contactId, callId, code })]
  },
})

export const pagesRead = internalCommand(enrichment, 'pages', {
  body: Type.Object(without(EnrichmentPagesRead.schema.properties, ...ids), strict),
  decide: (body, state, { id }) => {
    const { pages, call, contactId } = running(state)
    if (pages || call?.callId !== body.callId) throw elsewhere()
    return [EnrichmentPagesRead({ enrichmentId: id, contactId, ...body })]
  },
})

export const answered = internalCommand(enrichment, 'answered', {
  body: Type.Object(without(EnrichmentAnswered.schema.properties, ...ids), strict),
  decide: (body, state, { id }) => {
    openCall(state, body.callId)
    return [EnrichmentAnswered({ enrichmentId: id, contactId: running(state).contactId, ...body })]
  },
})

export const completeEnrichment = internalCommand(enrichment, 'complete', {
  body: Type.Object({}, strict),
  decide: (_, state, { id }) => {
    if (state.status === 'enriched') return []
    const { values, contactId } = running(state)
    if (!values) throw elsewhere()
    return [EnrichmentCompleted({ enrichmentId: id, contactId, values: values.length })]
  },
})

export const failEnrichment = internalCommand(enrichment, 'fail', {
  body: Type.Object(without(EnrichmentFailed.schema.properties, ...ids), strict),
  decide: (body, state, { id }) => {
    if (state.status === 'failed') return []
    return [EnrichmentFailed({ enrichmentId: id, contactId: running(state).contactId, ...body })]
  },
})

/** Takes away what it says of a contact that is erased. Nothing is added to it after that. */
export const forgetEnrichment = internalCommand(enrichment, 'erase', {
  body: Type.Object({ contactId: Id }, strict),
  decide: ({ contactId }, _, { id }) => [EnrichmentErased({ enrichmentId: id, contactId })],
})
