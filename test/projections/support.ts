import { openPool, type Pool } from '../../src/platform/database.ts'
import type { RecordedEvent } from '../../src/platform/event.ts'
import { createLogger } from '../../src/platform/log.ts'
import type { Projection, QueryEndpoint } from '../../src/platform/projection.ts'
import { createInterpreter } from '../../src/platform/rows.ts'
import { createTableStore } from '../../src/platform/table-store.ts'
import { everybody } from '../../src/platform/viewer.ts'
import { testDatabase } from '../support/postgres.ts'
import { liveTables } from '../support/projections.ts'

const log = createLogger('error', 'test')

export { idOf, minute, recorded } from './recorded.ts'

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
  await liveTables(pool, projections, log)
  const interpret = createInterpreter(projections)
  const store = createTableStore(projections)
  return {
    pool,
    project: (events) => pool.transaction((db) => store.apply(db, events.flatMap(interpret))),
    ask: (endpoint, query = {}, params = {}) => endpoint.run(pool, { params, query, viewer: everybody }) as Promise<never>,
  }
}
