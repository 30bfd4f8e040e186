import t from 'tap'
import type { Database } from '../../src/platform/database.ts'
import { createAnswerCache } from '../../src/platform/http/answer-cache.ts'
import { testApi } from '../support/api.ts'

t.setTimeout(60_000)

t.test(
  'an answer is made anew when the tables have moved, were switched, or got what was parked; and shared by who asks at once',
  async (t) => {
    const place = { commit: '10', prepare: '10', epoch: 1, parkedVersion: 0, isOne: true }
    let questions = 0
    const db = {
      async rows() {
        questions += 1
        return [{ ...place }]
      },
    } as unknown as Database
    let made = 0
    const cache = createAnswerCache(db, 100_000)
    const ask = async (key = 'one') => JSON.parse((await cache.answer(key, async () => ({ made: ++made }))).answer!.text).made as number
    t.same([await ask(), questions], [1, 0], 'what is asked once costs nothing')
    t.same([await ask(), await ask(), await ask()], [2, 2, 2])
    for (const change of [{ commit: '11', prepare: '11' }, { epoch: 2 }, { parkedVersion: 1 }]) {
      Object.assign(place, change)
      const before = made
      t.same([await ask(), await ask()], [before + 1, before + 1], JSON.stringify(change))
    }
    const before = { questions, made }
    await ask('two')
    t.same(new Set(await Promise.all(Array.from({ length: 50 }, () => ask('two')))).size, 1, 'one answer for all of them')
    t.equal(made, before.made + 2)
    t.ok(questions <= before.questions + 2, 'and one question')
    place.isOne = false
    t.not(await ask(), await ask(), 'where tables stand at several positions none is kept')
    place.isOne = true
    t.same(await cache.answer('none', async () => null), { answer: null, position: null })
    await cache.answer('none', async () => null)
    await t.rejects(
      cache.answer('faulty', () => Promise.reject(new Error('away'))),
      /away/,
    )
    await t.rejects(
      cache.answer('faulty', () => Promise.reject(new Error('away'))),
      /away/,
    )
    t.match(await cache.answer('faulty', async () => ({ there: true })), { answer: { text: '{"there":true}' } }, 'a failure is not kept')

    const seen = { questions, made }
    for (let round = 0; round < 100; round += 1) {
      Object.assign(place, { commit: String(100 + round) })
      await ask('moving')
    }
    t.equal(made, seen.made + 100, 'while the tables move each time every answer is made anew')
    t.ok(questions < seen.questions + 30, 'and where they are is hardly asked any more')
    for (let round = 0; round < 70; round += 1) await ask('moving')
    t.equal(await ask('moving'), await ask('moving'), 'until they stand still again')

    const small = createAnswerCache(db, 3_000)
    const text = 'x'.repeat(500)
    for (const round of [0, 1, 2]) for (const key of ['a', 'b', 'c']) await small.answer(key, async () => ({ round, key, text }))
    t.match(
      await small.answer('a', async () => ({ made: 'anew' })),
      { answer: { text: '{"made":"anew"}' } },
      'what was asked for longest ago makes room',
    )
    const off = createAnswerCache(db, 0)
    for (const round of [1, 2])
      t.match(await off.answer('a', async () => ({ round })), { answer: { text: `{"round":${round}}` }, position: null })
  },
)

t.test('nobody who has seen a newer state gets an older one, from whatever process', async (t) => {
  const one = await testApi(t)
  const two = await testApi(t, { on: one.config, projector: false })
  const { body } = await one.ask('POST', '/v1/contacts', { name: 'Number 0' })
  await one.after(await one.ask('PATCH', `/v1/contacts/${body.id}`, { name: 'Number 1' }), '/v1/contacts')
  let seen = 1
  let isWriting = true
  const writing = (async () => {
    for (let number = 2; number < 60; number += 1) {
      const written = await one.ask('PATCH', `/v1/contacts/${body.id}`, { name: `Number ${number}` })
      if (number % 7 === 0) {
        // Who has been answered waits for it at the other process, and is answered from there.
        const { body: there } = await two.after(written, `/v1/contacts/${body.id}`)
        t.equal(there.revision, number)
        seen = Math.max(seen, there.revision)
      }
    }
    isWriting = false
  })()
  let asked = 0
  const reading = Array.from({ length: 8 }, async (_, reader) => {
    while (isWriting) {
      const api = (reader + asked) % 2 === 0 ? one : two
      const floor = seen
      const isList = asked++ % 3 === 0
      const answer = await api.ask('GET', isList ? '/v1/contacts?limit=5' : `/v1/contacts/${body.id}`)
      const { revision, name } = isList ? answer.body.data[0] : answer.body
      if (revision < floor) t.fail(`revision ${revision} after ${floor} was seen`)
      t.equal(name, `Number ${revision}`)
      seen = Math.max(seen, revision)
    }
  })
  await Promise.all([writing, ...reading])
  t.ok(asked > 100, `${asked} answers`)

  const path = `/v1/contacts/${body.id}`
  await one.after(await one.ask('PATCH', path, { name: 'The last' }), path)
  const etags = new Set<string>()
  for (let round = 0; round < 4; round += 1) etags.add((await one.ask('GET', path)).headers.get('etag')!)
  t.equal(etags.size, 1)
  const [etag] = etags
  t.equal((await one.ask('GET', path, undefined, { 'if-none-match': etag! })).status, 304)
  await one.after(await one.ask('PATCH', path, { name: 'Another' }), path)
  t.match(await one.ask('GET', path, undefined, { 'if-none-match': etag! }), { status: 200, body: { name: 'Another' } })
})
