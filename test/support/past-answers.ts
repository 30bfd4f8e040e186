import type { Answer, TestApi } from './api.ts'
import { until } from './processes.ts'
import { randomHistory } from './random-history.ts'

type Recorded = { readonly moment: string; readonly time: string; readonly path: string; readonly answer: Answer }

export const positionOf = (answer: Answer) => answer.headers.get('smartcrm-position')!
export const withAsOf = (path: string, asOf: string) => `${path}${path.includes('?') ? '&' : '?'}asOf=${encodeURIComponent(asOf)}`

/** The snapshot as of a moment, when it is ready. */
export const ready = (api: TestApi, asOf: string) =>
  until(`the snapshot as of ${asOf}`, async () => {
    const { status, body } = await api.ask('POST', '/v1/snapshots', { asOf })
    if (body.state === 'halted') throw new Error(body.reason)
    return status === 200 ? body : null
  })

/** Two moments within one millisecond have one time. */
const pause = () => new Promise((resolve) => setTimeout(resolve, 5))

/** What a refusal calls itself is another each time. */
const told = ({ status, body, headers }: Answer) => JSON.stringify([status, { ...body, instance: undefined }, headers.get('etag')])

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
    for (const path of await history.questions()) {
      const answer = await api.ask('GET', path)
      recorded.push({ moment, time, path, answer })
    }
    tell(`${round + 1} of ${moments} moments recorded`)
  }
  await api.after(await history.go(steps), '/v1/contacts?limit=1')

  const differences: string[] = []
  let compared = 0
  for (const [moment, ofMoment] of Map.groupBy(recorded, ({ moment }) => moment)) {
    const snapshot = await ready(api, moment)
    for (const { path, time, answer } of ofMoment) {
      for (const asOf of compared % 4 === 0 ? [moment, time] : [moment]) {
        const then = await api.ask('GET', withAsOf(path, asOf))
        compared += 1
        if (told(then) !== told(answer)) differences.push(`${path} as of ${asOf}: ${told(then)}, and was ${told(answer)}`)
        // What is answered from the log itself, as a contact's blame is, names no position of tables.
        const from = then.headers.get('smartcrm-position')
        if (then.status === 200 && from !== null && from !== snapshot.position) differences.push(`${path} is from ${from}`)
      }
    }
    tell(`asked as of ${moment}: ${compared} answers, ${differences.length} of them others`)
  }
  return { paths: [...new Set(recorded.map(({ path }) => path.split('?')[0]!))], compared, differences }
}
