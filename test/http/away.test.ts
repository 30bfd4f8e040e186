/** What the API does while the log or the tables are away: stopped, hung, cut. And how it heals. */

import { randomInt, randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { createApiKeys } from '../../src/platform/api-keys.ts'
import { openPool, sql } from '../../src/platform/database.ts'
import { createLogger } from '../../src/platform/log.ts'
import { type Answer, testApi } from '../support/api.ts'
import { misbehavingProxy } from '../support/misbehaving-proxy.ts'
import { testDatabase } from '../support/postgres.ts'
import { until } from '../support/processes.ts'
import { createRandom } from '../support/soak/random.ts'

// Each part has servers of its own, and mostly waits.
t.jobs = 3

const portOf = (url: string) => Number(new URL(url).port)

/** A proxy, and the ways in which what is behind it can be away. */
async function breakable(t: Parameters<typeof testApi>[0], url: string) {
  const proxy = await misbehavingProxy(t, { port: portOf(url) })
  return {
    ...proxy,
    stop() {
      proxy.refuse(true)
      proxy.cut()
    },
    start: () => proxy.refuse(false),
    hang() {
      proxy.freeze()
      proxy.freezeNew(true)
    },
  }
}

async function setUp(t: Parameters<typeof testApi>[0], statementMs: number) {
  const proxies = {} as Record<'log' | 'postgres', Awaited<ReturnType<typeof breakable>>>
  const api = await testApi(t, {
    statementMs,
    through: {
      async database(url) {
        proxies.postgres = await breakable(t, url)
        const through = new URL(url)
        through.host = `127.0.0.1:${proxies.postgres.port}`
        return through.href
      },
      async eventStore(url) {
        proxies.log = await breakable(t, url)
        return proxies.log.url
      },
    },
  })
  const create = (name: string, key: string = randomUUID(), headers = {}) =>
    api.ask('POST', '/v1/contacts', { name }, { 'idempotency-key': key, ...headers })
  return { ...api, ...proxies, create }
}

const isAway = ({ status, headers }: Answer) => status === 503 && Number(headers.get('retry-after')) > 0

t.test('the log is away', { buffered: true }, async (t) => {
  const { ask, after, create, log } = await setUp(t, 8_000)
  const first = await create('Ada')
  t.equal((await after(first, `/v1/contacts/${first.body.id}`)).status, 200)

  const ways: [string, () => void, () => void][] = [
    ['its server is stopped', log.stop, log.start],
    ['its server hangs', log.hang, log.thaw],
  ]
  for (const [way, breaks, mends] of ways)
    await t.test(way, async (t) => {
      const keys = Array.from({ length: 20 }, () => randomUUID())
      const tried = log.tried()
      breaks()
      const commands = [
        ...keys.map((key, n) => create(`${way} ${n}`, key)),
        ask('PATCH', `/v1/contacts/${first.body.id}`, { name: 'Grace' }),
        ask('GET', `/v1/contacts/${first.body.id}/history`),
      ]
      for (let n = 0; n < 5; n += 1) t.equal((await ask('GET', '/v1/contacts')).status, 200, 'queries go on')
      const answers = await Promise.all(commands)
      t.same(
        answers.filter((answer) => !isAway(answer)),
        [],
        'commands say in their time that it is away',
      )
      const storm = log.tried() - tried
      t.ok(storm < 100, `${storm} connections were tried, for all of them and the projector`)

      mends()
      const since = performance.now()
      await until('a command that is carried out', async () => (await create('after it')).status === 201)
      t.comment(`commands again after ${Math.round(performance.now() - since)} ms`)
      // Some may be turned away at first, since all come at once.
      const sent = async (key: string, n: number) => {
        const answer = await create(`${way} ${n}`, key)
        return answer.status === 201 && answer
      }
      const again = await Promise.all(keys.map((key, n) => until('it is carried out', () => sent(key, n))))
      const listed = await after(again.at(-1)!, `/v1/contacts?limit=100`)
      t.comment(`and the tables with it after ${Math.round(performance.now() - since)} ms`)
      const names = (listed.body.data as { name: string }[]).map(({ name }) => name).filter((name) => name.startsWith(way))
      t.same(names.sort(), keys.map((_, n) => `${way} ${n}`).sort(), 'sent again with its key, each is carried out once')
    })

  await t.test('its connections are cut, again and again', async (t) => {
    const answers = []
    for (let n = 0; n < 20; n += 1) {
      const command = create(`cut ${n}`)
      log.cut()
      answers.push(await command)
    }
    t.ok(answers.every(({ status }) => status === 201))
    const listed = await after(answers.at(-1)!, '/v1/contacts?limit=100')
    t.equal((listed.body.data as { name: string }[]).filter(({ name }) => name.startsWith('cut ')).length, 20)
  })
})

t.test('Postgres is away', { buffered: true }, async (t) => {
  const { ask, after, create, postgres, services } = await setUp(t, 1_000)
  const key = (await createApiKeys(services.pool, undefined).makeFirst())!
  const known = { authorization: `Bearer ${key}` }
  const first = await create('Ada', randomUUID(), known)
  t.equal((await after(first, `/v1/contacts/${first.body.id}`)).status, 200)

  const ways: [string, () => void, () => void][] = [
    ['its server is stopped', postgres.stop, postgres.start],
    ['its server hangs', postgres.hang, postgres.thaw],
    // As after a failover: whoever connects anew is answered, and no connection of before says another word.
    ['its connections are dead and nobody was told', () => postgres.freeze(), () => {}],
  ]
  for (const [way, breaks, mends] of ways)
    await t.test(way, async (t) => {
      const tried = postgres.tried()
      breaks()
      const queries = Promise.all(Array.from({ length: 25 }, () => ask('GET', '/v1/contacts')))
      const made = await create(way, randomUUID(), known)
      t.equal(made.status, 201, 'a command whose key is in memory is carried out, for a caller who is known')
      const changed = await ask('PATCH', `/v1/contacts/${made.body.id}`, { company: 'Navy' }, known)
      t.equal(changed.status, 200)
      for (const answer of await queries) t.ok(isAway(answer) || (answer.status === 200 && way.includes('dead')), 'no query waits for ever')
      const storm = postgres.tried() - tried
      t.ok(storm < 100, `${storm} connections were tried`)

      mends()
      const since = performance.now()
      await until('a query that is answered', async () => (await ask('GET', '/v1/contacts')).status === 200)
      t.comment(`queries again after ${Math.round(performance.now() - since)} ms`)
      const seen = await until('tables that have come so far', async () => {
        const answer = await after(changed, `/v1/contacts/${made.body.id}`)
        return answer.status === 200 && answer
      })
      t.comment(`and the tables have come so far after ${Math.round(performance.now() - since)} ms`)
      t.match(seen.body, { name: way, company: 'Navy' })
    })
})

t.test('whatever is cut and frozen, no statement is without an answer for long', { buffered: true }, async (t) => {
  const seed = Number(process.env['SEED'] ?? randomInt(2 ** 31))
  t.comment(`SEED=${seed}`)
  const { pick, between } = createRandom(seed)
  const { url } = await testDatabase(t)
  const postgres = await breakable(t, url)
  const through = new URL(url)
  through.host = `127.0.0.1:${postgres.port}`
  const pool = openPool(through.href, createLogger('silent', 'test'))
  let isOver = false
  const counts = { answered: 0, failed: 0, wrong: 0 }
  const ask = async (n: number) => {
    while (!isOver) {
      const asking =
        n % 2 === 0 ? pool.rows(sql.unsafe`select ${n}::int as n`) : pool.transaction((db) => db.rows(sql.unsafe`select ${n}::int as n`))
      const found = await asking.catch(() => null)
      if (found === null) counts.failed += 1
      else if ((found as { n: number }[])[0]?.n === n) counts.answered += 1
      else counts.wrong += 1
      await delay(between(0, 30))
    }
  }
  const asking = Promise.all(Array.from({ length: 14 }, (_, n) => ask(n)))
  const { stop, start, hang, thaw, cut, freeze } = postgres
  for (const end = Date.now() + 2_000; Date.now() < end; await delay(between(0, 150))) pick([stop, start, hang, thaw, cut, freeze])()
  // What is frozen stays so: only new connections are answered.
  start()
  postgres.freezeNew(false)
  isOver = true
  await asking
  t.comment(counts)
  t.equal(counts.wrong, 0, 'each has its own answer')
  await until('an answer, over new connections', () => pool.rows(sql.unsafe`select 1 as n`).catch(() => null))
  await pool.close()
})
