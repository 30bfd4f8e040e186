import t, { type Test } from 'tap'
import { testApi } from '../support/api.ts'
import { person } from '../support/keys.ts'
import { type Answered, load, nameOf, told } from '../support/overload.ts'
import { until } from '../support/processes.ts'

/*
 * What becomes of those who keep to their limit while others do not. Nothing is said of times here; `npm run soak -- overload` measures what can be borne,
 * asks for four times as much, and holds the times to their bound.
 */
const api = await testApi(t, {
  http: { rateLimits: { reader: { requests: 1_000_000, seconds: 3600 }, '*': null }, atOnce: 8 },
})
const inputs = Array.from({ length: 500 }, (_, index) => ({ name: nameOf(index), company: 'Engines' }))
const made = await api.ask('POST', '/v1/contacts/batch', { inputs })
const ids = made.body.results.map(({ contactId }: { contactId: string }) => contactId)
await until('the tables', async () => (await api.after(made, `/v1/contacts/${ids.at(-1)}`)).status === 200)

const right = (t: Pick<Test, 'strictSame'>, answered: Answered) =>
  t.strictSame(answered.wrong.slice(0, 5), [], 'nobody gets a wrong answer')

t.test('more at once than it takes are turned away or answered, and none wrongly', async (t) => {
  const one = await person(api, { role: 'member' })
  const answered = await load({ url: api.url, key: one.key, ids }, { atOnce: 64, seconds: 1 })
  right(t, answered)
  t.ok(answered.statuses['200']! > 0, told('64 at once', answered))
  t.ok(answered.statuses['503']! > 0, told('64 at once', answered))
  const after = await load({ url: api.url, key: one.key, ids }, { atOnce: 2, seconds: 0.3 })
  right(t, after)
  t.strictSame(Object.keys(after.statuses), ['200', '201'], 'and when they are gone, nobody is turned away')
})

t.test('who asks beyond his limit is told so, and takes nothing from who keeps to it', async (t) => {
  const greedy = await person(api, { role: 'member', rateLimit: { requests: 20, seconds: 3600 } })
  const good = await person(api, { role: 'member' })
  const [asked, kept] = await Promise.all([
    load({ url: api.url, key: greedy.key, ids }, { atOnce: 4, seconds: 1 }),
    load({ url: api.url, key: good.key, ids }, { atOnce: 1, seconds: 1 }),
  ])
  right(t, asked)
  right(t, kept)
  t.ok(asked.statuses['200']! <= 20 && asked.statuses['429']! > 0, told('beyond it', asked))
  t.strictSame(Object.keys(kept.statuses), ['200', '201'], told('within it', kept))
})
