import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'

/** What somebody was answered: how often what, how long the answers took that were ones, and what was wrong with them. */
export type Answered = { statuses: Record<string, number>; latencies: number[]; wrong: string[] }
export type Target = { readonly url: string; readonly key: string; readonly ids: readonly string[] }

/** Each asks for one of the contacts and looks whether it is that one. @returns the status, or what is wrong */
function askOne(agent: http.Agent, { url, key, ids }: Target, index: number): Promise<number | string> {
  const { hostname, port } = new URL(url)
  const id = ids[index % ids.length]!
  const path = index % 4 === 0 ? `/v1/contacts?q=number${index % ids.length}&limit=5` : `/v1/contacts/${id}`
  return new Promise((resolve) => {
    const request = http.get({ hostname, port, path, agent, headers: { authorization: `Bearer ${key}` } }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part) => {
        text += part
      })
      response.on('error', (error) => resolve(error.message))
      response.on('end', () => {
        const { statusCode: status = 0, headers } = response
        if (status === 200) {
          const isRight = index % 4 === 0 ? text.startsWith('{"data":[') : text.startsWith(`{"id":"${id}"`)
          return resolve(isRight ? status : `200 with ${text.slice(0, 100)}`)
        }
        const mayBe = status === 429 || status === 503
        resolve(mayBe && headers['retry-after'] && text.includes(`"status":${status}`) ? status : `${status} ${text.slice(0, 200)}`)
      })
    })
    request.on('error', (error) => resolve(error.message))
  })
}

/** Asks so often a second, whether answers come or not (an open loop), or as many at a time as they come (`atOnce`). */
export async function load(
  target: Target,
  { perSecond, atOnce, seconds }: { perSecond?: number; atOnce?: number; seconds: number },
): Promise<Answered> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: atOnce ?? 2_000 })
  const answered: Answered = { statuses: {}, latencies: [], wrong: [] }
  let index = 0
  const ask = async () => {
    const since = performance.now()
    const status = await askOne(agent, target, index++)
    if (typeof status === 'string') answered.wrong.push(status)
    else answered.statuses[status] = (answered.statuses[status] ?? 0) + 1
    if (status === 200) answered.latencies.push(performance.now() - since)
  }
  const end = performance.now() + seconds * 1000
  if (atOnce) {
    const one = async () => {
      while (performance.now() < end) await ask()
    }
    await Promise.all(Array.from({ length: atOnce }, one))
  } else {
    const going = new Set<Promise<void>>()
    const began = performance.now()
    while (performance.now() < end) {
      const due = Math.floor(((performance.now() - began) / 1000) * perSecond!)
      while (index < due) {
        const one = ask().finally(() => going.delete(one))
        going.add(one)
      }
      await delay(5)
    }
    await Promise.all(going)
  }
  agent.destroy()
  return answered
}

/** The same by a process of its own, so that who asks and who is asked do not share one thread. */
export async function loadApart(target: Target, how: Parameters<typeof load>[1]): Promise<Answered> {
  const child: ChildProcess = spawn(process.execPath, [import.meta.filename, JSON.stringify({ target, how })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout! })
  const [line] = (await once(lines, 'line')) as [string]
  await once(child, 'exit')
  return JSON.parse(line) as Answered
}

export const percentile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN

if (process.argv[1] === import.meta.filename) {
  const { target, how } = JSON.parse(process.argv[2]!)
  console.log(JSON.stringify(await load(target, how)))
}
