import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { readCheckpoint } from '../../src/platform/checkpoint.ts'
import { openPool, sql } from '../../src/platform/database.ts'
import { createLogger } from '../../src/platform/log.ts'
import { formatPosition } from '../../src/platform/position.ts'
import { type Projection, projection, snake, table } from '../../src/platform/projection.ts'
import { leadProjections } from '../../src/platform/projections/lead.ts'
import { readParked, replay } from '../../src/platform/projections/parked.ts'
import { dropRetired } from '../../src/platform/projections/retired.ts'
import { changeStates, pause, readRows, rebuild, resume, rollback, settle } from '../../src/platform/projections/states.ts'
import { foldInMemory } from '../../src/platform/rows.ts'
import { testDatabase } from '../support/postgres.ts'
import { inOrder, memoryLog, storedRows, until } from '../support/projections.ts'
import { Counted, Refused, tallyEvents } from '../support/tally.ts'

const log = createLogger((process.env['TEST_LOG'] as 'silent') ?? 'silent', 'test')

/** Names by how often they were counted, and, following from that, how many names there are with each first letter. */
const counts = (version: number, by = 1, more: { refuses?: string; breaks?: string } = {}) =>
  projection({
    name: 'counts',
    version,
    tables: {
      counts: table('name', { name: 'text', times: 'count', lastAt: 'last' }, 'times, name'),
      letters: table('letter', { letter: 'text', names: 'integer' }),
    },
    events: tallyEvents,
    on: {
      Counted: ({ counts }, { name }, { meta }) => {
        if (name === more.refuses) throw new Error('not this name')
        return [
          counts.merge({
            name: name === more.breaks ? Array.from({ length: 400 }, () => randomUUID()).join('') : name,
            times: by,
            lastAt: meta.at,
          }),
        ]
      },
      Refused: () => [],
      Noticed: () => [],
    },
    refresh: [
      {
        writes: ['letters'],
        from: ['counts'],
        async run(db, { counts, letters }, touched) {
          const names = sql.array([...new Set(touched('counts').map(({ name }) => (name as string)[0]!))], 'text')
          await db.rows(sql.unsafe`
            insert into ${letters!.sql} (letter, names) select l, count(*) from unnest(${names}) l join ${counts!.sql} c on left(c.name, 1) = l group by 1
            on conflict (letter) do update set names = excluded.names`)
        },
      },
    ],
  })

/** What each event was, a row a stream and revision: shows at once what is missing and in which order it came. */
const journal = (version: number, note: string, throwsOn?: string) =>
  projection({
    name: 'journal',
    version,
    tables: { entries: table(['stream', 'revision'], { stream: 'text', revision: 'integer', note: 'text' }, 'note') },
    events: tallyEvents,
    on: {
      Counted: ({ entries }, { name }, { stream, revision }) => {
        if (name === throwsOn) throw new Error('not this one')
        return [entries.put({ stream, revision, note })]
      },
      Refused: ({ entries }, _data, { stream, revision }) => [entries.put({ stream, revision, note })],
      Noticed: () => [],
    },
  })

async function house(t: Test) {
  const pool = openPool((await testDatabase(t)).url, log, 30)
  const memory = memoryLog()
  const running: { close(): Promise<void> }[] = []
  t.teardown(async () => {
    await Promise.all(running.map(({ close }) => close()))
    await pool.close()
  })
  const source = memory.source
  const start = (projections: readonly Projection[], owner: string = randomUUID()) => {
    const leading = leadProjections({ pool, log, source, projections, declared: new Set(Object.keys(tallyEvents)), owner })
    running.push(leading)
    return leading
  }
  const state = async (name: string, place = 'read') =>
    (await readRows(pool)).find((row) => row.name === name && row.place === place) ?? null
  return {
    pool,
    ...memory,
    source,
    start,
    state,
    isLive: (name: string, version: number) =>
      until(async () => {
        const row = await state(name)
        return row?.state === 'live' && row.version === version
      }),
    caughtUp: () =>
      until(async () => formatPosition((await readCheckpoint(pool, 'live'))!.position) === formatPosition(memory.events.at(-1)!.position)),
    /** The stored rows of a table beside those that one event at a time makes. */
    async same(t: Test, declared: Projection, noun: string) {
      const { name, ...others } = declared.tables[noun]!
      t.same(
        inOrder(await storedRows(pool, declared.tables[noun]!), others),
        inOrder(foldInMemory(declared, memory.events).rows(noun as never), others),
        `${name} is as the log says`,
      )
    },
  }
}

const some = (count: number, names = 5) => Array.from({ length: count }, (_, index) => Counted({ name: `n${index % names}` }))

t.test('a change that others wait for, and that waits for them, is made again', async (t) => {
  const { pool } = await house(t)
  const client = await pool.connect()
  t.teardown(() => client.end())
  // So it is not this one that Postgres ends.
  await client.query("set deadlock_timeout = '1min'; begin; select pg_advisory_xact_lock(2)")
  let tries = 0
  let other: Promise<unknown> | undefined
  const changed = changeStates(pool, async (db) => {
    tries += 1
    await db.rows(sql.unsafe`select pg_advisory_xact_lock(1)`)
    other ??= client.query('select pg_advisory_xact_lock(1); commit')
    await db.rows(sql.unsafe`select pg_advisory_xact_lock(2)`)
    return 'changed'
  })
  t.equal(await changed, 'changed')
  await other
  t.equal(tries, 2)
})

t.test('a first start, over no event or many, builds and then answers, follows from others and indexed', async (t) => {
  for (const before of [0, 1_300]) {
    const house1 = await house(t)
    const mine = counts(1)
    house1.append(...some(before))
    house1.start([mine])
    await house1.isLive('counts', 1)
    house1.append(...some(10))
    await house1.caughtUp()
    await house1.same(t, mine, 'counts')
    t.same(await storedRows(house1.pool, mine.tables.letters), [{ letter: 'n', names: 5 }])
    const indexes = await house1.pool.rows<{ name: string }>(
      sql.unsafe`select indexname as name from pg_indexes where schemaname = 'read' order by 1`,
    )
    t.same(
      indexes.map(({ name }) => name),
      ['counts_v1_1', 'counts_v1_pkey', 'letters_v1_pkey'],
    )
    t.same(await house1.pool.rows(sql.unsafe`select name from smartcrm.checkpoints where name like 'beside%'`), [])
  }
})

t.test('a changed projection is built beside the old one, which answers until the switch and is kept after it', async (t) => {
  const h = await house(t)
  const [first, other] = [counts(1), journal(1, 'a')]
  h.append(...some(700))
  const old = h.start([first, other])
  await h.isLive('counts', 1)
  await h.isLive('journal', 1)
  await old.close()

  const second = counts(2, 10)
  const reads: unknown[] = []
  let isReading = true
  // Under the new names too, for which the old tables stand in.
  const reading = (async () => {
    await until(async () => (await h.pool.rows(sql.unsafe`select where to_regclass('read.counts_v2') is not null`)).length > 0)
    while (isReading) reads.push(...(await h.pool.rows(sql.unsafe`select sum(times) as sum from read.counts_v2`)))
  })()
  h.start([second, other])
  for (let round = 0; round < 20; round += 1) h.append(...some(50))
  await h.isLive('counts', 2)
  h.append(...some(5))
  await h.caughtUp()
  isReading = false
  await reading
  t.ok(reads.length > 0 && !reads.some((row) => (row as { sum: unknown }).sum === null), 'no read failed, or found nothing')
  await h.same(t, second, 'counts')
  await h.same(t, other, 'entries')
  t.match(await h.state('counts', 'retired'), { version: 1, state: 'kept' })
})

t.test('the switch asks a vacuum to end, which gives way only to who waits for long, and keeps no reader waiting meanwhile', async (t) => {
  const h = await house(t)
  h.append(...some(50))
  const old = h.start([counts(1)])
  await h.isLive('counts', 1)
  await old.close()
  // As a vacuum of the table does; of the old one, since the new one is not there yet.
  const vacuum = await h.pool.connect()
  t.teardown(() => vacuum.end())
  await vacuum.query('begin; lock table read.counts_v1 in share update exclusive mode')
  h.start([counts(2)])
  const waiting = async () =>
    (
      await h.pool.rows<{ mode: string }>(sql.unsafe`select mode from pg_locks where not granted and relation = 'read.counts_v1'::regclass`)
    ).map(({ mode }) => mode)
  await until(async () => (await waiting()).length > 0)
  for (let read = 0; read < 20; read += 1) {
    t.match((await waiting()).join(), /^(ShareUpdateExclusiveLock)?$/, 'no lock that readers would queue behind')
    t.strictSame(await h.pool.rows(sql.unsafe`select sum(times)::int as sum from read.counts_v1`), [{ sum: 50 }])
  }
  t.match(await h.state('counts'), { version: 1, state: 'outdated' })
  await vacuum.query('commit')
  await h.isLive('counts', 2)
  await h.same(t, counts(2), 'counts')
})

t.test('two changes in a row: the second takes the place of the first, even while that is being built', async (t) => {
  const h = await house(t)
  h.append(...some(300))
  const first = h.start([counts(1)])
  await h.isLive('counts', 1)
  await first.close()
  await settle(h.pool, [counts(2)], log)
  t.match(await h.state('counts', 'building'), { version: 2, state: 'reading' })
  const third = counts(3, 7)
  h.start([third])
  await h.isLive('counts', 3)
  await h.caughtUp()
  await h.same(t, third, 'counts')
  t.equal(await h.state('counts', 'building'), null)
})

t.test('an older process does not lead what a newer one has switched to', async (t) => {
  const h = await house(t)
  h.append(...some(10))
  h.start([counts(2)])
  await h.isLive('counts', 2)
  const older = h.start([counts(1)], 'a'.repeat(8) + randomUUID().slice(8))
  h.append(...some(10))
  await h.caughtUp()
  await older.close()
  t.match(await h.state('counts'), { version: 2, state: 'live' })
  await h.same(t, counts(2), 'counts')
})

t.test('a rebuild of one and of all, asked for twice, changes no row', async (t) => {
  const h = await house(t)
  const all = [counts(1), journal(1, 'a')]
  h.append(...some(500))
  h.start(all)
  await h.isLive('counts', 1)
  await h.caughtUp()
  await h.pool.rows(sql.unsafe`delete from read.counts_v1 where name = 'n1'`)
  await rebuild(h.pool, all.slice(0, 1))
  await rebuild(h.pool, all.slice(0, 1))
  await until(async () => (await h.state('counts', 'retired')) !== null && (await h.state('counts', 'building')) === null)
  await h.same(t, all[0]!, 'counts')
  await rebuild(h.pool, all)
  h.append(...some(20))
  await until(async () => (await h.state('journal', 'retired')) !== null && (await h.state('journal', 'building')) === null)
  await h.caughtUp()
  for (const [index, noun] of ['counts', 'entries'].entries()) await h.same(t, all[index]!, noun)
})

t.test('a rollback answers from the old tables at once, which catch up; what it left is not built again by itself', async (t) => {
  const h = await house(t)
  const [one, two] = [counts(1), counts(2, 10)]
  h.append(...some(100))
  const first = h.start([one])
  await h.isLive('counts', 1)
  await first.close()
  const second = h.start([two])
  await h.isLive('counts', 2)
  h.append(...some(40))
  await h.caughtUp()
  t.equal(await rollback(h.pool, [two], 'counts'), 1)
  t.same(await h.pool.rows(sql.unsafe`select sum(times) as sum from read.counts_v1`), [{ sum: '100' }], 'as it was at the switch')
  await settle(h.pool, [two], log)
  t.equal(await h.state('counts', 'building'), null)
  await second.close()
  h.start([one])
  await h.isLive('counts', 1)
  h.append(...some(3))
  await h.caughtUp()
  await h.same(t, one, 'counts')
  await rebuild(h.pool, [one])
  await t.rejects(rollback(h.pool, [one], 'nothing'), { code: 'projection-not-found' })
})

t.test('what is kept for a rollback goes after its time', async (t) => {
  const h = await house(t)
  const one = counts(1)
  h.start([one])
  await h.isLive('counts', 1)
  await rebuild(h.pool, [one])
  await until(async () => (await h.state('counts', 'retired')) !== null)
  await dropRetired(h.pool, [one])
  t.ok(await h.state('counts', 'retired'))
  await dropRetired(h.pool, [one], '0 seconds')
  t.equal(await h.state('counts', 'retired'), null)
  t.same(await h.pool.rows(sql.unsafe`select from pg_tables where schemaname = 'retired'`), [])
  await t.rejects(rollback(h.pool, [one], 'counts'), { code: 'projection-not-retired' })
})

t.test('a paused projection stands still, alone, and takes up what it missed', async (t) => {
  const h = await house(t)
  const all = [counts(1), journal(1, 'a')]
  h.append(...some(50))
  h.start(all)
  await h.isLive('counts', 1)
  await h.caughtUp()
  await pause(h.pool, 'counts')
  await pause(h.pool, 'counts')
  h.append(...some(50))
  await h.caughtUp()
  await h.same(t, all[1]!, 'entries')
  t.same(await h.pool.rows(sql.unsafe`select sum(times) as sum from read.counts_v1`), [{ sum: '50' }])
  await resume(h.pool, 'counts')
  await h.isLive('counts', 1)
  await resume(h.pool, 'counts')
  await h.caughtUp()
  await h.same(t, all[0]!, 'counts')
})

t.test('a build that is paused goes on where it was; one whose table was dropped begins anew', async (t) => {
  const h = await house(t)
  const one = counts(1)
  h.append(...some(400))
  await settle(h.pool, [one], log)
  await pause(h.pool, 'counts')
  h.start([one])
  t.match(await h.state('counts', 'building'), { state: 'paused' })
  await resume(h.pool, 'counts')
  await h.isLive('counts', 1)
  await h.caughtUp()
  await h.pool.rows(sql.unsafe`drop table read.counts_v1`)
  await until(async () => (await h.state('counts'))?.missing === 0)
  await h.isLive('counts', 1)
  await h.caughtUp()
  await h.same(t, one, 'counts')
})

t.test(
  'an event that a handler throws on, or that Postgres refuses, is parked with what follows it in its stream, for that projection alone',
  async (t) => {
    const h = await house(t)
    const bad = [counts(1, 1, { refuses: 'x', breaks: 'y' }), journal(1, 'a')]
    h.append(...some(30))
    const leading = h.start(bad)
    await h.isLive('counts', 1)
    h.appendTo('thing-a', Counted({ name: 'a1' }), Counted({ name: 'x' }), Counted({ name: 'a2' }))
    h.appendTo('thing-b', Counted({ name: 'b1' }), Counted({ name: 'y' }))
    await h.caughtUp()
    h.appendTo('thing-b', Counted({ name: 'b2' }), Refused({ name: 'nothing to write' }))
    h.append(...some(30))
    h.appendTo('thing-a', Counted({ name: 'a3' }))
    await h.caughtUp()
    await h.same(t, bad[1]!, 'entries')
    const parked = await readParked(h.pool, 'counts', 100)
    t.same(
      parked.map(({ stream, revision, error }) => [stream, revision, error !== null]),
      [
        ['thing-a', 1, true],
        ['thing-a', 2, false],
        ['thing-b', 1, true],
        ['thing-b', 2, false],
        ['thing-a', 3, false],
      ],
    )
    t.match(parked[0], { type: 'Counted', error: 'not this name' })
    t.notMatch(JSON.stringify(await h.pool.rows(sql.unsafe`select * from smartcrm.parked_events`)), /"(a2|b2)"/, 'nothing of what they say')
    t.match(await replay(h.pool, bad[0]!, h.source), { replayed: 0, left: [{ stream: 'thing-a' }, { stream: 'thing-b' }] })
    t.equal((await readParked(h.pool, 'counts', 100)).length, 5)

    // The fix does not change what was written, so it is no new version.
    await leading.close()
    const fixed = counts(1)
    h.start([fixed, journal(1, 'a')])
    h.appendTo('thing-a', Counted({ name: 'a4' }))
    await h.caughtUp()
    t.equal((await readParked(h.pool, 'counts', 100)).length, 6, 'what comes meanwhile stays behind them')
    t.same(await replay(h.pool, fixed, h.source), { replayed: 6, left: [] })
    h.appendTo('thing-a', Counted({ name: 'a5' }))
    h.append(...some(3))
    await h.caughtUp()
    await h.same(t, fixed, 'counts')
    t.same(await readParked(h.pool, 'counts', 100), [])
  },
)

t.test(
  'in a rebuild such an event halts the projection, named, while the old one answers; or is parked, if that is asked for',
  async (t) => {
    const h = await house(t)
    h.append(...some(30), Counted({ name: 'x' }), ...some(30))
    const leading = h.start([counts(1), journal(1, 'a')])
    await h.isLive('counts', 1)
    await leading.close()
    const bad = [counts(2, 1, { refuses: 'x' }), journal(2, 'b')]
    h.start(bad)
    await until(async () => (await h.state('counts', 'building'))?.state === 'halted')
    t.match((await h.state('counts', 'building'))!.reason, /Event 30 of thing-.* cannot be applied to the read tables: not this name/)
    await h.isLive('journal', 2)
    t.match(await h.state('counts'), { version: 1, state: 'outdated' })
    await rebuild(h.pool, bad.slice(0, 1), true)
    await h.isLive('counts', 2)
    t.equal((await readParked(h.pool, 'counts', 100)).length, 31)
  },
)

t.test('a rebuild halts at an event of ours of a type that this version does not know; the live ones pass over it', async (t) => {
  const h = await house(t)
  const one = counts(1)
  h.start([one])
  await h.isLive('counts', 1)
  h.append(...some(3))
  Object.assign(h.events.at(-1)!, { known: false, type: 'FromTheFuture', meta: { ...h.events.at(-1)!.meta } })
  h.append(...some(1))
  await h.caughtUp()
  await rebuild(h.pool, [one])
  await until(async () => (await h.state('counts', 'building'))?.state === 'halted')
  t.match((await h.state('counts', 'building'))!.reason, /FromTheFuture.*its type is not known to this version/)
  t.match(await h.state('counts'), { state: 'live' })
})

t.test('what a second fold of a sample finds different is not switched to', async (t) => {
  const h = await house(t)
  // Not pure: the same event is not the same row twice.
  let calls = 0
  const impure = projection({
    name: 'journal',
    version: 2,
    tables: { entries: table(['stream', 'revision'], { stream: 'text', revision: 'integer', note: 'text' }) },
    events: tallyEvents,
    on: {
      Counted: ({ entries }, _data, { stream, revision }) => [entries.put({ stream, revision, note: String(calls++) })],
      Refused: () => [],
      Noticed: () => [],
    },
  })
  h.append(...some(30))
  const leading = h.start([journal(1, 'a')])
  await h.isLive('journal', 1)
  await leading.close()
  h.start([impure])
  await until(async () => (await h.state('journal', 'building'))?.state === 'halted')
  t.match((await h.state('journal', 'building'))!.reason, /not switched, since 30 of 30 rows that thing-.* makes in entries_v2/)
})

t.test(
  'builders and leaders that start, stop and take over at random, amid rebuilds and pauses, leave no gap and nothing twice',
  async (t) => {
    const h = await house(t)
    const all = [counts(1), journal(1, 'a')]
    const running = [h.start(all), h.start(all)]
    await h.isLive('counts', 1)
    for (let round = 0; round < 24; round += 1) {
      h.append(...some(40))
      if (round % 4 === 0) await running.shift()!.close()
      else if (round % 4 === 1) await rebuild(h.pool, round % 8 === 1 ? all : all.slice(0, 1))
      else if (round % 4 === 2) running.push(h.start(all))
      else {
        await pause(h.pool, 'journal')
        h.append(...some(7))
        await resume(h.pool, 'journal')
      }
      if (running.length === 0) running.push(h.start(all))
      // As if a leader had been frozen for longer than its lease.
      if (round % 5 === 0) await h.pool.rows(sql.unsafe`update smartcrm.checkpoints set owner = null, lease_until = '-infinity'`)
    }
    await until(async () => (await readRows(h.pool)).every(({ state, place }) => state === 'live' || place === 'retired'))
    await h.caughtUp()
    for (const [index, noun] of ['counts', 'entries'].entries()) await h.same(t, all[index]!, noun)
    const letters = all[0]!.tables['letters']!
    t.same(await storedRows(h.pool, letters), [{ [snake('letter')]: 'n', names: 5 }])
  },
)
