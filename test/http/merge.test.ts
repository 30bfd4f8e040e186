import t from 'tap'
import { contact, isKnown } from '../../src/contacts/contact.ts'
import { mergeInto, unmerge } from '../../src/contacts/merge.ts'
import { streamOf } from '../../src/contacts/merging.ts'
import { recordEmail } from '../../src/emails/email.ts'
import { createLogger } from '../../src/platform/log.ts'
import { fold } from '../../src/platform/runner.ts'
import { run as runWorker } from '../../src/roles/worker.ts'
import { email as mail } from '../projections/mail.ts'
import { type Answer, adminKey, testApi } from '../support/api.ts'
import { positionOf, ready, withAsOf } from '../support/past-answers.ts'
import { until } from '../support/processes.ts'
import { request } from '../support/services.ts'

t.setTimeout(120_000)
const api = await testApi(t)
const { ask, after } = api
const { runner } = api.services
t.teardown((await runWorker(api.config, createLogger('silent', 'test'))).close)

let numbers = 0
const email = (value: string) => ({ type: 'email', value })
const create = async (name: string, ...methods: object[]) => (await ask('POST', '/v1/contacts', { name, methods })).body.id as string
/** A mail from one address to another; its position is the answer's, as if the API had taken it. */
async function store(from: string, to = 'me@own.example'): Promise<string> {
  numbers += 1
  const received = mail(`mail ${numbers}`, { from, to })
  const { position } = await runner.execute(
    recordEmail,
    { sent: false, again: false, email: received },
    { id: received.emailId },
    request(),
  )
  latest = { headers: new Headers({ 'smartcrm-position': `${position!.commit}.${position!.prepare}` }) } as Answer
  return received.emailId
}
let latest: Answer
const keep = (answer: Answer) => {
  latest = answer
  return answer
}
const mailsOf = async (id: string) =>
  ((await after(latest, `/v1/contacts/${id}/emails?limit=100`)).body.data as { id: string }[]).map((one) => one.id).sort()
const asked = (path: string, headers = {}) =>
  fetch(api.url + path, { redirect: 'manual', headers: { authorization: `Bearer ${adminKey}`, ...headers } })
const merge = async (id: string, body: object, headers = {}) => keep(await ask('POST', `/v1/contacts/${id}/merge`, body, headers))
const split = async (id: string, from: string, headers = {}) => keep(await ask('POST', `/v1/contacts/${id}/unmerge`, { from }, headers))

t.test('a merge, mail after it, and an unmerge leave every mail where it belongs', async (t) => {
  const ada = await create('Ada', email('ada@one.example'))
  const twin = await create('A. Lovelace', email('twin@two.example'), { type: 'phone', value: '+442079460001' })
  const before = { ada: [await store('ada@one.example')], twin: [await store('twin@two.example')] }
  t.strictSame([await mailsOf(ada), await mailsOf(twin)], [before.ada, before.twin])
  await ask('POST', `/v1/contacts/${twin}/notes`, { text: 'Met as A. Lovelace.' })

  const foreseen = await ask('POST', `/v1/contacts/${ada}/merge`, { from: twin, dryRun: true })
  t.match(foreseen.body, {
    dryRun: true,
    contact: { id: ada, merged: [twin] },
    moves: { emails: 1, values: 0, contacts: [twin], methods: [{ value: 'twin@two.example' }, {}] },
  })
  t.equal((await ask('GET', `/v1/contacts/${twin}/history`)).body.data.length, 2, 'and nothing was done')

  const key = { 'idempotency-key': 'merge ada' }
  const merged = await merge(ada, { from: twin, choose: { name: 'from' } }, key)
  t.match(merged, { status: 200, body: { id: ada, name: 'A. Lovelace', merged: [twin], methods: [{}, {}, {}] } })
  const repeated = await ask('POST', `/v1/contacts/${ada}/merge`, { from: twin, choose: { name: 'from' } }, key)
  t.strictSame([repeated.body, repeated.headers.get('etag')], [merged.body, merged.headers.get('etag')])
  t.match(await ask('POST', `/v1/contacts/${ada}/merge`, { from: twin }, key), { status: 422 })
  t.match(
    await ask('POST', `/v1/contacts/${ada}/merge`, { from: twin }),
    { status: 200, body: merged.body },
    'asked anew, it is so already',
  )

  const later = {
    ada: await store('ada@one.example'),
    twin: await store('twin@two.example'),
    both: await store('ada@one.example', 'twin@two.example'),
  }
  const all = [...before.ada, ...before.twin, ...Object.values(later)].sort()
  t.strictSame(await mailsOf(ada), all)
  t.match((await after(latest, `/v1/contacts/${ada}`)).body, { emailsReceived: 5, merged: [twin] })
  t.equal((await ask('GET', `/v1/emails?contact=${twin}`)).body.data.length, 5, 'as a filter its id stands for what it is part of')

  for (const path of ['', '/emails?limit=3', '/timeline', '/enrichment', '/export']) {
    const moved = await asked(`/v1/contacts/${twin}${path}`)
    t.strictSame([moved.status, moved.headers.get('location'), await moved.text()], [301, `/v1/contacts/${ada}${path}`, ''])
  }
  t.equal((await ask('GET', `/v1/contacts/${twin}/history`)).body.data.length, 3, 'its own history is its own')
  const timeline = (await after(latest, `/v1/contacts/${ada}/timeline?limit=100`)).body.data
  t.match(
    timeline.find(({ kind }: { kind: string }) => kind === 'note'),
    { contactId: twin, text: 'Met as A. Lovelace.' },
  )
  const pages: object[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { body } = await ask('GET', `/v1/contacts/${ada}/timeline?limit=2${cursor && `&cursor=${cursor}`}`)
    pages.push(...body.data)
    cursor = body.nextCursor
  }
  t.strictSame(pages, timeline, 'page by page, each once')

  t.match(await ask('PATCH', `/v1/contacts/${twin}`, { name: 'X' }), { status: 409, body: { code: 'contact-merged', survivor: ada } })
  t.match(await ask('PUT', '/v1/contacts/by-email/twin@two.example', { name: 'A. Lovelace' }), { status: 200, body: { id: ada } })
  t.match((await ask('POST', '/v1/contacts/batch', { inputs: [{ id: twin, name: 'X' }] })).body.results, [
    { status: 409, problem: { code: 'contact-merged', survivor: ada } },
  ])
  t.match(await ask('POST', '/v1/contacts', { name: 'Thief', methods: [email('twin@two.example')] }), {
    status: 409,
    body: { code: 'address-taken', owner: ada },
  })
  const names = async (query: string) => ((await after(latest, `/v1/contacts?${query}`)).body.data as { id: string }[]).map(({ id }) => id)
  t.strictSame([await names('q=twin'), await names('q=Lovelace'), await names('method=twin@two.example')], [[ada], [ada], [ada]])

  await ask('PATCH', `/v1/contacts/${ada}`, { company: 'Engines' })
  const own = (await ask('POST', `/v1/contacts/${ada}/methods`, email('ada@three.example'))).body.methods.at(-1).id
  const apart = await split(ada, twin)
  t.match(apart.body, {
    contact: { id: ada, name: 'Ada', company: 'Engines', methods: [{}, { id: own }] },
    unmerged: { id: twin, name: 'A. Lovelace' },
    conflicts: [],
  })
  t.equal(apart.body.contact.merged, undefined)
  const last = await store('twin@two.example')
  t.strictSame(await mailsOf(ada), [...before.ada, later.ada, later.both].sort())
  t.strictSame(await mailsOf(twin), [...before.twin, later.twin, later.both, last].sort())
  t.match((await after(latest, `/v1/contacts/${twin}`)).body, { id: twin, emailsReceived: 3, methods: [{}, {}] })
  t.strictSame(await names('q=twin'), [twin])
  t.match(await split(ada, twin), { status: 200 }, 'again, nothing changes')
  t.match(await ask('POST', `/v1/contacts/${ada}/unmerge`, { from: await create('Other') }), {
    status: 409,
    body: { code: 'not-merged-here' },
  })
  t.match(await merge(ada, { from: twin }), { status: 200, body: { merged: [twin] } }, 'and it is merged once more')
  t.strictSame((await mailsOf(ada)).length, 6)
})

t.test('chains lead to the last; who is in the middle leaves with what came with him, or the first alone', async (t) => {
  const [a, b, c] = [
    await create('A', email('a@chain.example')),
    await create('B', email('b@chain.example')),
    await create('C', email('c@chain.example')),
  ]
  const mails = { a: await store('a@chain.example'), b: await store('b@chain.example'), c: await store('c@chain.example') }
  await merge(b, { from: a })
  const position = keep(await merge(c, { from: b })).headers.get('smartcrm-position')!
  t.match((await after(latest, `/v1/contacts/${c}`)).body, { merged: [b, a] })
  t.equal((await asked(`/v1/contacts/${a}`)).headers.get('location'), `/v1/contacts/${c}`)
  t.match(await ask('POST', `/v1/contacts/${c}/merge`, { from: a }), { status: 200 }, 'that is so already')
  t.match(await ask('POST', `/v1/contacts/${await create('D')}/merge`, { from: a }), {
    status: 409,
    body: { code: 'contact-merged', survivor: c },
  })
  t.match(
    await ask('POST', `/v1/contacts/${a}/merge`, { from: c }),
    { status: 409, body: { code: 'contact-merged', survivor: c } },
    'no circle',
  )
  t.match(await ask('PATCH', `/v1/contacts/${a}`, { name: 'X' }), { status: 409, body: { survivor: c } })
  t.strictSame(await mailsOf(c), Object.values(mails).sort())
  t.match(await split(c, a), { status: 200, body: { contact: { merged: [b] } } })
  t.strictSame([await mailsOf(a), await mailsOf(c)], [[mails.a], [mails.b, mails.c].sort()])
  t.match(await split(c, b), { status: 200 })
  t.strictSame([await mailsOf(b), await mailsOf(c)], [[mails.b], [mails.c]])
  t.equal((await after(latest, `/v1/contacts/${b}`)).body.merged, undefined, 'the first did not go back to him')

  t.match((await asked(`/v1/contacts/${a}?asOf=${position}`)).headers.get('location'), `/v1/contacts/${c}?asOf=${position}`)
  t.match((await ask('GET', `/v1/contacts/${c}?asOf=${position}`)).body, { merged: [b, a] })
})

t.test('what somebody changed since the merge stays, and is told', async (t) => {
  const [a, b] = [await create('A'), await create('B')]
  await merge(a, { from: b, choose: { name: 'from' } })
  await ask('PATCH', `/v1/contacts/${a}`, { name: 'C' })
  t.match(await split(a, b), {
    status: 200,
    body: { contact: { name: 'C' }, unmerged: { name: 'B' }, conflicts: [{ field: 'name', kept: 'C' }] },
  })
})

t.test('who was killed between two appends is followed by a job, for a merge and for its end', async (t) => {
  const [a, b] = [await create('A'), await create('B', email('b@killed.example'))]
  const stored = await store('b@killed.example')
  await runner.execute(mergeInto, { into: a, mergeId: crypto.randomUUID(), chosen: [] }, { id: b }, request())
  t.match(
    await ask('POST', '/v1/contacts', { name: 'Thief', methods: [email('b@killed.example')] }),
    { status: /409|503/ },
    'in between nobody gets the address',
  )
  const merged = await until('the merge', async () => {
    const { body } = await ask('GET', `/v1/contacts/${a}`)
    return body.merged?.length === 1 && body
  })
  t.match(merged, { methods: [{ value: 'b@killed.example' }] })
  t.strictSame(await mailsOf(a), [stored])

  const state = fold(contact, await runner.load(streamOf(b)))
  if (!isKnown(state)) throw new Error('it is there')
  const body = {
    from: b,
    mergeId: state.mergedInto!.mergeId,
    methodIds: state.methods.map(({ id }) => id),
    valueIds: [],
    parts: [],
    withheld: [],
  }
  await runner.execute(unmerge, body, { id: a }, request())
  await until('its end', async () => (await asked(`/v1/contacts/${b}`)).status === 200)
  t.strictSame([await mailsOf(a), await mailsOf(b)], [[], [stored]])

  const archived = await create('Archived')
  await runner.execute(mergeInto, { into: archived, mergeId: crypto.randomUUID(), chosen: [] }, { id: b }, request())
  await ask('POST', `/v1/contacts/${archived}/archive`)
  await until('what became of it', async () =>
    (await runner.load(streamOf(archived))).some(({ type }) => /^Contact(Merged|Unmerged)$/.test(type)),
  )
  // Either of the two came first; and whoever has the address has its mail.
  await until('somebody has it', async () => {
    const lists = await Promise.all([archived, b].map((id) => asked(`/v1/contacts/${id}/emails`)))
    const found = await Promise.all(
      lists.map(async (list) => (list.status === 200 ? ((await list.json()) as { data: [] }).data.length : 0)),
    )
    return found[0]! + found[1]! === 1
  })
})

t.test('a contact that cannot be merged is refused', async (t) => {
  const [a, b] = [await create('A'), await create('B')]
  const nobody = crypto.randomUUID()
  t.match(await ask('POST', `/v1/contacts/${a}/merge`, { from: a }), { status: 422, body: { code: 'contact-itself' } })
  t.match(await ask('POST', `/v1/contacts/${a}/merge`, { from: nobody }), { status: 404 })
  t.match(await ask('POST', `/v1/contacts/${nobody}/merge`, { from: a }), { status: 404 })
  t.match(await ask('POST', `/v1/contacts/${a}/merge`, { from: b, choose: { jobTitle: 'from' } }), {
    status: 422,
    body: { code: 'nothing-to-choose' },
  })
  t.match(await ask('POST', `/v1/contacts/${a}/merge`, { from: b }, { 'if-match': '"7.x"' }), { status: 412 })
  await ask('POST', `/v1/contacts/${a}/archive`)
  t.match(await ask('POST', `/v1/contacts/${a}/merge`, { from: b }), { status: 409, body: { code: 'contact-not-active' } })
  t.match(
    await ask('POST', `/v1/contacts/${b}/merge`, { from: a }),
    { status: 200, body: { merged: [a] } },
    'an archived one becomes part of another',
  )
  t.match(await split(b, a), { status: 200, body: { unmerged: { archived: true } } }, 'and is archived again after it')
})

t.test('of two contacts only who sees both hears, and merges them', async (t) => {
  const issued = await ask('POST', '/v1/keys', { name: 'own', role: 'member', sees: 'own', owner: 'grace' })
  const own = { authorization: `Bearer ${issued.body.key}` }
  const mine = (await ask('POST', '/v1/contacts', { name: 'Zed Zorn', methods: [{ type: 'phone', value: '+442079460777' }] }, own)).body.id
  const hers = await create('Zed Zorn', { type: 'phone', value: '+44 20 7946 0777' })
  for (const [id, from] of [
    [mine, hers],
    [hers, mine],
  ])
    t.match(await ask('POST', `/v1/contacts/${id}/merge`, { from }, own), { status: 404 })
  t.match(await ask('POST', '/v1/duplicates/dismiss', { contactIds: [mine, hers] }, own), { status: 404 })
  await ask('POST', `/v1/contacts/${hers}/assign`, { owner: 'ada' })
  const pairs = async (headers = {}) =>
    (await ask('GET', '/v1/duplicates?limit=200', undefined, headers)).body.data as { contacts: { id: string }[] }[]
  const isTold = (found: Awaited<ReturnType<typeof pairs>>) =>
    found.some(({ contacts }) => contacts.every(({ id }) => [mine, hers].includes(id)))
  await until('the pair', async () => isTold(await pairs()))
  t.notOk(isTold(await pairs(own)))
  await merge(hers, { from: mine })
  await until('the move', async () => (await asked(`/v1/contacts/${mine}`)).status === 301)
  t.equal((await asked(`/v1/contacts/${mine}`, own)).status, 404, 'where it has gone is not told either')
  t.match(await ask('PATCH', `/v1/contacts/${mine}`, { name: 'X' }, own), {
    status: 409,
    body: { code: 'contact-merged', survivor: undefined },
  })
})

t.test('duplicates are suggested with reasons, until they are dismissed or merged', async (t) => {
  const a = await create('Lovelace, Ada', email('ada.lovelace+crm@gmail.com'), { type: 'social', value: 'https://social.example/ada/' })
  const b = await create('Ada Lovelacé', email('adalovelace@googlemail.com'), { type: 'social', value: 'http://www.social.example/ada' })
  const found = async (answer: Answer) => {
    const { data } = (await after(answer, '/v1/duplicates?limit=200&minScore=0.95')).body as {
      data: { contacts: { id: string }[]; reasons: string[]; score: number }[]
    }
    return data.find(({ contacts }) => contacts.every(({ id }) => [a, b].includes(id)))
  }
  const seen = await ask('POST', `/v1/contacts/${b}/notes`, { text: 'Seen.' })
  t.match(await found(seen), { reasons: ['alias-address', 'same-name', 'same-profile'], score: 0.986 })
  const dismissed = await ask('POST', '/v1/duplicates/dismiss', { contactIds: [b, a], reason: 'Aunt and niece.' })
  t.match(dismissed, { status: 200, body: { contactIds: [a, b].sort(), dismissed: true } })
  t.equal(await found(dismissed), undefined)
  t.match(
    await ask('POST', '/v1/duplicates/dismiss', { contactIds: [a, b] }),
    { status: 200, body: { dismissed: true } },
    'in either order',
  )
  t.match(await ask('POST', '/v1/duplicates/dismiss', { contactIds: [a, a] }), { status: 400 })
  t.match(await ask('POST', '/v1/duplicates/dismiss', { contactIds: [a, crypto.randomUUID()] }), { status: 404 })
  t.ok(await found(await ask('POST', '/v1/duplicates/reconsider', { contactIds: [a, b] })))
  t.equal(await found(await merge(a, { from: b })), undefined)
  t.ok(await found(await split(a, b)))
  const before = positionOf(seen)
  await ready(api, before)
  t.match(
    await ask('GET', withAsOf(`/v1/contacts/${b}`, before)),
    { status: 200, body: { id: b, name: 'Ada Lovelacé' } },
    'before the merge it is as it was',
  )
  t.ok((await ask('GET', withAsOf('/v1/duplicates', before))).body.data.length > 0)
  const during = positionOf(await merge(a, { from: b }))
  await ready(api, during)
  await split(a, b)
  t.equal(
    (await asked(withAsOf(`/v1/contacts/${b}/timeline`, during))).headers.get('location'),
    withAsOf(`/v1/contacts/${a}/timeline`, during),
  )
  t.match(await ask('GET', withAsOf(`/v1/contacts/${a}`, during)), { body: { merged: [b] } })
})

t.test('who is erased is erased with all that are part of him', async (t) => {
  const [a, b, c] = [await create('A'), await create('B', email('b@erased.example')), await create('C', email('c@erased.example'))]
  const sole = await store('c@erased.example', 'c@erased.example')
  await merge(b, { from: c })
  await merge(a, { from: b })
  const erase = (id: string) => ask('POST', `/v1/contacts/${id}/erase`, { reason: 'requested-by-person' })
  t.match(await erase(c), { status: 409, body: { code: 'contact-merged', survivor: a } }, 'a part of one is not erased without the rest')
  const asked = await erase(a)
  t.equal(asked.status, 202)
  await until('its end', async () => (await ask('GET', `/v1/jobs/${asked.body.jobId}`)).body.state === 'done')
  for (const id of [a, b, c]) t.match(await ask('GET', `/v1/contacts/${id}/history`), { status: 410 })
  t.match(await ask('POST', '/v1/contacts', { name: 'C', methods: [email('c@erased.example')] }), { body: { code: 'address-suppressed' } })
  t.ok(
    (await runner.load(`email-${sole}`)).some(({ erased }) => erased),
    'the mail that was between nobody else is gone',
  )
  t.match(await ask('POST', `/v1/contacts/${a}/unmerge`, { from: b }), { status: 410 })
})

t.test('whom somebody was part of for a time is named by the receipt, since that history keeps what it took', async (t) => {
  const [whole, part] = [await create('Whole'), await create('Part', email('part@erased.example'))]
  await merge(whole, { from: part })
  await split(whole, part)
  const { body } = await ask('POST', `/v1/contacts/${part}/erase`, { reason: 'requested-by-person' })
  await until('its end', async () => (await ask('GET', `/v1/jobs/${body.jobId}`)).body.state === 'done')
  const told = await until('the receipt', async () => {
    const answer = await ask('GET', `/v1/contacts/${part}/erasure`)
    return answer.status === 200 ? answer.body : null
  })
  t.match(
    told.receipt.stays.notes.filter((note: string) => note.includes(whole)),
    [/^The history of contact .* keeps what it took over then/],
  )
  t.equal((await ask('GET', `/v1/contacts/${whole}`)).status, 200)
})
