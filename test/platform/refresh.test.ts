import { Type } from '@sinclair/typebox'
import t from 'tap'
import { events } from '../../schema/define.ts'
import { type Database, openPool, sql } from '../../src/platform/database.ts'
import { createLogger } from '../../src/platform/log.ts'
import { projection, type Row, type RowWrite, type Table, table } from '../../src/platform/projection.ts'
import { createInterpreter, foldInMemory, InvalidWrite } from '../../src/platform/rows.ts'
import { createTableStore } from '../../src/platform/table-store.ts'
import { testDatabase } from '../support/postgres.ts'
import { inOrder, liveTables, recorded, storedRows } from '../support/projections.ts'

const log = createLogger('silent', 'test')
const written = events({ Written: { writes: Type.Array(Type.Unsafe<RowWrite>(Type.Any())) } })

/** What each owner's things weigh together. `seen` tells of which keys a refresh was told. */
const seen: Row[][] = []
const scales = projection({
  name: 'scales',
  version: 1,
  tables: {
    ownerships: table(['owner', 'thing'], { owner: 'text', thing: 'text' }, 'thing'),
    weights: table(['thing', 'part'], { thing: 'text', part: 'integer', grams: 'count' }),
    others: table('id', { id: 'text' }),
    totals: table('owner', { owner: 'text', grams: 'integer' }),
  },
  events: written,
  on: { Written: (_tables, { writes }) => writes },
  refresh: [
    {
      writes: ['totals'],
      from: ['ownerships', 'weights'],
      async run(db, { ownerships, weights, totals }, touched) {
        seen.push([...touched('ownerships'), ...touched('weights')])
        const column = (rows: readonly Row[], name: string) => sql.array([...new Set(rows.map((row) => row[name] as string))], 'text')
        await db.rows(sql.unsafe`
          with owners as (
            select unnest(${column(touched('ownerships'), 'owner')}) as owner
            union select owner from ${ownerships.sql} where thing = any(${column(touched('weights'), 'thing')})
          ), gone as (
            delete from ${totals.sql} t using owners o where t.owner = o.owner and not exists (select from ${ownerships.sql} s where s.owner = o.owner)
          )
          insert into ${totals.sql} select owner, coalesce(sum(grams), 0)
          from owners join ${ownerships.sql} using (owner) left join ${weights.sql} using (thing) group by owner
          on conflict (owner) do update set grams = excluded.grams`)
      },
    },
  ],
})
const { ownerships, weights, others, totals } = scales.tables

async function scalesIn(t: { teardown(clear: () => unknown): void }) {
  const pool = openPool((await testDatabase(t)).url, log)
  t.teardown(() => pool.close())
  await liveTables(pool, [scales], log)
  const store = createTableStore([scales])
  const apply = (writes: readonly RowWrite[]) => pool.transaction((db) => store.apply(db, writes))
  return { pool, apply, stored: async (of: Table) => inOrder(await storedRows(pool, of), of) }
}

t.test('a batch without writes runs no statement', async (t) => {
  const db: Database = { rows: async () => t.fail('a statement was run') as never }
  await createTableStore([scales]).apply(db, [])
})

t.test('a refresh is told each key that was written or removed once, whole, and runs once a batch', async (t) => {
  const { apply } = await scalesIn(t)
  await apply([ownerships.put({ owner: 'ada', thing: 'x' }), ownerships.put({ owner: 'ada', thing: 'y' })])
  seen.length = 0
  await apply([
    ownerships.remove({ owner: 'ada' }),
    ownerships.put({ owner: 'bob', thing: 'x' }),
    ownerships.remove({ owner: 'bob', thing: 'z' }),
    weights.merge({ thing: 'x', part: 1, grams: 1 }),
    weights.merge({ thing: 'x', part: 1, grams: 1 }),
  ])
  t.equal(seen.length, 1)
  const keys = seen[0]!.map(({ owner, thing, part }) => [owner ?? thing, part ?? thing].join(' ')).sort()
  t.same(keys, ['ada x', 'ada y', 'bob x', 'bob z', 'x 1'])
})

t.test('a refresh does not run when nothing that it follows from was touched', async (t) => {
  const { apply } = await scalesIn(t)
  seen.length = 0
  await apply([others.put({ id: 'a' })])
  await apply([ownerships.remove({ owner: 'nobody' })])
  t.same(seen, [])
})

t.test('what a refresh wrote is undone with its batch', async (t) => {
  const { pool, apply, stored } = await scalesIn(t)
  await apply([ownerships.put({ owner: 'ada', thing: 'x' }), weights.put({ thing: 'x', part: 1, grams: 5 })])
  const store = createTableStore([scales])
  const failing = async (db: Database) => {
    await store.apply(db, [weights.merge({ thing: 'x', part: 1, grams: 5 })])
    throw new Error('crash')
  }
  await t.rejects(pool.transaction(failing), /crash/)
  t.same(await stored(totals), [{ owner: 'ada', grams: 5 }])
})

t.test('a handler may not write a table that follows from others, and memory has none', async (t) => {
  const [event] = recorded([written.Written({ writes: [totals.put({ owner: 'ada', grams: 1 })] })])
  t.throws(() => createInterpreter([scales])(event!), new InvalidWrite('put of totals_v1: the table follows from others'))
  t.throws(() => foldInMemory(scales, []).rows('totals'), /totals_v1 follows from other tables/)
})
