import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { contacts } from '../../projections/contacts.ts'
import { projections } from '../../projections/index.ts'
import type { ProjectionStatus } from '../../schema/projection.ts'
import { sql } from '../../src/platform/database.ts'
import { createLogger } from '../../src/platform/log.ts'
import { run as runWorker } from '../../src/roles/worker.ts'
import { adminKey, testApi } from '../support/api.ts'
import { until } from '../support/processes.ts'
import { startProgram } from '../support/programs.ts'

const main = join(import.meta.dirname, '../../src/main.ts')
t.setTimeout(400_000)
const api = await testApi(t)
const { pool } = api.services

/** The command as a process of its own, so that exit codes and output are real. */
const run = (...args: string[]) => runCommand('projections', ...args)

function runCommand(...args: string[]) {
  const { dataFolder, databaseUrl, eventStoreUrl } = api.config
  const servers = { SMARTCRM_DATA: dataFolder, DATABASE_URL: databaseUrl, EVENTSTORE_URL: eventStoreUrl }
  return startProgram([main, ...args], { env: { SMARTCRM_KEY: adminKey, SMARTCRM_URL: api.url, ...servers } }).ended
}
const status = async (name: string) => {
  const { body } = await api.ask('GET', '/v1/admin/projections')
  return (body.data as ProjectionStatus[]).find((projection) => projection.name === name)!
}
const isLive = (name: string) =>
  until(`${name} to be live`, async () => {
    const { answering, building } = await status(name)
    return answering?.state === 'live' && answering.lagSeconds === 0 && building === null
  })

const created = await api.ask('POST', '/v1/contacts', { name: 'Ada' })
await api.after(created, '/v1/contacts')
for (const { name } of projections) await isLive(name)

t.test('they are listed, with where they are and what they lack', async (t) => {
  const { data } = (await api.ask('GET', '/v1/admin/projections')).body as { data: ProjectionStatus[] }
  t.same(data.map(({ name }) => name).toSorted(), projections.map(({ name }) => name).toSorted())
  for (const { answering, building, kept } of data) {
    t.match(answering, { version: Number, state: 'live', reason: null, trouble: null, lagSeconds: 0, parked: { events: 0, streams: 0 } })
    t.same([building, kept], [null, null])
  }
  const listed = await run()
  t.equal(listed.code, 0, listed.stderr)
  t.match(listed.stdout, /^NAME +VERSION +STATE +POSITION +LAG +PARKED +SPEED\n/)
  for (const { name, version } of projections)
    t.match(listed.stdout, new RegExp(`^${name} +v${version} +live +\\d+\\.\\d+ +0\\.0 s +0 +\\d+/s$`, 'm'))
  t.same(JSON.parse((await run('list', '--json')).stdout).length, projections.length)
})

t.test('after standing still for a month they go on, and are listed', async (t) => {
  await pool.rows(sql.unsafe`
    update smartcrm.checkpoints set moved_at = moved_at - interval '40 days', began_at = began_at - interval '40 days', speed = speed + 1`)
  const renamed = await api.ask('PATCH', `/v1/contacts/${created.body.id}`, { name: 'Ada Lovelace' })
  t.equal((await api.after(renamed, '/v1/contacts')).status, 200)
  const { status, body } = await api.ask('GET', '/v1/admin/projections')
  t.equal(status, 200)
  for (const { answering } of body.data as ProjectionStatus[]) t.match(answering, { state: 'live', trouble: null, parked: { events: 0 } })
  for (const path of ['/metrics', '/readyz'])
    t.equal((await fetch(api.url + path, { headers: { authorization: `Bearer ${adminKey}` } })).status, 200, path)
})

t.test('one is rebuilt, or all, and gone back from', async (t) => {
  const rebuilt = await run('rebuild', 'contacts')
  t.equal(rebuilt.code, 0, rebuilt.stderr)
  t.match(rebuilt.stdout, /^contacts +v\d+ +live[\s\S]*^ {2}contacts +v\d+ +kept/m)
  t.equal((await run('rebuild')).code, 0)
  for (const { name } of projections) t.ok((await status(name)).kept, name)
  const back = await run('rollback', 'contacts')
  t.equal(back.code, 0, back.stderr)
  await isLive('contacts')
  t.match(await api.ask('GET', `/v1/contacts/${created.body.id}`), { status: 200, body: { name: 'Ada' } })
})

t.test('one is paused, which is said and keeps waits from being met, and resumed', async (t) => {
  t.match((await run('pause', 'timeline')).stdout, /^timeline +v\d+ +paused/m)
  const renamed = await api.ask('PATCH', `/v1/contacts/${created.body.id}`, { name: 'Ada King' })
  t.equal((await api.after(renamed, '/v1/contacts', { prefer: 'wait=0' })).status, 503)
  await until('its lag', async () => ((await status('timeline')).answering?.lagSeconds ?? 0) > 0)
  t.equal((await run('resume', 'timeline')).code, 0)
  await isLive('timeline')
  t.equal((await api.after(renamed, '/v1/contacts')).body.data[0].name, 'Ada King')
})

t.test('what is parked is listed and replayed', async (t) => {
  t.match(await run('parked', 'contacts'), { code: 0, stdout: 'Nothing is parked.\n' })
  // As if its first event could not be applied; the row is there, and comes out the same.
  const [event] = (await api.ask('GET', `/v1/contacts/${created.body.id}/history`)).body.data
  await pool.rows(sql.unsafe`
    insert into smartcrm.parked_events (projection, place, stream, revision, event_id, type, commit_position, prepare_position, error)
    values ('contacts', 'read', ${`contact-${created.body.id}`}, 0, ${event.eventId}, ${event.type}, 1, 1, 'it was not to be')`)
  await pool.rows(sql.unsafe`update smartcrm.checkpoints set parked_version = parked_version + 1`)
  const parked = await run('parked', 'contacts')
  t.match(parked, { code: 1, stdout: `contact-${created.body.id} 0 ContactCreated: it was not to be\n` })
  await until('the count of it', async () => (await status('contacts')).answering?.parked.events === 1)
  t.match(await run('replay', 'contacts'), { code: 0, stdout: '1 events are in the tables now; 0 streams stay parked.\n' })
  t.match(await run('replay', 'contacts'), { code: 0, stdout: /^0 events/ })
})

t.test('tables and log are verified, and what is wrong ends with 1', async (t) => {
  const worker = await runWorker(api.config, createLogger('silent', 'test'))
  t.teardown(worker.close)
  // What was replayed above went behind what had come after it.
  t.equal((await run('rebuild', 'contacts')).code, 0)
  const sound = await run('verify')
  t.match(sound, { code: 0, stdout: /^Compared \d+ rows at \d+\.\d+: all are what the log makes\.\n$/ })
  await pool.rows(sql.unsafe`update ${contacts.tables.contacts.sql} set company = 'Damaged'`)
  t.match(await run('verify', 'contacts'), {
    code: 1,
    stdout: /^contacts_v\d+: rows 1 changed; first .*\(company\)\nCompared 1 rows .*1 tables differ/,
  })
  t.match(await run('rebuild', 'contacts', '--prove'), { code: 0 })
  t.match(await run('verify', 'contacts', '--json'), { code: 0, stdout: /"differences": \[\]/ })

  const audit = await runCommand('audit', 'verify', '--json')
  t.match(JSON.parse(audit.stdout), { found: 0, findings: [], seal: { position: String } })
  const seal = join(t.testdir({ 'seal.json': audit.stdout }), 'seal.json')
  t.match(await runCommand('audit', 'verify', '--seal', seal), { code: 0, stdout: /all are as they were written\.\nSeal: / })
  const forged = join(t.testdir({ 'seal.json': audit.stdout.replace(/"digest": "../, '"digest": "zz') }), 'seal.json')
  t.match(await runCommand('audit', 'verify', '--seal', forged), { code: 2, stderr: /has no seal in it/ })
})

t.test('a changed file shows what it would make, before anything is switched', async (t) => {
  const file = new URL('../../projections/contacts.ts', import.meta.url)
  const changed = (await readFile(file, 'utf8'))
    .replaceAll(/from '\.\.?\//g, (from) =>
      from
        .replace("'", `'${new URL(from.includes('..') ? '../../' : '../../projections/', import.meta.url).pathname}`)
        .replace(/\.\.?\/$/, ''),
    )
    .replace('company: company ?? null', "company: company ?? 'Unknown'")
  const folder = t.testdir({ 'contacts.ts': changed })
  const diff = await runCommand('projections', 'diff', 'contacts', '--with', join(folder, 'contacts.ts'))
  t.match(
    diff,
    {
      code: 1,
      stdout:
        /^contacts: rows 1 changed; first {"contactId":"[0-9a-f-]+"} changed \(company\)\ncontactMerges: all 0 rows stay as they are\ncontactMethods: all 0 rows stay as they are\n/,
    },
    diff.stderr,
  )
  t.match(await runCommand('projections', 'diff', 'contacts', '--with', file.pathname), { code: 0, stdout: /no row would be another/ })
  t.match(await runCommand('projections', 'diff', 'emails', '--with', file.pathname), {
    code: 2,
    stderr: /exports no projection emails, but contacts/,
  })
  t.match(await runCommand('projections', 'diff', 'contacts', '--with', join(folder, 'none.ts')), { code: 2, stderr: /cannot be loaded/ })
})

t.test('wrong calls say what is wrong', async (t) => {
  t.match(await run('pause', 'nothing'), { code: 2, stderr: /There is no projection nothing\. There are: contacts, / })
  t.match(await run('rebuild', 'nothing'), { code: 2, stderr: /There is no projection nothing/ })
  t.match(await run('pause'), { code: 2, stderr: /missing required argument/ })
  t.equal((await api.ask('POST', '/v1/admin/projections/rebuild', { names: 'contacts' })).status, 400)
  t.equal((await api.ask('POST', '/v1/admin/projections/nothing/rollback')).status, 404)
})
