import { setTimeout as delay } from 'node:timers/promises'
import canonicalize from 'canonicalize'
import type { Answer, TestApi } from './api.ts'
import { randomHistory } from './random-history.ts'

type Recorded = { readonly moment: string; readonly time: string; readonly path: string; readonly answer: Answer }

export const positionOf = (answer: Answer) => answer.headers.get('smartcrm-position')!
export const withAsOf = (path: string, asOf: string) => `${path}${path.includes('?') ? '&' : '?'}asOf=${encodeURIComponent(asOf)}`

/** Rarely enough that Postgres is not kept busy by it: who makes the snapshot would rest for that (src/platform/projections/pace.ts). */
const LOOK_MS = 100
const LOOKS = 6_000

/** The snapshot as of a moment, when it is ready. @throws after ten minutes, which is far beyond what anything here takes */
export async function ready(api: TestApi, asOf: string) {
  const { body: begun } = await api.ask('POST', '/v1/snapshots', { asOf })
  let body = begun
  for (let looks = 0; body.state !== 'ready'; looks += 1) {
    if (looks === LOOKS || !['reading', 'finishing'].includes(body.state))
      throw new Error(`waited in vain for the snapshot as of ${asOf}: ${JSON.stringify(body)}`)
    await delay(LOOK_MS)
    ;({ body } = await api.ask('GET', `/v1/snapshots/${begun.id}`))
  }
  return body
}

/** Two moments within one millisecond have one time. */
const pause = () => delay(5)

/**
 * What is told, in whatever order. What a refusal calls itself is another each time; and where something has gone is told with the moment that was asked
 * about.
 */
const told = ({ status, body, headers }: Answer) =>
  canonicalize([status, { ...body, instance: undefined }, headers.get('location')?.split('?')[0] ?? null])
const tagOf = ({ headers }: Answer) => headers.get('etag')

const AT_ONCE = 8
/** Whatever the machine waits for, one of them goes on. */
async function atOnce<T>(list: readonly T[], work: (one: T, index: number) => Promise<void>): Promise<void> {
  const rest = list.entries()
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const [index, one] of rest) await work(one, index)
    }),
  )
}

const TRIES = 20
/** What is answered, however much the machine has to do: 503 is no answer. */
async function answerOf(api: TestApi, path: string): Promise<Answer> {
  for (let tries = 1; ; tries += 1) {
    const answer = await api.ask('GET', path)
    if (answer.status !== 503 || tries === TRIES) return answer
    await delay(500)
  }
}

const isOneContact = (path: string) => /^\/v1\/contacts\/[^/?]+$/.test(path)

/**
 * Lets a random history happen and asks everything there is to ask at some moments of it; when all of it has happened, asks the same as of these moments,
 * by their positions and now and then by their times.
 * @returns what was asked, how many answers were compared, and those that are not what they were then
 */
export async function comparePast(api: TestApi, options: { seed: number; moments: number; steps: number; tell?(what: string): void }) {
  const { seed, moments, steps, tell = () => {} } = options
  const history = randomHistory(api, seed, { imports: true })
  const recorded: Recorded[] = []
  for (let round = 0; round < moments; round += 1) {
    const last = await history.go(steps)
    await api.after(last, '/v1/contacts?limit=1')
    const moment = positionOf(last)
    // What is read of mails is recorded, too: the time is from before that, and from after all else.
    await pause()
    const time = new Date().toISOString()
    await pause()
    await atOnce(await history.questions(), async (path) => {
      recorded.push({ moment, time, path, answer: await answerOf(api, path) })
    })
    tell(`${round + 1} of ${moments} moments recorded`)
  }
  await api.after(await history.go(steps), '/v1/contacts?limit=1')

  const differences: string[] = []
  let compared = 0
  const compare = async ({ path, answer }: Recorded, asOf: string) => {
    const then = await answerOf(api, withAsOf(path, asOf))
    compared += 1
    if (told(then) !== told(answer)) differences.push(`${path} as of ${asOf}: ${told(then)}, and was ${told(answer)}`)
    return then
  }
  // A single contact needs no snapshot, and the answer with one is another way to it: so this comes first.
  const ofContacts = recorded.filter(({ path }) => isOneContact(path))
  await atOnce(ofContacts, async (one, index) => void (await compare(one, index % 4 === 0 ? one.time : one.moment)))
  tell(`asked about contacts alone: ${compared} answers, ${differences.length} of them others`)

  const byMoment = [...Map.groupBy(recorded, ({ moment }) => moment)]
  const make = async (asOf: string | undefined) => asOf === undefined || (await api.ask('POST', '/v1/snapshots', { asOf }))
  for (const [number, [moment, ofMoment]] of byMoment.entries()) {
    const snapshot = await ready(api, moment)
    // The next one is made meanwhile.
    await make(byMoment[number + 1]?.[0])
    await atOnce(ofMoment, async (one, index) => {
      for (const asOf of index % 4 === 0 ? [moment, one.time] : [moment]) {
        const then = await compare(one, asOf)
        if (tagOf(then) !== tagOf(one.answer)) differences.push(`${one.path} as of ${asOf} has another tag`)
        // What is answered from the log itself, as a contact's blame is, names no position of tables.
        const from = then.headers.get('smartcrm-position')
        if (then.status === 200 && from !== null && from !== snapshot.position) differences.push(`${one.path} is from ${from}`)
      }
    })
    // Hundreds of them would be more tables than any catalogue is made for.
    await api.ask('DELETE', `/v1/snapshots/${snapshot.id}`)
    tell(`asked as of ${moment}: ${compared} answers, ${differences.length} of them others`)
  }
  return { paths: [...new Set(recorded.map(({ path }) => path.split('?')[0]!))], compared, differences }
}
