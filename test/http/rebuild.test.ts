import t from 'tap'
import { projections } from '../../projections/index.ts'
import { createLogger } from '../../src/platform/log.ts'
import { projection, table } from '../../src/platform/projection.ts'
import { createTables } from '../../src/platform/read-tables.ts'
import { run as runProjector } from '../../src/roles/projector.ts'
import { testApi } from '../support/api.ts'
import { until } from '../support/processes.ts'

const log = createLogger('silent', 'test')
const another = projection({
  name: 'another',
  version: 1,
  tables: { others: table('contactId', { contactId: 'uuid' }) },
  events: {},
  on: {},
})

t.test('tables that are built anew say so instead of answering with what they have so far', async (t) => {
  const api = await testApi(t, { projector: false })
  const before = await runProjector(api.config, log)
  const created = await api.ask('POST', '/v1/contacts', { name: 'Ada' })
  t.equal((await api.after(created, '/v1/contacts')).body.data.length, 1)
  await before.close()

  // As a newer version would, which has a table more; and then the one from before again, which has to build anew in its turn.
  await createTables(api.services.pool, [...projections, another], log)
  await createTables(api.services.pool, projections.slice(1), log)
  await createTables(api.services.pool, projections, log)
  const refused = await until('the news of it', async () => {
    const answer = await api.ask('GET', '/v1/contacts')
    return answer.status === 503 ? answer : null
  })
  t.match(refused.body.detail, /built anew/)
  t.ok(refused.headers.get('retry-after'))
  t.equal((await api.ask('GET', `/v1/contacts/${created.body.id}`)).status, 503, 'one that is there is not said to be missing')
  t.equal((await api.ask('GET', `/v1/contacts/${created.body.id}/history`)).status, 200, 'what the log answers goes on')

  const after = await runProjector(api.config, log)
  t.teardown(after.close)
  const { body } = await until('the tables', async () => {
    const answer = await api.ask('GET', '/v1/contacts')
    return answer.status === 200 ? answer : null
  })
  t.equal(body.data.length, 1, 'the first answer has everything')
})
