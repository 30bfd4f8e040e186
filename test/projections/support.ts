import { createHash } from 'node:crypto'
import type { NewEvent } from '../../schema/define.ts'
import { openPool, type Pool } from '../../src/platform/database.ts'
import type { RecordedEvent } from '../../src/platform/event.ts'
import { createLogger } from '../../src/platform/log.ts'
import type { Projection, QueryEndpoint } from '../../src/platform/projection.ts'
import { createTables } from '../../src/platform/read-tables.ts'
import { createInterpreter } from '../../src/platform/rows.ts'
import { createTableStore } from '../../src/platform/table-store.ts'
import { toUuid } from '../../src/platform/uuid.ts'
import { testDatabase } from '../support/postgres.ts'

const log = createLogger('error', 'test')

/** A uuid that is the same for the same name. */
export const idOf = (name: string): string => toUuid(createHash('sha256').update(name).digest(), 4)

/** Minute n of the test's day. */
export const minute = (n: number): string => new Date(Date.UTC(2026, 2, 1, 0, n)).toISOString()

/** The events as the log would give them: numbered in their stream, one a minute. */
export function recorded(...events: NewEvent[]): RecordedEvent[] {
  const revisions = new Map<string, number>()
  return events.map((event, index) => {
    const { contactId, emailId } = event.data as { contactId?: string; emailId?: string }
    const stream = contactId === undefined ? `email-${emailId}` : `contact-${contactId}`
    const revision = (revisions.get(stream) ?? -1) + 1
    revisions.set(stream, revision)
    const at = minute(index)
    return {
      type: event.type,
      data: event.data,
      id: idOf(`event ${index}`),
      stream,
      revision,
      position: { commit: BigInt(index + 1), prepare: BigInt(index + 1) },
      created: at,
      meta: {
        v: 1,
        at,
        actor: 'key:test',
        commandId: idOf(`command ${index}`),
        request: '',
        $correlationId: idOf(`command ${index}`),
        $causationId: idOf(`command ${index}`),
        key: null,
        prev: null,
        hash: '',
      },
      erased: false,
      known: true,
    }
  })
}

export type ReadTables = {
  readonly pool: Pool
  /** Applies the events in one batch. */
  project(events: readonly RecordedEvent[]): Promise<void>
  /** What the endpoint answers. */
  ask<T>(endpoint: QueryEndpoint, query?: Record<string, unknown>, params?: Record<string, unknown>): Promise<T>
}

/** Empty read tables in a database of the test's own. */
export async function readTables(t: { teardown(clear: () => unknown): void }, projections: readonly Projection[]): Promise<ReadTables> {
  const { url } = await testDatabase(t)
  const pool = openPool(url, log, 2)
  t.teardown(() => pool.close())
  await createTables(pool, projections, log)
  const interpret = createInterpreter(projections)
  const store = createTableStore(projections)
  return {
    pool,
    project: (events) => pool.transaction((db) => store.apply(db, events.flatMap(interpret))),
    ask: (endpoint, query = {}, params = {}) => endpoint.run(pool, { params, query }) as Promise<never>,
  }
}
