import { kindsOf } from '../../projections/causes.ts'
import type { Cause, CauseKind } from '../../schema/causes.ts'
import type { Database } from '../platform/database.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { formatPosition } from '../platform/position.ts'
import { isTableMissing } from '../platform/postgres-errors.ts'
import { isUuid } from '../platform/uuid.ts'

const words: Readonly<Record<CauseKind, string>> = {
  request: 'Somebody asked for it',
  import: 'An import of a file',
  mail: 'A mail that it is named in',
  mailbox: 'Mail was fetched from a mailbox',
  enrichment: 'An enrichment',
  undo: 'An undo',
  service: 'The service by itself',
}

/** Says of events what they followed from, in words; as far as the tables know what that was: the events themselves are the log's, and wait for no table. */
export async function causesOf(db: Database, events: readonly RecordedEvent[]): Promise<(event: RecordedEvent) => Cause> {
  const ids = [...new Set(events.map(({ meta }) => meta.$causationId))].filter(isUuid)
  const known = await kindsOf(db, ids).catch((error): Awaited<ReturnType<typeof kindsOf>> => {
    if (isTableMissing(error)) return new Map()
    throw error
  })
  return ({ meta }) => {
    const found = known.get(meta.$causationId)
    const kind = found?.kind ?? (meta.actor.startsWith('system:') ? 'service' : 'request')
    return { kind, words: words[kind], resource: found?.resource ?? null }
  }
}

/** What is around an event, as histories show it. */
export const aroundOf = ({ id, type, revision, position, created, meta }: RecordedEvent) => ({
  eventId: id,
  type,
  revision,
  position: formatPosition(position),
  recordedAt: created,
  at: meta.at,
  actor: meta.actor,
  commandId: meta.commandId,
  correlationId: meta.$correlationId,
  causationId: meta.$causationId,
})
