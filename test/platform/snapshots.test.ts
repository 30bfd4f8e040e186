import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { openPool, type Pool, sql } from '../../src/platform/database.ts'
import { createLogger } from '../../src/platform/log.ts'
import { comparePositions, formatPosition } from '../../src/platform/position.ts'
import { type Projection, projection, shared, snake, table } from '../../src/platform/projection.ts'
import { diffProjection } from '../../src/platform/projections/diff.ts'
import { leadProjections } from '../../src/platform/projections/lead.ts'
import { createMoments } from '../../src/platform/projections/moments.ts'
import { tablesIn } from '../../src/platform/projections/past.ts'
import { askForSnapshot, listSnapshots, placeOf, readSnapshot } from '../../src/platform/projections/snapshots.ts'
import { readRows, rebuild } from '../../src/platform/projections/states.ts'
import { verifyShare } from '../../src/platform/projections/verify-share.ts'
import { verifyTables } from '../../src/platform/projections/verify-tables.ts'
import { foldInMemory } from '../../src/platform/rows.ts'
import { keepWitness } from '../../src/platform/witness.ts'
import { testDatabase } from '../support/postgres.ts'
import { inOrder, memoryLog, until } from '../support/projections.ts'
import { Counted, tallyEvents } from '../support/tally.ts'

const log = createLogger((process.env['TEST_LOG'] as 'silent') ?? 'silent', 'test')
t.setTimeout(120_000)

/** A count a name, and the last entry of each stream; the `note` may be another each time. */
const tally = (version: number, { by = 1, note = (): string => 'as ever', more = false } = {}) =>
  projection({
    name: 'tally',
    version,
    tables: {
      counts: table('name', { name: 'text', times: 'count' }, 'times'),
      notes: shared(
        table(['stream', 'revision'], { stream: 'text', revision: 'integer', note: 'text', ...(more && { more: 'text' as const }) }),
      ),
      lasts: table('stream', { stream: 'text', name: 'text' }),
    },
    events: tallyEvents,
    on: {
      Counted: ({ counts, notes, lasts }, { name }, { stream, revision }) => [
        counts.merge({ name, times: by }),
        notes.put({ stream, revision, note: note() }),
        lasts.put({ stream, name }),
      ],
      Refused: () => [],
      Noticed: () => [],
    },
  })

async function house(t: Test) {
  const pool = openPool((await testDatabase(t)).url, log, 20)
  const memory = memoryLog()
  const running: { close(): Promise<void> }[] = []
  t.teardown(async () => {
    await Promise.all(running.map(({ close }) => close()))
    await pool.close()
  })
  const source = { ...memory.source, end: memory.source.tail }
  const start = (projections: readonly Projection[]) => {
    const leading = leadProjections({ pool, log, source, projections, declared: new Set(Object.keys(tallyEvents)), owner: randomUUID() })
    running.push(leading)
    return leading
  }
  const some = (count: number) => {
    for (let index = 0; index < count; index += 1)
      memory.appendTo(`thing-${memory.events.length % 7}`, Counted({ name: `n${memory.events.length % 5}` }))
  }
  return {
    pool,
    source,
    events: memory.events,
    some,
    start,
    running,
    isLive: () =>
      until(async () => {
        const rows = await readRows(pool)
        const [at] = await pool.rows<{ commit: string }>(
          sql.unsafe`select commit_position::text as commit from smartcrm.checkpoints where name = 'live'`,
        )
        return (
          rows.some(({ place, state }) => place === 'read' && state === 'live') &&
          at!.commit === String(memory.events.at(-1)?.position.commit ?? 0)
        )
      }),
  }
}

async function rowsIn(pool: Pool, place: string, { name, columns, key }: Projection['tables'][string]) {
  const rows = await pool.rows<Record<string, never>>(sql.unsafe`select * from ${sql.identifier([place, name])}`)
  return inOrder(
    rows.map((row) => Object.fromEntries(Object.keys(columns).map((column) => [column, row[snake(column)]!]))),
    { key },
  )
}

t.test('a snapshot has exactly what had been recorded by then, whoever makes it is killed or taken over', async (t) => {
  const h = await house(t)
  const mine = tally(1)
  h.some(900)
  const first = h.start([mine])
  await h.isLive()
  await first.close()
  const moments = createMoments(h.pool, h.source)
  const asked = [1, 250, 899].map((index) => h.events[index]!)
  const places: string[] = []
  for (const { position } of asked) {
    const at = (await moments.resolve(formatPosition(position)))!
    t.same(at, position)
    places.push((await askForSnapshot(h.pool, [mine], at)).place)
  }
  await t.rejects(askForSnapshot(h.pool, [mine], h.events[5]!.position), { code: 'snapshots-building' })
  h.some(50)
  h.start([mine])
  h.start([mine])
  // As if a leader had been frozen for longer than its lease.
  await h.pool.rows(sql.unsafe`update smartcrm.checkpoints set owner = null, lease_until = '-infinity'`)
  for (const [index, place] of places.entries()) {
    await until(async () => (await readSnapshot(h.pool, place))?.state === 'ready')
    const { position } = asked[index]!
    const then = foldInMemory(
      mine,
      h.events.filter((event) => comparePositions(event.position, position) <= 0),
    )
    for (const [noun, table] of Object.entries(mine.tables))
      t.same(
        await rowsIn(h.pool, place, table),
        inOrder(then.rows(noun as 'counts'), table),
        `${table.name} at ${formatPosition(position)}`,
      )
    t.equal(await placeOf(h.pool, [mine], position), place)
    t.equal(await placeOf(h.pool, [tally(2)], position), null, 'a newer version needs its own')
  }
  t.equal((await listSnapshots(h.pool)).length, 3)
  t.match(await readRows(h.pool), [{ place: /asof/, state: 'frozen' }, {}, {}, { place: 'read', state: 'live' }])
})

t.test('a time is the place before the first event that was recorded later, witnessed or not', async (t) => {
  const h = await house(t)
  h.some(2_500)
  const places = async () => {
    const moments = createMoments(h.pool, h.source)
    for (const index of [0, 1, 999, 1_000, 2_100, 2_499]) {
      const { created, position } = h.events[index]!
      t.same(await moments.resolve(created), position, created)
      t.same(await moments.resolve(new Date(Date.parse(created) + 999).toISOString()), position)
      t.same(
        await moments.resolve(new Date(Date.parse(created) - 1).toISOString()),
        h.events[index - 1]?.position ?? { commit: 0n, prepare: 0n },
      )
      t.same(
        await moments.resolve(formatPosition({ commit: position.commit + 5n, prepare: position.commit + 5n })),
        index === 2_499 ? null : position,
      )
    }
    t.equal(await moments.resolve('9999-12-31T00:00:00Z'), null)
    await t.rejects(moments.resolve('2026-02-30T00:00:00Z'), /asOf must be a time/)
  }
  await places()
  const witness = keepWitness({ pool: h.pool, log, subscribe: h.source.subscribe, owner: randomUUID(), gatherMs: 5 })
  h.running.push(witness)
  // These events have no metadata of ours but its fields, which is all that a witness asks for.
  await until(async () => (await h.pool.rows(sql.unsafe`select from smartcrm.witnessed_streams where revision > 350`)).length > 0)
  await until(async () => {
    const [row] = await h.pool.rows<{ last: string }>(
      sql.unsafe`select max(commit_position)::text as last from smartcrm.witnessed_stretches`,
    )
    return row!.last === String(h.events.at(-1)!.position.commit)
  })
  await places()
})

t.test('statements are asked of another place by the names of their tables alone', async (t) => {
  const asked: { sql: string; values: readonly unknown[]; name?: string }[] = []
  const db = tablesIn(
    {
      async rows(query) {
        asked.push(query as never)
        return []
      },
    },
    'asof_0123456789ab',
  )
  const { counts } = tally(1).tables
  await db.rows({ ...sql.unsafe`select "read" from ${counts.sql} where name = ${'"read".counts_v1'}`, name: 'hot' })
  t.match(asked, [{ sql: 'select "read" from "asof_0123456789ab"."counts_v1" where name = $slonik_1', values: ['"read".counts_v1'] }])
  t.notOk('name' in asked[0]!, 'and not prepared')
  await db.rows(sql.unsafe`select from ${counts.sql} c join ${counts.now} n using (name)`)
  t.match(asked[1]!.sql, /^select from "asof_0123456789ab"\."counts_v1" c join "read".+\."counts_v1" n /, 'what is of now stays so')
  await t.rejects(async () => db.rows(sql.unsafe`select * from read.counts_v1`), /otherwise than by their declaration/)
})

t.test('live tables are compared row by row, also while events come; what is damaged is named', async (t) => {
  const h = await house(t)
  const mine = tally(1)
  h.some(600)
  h.start([mine])
  await h.isLive()
  const verify = () =>
    verifyTables({
      pool: h.pool,
      source: h.source,
      projections: [mine],
      owner: 'a test',
      signal: new AbortController().signal,
      progress: () => {},
    })
  let isLoaded = true
  const load = (async () => {
    for (; isLoaded; await new Promise((resolve) => setTimeout(resolve, 3))) h.some(3)
  })()
  for (let round = 0; round < 3; round += 1) t.same((await verify()).differences, [])
  isLoaded = false
  await load
  await h.isLive()
  t.match(await verifyShare({ pool: h.pool, source: h.source, projections: [mine] }), { streams: 7, wrong: null })
  await h.pool.rows(sql.unsafe`update read.counts_v1 set times = times + 1 where name = 'n1'`)
  await h.pool.rows(sql.unsafe`update read.lasts_v1 set name = 'other' where stream = 'thing-3'`)
  t.match((await verify()).differences, [
    { table: 'counts_v1', missing: 0, extra: 0, changed: 1, first: [{ what: 'changed', key: { name: /^md5:/ }, columns: ['times'] }] },
    { table: 'lasts_v1', changed: 1, first: [{ columns: ['name'] }] },
  ])
  t.match(await verifyShare({ pool: h.pool, source: h.source, projections: [mine] }), {
    wrong: /1 of 1 rows that thing-3 makes in lasts_v1/,
  })
  await t.rejects(
    verifyTables({
      pool: h.pool,
      source: h.source,
      projections: [tally(2)],
      owner: 'x',
      signal: new AbortController().signal,
      progress: () => {},
    }),
    { name: 'NotVerifiable' },
  )
})

t.test('a rebuild that is to be proved is switched to only when a second reading of the log makes the same of every row', async (t) => {
  const h = await house(t)
  h.some(300)
  const leading = h.start([tally(1)])
  await h.isLive()
  await leading.close()
  let calls = 0
  // Of a table of which several streams may write a row, no sample of streams can prove anything.
  const impure = tally(1, { note: () => String(calls++) })
  h.start([impure])
  await rebuild(h.pool, [impure], false, true)
  const building = async () => (await readRows(h.pool)).find(({ place }) => place === 'building')
  await until(async () => (await building())?.state === 'halted')
  t.match((await building())!.reason, /not switched, since it is not what the log makes: notes_v1: rows 300 changed; first {"stream":"md5:/)
  await rebuild(h.pool, [impure])
  await until(async () => (await building()) === undefined)
  t.equal(
    (await readRows(h.pool)).some(({ place }) => place.startsWith('proof_')),
    false,
  )
})

t.test('what a changed file would make of the log is shown, and nothing is touched', async (t) => {
  const h = await house(t)
  const mine = tally(1)
  h.some(300)
  h.start([mine])
  await h.isLive()
  const before = JSON.stringify(await readRows(h.pool))
  const diff = (changed: Projection) =>
    diffProjection({
      pool: h.pool,
      log,
      source: h.source,
      live: mine,
      changed,
      declared: new Set(Object.keys(tallyEvents)),
      owner: randomUUID(),
      signal: new AbortController().signal,
      progress: () => {},
    })
  t.match((await diff(tally(1))).tables, [{ table: 'counts', kind: 'same' }, { table: 'notes', kind: 'same' }, { kind: 'same' }])
  t.match((await diff(tally(2, { by: 2, more: true }))).tables, [
    { table: 'counts', kind: 'changed', rows: 5, difference: { changed: 5, missing: 0, extra: 0, first: [{ columns: ['times'] }] } },
    { table: 'notes', kind: 'changed', added: ['more'], difference: null },
    { table: 'lasts', kind: 'same' },
  ])
  const bad = tally(2, {
    note: () => {
      throw new Error('not this one')
    },
  })
  await t.rejects(diff(bad), { name: 'NotVerifiable', message: /not this one/ })
  t.equal(JSON.stringify(await readRows(h.pool)), before)
  t.same(await h.pool.rows(sql.unsafe`select from smartcrm.snapshots`), [])
})
