import { type Static, Type } from '@sinclair/typebox'
import { type JournalEvent, JournalPage } from '../../schema/event.ts'
import { PositionText } from '../../schema/shared.ts'
import type { Codec } from '../platform/codec.ts'
import type { RecordedEvent } from '../platform/event.ts'
import type { EventStore } from '../platform/event-store.ts'
import { formatPosition, type Position, parsePosition } from '../platform/position.ts'
import { type QueryEndpoint, query } from '../platform/projection.ts'
import { Invalid } from '../platform/refusal.ts'

/** The heartbeat is the service's own pulse, not something that happened to a customer. */
const isOurs = ({ known, type }: RecordedEvent) => known && type !== 'HeartbeatRecorded'
const PAGE = 500
/** What one request reads of the log at most: a long stretch of foreign events is paged over, not waited for. */
const PAGES_AT_MOST = 20

/** `GET /events`: every CRM event in the log's order, a page at a time. */
export const journal = (store: EventStore, codec: Codec): QueryEndpoint =>
  query({
    operationId: 'listEvents',
    path: '/events',
    summary: 'The journal: every event of the CRM in the order in which it was recorded',
    params: Type.Object({}),
    querystring: Type.Object({
      after: Type.Optional({ ...PositionText, description: 'Only what comes after this position. Left out: from the start.' }),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100, description: 'How many at most.' })),
    }),
    response: JournalPage,
    async run(_db, { query: { after, limit = 100 } }) {
      let last: Position | null = after === undefined ? null : parsePosition(after)
      // A server would refuse to read from there.
      if (last && (last.prepare > last.commit || last.commit >= 2n ** 63n)) {
        throw new Invalid([{ path: '/querystring/after', message: 'is no position of this log' }])
      }
      const data: Static<typeof JournalEvent>[] = []
      for (let page = 0; page < PAGES_AT_MOST; page += 1) {
        const read = await store.readAll(last, PAGE)
        const decoded = await codec.decode(read.filter(({ type }) => !type.startsWith('$')))
        for (const event of decoded.filter(isOurs)) {
          if (data.length === limit) return { data, nextAfter: last && formatPosition(last), more: true }
          data.push(shown(event))
          last = event.position
        }
        last = read.at(-1)?.position ?? last
        if (read.length < PAGE) return { data, nextAfter: last && formatPosition(last), more: false }
      }
      return { data, nextAfter: last && formatPosition(last), more: true }
    },
  })

function shown({ id, type, stream, revision, position, created, data, meta, erased }: RecordedEvent): Static<typeof JournalEvent> {
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
