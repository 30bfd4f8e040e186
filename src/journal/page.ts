import type { Static } from '@sinclair/typebox'
import type { JournalEvent } from '../../schema/event.ts'
import type { Codec } from '../platform/codec.ts'
import type { RecordedEvent } from '../platform/event.ts'
import type { EventStore } from '../platform/event-store.ts'
import { formatPosition, type Position, parsePosition } from '../platform/position.ts'
import { Invalid } from '../platform/refusal.ts'
import { isStrange } from './filter.ts'

/** What one read of the log gave. */
export type Page = {
  readonly events: readonly RecordedEvent[]
  /** Where the next page begins: the place of the last event that was read, wanted or not. */
  readonly position: Position | null
  /** There was no more when it was read. */
  readonly isLast: boolean
}

/** Reads up to `limit` events of the log after a position (exclusive) and decodes those of the wanted types. @throws Unavailable; Corrupt; NewerVersion */
export async function readPage(
  { store, codec }: { store: EventStore; codec: Codec },
  after: Position | null,
  limit: number,
  types: ReadonlySet<string>,
): Promise<Page> {
  const read = await store.readAll(after, limit)
  const decoded = await codec.decode(read.filter(({ type }) => types.has(type) || isStrange(type)))
  return { events: decoded.filter(({ known }) => known), position: read.at(-1)?.position ?? after, isLast: read.length < limit }
}

/** A position that a caller named, where the log is to be read from. @param path of the parameter. @throws Invalid */
export function readFrom(text: string, path: string): Position {
  const position = parsePosition(text)
  if (!position) throw new Invalid([{ path, message: 'must be a position, like 8471.8471' }])
  // A server would refuse to read from there.
  if (position.prepare > position.commit || position.commit >= 2n ** 63n)
    throw new Invalid([{ path, message: 'is no position of this log' }])
  return position
}

/** An event as the API shows it. */
export function shown({ id, type, stream, revision, position, created, data, meta, erased }: RecordedEvent): Static<typeof JournalEvent> {
  const { v, at, actor, commandId, $correlationId, $causationId, hash, prev } = meta
  return {
    id,
    type,
    version: v,
    stream,
    revision,
    position: formatPosition(position),
    recordedAt: created,
    at,
    actor,
    commandId,
    correlationId: $correlationId,
    causationId: $causationId,
    data: data as Record<string, unknown>,
    erased,
    hash,
    prev,
  }
}
