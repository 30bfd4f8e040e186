import { Type } from '@sinclair/typebox'
import { auditEvents, Read } from '../../schema/audit-events.ts'
import { decider, internalCommand } from '../platform/decider.ts'

const { ReadsRecorded } = auditEvents
/** In one event. */
export const AT_ONCE = 500

/** A stream of records: nothing is decided by them. */
export const audit = decider<null, typeof auditEvents>('audit', auditEvents, null, { ReadsRecorded: () => null })

export const recordReads = internalCommand(audit, 'record', {
  fromLast: true,
  body: Type.Object({ reads: Type.Array(Read, { minItems: 1, maxItems: AT_ONCE }) }, { additionalProperties: false }),
  decide: ({ reads }, _, { id }) => [ReadsRecorded({ auditId: id, reads })],
})
