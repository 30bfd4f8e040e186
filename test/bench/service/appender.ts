import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { projections } from '../../../projections/index.ts'
import type { NewEvent } from '../../../schema/define.ts'
import { NO_HEAD } from '../../../src/platform/codec.ts'
import { type Database, openPool, sql } from '../../../src/platform/database.ts'
import type { RecordedEvent } from '../../../src/platform/event.ts'
import { createLogger } from '../../../src/platform/log.ts'
import { migrate } from '../../../src/platform/migrate.ts'
import { formatPosition, type Position } from '../../../src/platform/position.ts'
import { createInterpreter } from '../../../src/platform/rows.ts'
import { createTableStore } from '../../../src/platform/table-store.ts'
import { liveTables } from '../../support/projections.ts'
import { causeOf, madeUpContact, streamOf } from './made-up-log.ts'

/*
 * Who appends events of new contacts, so many at once, in a process of its own; and, of the peers, projects them too: the very same rows, by the very
 * same statements.
 */
const [kind = '', databaseUrl = '', eventStoreUrl = '', dataFolder = ''] = process.argv.slice(2)
const log = createLogger('error', 'bench')
type Append = (event: NewEvent, n: number) => Promise<Position | null>

const { apply } = createTableStore(projections)
const interpret = createInterpreter(projections)
/** As the log would give it: the peers seal and chain nothing. */
const recordedOf = (event: NewEvent, n: number): RecordedEvent => {
  const { at } = causeOf(n)
  const meta = { v: 1, ...causeOf(n), key: null, prev: null, hash: '' }
  return {
    ...event,
    id: randomUUID(),
    stream: streamOf(event),
    revision: 0,
    position: { commit: 0n, prepare: 0n },
    created: at,
    meta,
    erased: false,
    known: true,
  }
}
async function emptyTables() {
  await migrate(databaseUrl, log)
  const pool = openPool(databaseUrl, log, 16)
  await liveTables(pool, projections, log)
  return pool
}

const kinds: Record<string, () => Promise<Append>> = {
  /** Into the log, sealed; the projector does the rest. */
  async smartcrm() {
    const { openServices } = await import('../../../src/services.ts')
    const { readConfig } = await import('../../../src/config.ts')
    const { codec, store } = await openServices({ ...readConfig({ SMARTCRM_DATA: dataFolder }), databaseUrl, eventStoreUrl }, log)
    return async (event, n) => {
      const stream = streamOf(event)
      return store.append(stream, -1, await codec.encode([event], stream, NO_HEAD, causeOf(n)))
    }
  },

  /** The event and its rows in one transaction, an event at a time. */
  async transactions() {
    const pool = await emptyTables()
    await pool.rows(
      sql.unsafe`create table if not exists events (position bigserial primary key, stream text, revision bigint, event jsonb, unique (stream, revision))`,
    )
    return async (event, n) => {
      const recorded = recordedOf(event, n)
      await pool.transaction(async (db) => {
        await db.rows({
          ...sql.unsafe`insert into events (stream, revision, event) values (${recorded.stream}, 0, ${sql.jsonb(event as never)})`,
          name: 'append',
        })
        await apply(db, interpret(recorded))
      })
      return null
    }
  },

  /** Emmett, with an inline projection: the event and its rows in one transaction. */
  async emmett() {
    const { getPostgreSQLEventStore, postgreSQLProjection } = await import('@event-driven-io/emmett-postgresql')
    await (await emptyTables()).close()
    const store = getPostgreSQLEventStore(databaseUrl, {
      projections: [
        {
          type: 'inline',
          projection: postgreSQLProjection({
            name: 'contacts',
            canHandle: ['ContactCreated'],
            async handle(events, { connection }) {
              const client = connection.client as unknown as pg.ClientBase
              const db: Database = {
                rows: async <Row extends object>({ sql, values }: { sql: string; values: readonly unknown[] }) =>
                  (await client.query<Row>(sql.replaceAll('$slonik_', '$'), [...values])).rows,
              }
              for (const { data, metadata } of events)
                await apply(
                  db,
                  interpret(recordedOf({ type: 'ContactCreated', data } as NewEvent, Number((metadata as unknown as { n: number }).n))),
                )
            },
          }),
        },
      ],
    })
    await store.schema.migrate()
    return async (event, n) => {
      await store.appendToStream(streamOf(event), [{ type: event.type, data: event.data, metadata: { ...causeOf(n), n } }] as never, {
        expectedStreamVersion: 'STREAM_DOES_NOT_EXIST',
      })
      return null
    }
  },
}

const append = await kinds[kind]!()

process.on('message', async ({ from, count, atOnce }: { from: number; count: number; atOnce: number }) => {
  let next = from
  let last: Position | null = null
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (next < from + count) {
        const n = next++
        const position = await append(madeUpContact(n), n)
        if (position && (!last || position.commit > last.commit)) last = position
      }
    }),
  )
  process.send!(last ? formatPosition(last) : '')
})
process.send!('ready')
