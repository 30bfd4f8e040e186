import t from 'tap'
import { enrichCreated } from '../../src/enrichment/on-creation.ts'
import type { Answer } from '../support/api.ts'
import { enrichingApi, people } from '../support/enrichment.ts'
import { upload } from '../support/imports.ts'
import { person } from '../support/keys.ts'
import { until } from '../support/processes.ts'

t.setTimeout(120_000)
const { api, enrichmentOf } = await enrichingApi(t)
const { ask, after, services } = api
await ask('PUT', '/v1/enrichment/on-creation', { onCreation: true })
const [ada, grace] = people as [(typeof people)[0], (typeof people)[0]]
const csv = `name,email,company\n${ada.name},${ada.email},Engines\n${grace.name},${grace.email},Compilers\n`
const { body: imported } = await upload(api, Buffer.from(csv))
await until('the import', async () => (await ask('GET', `/v1/imports/${imported.id}`)).body.state === 'finished')
const { body: results } = await ask('GET', `/v1/imports/${imported.id}/results`)
const contactId: string = results.data[0].contactId
await until('the enrichment', async () => {
  await enrichCreated(services, null)
  return (await enrichmentOf(contactId)).requests?.[0]?.state === 'enriched'
})
const path = `/v1/contacts/${contactId}`

type Caused = { eventId: string; type: string; stream: string; causedBy: string | null }
const typesOf = (events: Caused[]) => [...new Set(events.map(({ type }) => type))]

t.test('of each field it is told which event set it, by whom, and what that followed from', async (t) => {
  const renamed = await ask('PATCH', path, { name: 'Ada King' })
  const noted = await ask('POST', `${path}/notes`, { text: 'Met at a ball.' })
  const { body } = await ask('GET', `${path}/blame`)
  const byField = Object.fromEntries(body.data.map((entry: { field: string }) => [entry.field, entry]))
  t.match(byField['/name'], { value: 'Ada King', type: 'ContactRenamed', actor: 'key:admin', cause: { kind: 'request', resource: null } })
  t.match(byField['/company'], {
    value: 'Engines',
    type: 'ContactCreated',
    revision: 0,
    actor: 'system:worker',
    correlationId: imported.id,
    cause: { kind: 'import', resource: `import-${imported.id}` },
  })
  const [enrichment] = (await enrichmentOf(contactId)).requests
  t.match(byField['/enriched/jobTitle'], {
    value: { value: ada.title },
    type: 'ContactEnriched',
    cause: { kind: 'enrichment', resource: `enrichment-${enrichment!.id}` },
  })
  t.match(Object.keys(byField).filter((field) => field.startsWith('/methods/')).length, 1)
  const [note] = body.data.filter(({ field }: { field: string }) => field.startsWith('/notes/'))
  t.match(note, { value: { text: 'Met at a ball.' }, position: noted.headers.get('smartcrm-position') })

  const then = await ask('GET', `${path}/blame?asOf=${results.data.length && byField['/company'].position}`)
  t.match(
    then.body.data.find(({ field }: { field: string }) => field === '/name'),
    { value: ada.name, type: 'ContactCreated' },
  )
  t.notOk(then.body.data.some(({ field }: { field: string }) => field.startsWith('/enriched')))

  const { body: history } = await ask('GET', `${path}/history`)
  t.strictSame(
    history.data.map(({ cause }: { cause: { kind: string } }) => cause.kind),
    ['import', 'enrichment', 'request', 'request'],
  )
  const own = await person(api, { role: 'member', sees: 'own', owner: 'bert' })
  t.match(await own.ask('GET', `${path}/blame`), { status: 404, body: { code: 'contact-not-found' } })
  t.equal((await ask('GET', '/v1/contacts/6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11/blame')).status, 404)
  await after(renamed, path)
})

t.test('causes lead from the request over the import to the contact and its enrichment, and back', async (t) => {
  const events = await services.runner.load(`contact-${contactId}`)
  const [created, enriched] = events as [(typeof events)[0], (typeof events)[0]]
  const up: Answer = await ask('GET', `/v1/events/${enriched.id}/causes`)
  t.strictSame(
    up.body.causes.map(({ type }: Caused) => type),
    ['ImportStarted', 'ContactCreated', 'EnrichmentRequested'],
  )
  t.equal(up.body.causes[0].causedBy, null)
  t.equal(up.body.event.causedBy, up.body.causes[2].eventId)

  const down: Answer = await ask('GET', `/v1/events/${up.body.causes[0].eventId}/causes`)
  t.match(down.body, { causes: [], truncated: false, event: { type: 'ImportStarted', stream: `import-${imported.id}` } })
  const followed: Caused[] = down.body.consequences
  for (const type of ['ContactCreated', 'AddressClaimed', 'EnrichmentRequested', 'ContactEnriched', 'ImportFinished'])
    t.ok(typesOf(followed).includes(type), type)
  t.equal(followed.filter(({ type }) => type === 'ContactCreated').length, 2)
  t.equal(followed.find(({ eventId }) => eventId === enriched.id)!.causedBy, up.body.causes[2].eventId)
  const positions = down.body.consequences.map(({ position }: { position: string }) => Number(position.split('.')[0]))
  t.strictSame(
    positions,
    positions.toSorted((a: number, b: number) => a - b),
  )
  t.equal(created.meta.$correlationId, enriched.meta.$correlationId, 'all of it can be told by the import')
  const { body: listed } = await ask('GET', `/v1/audit?correlation=${imported.id}&limit=200`)
  t.equal(listed.data.length, followed.length + 1)
  t.match(await ask('GET', '/v1/events/6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11/causes'), { status: 404 })
})

t.test('an enrichment is undone by its correlation id, and so is that', async (t) => {
  const { body } = await ask('POST', `/v1/contacts/${contactId}/enrich`, {}, { 'x-correlation-id': '4c0ffee0-7d0e-4a8b-9c38-0d7a5c2b9e11' })
  await until('the enrichment', async () =>
    (await enrichmentOf(contactId)).requests?.some(({ id, endedAt }) => id === body.id && endedAt !== null),
  )
  const undo = async (correlationId: string) => {
    const answer = await ask('POST', '/v1/undo', { correlationId }, { prefer: 'wait=30' })
    await after(answer, path)
    const { values } = await enrichmentOf(contactId)
    return { ...answer.body, states: new Set(values.filter(({ enrichmentId }) => enrichmentId === body.id).map(({ because }) => because)) }
  }
  const undone = await undo('4c0ffee0-7d0e-4a8b-9c38-0d7a5c2b9e11')
  t.match(undone, { counts: { undone: 1, kept: 1 }, states: new Set(['undone']) }, 'what was paid is kept')
  const redone = await undo(undone.id)
  t.match(redone.counts, { undone: 1, kept: 0 })
  t.notOk(redone.states.has('undone'))
})
