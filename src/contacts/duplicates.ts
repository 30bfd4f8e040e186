import { type Static, Type } from '@sinclair/typebox'
import { duplicateEvents } from '../../schema/duplicate-events.ts'
import { Id, line } from '../../schema/shared.ts'
import { command, decider } from '../platform/decider.ts'
import type { Fault } from '../platform/refusal.ts'
import { uuidv5 } from '../platform/uuid.ts'

const { DuplicateDismissed, DuplicateReconsidered } = duplicateEvents

/** Whether somebody said of two contacts that they are not the same. */
export type Pair = { readonly dismissed: boolean }

export const duplicate = decider<Pair, typeof duplicateEvents>(
  'duplicate',
  duplicateEvents,
  { dismissed: false },
  { DuplicateDismissed: () => ({ dismissed: true }), DuplicateReconsidered: () => ({ dismissed: false }) },
)

/** Namespace of pairs' ids (UUIDv5). For ever: the stream is found by it. */
const PAIRS = '5d2f6f0e-3c0b-4a55-8f0c-7a1f4b9e2d31'
const Two = Type.Array(Id, { minItems: 2, maxItems: 2, description: 'The two contacts, in any order.' })
const strict = { additionalProperties: false }
const examples = [{ contactIds: ['6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11', '7a2d9c10-3f4b-4c5d-8e6f-1a2b3c4d5e6f'] }]
const Body = Type.Object({ contactIds: Two }, { ...strict, examples })

/** The two in the one order in which they are kept. */
function sorted({ contactIds }: Static<typeof Body>): { contactId: string; otherId: string } {
  const [contactId, otherId] = contactIds.toSorted() as [string, string]
  return { contactId, otherId }
}
const idOf = (body: Static<typeof Body>) => uuidv5(Object.values(sorted(body)).join(' '), PAIRS)

function faults(body: unknown): Fault[] {
  const { contactIds } = (body ?? {}) as { contactIds?: unknown }
  const isSame = Array.isArray(contactIds) && contactIds.length === 2 && contactIds[0] === contactIds[1]
  return isSame ? [{ path: '/contactIds', message: 'must be two different contacts' }] : []
}

export const dismissDuplicate = command(duplicate, {
  operationId: 'dismissDuplicate',
  method: 'POST',
  path: '/duplicates/dismiss',
  summary: 'Say that two contacts are not the same: they are not suggested as duplicates any more',
  body: Type.Object({ contactIds: Two, reason: Type.Optional(line(1_000, ['Father and son.'])) }, { ...strict, examples }),
  faults,
  idOf,
  decide: ({ reason, ...body }, { dismissed }, { id }) =>
    dismissed ? [] : [DuplicateDismissed({ pairId: id, ...sorted(body), ...(reason && { reason: reason.trim() }) })],
})

export const reconsiderDuplicate = command(duplicate, {
  operationId: 'reconsiderDuplicate',
  method: 'POST',
  path: '/duplicates/reconsider',
  summary: 'Take back that two contacts are not the same',
  body: Body,
  faults,
  idOf,
  decide: (body, { dismissed }, { id }) => (dismissed ? [DuplicateReconsidered({ pairId: id, ...sorted(body) })] : []),
})
