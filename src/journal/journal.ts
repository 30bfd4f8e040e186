import { type Static, Type } from '@sinclair/typebox'
import { type JournalEvent, JournalPage } from '../../schema/event.ts'
import { PositionText } from '../../schema/shared.ts'
import type { Codec } from '../platform/codec.ts'
import type { EventStore } from '../platform/event-store.ts'
import { asOfParameter } from '../platform/http/queries.ts'
import { comparePositions, formatPosition, type Position } from '../platform/position.ts'
import { type QueryEndpoint, query } from '../platform/projection.ts'
import type { Moments } from '../platform/projections/moments.ts'
import { filterParameters, parseFilter } from './filter.ts'
import { readFrom, readPage, shown } from './page.ts'
import { mailboxesOf, type Sights, seen } from './sight.ts'

const PAGE = 500
/** What one request reads of the log at most: a long stretch of foreign events is paged over, not waited for. */
const PAGES_AT_MOST = 20

/** `GET /events`: every CRM event in the log's order, a page at a time. @param open the categories that are shown; all unless given */
export const journal = (
  store: EventStore,
  codec: Codec,
  sights: Sights,
  { resolve }: Pick<Moments, 'resolve'>,
  open?: readonly string[],
): QueryEndpoint =>
  query({
    operationId: 'listEvents',
    path: '/events',
    summary: 'The journal: every event of the CRM in the order in which it was recorded',
    params: Type.Object({}),
    querystring: Type.Object({
      after: Type.Optional({ ...PositionText, description: 'Only what comes after this position. Left out: from the start.' }),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100, description: 'How many at most.' })),
      ...filterParameters,
      ...asOfParameter,
    }),
    response: JournalPage,
    async run(_db, { query: { after, limit = 100, asOf, ...asked }, actor = '' }) {
      const { types } = parseFilter(asked, open)
      const until = asOf === undefined ? null : await resolve(asOf)
      let last: Position | null = after === undefined ? null : readFrom(after, '/querystring/after')
      const data: Static<typeof JournalEvent>[] = []
      for (let page = 0; page < PAGES_AT_MOST; page += 1) {
        const { events, position, isLast } = await readPage({ store, codec }, last, PAGE, types)
        await sights.look(mailboxesOf(events), true)
        const sight = sights.of(actor)
        for (const event of events) {
          if (until && comparePositions(event.position, until) > 0) return { data, nextAfter: last && formatPosition(last), more: false }
          if (data.length === limit) return { data, nextAfter: last && formatPosition(last), more: true }
          data.push(shown(seen(event, sight)))
          last = event.position
        }
        last = position
        if (isLast) return { data, nextAfter: last && formatPosition(last), more: false }
      }
      return { data, nextAfter: last && formatPosition(last), more: true }
    },
  })
