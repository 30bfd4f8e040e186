import { Type } from '@sinclair/typebox'
import { erasureEvents, Prepared } from '../../schema/erasure-events.ts'
import { ErasureReason, Receipt } from '../../schema/erasure-receipt.ts'
import { command, decider, internalCommand } from '../platform/decider.ts'
import { Refused } from '../platform/refusal.ts'

const { ErasureRequested, ErasureConfirmed, ErasureWithdrawn, ErasurePrepared, ErasureFound, ErasureCompleted } = erasureEvents

export type Asked = {
  readonly status: 'waiting' | 'confirmed' | 'withdrawn' | 'completed'
  readonly contactId: string
  readonly reason: ErasureReason
  readonly now: boolean
  readonly requestedBy: string
  readonly confirmedBy: string | null
  readonly prepared: Prepared | null
  readonly erased: readonly string[]
  readonly masked: readonly string[]
  readonly enrichments: readonly string[]
  readonly blobs: number
}
export type Erasure = { readonly status: 'unknown' } | Asked

const change = (state: Erasure, to: (asked: Asked) => Partial<Asked>): Erasure =>
  state.status === 'unknown' ? state : { ...state, ...to(state) }

/** The erasure of one person: asked for, perhaps confirmed by another, and carried out by a job that tells what it is about to do. */
export const erasure = decider<Erasure, typeof erasureEvents>(
  'erasure',
  erasureEvents,
  { status: 'unknown' },
  {
    ErasureRequested: (_, { contactId, reason, now, requestedBy, confirm }) => ({
      status: confirm ? 'waiting' : 'confirmed',
      contactId,
      reason,
      now,
      requestedBy,
      confirmedBy: null,
      prepared: null,
      erased: [],
      masked: [],
      enrichments: [],
      blobs: 0,
    }),
    ErasureConfirmed: (state, { confirmedBy }) => change(state, () => ({ status: 'confirmed', confirmedBy })),
    ErasureWithdrawn: (state) => change(state, () => ({ status: 'withdrawn' })),
    ErasurePrepared: (state, { contactIds, keyIds, addresses, values }) =>
      change(state, () => ({ prepared: { contactIds, keyIds, addresses, values } })),
    ErasureFound: (state, found) =>
      change(state, ({ erased, masked, enrichments, blobs }) => ({
        erased: [...erased, ...found.erased],
        masked: [...masked, ...found.masked],
        enrichments: [...enrichments, ...found.enrichments],
        blobs: blobs + found.blobs,
      })),
    ErasureCompleted: (state) => change(state, () => ({ status: 'completed' })),
  },
)

const strict = { additionalProperties: false }
const nothing = Type.Object({}, strict)

const asked = (state: Erasure): Asked => {
  if (state.status === 'unknown') throw new Refused('erasure-not-found', 'There is no such erasure.', 404)
  return state
}

/** Asks for an erasure. One that was asked for already stays as it is; one that was withdrawn begins anew. */
export const requestErasure = internalCommand(erasure, 'request', {
  body: Type.Object({ reason: ErasureReason, now: Type.Boolean(), confirm: Type.Boolean() }, strict),
  decide: ({ reason, now, confirm }, { status }, { id, actor }) =>
    status === 'unknown' || status === 'withdrawn'
      ? [ErasureRequested({ erasureId: id, contactId: id, reason, now, requestedBy: actor, confirm })]
      : [],
})

export const confirmErasure = command(erasure, {
  operationId: 'confirmErasure',
  method: 'POST',
  path: '/erasures/{id}/confirm',
  summary: 'Confirm an erasure that another key has asked for: it cannot be taken back',
  body: nothing,
  decide: (_, state, { id, actor }) => {
    const { status, contactId, requestedBy } = asked(state)
    if (status === 'withdrawn') throw new Refused('erasure-withdrawn', 'This erasure was withdrawn. Ask for it again first.')
    if (status !== 'waiting') return []
    if (actor === requestedBy)
      throw new Refused('erasure-same-actor', 'Whoever asked for an erasure cannot confirm it: another key has to.', 403)
    return [ErasureConfirmed({ erasureId: id, contactId, confirmedBy: actor })]
  },
})

export const withdrawErasure = command(erasure, {
  operationId: 'withdrawErasure',
  method: 'POST',
  path: '/erasures/{id}/withdraw',
  summary: 'Withdraw an erasure that waits to be confirmed',
  body: nothing,
  decide: (_, state, { id }) => {
    const { status, contactId } = asked(state)
    if (status === 'withdrawn') return []
    if (status !== 'waiting') throw new Refused('erasure-under-way', 'This erasure is confirmed, and cannot be taken back.')
    return [ErasureWithdrawn({ erasureId: id, contactId })]
  },
})

const underWay = (state: Erasure): Asked => {
  const known = asked(state)
  if (known.status !== 'confirmed') throw new Refused('erasure-not-under-way', 'This erasure is not under way.')
  return known
}

/** Keeps what the person is known by, sealed with the erasure's own key, before the person's is destroyed. */
export const prepareErasure = internalCommand(erasure, 'prepare', {
  body: Prepared,
  decide: (body, state, { id }) => {
    const { prepared, contactId } = underWay(state)
    return prepared ? [] : [ErasurePrepared({ erasureId: id, contactId, ...body })]
  },
})

const { erasureId: _erasure, contactId: _contact, ...found } = ErasureFound.schema.properties

/** Records what is about to be taken away. */
export const recordFound = internalCommand(erasure, 'found', {
  body: Type.Object(found, strict),
  decide: (body, state, { id }) => [ErasureFound({ erasureId: id, contactId: underWay(state).contactId, ...body })],
})

export const completeErasure = internalCommand(erasure, 'complete', {
  body: Type.Object({ receipt: Receipt, signature: Type.Optional(Type.String()), signedBy: Type.Optional(Type.String()) }, strict),
  decide: (body, state, { id }) => {
    if (state.status === 'completed') return []
    return [ErasureCompleted({ erasureId: id, contactId: underWay(state).contactId, ...body })]
  },
})
