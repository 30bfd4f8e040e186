import t from 'tap'
import { projections, queries } from '../../projections/index.ts'
import { sql } from '../../src/platform/database.ts'
import { createLogger } from '../../src/platform/log.ts'
import { boundSnapshots } from '../../src/platform/projections/snapshots.ts'
import { run as runWorker } from '../../src/roles/worker.ts'
import { testApi } from '../support/api.ts'
import { person } from '../support/keys.ts'
import { comparePast, positionOf, ready, withAsOf } from '../support/past-answers.ts'

t.setTimeout(120_000)
const log = createLogger(process.env['TEST_LOG'] ?? 'silent', 'test')

t.test('every question asked as of a moment is answered as it was then, whatever happened since', async (t) => {
  const api = await testApi(t)
  const worker = await runWorker(api.config, log)
  t.teardown(worker.close)
  const { paths, compared, differences } = await comparePast(api, { seed: 7, moments: 2, steps: 40 })
  t.strictSame(differences, [])
  t.ok(compared > 100, `${compared} answers`)
  for (const { path } of queries) {
    const pattern = new RegExp(`^/v1${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`)
    if (!path.startsWith('/mailboxes/'))
      t.ok(
        paths.some((one) => pattern.test(one)),
        `${path} was asked`,
      )
  }
})

t.test('snapshots are one a moment, bounded, and gone with who was erased', async (t) => {
  const api = await testApi(t)
  const { pool } = api.services
  const moments: string[] = []
  const ids: string[] = []
  for (const name of ['Ada', 'Grace', 'Alan']) {
    const made = await api.ask('POST', '/v1/contacts', { name, methods: [{ type: 'email', value: `${name}@example.com` }] })
    ids.push(made.body.id)
    moments.push(positionOf(made))
  }
  await api.after(await api.ask('PATCH', `/v1/contacts/${ids[0]}`, { name: 'Augusta' }), '/v1/contacts')
  t.match(await api.ask('GET', withAsOf('/v1/contacts', moments[0]!)), {
    status: 409,
    body: { code: 'snapshot-missing', request: { method: 'POST', path: '/v1/snapshots', body: { asOf: moments[0] } } },
  })
  const first = await api.ask('POST', '/v1/snapshots', { asOf: moments[0] })
  t.match(first, { status: 202, body: { state: 'reading', position: moments[0] } })
  t.equal(first.headers.get('location'), `/v1/snapshots/${first.body.id}`)
  t.equal((await ready(api, moments[0]!)).id, first.body.id)
  t.match((await api.ask('GET', `/v1/snapshots/${first.body.id}`)).body, { state: 'ready', progress: 1, sizeBytes: Number })

  const one = `/v1/contacts/${ids[0]}`
  t.match((await api.ask('GET', withAsOf(one, moments[0]!))).body, { name: 'Ada', emailsReceived: 0 }, 'with what mail said of it')
  t.equal(
    (await api.ask('GET', withAsOf(one, moments[1]!))).body.emailsReceived,
    0,
    'and without, where its stream tells, and those of its mails',
  )
  t.match((await api.ask('GET', withAsOf('/v1/contacts', moments[0]!))).body.data, [{ name: 'Ada' }])
  t.match((await api.ask('GET', withAsOf('/v1/contacts', '2200-01-01T00:00:00Z'))).body.data.length, 3, 'what is still to come is as it is')
  t.match(await api.ask('POST', '/v1/snapshots', { asOf: '2200-01-01T00:00:00Z' }), { status: 400, body: { errors: [{ path: '/asOf' }] } })
  t.match(await api.ask('POST', '/v1/snapshots', { asOf: 'yesterday' }), { status: 400, body: { errors: [{ path: '/asOf' }] } })
  t.match(await api.ask('GET', '/v1/contacts?asOf=yesterday'), { status: 400, body: { errors: [{ path: '/querystring/asOf' }] } })
  const before = await ready(api, '2001-01-01T00:00:00Z')
  t.match(before, { position: '0.0' })
  t.strictSame((await api.ask('GET', withAsOf('/v1/contacts', '2001-01-01T00:00:00Z'))).body.data, [], 'nothing, before anything was')
  t.match((await api.ask('GET', withAsOf(`${one}/history`, moments[0]!))).body.data, [{ type: 'ContactCreated' }])
  t.equal((await api.ask('GET', withAsOf(`${one}/history`, moments[0]!))).body.data.length, 1)
  t.equal((await api.ask('GET', withAsOf('/v1/events?category=contact', moments[1]!))).body.data.length, 2)

  for (const moment of moments) await ready(api, moment)
  await api.ask('GET', withAsOf('/v1/contacts', moments[0]!))
  await pool.rows(sql.unsafe`update smartcrm.snapshots set used_at = used_at - interval '1 hour' where place <> ${first.body.id}`)
  await boundSnapshots(pool, projections, { count: 2, bytes: 1e12 })
  const left = (await api.ask('GET', '/v1/snapshots')).body.data
  t.equal(left.length, 2)
  t.ok(
    left.some(({ id }: { id: string }) => id === first.body.id),
    'what was used last stays',
  )
  await boundSnapshots(pool, projections, { count: 2, bytes: 1 })
  t.equal((await api.ask('GET', '/v1/snapshots')).body.data.length, 1)
  await ready(api, moments[2]!)
  const [schemas] = await pool.rows<{ count: number }>(sql.unsafe`select count(*) from pg_namespace where nspname like 'asof%'`)
  t.equal(schemas!.count, 2, 'and nothing is left of the others')

  const [event] = await api.services.store.readStream(`contact-${ids[1]}`)
  await api.services.vault.destroy([(event!.metadata as { key: string }).key])
  t.equal((await api.ask('GET', withAsOf('/v1/contacts', moments[2]!))).status, 409, 'at once')
  t.match(await api.ask('POST', '/v1/snapshots', { asOf: moments[2] }), { status: 503 }, 'as long as somebody may still hold the key')
  // A minute later.
  await pool.rows(sql.unsafe`update smartcrm.snapshots set made_at = made_at - interval '1 minute'`)
  await pool.rows(sql.unsafe`update vault.keys set destroyed_at = destroyed_at - interval '1 minute' where destroyed_at is not null`)
  await ready(api, moments[2]!)
  t.strictSame(
    (await api.ask('GET', withAsOf('/v1/contacts', moments[2]!))).body.data.map(({ name }: { name: string }) => name),
    ['Alan', 'Ada'],
  )
  const { id } = (await api.ask('GET', '/v1/snapshots')).body.data[0]
  t.equal((await api.ask('DELETE', `/v1/snapshots/${id}`)).status, 200)
  t.equal((await api.ask('DELETE', `/v1/snapshots/${id}`)).status, 404)
})

t.test('who sees his own is told of the past by whose it is now', async (t) => {
  const api = await testApi(t)
  const ada = await person(api, { sees: 'own', owner: 'ada' })
  const made = await ada.ask('POST', '/v1/contacts', { name: 'Grace', methods: [] })
  const moment = positionOf(made)
  const path = `/v1/contacts/${made.body.id}`
  await api.after(await api.ask('PATCH', path, { name: 'Rear Admiral Grace' }), path)
  const seesIt = async () => {
    t.match(await ada.ask('GET', withAsOf(path, moment)), { status: 200, body: { name: 'Grace' } })
    t.match(await ada.ask('GET', withAsOf(`${path}/history`, moment)), { status: 200, body: { data: [{ type: 'ContactCreated' }] } })
    t.match(await ada.ask('GET', withAsOf('/v1/contacts', moment)), { status: 403, body: { code: 'past-not-shown' } })
  }
  await seesIt()
  await ready(api, moment)
  await seesIt()
  t.match((await api.ask('GET', withAsOf('/v1/contacts', moment))).body.data, [{ name: 'Grace' }])
  await api.after(await api.ask('POST', `${path}/assign`, { owner: 'bea' }), path)
  for (const one of [path, withAsOf(path, moment), withAsOf(`${path}/history`, moment)])
    t.equal((await ada.ask('GET', one)).status, 404, one)
})
