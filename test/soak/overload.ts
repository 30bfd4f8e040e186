/** Asks the service for four times what it can answer: who keeps to his limit is answered in time, and nobody wrongly. `npm run soak -- overload [--seconds 20]`. */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { adminKey, type Stack, startSystem, until } from '../bench/service/processes.ts'
import { type Answered, latenciesOf, loadApart, nameOf, percentile, told } from '../support/overload.ts'

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '20' } } })
const seconds = Number(values.seconds)
const P99_MS = 1_000
const ends: (() => unknown)[] = []
const stack: Stack = { defer: (end) => void ends.unshift(end) }
const faults: string[] = []
const check = (isRight: boolean, fault: string) => void (isRight || faults.push(fault))

const folder = await mkdtemp(join(tmpdir(), 'smartcrm-overload-'))
// Postgres runs as somebody else, where this runs as root.
await chmod(folder, 0o755)
try {
  const { url } = await startSystem(stack, join(folder, 'data'))
  await overload(url)
} finally {
  for (const end of ends) await end()
  await rm(folder, { recursive: true })
}
console.log(faults.length > 0 ? `\n${faults.join('\n')}` : '\nNothing is wrong.')
process.exitCode = faults.length > 0 ? 1 : 0

async function overload(url: string): Promise<void> {
  const ask = async (method: string, path: string, body?: unknown) => {
    const headers = { authorization: `Bearer ${adminKey}`, ...(body !== undefined && { 'content-type': 'application/json' }) }
    const response = await fetch(url + path, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) })
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }
  const newKey = async (input: object) => {
    const { status, body } = await ask('POST', '/v1/keys', { name: 'of a load', role: 'member', ...input })
    if (status !== 201) throw new Error(`no key was issued: ${JSON.stringify(body)}`)
    return body['key'] as string
  }
  const inputs = Array.from({ length: 500 }, (_, index) => ({ name: nameOf(index), company: 'Engines' }))
  const made = await ask('POST', '/v1/contacts/batch', { inputs })
  const ids = (made.body['results'] as { contactId: string }[]).map(({ contactId }) => contactId)
  await until('the tables', async () => (await ask('GET', `/v1/contacts/${ids.at(-1)}`)).status === 200)
  const unlimited = { rateLimit: { requests: 1_000_000, seconds: 3_600 } }
  const one = { url, ids, key: await newKey(unlimited) }
  const look = (who: string, answered: Answered) => {
    console.log(told(who, answered))
    for (const fault of answered.wrong.slice(0, 5)) faults.push(`${who}: ${fault}`)
  }

  await loadApart(one, { atOnce: 16, seconds: 5 })
  const capacity = await loadApart(one, { atOnce: 16, seconds: Math.min(seconds, 10) })
  const perSecond = Math.round(latenciesOf(capacity).length / Math.min(seconds, 10))
  look(`it can answer ${perSecond} a second`, capacity)

  // All within their limits, and too many: those that are taken are answered in time, and about as many as before.
  const all = await loadApart(one, { perSecond: 4 * perSecond, seconds })
  look(`${4 * perSecond} a second, within their limits`, all)
  check(percentile(latenciesOf(all), 0.99) < P99_MS, 'p99 is a second or more')
  const kept = latenciesOf(all).length / seconds / perSecond
  console.log(`  it answers ${Math.round(kept * 100)} % of what it can when it is asked for no more`)
  check(kept > 0.25, 'it answers much less than it could')

  // One who asks far beyond his limit beside one who keeps to his.
  const greedy = { url, ids, key: await newKey({ rateLimit: { requests: perSecond, seconds: 10 } }) }
  const modest = { url, ids, key: await newKey(unlimited) }
  const tenth = Math.ceil(perSecond / 10)
  const [beyond, within] = await Promise.all([
    loadApart(greedy, { perSecond: 4 * perSecond, seconds }),
    loadApart(modest, { perSecond: tenth, seconds }),
  ])
  look(`${4 * perSecond} a second, beyond its limit`, beyond)
  look(`${tenth} a second beside it, within its limit`, within)
  check((beyond.statuses['429'] ?? 0) > 0, 'nobody was told that he is beyond his limit')
  check(percentile(latenciesOf(within), 0.99) < P99_MS, 'p99 of who keeps to his limit is a second or more')
}
