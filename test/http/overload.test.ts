import t, { type Test } from 'tap'
import { testApi } from '../support/api.ts'
import { person } from '../support/keys.ts'
import { type Answered, load, loadApart, percentile } from '../support/overload.ts'
import { until } from '../support/processes.ts'

/*
 * What becomes of those who keep to their limit while others do not. In `npm test` it is short, and nothing is said of times; `npm run soak -- overload` is the
 * long form, which measures what can be borne, asks for four times as much, and holds the times to their bound.
 */
t.setTimeout(600_000)
const seconds = Number(process.env['OVERLOAD_SECONDS'] ?? 0)
const P99_MS = 1_000
const api = await testApi(t, {
  http: { rateLimits: { reader: { requests: 1_000_000, seconds: 3600 }, '*': null }, atOnce: seconds ? 256 : 8 },
})
const inputs = Array.from({ length: 500 }, (_, index) => ({ name: `Somebody number${index}`, company: 'Engines' }))
const made = await api.ask('POST', '/v1/contacts/batch', { inputs })
const ids = made.body.results.map(({ contactId }: { contactId: string }) => contactId)
await until('the tables', async () => (await api.after(made, `/v1/contacts/${ids.at(-1)}`)).status === 200)

const told = (who: string, { statuses, latencies }: Answered) =>
  `${who}: ${JSON.stringify(statuses)}, answers in ${[0.5, 0.99, 1].map((share) => `${Math.round(percentile(latencies, share))} ms (${share === 1 ? 'longest' : `p${share * 100}`})`).join(', ')}`
const right = (t: Pick<Test, 'strictSame'>, answered: Answered) =>
  t.strictSame(answered.wrong.slice(0, 5), [], 'nobody gets a wrong answer')

t.test('more at once than it takes are turned away or answered, and none wrongly', { skip: seconds > 0 }, async (t) => {
  const one = await person(api, { role: 'member' })
  const answered = await load({ url: api.url, key: one.key, ids }, { atOnce: 64, seconds: 0.5 })
  right(t, answered)
  t.ok(answered.statuses['200']! > 0, told('64 at once', answered))
  t.ok(answered.statuses['503']! > 0, told('64 at once', answered))
  const after = await load({ url: api.url, key: one.key, ids }, { atOnce: 2, seconds: 0.3 })
  right(t, after)
  t.strictSame(Object.keys(after.statuses), ['200'], 'and when they are gone, nobody is turned away')
})

t.test('who asks beyond his limit is told so, and takes nothing from who keeps to it', { skip: seconds > 0 }, async (t) => {
  const greedy = await person(api, { role: 'member', rateLimit: { requests: 5, seconds: 3600 } })
  const good = await person(api, { role: 'member' })
  const [asked, kept] = await Promise.all([
    load({ url: api.url, key: greedy.key, ids }, { atOnce: 4, seconds: 0.5 }),
    load({ url: api.url, key: good.key, ids }, { atOnce: 1, seconds: 0.5 }),
  ])
  right(t, asked)
  right(t, kept)
  t.ok(asked.statuses['200']! <= 5 && asked.statuses['429']! > 0, told('beyond it', asked))
  t.strictSame(Object.keys(kept.statuses), ['200'], told('within it', kept))
})

t.test(`four times what it can bear, for ${seconds} s`, { skip: seconds === 0 }, async (t) => {
  const measuring = await person(api, { role: 'member' })
  const capacity = await loadApart({ url: api.url, key: measuring.key, ids }, { atOnce: 16, seconds: Math.min(seconds, 10) })
  const perSecond = Math.round(capacity.latencies.length / Math.min(seconds, 10))
  t.comment(told(`it can answer ${perSecond} a second`, capacity))
  right(t, capacity)

  // All within their limits, and too many: those that are taken are answered in time.
  const all = await loadApart({ url: api.url, key: measuring.key, ids }, { perSecond: 4 * perSecond, seconds })
  t.comment(told(`${4 * perSecond} a second, without a limit`, all))
  right(t, all)
  t.ok(all.statuses['200']! > 0)
  t.ok(percentile(all.latencies, 0.99) < P99_MS, 'p99 is below a second')

  // One who asks far beyond his limit beside one who keeps to his.
  const greedy = await person(api, { role: 'member', rateLimit: { requests: perSecond, seconds: 10 } })
  const good = await person(api, { role: 'member' })
  const [asked, kept] = await Promise.all([
    loadApart({ url: api.url, key: greedy.key, ids }, { perSecond: 4 * perSecond, seconds }),
    loadApart({ url: api.url, key: good.key, ids }, { perSecond: Math.ceil(perSecond / 10), seconds }),
  ])
  t.comment(told(`${4 * perSecond} a second, beyond its limit`, asked))
  t.comment(told(`${Math.ceil(perSecond / 10)} a second, within its limit`, kept))
  right(t, asked)
  right(t, kept)
  t.ok(asked.statuses['429']! > 0)
  t.ok(percentile(kept.latencies, 0.99) < P99_MS, 'p99 of who keeps to his limit is below a second')
})
