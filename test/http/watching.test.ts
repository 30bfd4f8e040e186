import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { contacts } from '../../projections/contacts.ts'
import { projections } from '../../projections/index.ts'
import { timeline } from '../../projections/timeline.ts'
import { sql } from '../../src/platform/database.ts'
import { createLogger } from '../../src/platform/log.ts'
import { formatPosition } from '../../src/platform/position.ts'
import { changeStates, detach, pause, readRows, rebuild, resume } from '../../src/platform/projections/states.ts'
import { keepResubscriptions } from '../../src/platform/resubscriptions.ts'
import { run as runProjector } from '../../src/roles/projector.ts'
import type { Running } from '../../src/roles/role.ts'
import { adminKey, testApi } from '../support/api.ts'
import { until } from '../support/processes.ts'

const { ask, url, config, services } = await testApi(t, { projector: false })
const { pool, store } = services
const log = createLogger('silent', 'test')

const readyz = () => ask('GET', '/readyz')
const metrics = async () => {
  const response = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${adminKey}` } })
  return response.text()
}
/** A series by its name and its labels in their order; undefined where there is none. */
const valueIn = (text: string, series: string): number | undefined => {
  const line = text.split('\n').find((line) => line.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length))
}
const value = async (series: string) => valueIn(await metrics(), series)
const lagOf = (name: string) => value(`smartcrm_projection_lag_seconds{projection="${name}",place="read"}`)
let projector: Running | undefined
t.teardown(() => projector?.close())
let made = 0
const makeContact = async () => {
  t.equal((await ask('POST', '/v1/contacts', { name: 'Ada' })).status, 201)
  made += 1
}
/** Everything that there is comes to be, and to be said, within a second or so. */
const untilReadyz = (what: string, status: number, checks: object) =>
  until(what, async () => {
    const answer = await readyz()
    const found = Object.entries(checks).every(([name, pattern]) =>
      pattern instanceof RegExp ? pattern.test(answer.body.checks[name]) : answer.body.checks[name] === pattern,
    )
    return answer.status === status && found
  })
const allWell = { postgres: 'ok', eventStore: 'ok', tables: 'ok', projector: 'ok' }
const { now } = Date
/** The clock by which the age of events is told. */
const setClock = (laterSeconds: number) => {
  Date.now = () => now() + laterSeconds * 1_000
}
t.teardown(() => {
  Date.now = now
})

t.test('before there was a projector, that is what is said', async (t) => {
  await untilReadyz('that', 503, {
    postgres: 'ok',
    eventStore: 'ok',
    tables: /contacts.*: not there: no projector/,
    projector: /no projector/,
  })
  t.match((await readyz()).body, { status: 'not ready' })
})

t.test('when all is there, nothing is behind', async (t) => {
  projector = await runProjector(config, log)
  await makeContact()
  await untilReadyz('readiness', 200, allWell)
  t.match((await readyz()).body.checks.worker, /no heartbeat yet/, 'a missing worker is said, and turns nobody away')
  await until('a lag of nothing', async () => (await lagOf('contacts')) === 0)
  const text = await metrics()
  t.equal(valueIn(text, `smartcrm_projection_state{projection="contacts",place="read",state="live",version="${contacts.version}"}`), 1)
  t.equal(valueIn(text, 'smartcrm_projection_led{projection="contacts",place="read"}'), 1)
  t.equal(valueIn(text, 'smartcrm_projection_events_total{projection="contacts",place="read"}'), made)
  t.equal(valueIn(text, 'smartcrm_projection_parked_events{projection="contacts",place="read"}'), 0)
  t.equal(valueIn(text, 'smartcrm_event_store_up'), 1)
  t.equal(valueIn(text, 'smartcrm_postgres_up'), 1)
  t.equal(valueIn(text, 'smartcrm_heartbeat_age_seconds'), undefined, 'what is not known is not 0')
  t.equal(valueIn(text, 'smartcrm_reactors_lag_seconds'), undefined)
  t.equal(valueIn(text, 'smartcrm_subscription_resubscriptions_total{role="projector",reason="failed"}'), 0)
})

t.test('requests are counted by route and status', async (t) => {
  await ask('GET', '/nothing')
  const text = await metrics()
  t.equal(valueIn(text, 'smartcrm_http_request_duration_seconds_count{method="POST",route="/v1/contacts",status="201"}'), made)
  t.equal(valueIn(text, 'smartcrm_http_request_duration_seconds_count{method="GET",route="(none)",status="404"}'), 1)
})

t.test('subscriptions that had to be made again are added up by role and reason, whatever process counts them', async (t) => {
  const total = (reason: string) => value(`smartcrm_subscription_resubscriptions_total{role="tester",reason="${reason}"}`)
  const counts = { silent: 0, tooSlow: 1 }
  for (const already of [0, 2]) {
    const keeping = keepResubscriptions({ pool, log, role: 'tester', counts, everyMs: 5 })
    await until('the count of this process', async () => (await total('too-slow')) === already + counts.tooSlow)
    t.equal(await total('silent'), 0)
    counts.tooSlow += 1
    await until('one more', async () => (await total('too-slow')) === already + counts.tooSlow)
    keeping.close()
    counts.tooSlow = 1
  }
})

t.test('a projector that holds the lease and does nothing makes unready, once the log has gone on for 30 s', async (t) => {
  await pool.rows(sql.unsafe`
    update smartcrm.checkpoints set owner = gen_random_uuid(), epoch = epoch + 1, lease_until = clock_timestamp() + interval '1 hour', moved_at = clock_timestamp()
    where name = 'live'`)
  await makeContact()
  const first = await until('a lag', () => lagOf('contacts'))
  await until('a greater one, though nothing more happens', async () => (await lagOf('contacts'))! > first)
  await untilReadyz('readiness', 200, allWell)

  setClock(40)
  await untilReadyz('word of it', 200, { ...allWell, projector: /contacts.*: \d+ s behind the log, and catches up/ })
  await pool.rows(
    sql.unsafe`update smartcrm.checkpoints set moved_at = moved_at - interval '40 s', trouble = 'the keys are away' where name = 'live'`,
  )
  await untilReadyz('unreadiness', 503, { ...allWell, projector: /contacts.*: \d+ s behind the log, and stands still: the keys are away/ })
  t.ok((await lagOf('contacts'))! >= 40)
  t.ok((await value('smartcrm_projection_position_age_seconds{projection="contacts",place="read"}'))! >= 40)
  t.equal(await value('smartcrm_projection_troubled{projection="contacts",place="read"}'), 1)

  setClock(0)
  await pool.rows(sql.unsafe`update smartcrm.checkpoints set owner = null where name = 'live'`)
  await untilReadyz('readiness', 200, allWell)
  await until('a lag of nothing', async () => (await lagOf('contacts')) === 0)
})

t.test('a paused projection is said to be so, and falls behind alone', async (t) => {
  await pause(pool, 'timeline')
  await makeContact()
  await untilReadyz('word of it', 200, { ...allWell, tables: /^timeline: paused/ })
  await until('its lag', async () => (await lagOf('timeline'))! > 0 && (await lagOf('contacts')) === 0)
  const text = await metrics()
  t.equal(valueIn(text, `smartcrm_projection_state{projection="timeline",place="read",state="paused",version="${timeline.version}"}`), 1)
  t.equal(
    valueIn(text, 'smartcrm_projection_events_total{projection="timeline",place="read"}'),
    made - 1,
    'its count goes on from where it was',
  )
  await resume(pool, 'timeline')
  await until('its count', async () => (await value('smartcrm_projection_events_total{projection="timeline",place="read"}')) === made)
})

t.test('a halted one makes unready, with its reason', async () => {
  await changeStates(pool, async (db) => {
    const row = (await readRows(db)).find(({ name }) => name === 'timeline')!
    await detach(db, row, 'halted', 'it could not be done')
  })
  await untilReadyz('unreadiness', 503, { ...allWell, tables: 'timeline: halted: it could not be done' })
  await resume(pool, 'timeline')
})

t.test('a parked event is said and counted, and turns nobody away', async (t) => {
  const [event] = await store.readAll(null, 1)
  const { stream, revision, id, type, position } = event!
  await pool.rows(sql.unsafe`
    insert into smartcrm.parked_events (projection, place, stream, revision, event_id, type, commit_position, prepare_position, error)
    values ('contacts', 'read', ${stream}, ${revision}, ${id}, ${type}, ${position.commit}, ${position.prepare}, 'it does not fit')`)
  await untilReadyz('word of it', 200, { ...allWell, tables: 'contacts: events that could not be applied are parked: 1 (streams: 1)' })
  t.equal(await value('smartcrm_projection_parked_events{projection="contacts",place="read"}'), 1)
  t.equal(await value('smartcrm_projection_parked_streams{projection="contacts",place="read"}'), 1)
  await pool.rows(sql.unsafe`delete from smartcrm.parked_events`)
})

t.test('nobody leads, while the log goes on and tables are to be built', async (t) => {
  await projector?.close()
  projector = undefined
  await makeContact()
  const contacts = projections.find(({ name }) => name === 'contacts')!
  await rebuild(pool, [contacts])
  const events = await store.readAll(null, 1_000)
  const [half, end] = [events[Math.floor(events.length / 2)]!.position, events.at(-1)!.position]
  await pool.rows(sql.unsafe`
    update smartcrm.checkpoints set commit_position = ${half.commit}, prepare_position = ${half.prepare}, events = 600, speed = 20,
      moved_at = clock_timestamp() + interval '1 hour', began_at = clock_timestamp() - interval '1 hour'
    where name = (select checkpoint from smartcrm.projections where place = 'building')`)
  await untilReadyz('unreadiness', 503, { postgres: 'ok', eventStore: 'ok', projector: /timeline.*: no projector is at work/ })
  const progress = Number(half.commit) / Number(end.commit)
  await until('its progress', async () => value('smartcrm_projection_rebuild_progress_ratio{projection="contacts",place="building"}'))
  const text = await metrics()
  t.equal(
    valueIn(text, 'smartcrm_projection_rebuild_progress_ratio{projection="contacts",place="building"}'),
    progress,
    formatPosition(half),
  )
  const left = valueIn(text, 'smartcrm_projection_rebuild_remaining_seconds{projection="contacts",place="building"}')
  t.ok(Math.abs(left! - (600 / progress - 600) / 20) < 0.001, 'as many events as are left, at 20 a second')
  t.equal(valueIn(text, 'smartcrm_projection_led{projection="contacts",place="read"}'), 0)
  t.ok((await lagOf('contacts'))! > 0)
})

t.test('the dashboard and the alerts know the metrics that there are', async (t) => {
  const folder = join(import.meta.dirname, '../../src/monitoring')
  const dashboard = JSON.parse(await readFile(join(folder, 'grafana-dashboard.json'), 'utf8'))
  const rules = parse(await readFile(join(folder, 'prometheus-rules.yml'), 'utf8'))
  const panels: { title: string; type: string; targets?: { expr: string }[] }[] = dashboard.panels
  const alerts: { alert: string; expr: string; annotations: object }[] = rules.groups.flatMap(({ rules }: { rules: object[] }) => rules)
  const types = new Map([...(await metrics()).matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name!, type!]))
  const known = new Set(
    [...types].flatMap(([name, type]) => (type === 'histogram' ? [`${name}_bucket`, `${name}_count`, `${name}_sum`] : [name])),
  )
  const used = new Set<string>()
  const asked = [
    ...panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ where: title, expr }))),
    ...alerts.map(({ alert, expr }) => ({ where: alert, expr })),
  ]
  t.ok(asked.length > 30)
  for (const { where, expr } of asked) {
    const names = expr.match(/\b(smartcrm|process|nodejs)_\w+/g) ?? []
    t.ok(names.length > 0, `${where} asks for something`)
    for (const name of names) {
      t.ok(known.has(name), `${where}: there is ${name}`)
      used.add(name.replace(/_(bucket|count|sum)$/, ''))
    }
  }
  const ours = [...types.keys()].filter((name) => name.startsWith('smartcrm_'))
  t.strictSame(
    ours.filter((name) => !used.has(name)),
    [],
    'each of ours is in the dashboard or in an alert',
  )
  const ids = panels.map((panel) => (panel as unknown as { id: number }).id)
  t.equal(new Set(ids).size, ids.length)
  t.equal(new Set(alerts.map(({ alert }) => alert)).size, alerts.length)
})

t.test('when the log is away, that is said, and not that nothing is behind', async (t) => {
  await store.close()
  await untilReadyz('unreadiness', 503, { postgres: 'ok', eventStore: /event store/ })
  await until('word of it', async () => (await value('smartcrm_event_store_up')) === 0)
  const text = await metrics()
  t.equal(valueIn(text, 'smartcrm_projection_lag_seconds{projection="contacts",place="read"}'), undefined)
  t.equal(valueIn(text, 'smartcrm_projection_led{projection="contacts",place="read"}'), 0, 'what Postgres knows is told all the same')
})
