import t from 'tap'
import { audit } from '../../projections/audit.ts'
import { streamsOf } from '../../projections/undo-scope.ts'
import { type Database, type Query, sql } from '../../src/platform/database.ts'
import { mostRows } from './plan-cases.ts'
import { readTables } from './support.ts'

const MANY = 3_000
const correlationId = '6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11'

t.test('a page of what an import made is found without going through all of it for each, before anybody has counted', async (t) => {
  const { pool } = await readTables(t, [audit])
  await pool.rows(sql.unsafe`
    insert into ${audit.tables.auditEntries.sql} (event_id, item, commit_position, prepare_position, recorded_at, at, actor, type, resource, command_id,
      correlation_id, causation_id)
    select gen_random_uuid(), 0, n, n, now(), now(), 'key:test', 'ContactCreated', 'contact-' || n / 2, n::text, ${correlationId}, 'cause'
    from generate_series(1, ${MANY}::int) n`)
  let plan = ''
  const db: Database = {
    async rows(query) {
      const text = `explain (analyze, costs off, timing off, summary off, buffers off) ${query.sql}`
      const lines = await pool.rows<{ 'QUERY PLAN': string }>({ ...query, name: undefined, sql: text } as Query)
      plan = lines.map((line) => line['QUERY PLAN']).join('\n')
      return pool.rows(query)
    },
  }
  const before = { commit: BigInt(MANY), prepare: BigInt(MANY) }
  const page = await streamsOf(db, { correlationId, before }, ['ContactCreated'], null, 500)
  t.equal(page.length, 500)
  t.equal(new Set(page.map(({ stream }) => stream)).size, 500, 'each stream once')
  t.ok(mostRows(plan) <= 2 * MANY, plan)
})
