import { Type } from '@sinclair/typebox'
import fc from 'fast-check'
import t from 'tap'
import { events } from '../../schema/define.ts'
import { Fenced, readCheckpoint } from '../../src/platform/checkpoint.ts'
import { type Database, openPool, type Pool, type Query, sql } from '../../src/platform/database.ts'
import { createLogger } from '../../src/platform/log.ts'
import { comparePositions, type Position } from '../../src/platform/position.ts'
import { type ColumnKind, projection, type Row, type RowWrite, type Table, type TableDeclaration } from '../../src/platform/projection.ts'
import { createProjector } from '../../src/platform/projector.ts'
import { createInterpreter, foldInMemory } from '../../src/platform/rows.ts'
import { createTableStore } from '../../src/platform/table-store.ts'
import { testDatabase } from '../support/postgres.ts'
import { inOrder, liveTables, memoryLog, storedRows } from '../support/projections.ts'

/*
 * The runner, held to a plain model in memory: tables of any kinds, any history of writes to them, cut into any batches, with crashes after any
 * statement, before a commit and between a commit and its answer, and batches that come again although they were committed.
 */
const log = createLogger('silent', 'test')
const seed = Math.floor(Math.random() * 2 ** 31)

// The event carries the writes, so that a history of events is any history of writes.
const { Written } = events({ Written: { writes: Type.Array(Type.Unsafe<RowWrite>(Type.Any())) } })

const texts = ['', 'a', 'A', 'ä', 'nul\0', 'nul\ufffd', 'half \ud800', '\udc00', '"\\\n', "';--", '\u{1f600}', '$1', 'null']
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
const json = fc.oneof(
  fc.json({ maxDepth: 2 }).map((text) => JSON.parse(text)),
  oneOf([{ 'k\0': 'half \ud800', gone: undefined }, [1e21, -0, Number.NaN, undefined], 'text', { at: new Date(0) }]),
)
const values: Record<ColumnKind, fc.Arbitrary<unknown>> = {
  uuid: fc.uuid(),
  text: fc.oneof(oneOf(texts), fc.string({ unit: 'binary', maxLength: 6 })),
  integer: fc.maxSafeInteger(),
  boolean: fc.boolean(),
  instant: oneOf(instants),
  json,
  count: fc.integer({ min: -3, max: 3 }),
  last: oneOf(instants),
}
/** Few for each, so that writes meet; some of them are one value in two spellings. */
const keyValues = {
  uuid: ['0A0B0C0D-0000-4000-8000-00000000000F', '0a0b0c0d-0000-4000-8000-00000000000f', '{0a0b0c0d000040008000000000000001}'],
  text: ['a', 'A', 'nul\0', 'nul\ufffd'],
  integer: [0, -0, 1],
  boolean: [true, false],
  instant: instants.slice(0, 4),
} satisfies Partial<Record<ColumnKind, unknown[]>>
type KeyKind = keyof typeof keyValues
const keyKinds = Object.keys(keyValues) as KeyKind[]
const kinds = Object.keys(values) as ColumnKind[]

/** Words of SQL among them, and names of two words. */
const names = ['order', 'userId', 'group', 'a', 'fromTo', 'select', 'x1', 'end', 'lastAt', 'k', 't', 'limit']
const declaration = (keyColumns: number, others: fc.Arbitrary<ColumnKind[]>): fc.Arbitrary<TableDeclaration> =>
  fc
    .tuple(
      fc.shuffledSubarray(names, { minLength: 12 }),
      fc.array(oneOf(keyKinds), { minLength: keyColumns, maxLength: keyColumns }),
      others,
    )
    .map(([names, keyKinds, others]) => ({
      key: names.slice(0, keyColumns),
      columns: Object.fromEntries([...keyKinds, ...others].map((kind, index) => [names[index]!, kind])),
      indexes: [],
    }))
const someKinds = fc.array(oneOf(kinds), { maxLength: 5 })
const [drawn] = fc.sample(
  fc.record({
    every: declaration(3, fc.constant(kinds)),
    one: declaration(1, someKinds),
    two: declaration(2, someKinds),
    three: declaration(3, someKinds),
    keyOnly: declaration(2, fc.constant([])),
    counted: declaration(1, fc.constant<ColumnKind[]>(['count', 'last'])),
  }),
  { seed, numRuns: 1 },
)

/** Beside the drawn tables, what each owner's things weigh together: a table that follows from two others. */
const histories = projection({
  name: 'histories',
  version: 3,
  tables: {
    ...drawn!,
    ownerships: { key: ['owner', 'thing'], columns: { owner: 'text', thing: 'text' }, indexes: ['thing'] } as TableDeclaration,
    weights: { key: ['thing', 'part'], columns: { thing: 'text', part: 'integer', grams: 'count' }, indexes: [] } as TableDeclaration,
    totals: { key: ['owner'], columns: { owner: 'text', grams: 'integer' }, indexes: [] } as TableDeclaration,
  },
  events: { Written },
  on: { Written: (_tables, { writes }) => writes },
  refresh: [
    {
      writes: ['totals'],
      from: ['ownerships', 'weights'],
      async run(db, { ownerships, weights, totals }, touched) {
        const column = (rows: readonly Row[], name: string) => sql.array([...new Set(rows.map((row) => row[name] as string))], 'text')
        await db.rows(sql.unsafe`
          with owners as (
            select unnest(${column(touched('ownerships'), 'owner')}) as owner
            union select owner from ${ownerships!.sql} where thing = any(${column(touched('weights'), 'thing')})
          ), gone as (
            delete from ${totals!.sql} t using owners o where t.owner = o.owner and not exists (select from ${ownerships!.sql} s where s.owner = o.owner)
          )
          insert into ${totals!.sql} select owner, coalesce(sum(grams), 0)
          from owners join ${ownerships!.sql} using (owner) left join ${weights!.sql} using (thing) group by owner
          on conflict (owner) do update set grams = excluded.grams`)
      },
    },
  ],
})
const tables: Readonly<Record<string, Table>> = histories.tables
const followed = Object.keys(tables).filter((noun) => noun !== 'totals')

/** Any write that the table can hold: every verb, with any of the columns that it may name, and removals by the first columns of a key. */
const writeTo = (table: Table): fc.Arbitrary<RowWrite> => {
  const narrow = { owner: ['ada', 'bob'], thing: ['x', 'y', 'z'], part: [1, 2] } as Record<string, unknown[]>
  const key = table.key.map((column) => [column, oneOf(narrow[column] ?? keyValues[table.columns[column] as KeyKind])] as const)
  const others = Object.keys(table.columns).filter((column) => !table.key.includes(column))
  const maybe = (kind: ColumnKind) => fc.oneof({ weight: 4, arbitrary: values[kind] }, fc.constant(null), fc.constant(undefined))
  const row = fc.record(Object.fromEntries([...key, ...others.map((column) => [column, maybe(table.columns[column]!)] as const)]), {
    requiredKeys: [...table.key],
  })
  const prefix = fc.integer({ min: 1, max: key.length }).chain((length) => fc.record(Object.fromEntries(key.slice(0, length))))
  return fc.oneof(
    { weight: 4, arbitrary: fc.tuple(oneOf(['put', 'patch', 'merge'] as const), row).map(([verb, row]) => table[verb](row as never)) },
    { weight: 1, arbitrary: prefix.map((row) => table.remove(row as never)) },
  )
}
const write = fc.oneof(...followed.map((noun) => writeTo(tables[noun]!)))

/** How a life of the projector ends: at the n-th statement of its k-th batch, as that is about to commit, or when it has and no answer came. */
const crash = fc.record({
  batch: fc.nat({ max: 3 }),
  at: fc.oneof(fc.nat({ max: 14 }), oneOf(['before commit', 'after commit'] as const)),
  /** Another, which read the checkpoint when this one did, then begins where this one began. */
  again: fc.boolean(),
})
const plan = fc.record({
  history: fc.array(fc.array(write, { maxLength: 4 }), { minLength: 1, maxLength: 30, size: '+1' }),
  /** The most events of a batch, and after how many events the log has nothing more until these are in the tables. */
  limit: fc.integer({ min: 1, max: 12 }),
  pauses: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 6 }),
  crashes: fc.array(crash, { maxLength: 4, size: '+1' }),
})
type Crash = { batch: number; at: number | 'before commit' | 'after commit' }

const CRASH = new Error('crash')
const met = { batches: 0, ofSeveral: 0, rolledBack: 0, unanswered: 0, again: 0 }

type Life = {
  readonly crash?: Crash
  /** What it read first of what it read again and again; `isStale`: what another has read, and it goes by. */
  readonly reads: Map<string, object[]>
  readonly isStale?: boolean
}

/** A pool as one life of a process sees it. */
function poolOf(pool: Pool, { crash, reads, isStale = false }: Life, { onCrash, onCommit }: { onCrash(): void; onCommit(): void }) {
  let batch = 0
  const read = async <R extends object>(query: Query): Promise<R[]> => {
    const question = JSON.stringify([query.sql, query.values])
    const known = isStale && reads.get(question)
    if (known) return known as R[]
    const rows = await pool.rows<R>(query)
    if (!reads.has(question)) reads.set(question, rows)
    return rows
  }
  const crashed = () => {
    onCrash()
    return CRASH
  }
  const transaction = async <T>(work: (db: Database) => Promise<T>): Promise<T> => {
    const at = crash && batch === crash.batch ? crash.at : null
    batch += 1
    let left = typeof at === 'number' ? at : Number.POSITIVE_INFINITY
    const result = await pool
      .transaction(async (db) => {
        const done = await work({
          rows: (query) => {
            if (left === 0) throw crashed()
            left -= 1
            return db.rows(query)
          },
        })
        // A batch that has fewer statements than were to be run is lost at its end.
        if (at !== null && at !== 'after commit') throw crashed()
        return done
      })
      .catch((error) => {
        if (error === CRASH) met.rolledBack += 1
        throw error
      })
    onCommit()
    if (at === 'after commit') {
      met.unanswered += 1
      throw crashed()
    }
    return result
  }
  return { ...pool, rows: read, transaction } satisfies Pool
}

t.test('any history, in any batches, once or again, with a crash after any statement, gives the rows of one event at a time', async (t) => {
  t.comment(`seed ${seed}`)
  const pool = openPool((await testDatabase(t)).url, log)
  t.teardown(() => pool.close())
  await liveTables(pool, [histories], log)
  const checkpoint = async () => (await readCheckpoint(pool, 'live'))!
  const emptied = sql.join(
    Object.values(tables).map((table, index) => sql.fragment`${sql.identifier([`t${index}`])} as (delete from ${table.sql})`),
    sql.fragment`, `,
  )

  await fc.assert(
    fc.asyncProperty(plan, async ({ history, limit, pauses, crashes }) => {
      await pool.rows(sql.unsafe`with ${emptied} update smartcrm.checkpoints set commit_position = 0, prepare_position = 0`)
      const events = memoryLog()
      events.append(...history.map((writes) => Written({ writes })))
      const last = events.events.at(-1)!.position
      const isDone = async () => comparePositions((await checkpoint()).position, last) >= 0

      /** One life: follows until all is in the tables, or it crashes. */
      const live = async (life: Life) => {
        const { epoch } = await checkpoint()
        let next = Promise.withResolvers<void>()
        const wake = () => {
          next.resolve()
          next = Promise.withResolvers()
        }
        const stop = new AbortController()
        const end = () => {
          stop.abort()
          wake()
        }
        const seen = poolOf(pool, life, { onCrash: end, onCommit: wake })
        const isThere = async (position: Position) => {
          for (let told = next.promise; !stop.signal.aborted; told = next.promise) {
            if (comparePositions((await checkpoint()).position, position) >= 0) return
            await told
          }
        }
        const projector = createProjector({
          pool: seen,
          projections: [histories],
          log,
          decode: events.decode,
          limits: { events: limit, bytes: 1_000_000 },
          async *subscribe(after, signal) {
            let paused = 0
            let left = pauses[0]!
            for await (const event of events.subscribe(after, signal)) {
              yield event
              left -= 1
              if (comparePositions(event.position, last) === 0) {
                await isThere(last)
                end()
              } else if (left === 0) {
                await isThere(event.position)
                paused += 1
                left = pauses[paused % pauses.length]!
              }
            }
          },
        })
        await projector.lead({ epoch, signal: stop.signal })
        const { events: applied, batches } = projector.health()
        met.batches += batches
        if (applied > batches) met.ofSeveral += 1
      }

      for (const crash of crashes) {
        if (await isDone()) break
        const before = (await checkpoint()).position
        const reads = new Map<string, object[]>()
        await live({ crash, reads })
        if (!crash.again || comparePositions(before, (await checkpoint()).position) === 0) continue
        const error = await live({ reads, isStale: true }).catch((error) => error)
        if (error instanceof Fenced) met.again += 1
        // What means nothing to the tables is held back for a moment, and this one may be ended before it would move the position over it.
        else if (error !== undefined) throw new Error(`what was committed came again, and it ended with ${error}`)
      }
      if (!(await isDone())) await live({ reads: new Map() })

      const model = foldInMemory(histories, events.events)
      const nouns = Object.keys(tables)
      const stored = await Promise.all(nouns.map((noun) => storedRows(pool, tables[noun]!)))
      for (const [index, noun] of nouns.entries()) {
        const expected = noun === 'totals' ? totalsOf(model.rows('ownerships'), model.rows('weights')) : model.rows(noun as never)
        const [a, b] = [stored[index]!, expected].map((rows) => JSON.stringify(sorted(inOrder(rows, tables[noun]!))))
        if (a !== b) throw new Error(`${noun}: stored ${a}, expected ${b}`)
      }
    }),
    { numRuns: 70, seed },
  )
  for (const [what, times] of Object.entries(met)) t.ok(times > 3, `${what}: ${times}`)
})

t.test('in bulk, too: by COPY, whether the rows are there or not', async (t) => {
  const pool = openPool((await testDatabase(t)).url, log)
  t.teardown(() => pool.close())
  await liveTables(pool, [histories], log)
  const of = Object.values(tables).filter(({ name }) => name !== tables['totals']!.name)
  const interpret = createInterpreter([histories])
  const copies = { tried: 0, refused: 0 }
  const counting = (db: Database): Database => ({
    ...db,
    async copy(statement, lines) {
      copies.tried += 1
      await db.copy!(statement, lines).catch((error) => {
        copies.refused += 1
        throw error
      })
    },
  })
  await fc.assert(
    fc.asyncProperty(plan, async ({ history, limit }) => {
      for (const table of of) await pool.rows(sql.unsafe`delete from ${table.sql}`)
      const events = memoryLog()
      events.append(...history.map((writes) => Written({ writes })))
      const store = createTableStore([histories], 'read', { inBulk: true, few: 1 })
      for (let from = 0; from < history.length; from += limit) {
        const writes = events.events.slice(from, from + limit).flatMap(interpret)
        await pool.transaction((db) => store.apply(counting(db), writes))
      }
      const model = foldInMemory(histories, events.events)
      for (const [noun, table] of Object.entries(tables)) {
        if (noun === 'totals') continue
        const [a, b] = [await storedRows(pool, table), model.rows(noun as never)].map((rows) =>
          JSON.stringify(sorted(inOrder(rows, table))),
        )
        if (a !== b) throw new Error(`${noun}: stored ${a}, expected ${b}`)
      }
    }),
    { numRuns: 70, seed },
  )
  t.ok(copies.refused > 3 && copies.tried > copies.refused * 2, `copies: ${JSON.stringify(copies)}`)
})

function totalsOf(ownerships: readonly Row[], weights: readonly Row[]): Row[] {
  const weightOf = (thing: unknown) => weights.reduce((sum, row) => sum + (row['thing'] === thing ? (row['grams'] as number) : 0), 0)
  return [...Map.groupBy(ownerships, ({ owner }) => owner!)].map(([owner, rows]) => ({
    owner,
    grams: rows.reduce((sum, { thing }) => sum + weightOf(thing), 0),
  }))
}

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
