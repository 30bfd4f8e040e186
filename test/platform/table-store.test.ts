import { Type } from '@sinclair/typebox'
import fc from 'fast-check'
import t from 'tap'
import { events } from '../../schema/define.ts'
import { type Database, openPool, sql } from '../../src/platform/database.ts'
import { createLogger } from '../../src/platform/log.ts'
import { projection, type RowWrite, table } from '../../src/platform/projection.ts'
import { createInterpreter, foldInMemory } from '../../src/platform/rows.ts'
import { createTableStore } from '../../src/platform/table-store.ts'
import { testDatabase } from '../support/postgres.ts'
import { inOrder, liveTables, recorded, storedRows } from '../support/projections.ts'

const log = createLogger('silent', 'test')

// The event carries the writes, so that a history of events is any history of writes.
const written = events({ Written: { writes: Type.Array(Type.Unsafe<RowWrite>(Type.Any())) } })
const every = projection({
  name: 'every',
  version: 3,
  tables: {
    things: table(
      ['ownerId', 'place', 'number'],
      {
        ownerId: 'uuid',
        place: 'text',
        number: 'integer',
        note: 'text',
        size: 'integer',
        open: 'boolean',
        madeAt: 'instant',
        details: 'json',
        seen: 'count',
        lastSeenAt: 'last',
      },
      'last_seen_at desc, owner_id desc',
      'using gin (details)',
    ),
    names: table('name', { name: 'text', times: 'count' }),
    members: table(['group', 'member'], { group: 'text', member: 'text' }),
  },
  events: written,
  on: { Written: (_tables, { writes }) => writes },
})
const { things, names, members } = every.tables

const ids = ['0A0B0C0D-0000-4000-8000-00000000000F', '0a0b0c0d-0000-4000-8000-00000000000f', '{0a0b0c0d000040008000000000000001}']
const texts = ['', 'a', 'A', 'ä', 'nul\0', 'half \ud800', '\udc00', '"\\\n', "';--", '\u{1f600}', '$1', 'null']
const instants = [
  '2026-03-01T09:30:00Z',
  '2026-03-01T09:30:00.000Z',
  '2026-03-01T10:00:00+01:00',
  '2026-02-28T23:59:60.5-05:00',
  '0001-01-01T00:00:00+14:00',
  '0099-07-01T12:00:00.001Z',
  '1890-01-01T00:00:00Z',
  '9999-12-31T23:59:59.999-12:00',
]
const oneOf = <T>(values: readonly T[]) => fc.constantFrom(...values)
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.oneof({ weight: 4, arbitrary }, fc.constant(null), fc.constant(undefined))
const text = fc.oneof(oneOf(texts), fc.string({ unit: 'binary', maxLength: 6 }))
const details = fc.oneof(
  fc.json({ maxDepth: 2 }).map((json) => JSON.parse(json)),
  oneOf([{ 'k\0': 'half \ud800', gone: undefined }, [1e21, -0, Number.NaN, undefined], 'text', { at: new Date(0) }]),
)
const columns = {
  note: maybe(text),
  size: maybe(fc.maxSafeInteger()),
  open: maybe(fc.boolean()),
  madeAt: maybe(oneOf(instants)),
  details: maybe(details),
  seen: maybe(fc.integer({ min: -3, max: 3 })),
  lastSeenAt: maybe(oneOf(instants)),
}
const key = { ownerId: oneOf(ids), place: oneOf(['a', 'A', 'nul\0', 'nul\ufffd']), number: fc.integer({ min: 0, max: 1 }) }
const changing = (of: 'things' | 'names' | 'members', row: fc.Arbitrary<object>) =>
  fc.tuple(oneOf(['put', 'patch', 'merge'] as const), row).map(([verb, row]): RowWrite => every.tables[of][verb](row as never))
const named = { name: text, times: maybe(fc.integer({ min: -2, max: 9 })) }
const member = { group: oneOf(['x', 'y']), member: oneOf(['1', '2', '3']) }
const write = fc.oneof(
  { weight: 8, arbitrary: changing('things', fc.record({ ...key, ...columns }, { requiredKeys: ['ownerId', 'place', 'number'] })) },
  { weight: 2, arbitrary: fc.record(key).map((row) => things.remove(row)) },
  fc.record({ ownerId: key.ownerId, place: key.place }).map((row) => things.remove(row)),
  fc.record({ ownerId: key.ownerId }).map((row) => things.remove(row)),
  { weight: 2, arbitrary: changing('names', fc.record(named, { requiredKeys: ['name'] })) },
  fc.record({ name: text }).map((row) => names.remove(row)),
  { weight: 2, arbitrary: changing('members', fc.record(member)) },
  fc.record({ group: member.group }).map((row) => members.remove(row)),
)
/** Batches of events of writes; a batch is first tried and rolled back after so many statements as its crash says. */
const history = fc.array(fc.record({ events: fc.array(fc.array(write, { maxLength: 4 }), { maxLength: 6 }), crash: fc.nat({ max: 9 }) }), {
  maxLength: 8,
})

/** A database that is lost after some statements. */
function failing(db: Database, statements: number): Database {
  let left = statements
  return {
    async rows(query) {
      if (left-- <= 0) throw new Error('crash')
      return db.rows(query)
    },
  }
}

t.test('any history, cut into any batches and repeated after any crash, gives the rows that one event at a time gives', async (t) => {
  const pool = openPool((await testDatabase(t)).url, log)
  t.teardown(() => pool.close())
  await liveTables(pool, [every], log)
  const store = createTableStore([every])
  const interpret = createInterpreter([every])

  await fc.assert(
    fc.asyncProperty(history, async (batches) => {
      const all = recorded(batches.flatMap(({ events }) => events.map((writes) => written.Written({ writes }))))
      const model = foldInMemory(every, all)
      for (const { sql: table } of Object.values(every.tables)) await pool.rows(sql.unsafe`delete from ${table}`)
      let from = 0
      for (const { events, crash } of batches) {
        const writes = all.slice(from, from + events.length).flatMap(interpret)
        from += events.length
        await pool
          .transaction(async (db) => {
            await store.apply(failing(db, crash), writes)
            throw new Error('crash')
          })
          .catch((error: Error) => {
            if (error.message !== 'crash') throw error
          })
        await pool.transaction((db) => store.apply(db, writes))
      }
      for (const noun of ['things', 'names', 'members'] as const) {
        const stored = inOrder(await storedRows(pool, every.tables[noun]), every.tables[noun])
        const expected = inOrder(model.rows(noun), every.tables[noun])
        if (JSON.stringify(sorted(stored)) !== JSON.stringify(sorted(expected))) {
          throw new Error(`${noun}: stored ${JSON.stringify(stored)}, expected ${JSON.stringify(expected)}`)
        }
      }
    }),
    { numRuns: 120 },
  )
})

t.test('a batch without writes runs no statement', async (t) => {
  const db: Database = { rows: async () => t.fail('a statement was run') as never }
  await createTableStore([every]).apply(db, [])
})

/** JSON objects come back from Postgres with their names in another order. */
const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, item]) => [name, sorted(item)]),
  )
}
