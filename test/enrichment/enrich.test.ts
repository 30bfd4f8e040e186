import t from 'tap'
import { enrichingApi, people } from '../support/enrichment.ts'

t.setTimeout(180_000)
const { api, contact, enrich, enrichmentOf } = await enrichingApi(t)
const [ada] = people

t.test('a contact is enriched: pages are read, a model is asked, and each value says where it is from', async (t) => {
  const id = await contact(ada!)
  const done = await enrich(id)
  t.match(done, { state: 'enriched', code: null, reason: 'asked', usd: Number }, JSON.stringify(done))
  const { values } = await enrichmentOf(id)
  console.log(JSON.stringify(values, null, 1))
  const { body } = await api.ask('GET', `/v1/contacts/${id}`)
  console.log(JSON.stringify(body, null, 1))
  console.log(JSON.stringify((await api.ask('GET', '/v1/enrichment')).body, null, 1))
})
