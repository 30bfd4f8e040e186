import { isDeepStrictEqual } from 'node:util'
import { openPool, type Pool, sql } from '../../src/platform/database.ts'
import type { RecordedEvent } from '../../src/platform/event.ts'
import { createLogger } from '../../src/platform/log.ts'
import type { Projection, QueryEndpoint } from '../../src/platform/projection.ts'
import { createInterpreter, refreshedTables } from '../../src/platform/rows.ts'
import { createTableStore, refreshAll } from '../../src/platform/table-store.ts'
import { everybody } from '../../src/platform/viewer.ts'
import { withLiveTables } from '../support/live-template.ts'
import { testDatabase } from '../support/postgres.ts'
import { inOrder, storedRows } from '../support/projections.ts'

const log = createLogger('error', 'test')

export { idOf, minute, recorded } from './recorded.ts'

export type ReadTables = {
  readonly pool: Pool
  /** Takes all rows away, which costs far less than another database. */
  empty(): Promise<void>
  /** Applies the events in one batch. */
  project(events: readonly RecordedEvent[]): Promise<void>
  /** Makes the tables that follow from others from nothing, as who builds them in bulk does. @throws Error when they are not then what they were */
  makeAnew(projection: Projection): Promise<void>
  /** What the endpoint answers. */
  ask<T>(endpoint: QueryEndpoint, query?: Record<string, unknown>, params?: Record<string, unknown>): Promise<T>
}

/** Empty read tables in a database of the test's own. */
export async function readTables(t: { teardown(clear: () => unknown): void }, projections: readonly Projection[]): Promise<ReadTables> {
  const { url } = await testDatabase(t, withLiveTables(projections))
  const pool = openPool(url, log, 2)
  t.teardown(() => pool.close())
  const interpret = createInterpreter(projections)
  const store = createTableStore(projections)
  const all = projections.flatMap(({ tables }) => Object.values(tables))
  const deletions = all.map(({ sql: table }, n) => sql.fragment`${sql.identifier([`t${n}`])} as (delete from ${table})`)
  return {
    pool,
    async empty() {
      await pool.rows(sql.unsafe`with ${sql.join(deletions, sql.fragment`, `)} select 1 as done`)
    },
    project: (events) => pool.transaction((db) => store.apply(db, events.flatMap(interpret))),
    async makeAnew(projection) {
      const following = Object.values(projection.tables).filter(({ name }) => refreshedTables(projection).includes(name))
      const all = () => Promise.all(following.map(async (table) => inOrder(await storedRows(pool, table), table)))
      const before = await all()
      for (const table of following) await pool.rows(sql.unsafe`delete from ${table.sql}`)
      await refreshAll(projection, 'read', pool.transaction)
      const after = await all()
      const unlike = following.findIndex((_, index) => !isDeepStrictEqual(after[index], before[index]))
      if (unlike !== -1)
        throw new Error(`${following[unlike]!.name}: anew ${JSON.stringify(after[unlike])}, before ${JSON.stringify(before[unlike])}`)
    },
    ask: (endpoint, query = {}, params = {}) => endpoint.run(pool, { params, query, viewer: everybody }) as Promise<never>,
  }
}
