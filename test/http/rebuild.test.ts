import t from 'tap'
import { projections } from '../../projections/index.ts'
import { createLogger } from '../../src/platform/log.ts'
import { readRows, rebuild } from '../../src/platform/projections/states.ts'
import { run as runProjector } from '../../src/roles/projector.ts'
import { testApi } from '../support/api.ts'
import { until } from '../support/processes.ts'

const log = createLogger('silent', 'test')

t.test('before the tables are built for the first time queries say so; after it no rebuild keeps any from being answered', async (t) => {
  const api = await testApi(t, { projector: false })
  const created = await api.ask('POST', '/v1/contacts', { name: 'Ada' })
  const refused = await api.ask('GET', '/v1/contacts')
  t.equal(refused.status, 503)
  t.ok(refused.headers.get('retry-after'))
  t.equal((await api.ask('GET', `/v1/contacts/${created.body.id}`)).status, 503, 'one that is there is not said to be missing')
  t.equal((await api.ask('GET', `/v1/contacts/${created.body.id}/history`)).status, 200, 'what the log answers goes on')

  const projector = await runProjector(api.config, log)
  t.teardown(projector.close)
  const { body } = await until('the tables', async () => {
    const answer = await api.ask('GET', '/v1/contacts')
    return answer.status === 200 ? answer : null
  })
  t.equal(body.data.length, 1, 'the first answer has everything')

  const { pool } = api.services
  for (let round = 0; round < 2; round += 1) {
    const since = new Date().toISOString()
    await rebuild(pool, projections)
    const isSwitched = async () => {
      const rows = await readRows(pool)
      return projections.every(({ name }) => rows.some((row) => row.name === name && row.place === 'retired' && row.since > since))
    }
    let contacts = 0
    do {
      contacts += 1
      const more = await api.ask('POST', '/v1/contacts', { name: `Grace ${contacts}` })
      const list = await api.after(more, '/v1/contacts?limit=1')
      t.match(list, { status: 200, body: { data: [{ name: `Grace ${contacts}` }] } })
    } while (!(await isSwitched()))
  }
})
