import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { Fenced, moveCheckpoint, readCheckpoint } from '../../src/platform/checkpoint.ts'
import { openPool, type Pool, sql } from '../../src/platform/database.ts'
import { holdLease, type Lease, type LeaseOptions, type Term } from '../../src/platform/lease.ts'
import { createLogger } from '../../src/platform/log.ts'
import { createProjector } from '../../src/platform/projector.ts'
import { foldInMemory } from '../../src/platform/rows.ts'
import { testDatabase } from '../support/postgres.ts'
import { inOrder, liveTables, memoryLog, storedRows, until } from '../support/projections.ts'
import { Counted, tallies, tally } from '../support/tally.ts'

const log = createLogger('silent', 'test')
const quick = { log, leaseMs: 400, renewMs: 100, retryMs: 40 }
/** Renews never, as a process that was frozen. */
const frozen = { ...quick, renewMs: 1_000_000 }

async function database(t: Test): Promise<Pool> {
  const pool = openPool((await testDatabase(t)).url, log, 20)
  t.teardown(() => pool.close())
  await liveTables(pool, [tally], log)
  return pool
}

/** One who would lead and only notes it. */
function candidate(pool: Pool, options: Omit<LeaseOptions, 'pool' | 'owner'>, lead = untilAborted): Lease & { terms: Term[] } {
  const terms: Term[] = []
  const lease = holdLease({ pool, owner: randomUUID(), ...options }, async (term) => {
    terms.push(term)
    await lead(term)
  })
  return { ...lease, terms }
}

const untilAborted = ({ signal }: Term) => new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))

t.test('one leads, and when it stops another takes over at once', async (t) => {
  const pool = await database(t)
  // With a lease of an hour only its release lets the other lead.
  const options = { ...quick, leaseMs: 3_600_000 }
  const first = candidate(pool, options)
  await until(() => first.terms.length === 1)
  const second = candidate(pool, options)
  await until(async () => (await readCheckpoint(pool, 'live'))!.epoch === first.terms[0]!.epoch)
  t.equal(second.terms.length, 0)
  await first.close()
  await until(() => second.terms.length === 1)
  t.equal(second.terms[0]!.epoch, first.terms[0]!.epoch + 1)
  t.ok(first.terms[0]!.signal.aborted)
  await second.close()
})

t.test('a leader renews its lease before it ends', async (t) => {
  const pool = await database(t)
  const leader = candidate(pool, { ...quick, leaseMs: 3_600_000, renewMs: 20 })
  await until(() => leader.terms.length === 1)
  const lease = async () =>
    (await pool.rows<{ epoch: number; until: string }>(sql.unsafe`select epoch, lease_until as until from smartcrm.checkpoints`))[0]!
  const before = await lease()
  await until(async () => (await lease()).until > before.until)
  t.equal((await lease()).epoch, before.epoch)
  t.equal(leader.terms.length, 1)
  await leader.close()
})

t.test('a leader that does not renew is followed by another, learns of it, and stands by', async (t) => {
  const pool = await database(t)
  const leader = candidate(pool, { ...quick, leaseMs: 50, renewMs: 500 })
  await until(() => leader.terms.length === 1)
  const other = candidate(pool, quick)
  await until(() => other.terms.length === 1)
  await until(() => leader.terms[0]!.signal.aborted)
  t.ok(leader.terms[0]!.signal.reason instanceof Fenced)
  await other.close()
  await until(() => leader.terms.length === 2)
  await leader.close()
})

t.test('a process for which the condition does not hold never leads', async (t) => {
  const pool = await database(t)
  const stranger = candidate(pool, { ...quick, when: sql.fragment`c.tables = array['others']` })
  const native = candidate(pool, quick)
  await until(() => native.terms.length === 1)
  await native.close()
  await until(async () => {
    const [row] = await pool.rows<{ owner: string | null }>(sql.unsafe`select owner from smartcrm.checkpoints`)
    return row!.owner === null
  })
  t.equal(stranger.terms.length, 0)
  await stranger.close()
})

t.test('a process that fails at leading gives the lease to others', async (t) => {
  const pool = await database(t)
  const failing = candidate(pool, quick, async () => {
    throw new Error('cannot')
  })
  await until(() => failing.terms.length === 1)
  const other = candidate(pool, { ...quick, leaseMs: 3_600_000 })
  await until(() => other.terms.length === 1)
  t.equal(failing.terms.length, 1)
  await Promise.all([failing.close(), other.close()])
})

t.test('a process that was frozen in the middle of a batch lets others take over, and changes nothing when it wakes', async (t) => {
  const pool = await database(t)
  const start = { commit: 0n, prepare: 0n }
  const sleeper = candidate(pool, { ...frozen, leaseMs: 50 })
  await until(() => sleeper.terms.length === 1)
  const { epoch } = sleeper.terms[0]!
  const held = Promise.withResolvers<void>()
  const batch = pool.transaction(async (db) => {
    await moveCheckpoint(db, 'live', epoch, start, { commit: 10n, prepare: 10n }, 100)
    await held.promise
    await db.rows(sql.unsafe`select 1`)
  })
  const outcome = t.rejects(batch)
  const other = candidate(pool, quick)
  await until(() => other.terms.length === 1)
  held.resolve()
  await outcome
  t.same((await readCheckpoint(pool, 'live'))!.position, start)
  await t.rejects(
    pool.transaction((db) => moveCheckpoint(db, 'live', epoch, start, { commit: 10n, prepare: 10n })),
    Fenced,
  )
  await Promise.all([sleeper.close(), other.close()])
})

t.test('projectors that start, stop, freeze and take over at random leave no gap and nothing twice', async (t) => {
  const pool = await database(t)
  const source = memoryLog()
  const start = (options: typeof quick) => {
    const { subscribe, decode } = source
    const projector = createProjector({ pool, projections: [tally], log, subscribe, decode, limits: { events: 25, bytes: 1_000_000 } })
    return holdLease({ pool, owner: randomUUID(), ...options }, projector.lead)
  }
  const applied = async () => formatted((await readCheckpoint(pool, 'live'))!.position)
  const running = [start(quick), start(quick)]
  for (let round = 0; round < 30; round += 1) {
    const before = await applied()
    source.append(...Array.from({ length: 40 }, (_, index) => Counted({ name: `n${index % 5}` })))
    if (round % 3 === 0) await running.shift()!.close()
    // As if the leader had been frozen for longer than its lease: somebody else may lead, and it does not know.
    else if (round % 3 === 1) await pool.rows(sql.unsafe`update smartcrm.checkpoints set owner = null, lease_until = '-infinity'`)
    else running.push(start(round % 2 === 0 ? quick : { ...frozen, leaseMs: 60 }))
    if (running.length === 0) running.push(start(quick))
    await until(async () => (await applied()) !== before)
  }
  await until(async () => (await applied()) === formatted(source.events.at(-1)!.position))
  await Promise.all(running.map((lease) => lease.close()))
  t.same(inOrder(await storedRows(pool, tallies), tallies), inOrder(foldInMemory(tally, source.events).rows('tallies'), tallies))
})

const formatted = ({ commit, prepare }: { commit: bigint; prepare: bigint }) => `${commit}.${prepare}`
