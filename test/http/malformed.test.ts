import t from 'tap'
import { createLogger } from '../../src/platform/log.ts'
import { run as runWorker } from '../../src/roles/worker.ts'
import { adminKey, testApi } from '../support/api.ts'
import { sendMalformed } from '../support/malformed.ts'
import { until } from '../support/processes.ts'
import { createRandom } from '../support/soak/random.ts'

t.setTimeout(3_600_000)
const COUNT = Number(process.env['MALFORMED'] ?? 1_000)
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const api = await testApi(t)
t.teardown((await runWorker(api.config, createLogger('silent', 'worker'))).close)

t.test(`${COUNT} requests that nobody should send are told what is wrong with them (seed ${seed})`, async (t) => {
  const { body: document } = await api.ask('GET', '/openapi.json')
  await until('the tables', async () => (await api.ask('GET', '/v1/contacts')).status === 200)
  const { statuses, faults } = await sendMalformed(api.url, document, adminKey, COUNT, createRandom(seed).next)
  t.comment(JSON.stringify(statuses))
  t.strictSame(faults, [])
  t.ok((statuses[400] ?? 0) > COUNT / 20 && (statuses[200] ?? 0) > COUNT / 100, 'they came far')

  // And what was let through can be borne by what follows.
  const end = await api.ask('POST', '/v1/contacts', { name: 'Still here' })
  t.equal(end.status, 201)
  t.equal((await api.after(end, `/v1/contacts/${end.body.id}`)).status, 200)
  t.notMatch(JSON.stringify((await api.ask('GET', '/readyz')).body), /parked|halted/)
})
