import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { type Connection, openConnection, type Reply } from './connection.ts'

/** What somebody was answered: how often what, how long the answers took that were ones (ms, from when they were due), and what was wrong with them. */
export type Answered = { statuses: Record<string, number>; latencies: Record<Kind, number[]>; wrong: string[] }
/** Of the contact with that number: no two are alike, as among people. */
export const nameOf = (number: number): string =>
  `Somebody ${createHash('md5')
    .update(`${number}`)
    .digest('base64')
    .replaceAll(/[^a-z]/gi, '')
    .slice(0, 9)}`
export type Target = { readonly url: string; readonly key: string; readonly ids: readonly string[] }
/** So many a second, whether answers come or not (an open loop); or as many at a time as they come. */
export type Pace = { readonly seconds: number; readonly perSecond?: number; readonly atOnce?: number }

/** Of an open loop: so many connections at most, as of so many clients. What is due while all of them wait is late, and the lateness counts. */
const MOST_CONNECTIONS = 500

/** `refused`: those that were turned away, of whatever kind. */
type Kind = 'note' | 'search' | 'contact' | 'refused'
/** One in ten commands, two or three searches, the rest contacts. */
const kindOf = (index: number): Kind => (index % 10 === 9 ? 'note' : index % 4 === 0 ? 'search' : 'contact')

/** What there may be no two answers of: a contact's revision that two commands are told they made. */
type Seen = Set<string>

function ask(connection: Connection, ids: readonly string[], index: number): Promise<Reply> {
  const id = ids[index % ids.length]!
  const kind = kindOf(index)
  if (kind === 'note') return connection.post(`/v1/contacts/${id}/notes`, `{"text":"The ${index}th."}`)
  return connection.get(kind === 'search' ? `/v1/contacts?q=${nameOf(index % ids.length).split(' ')[1]}&limit=5` : `/v1/contacts/${id}`)
}

/** @returns what is wrong with an answer; null when nothing is */
function faultOf({ status, head, body }: Reply, ids: readonly string[], index: number, seen: Seen): string | null {
  const id = ids[index % ids.length]!
  const kind = kindOf(index)
  if (status === 429 || status === 503)
    return /\r\nretry-after: \d+/i.test(head) && body.includes(`"status":${status}`) ? null : `${status} ${head} ${body}`
  if (status !== (kind === 'note' ? 201 : 200)) return `${status} ${body}`
  if (kind === 'search') return body.startsWith('{"data":[') ? null : `another answer than asked for: ${body}`
  if (!body.startsWith(`{"id":"${id}"`)) return `somebody else than asked for: ${body}`
  if (kind === 'contact') return null
  const revision = `${id} ${(JSON.parse(body) as { revision: number }).revision}`
  if (seen.has(revision)) return `two commands were told that they made ${revision}`
  seen.add(revision)
  return null
}

export async function load({ url, key, ids }: Target, { perSecond, atOnce, seconds }: Pace): Promise<Answered> {
  const answered: Answered = { statuses: {}, latencies: { contact: [], search: [], note: [], refused: [] }, wrong: [] }
  const seen: Seen = new Set()
  // Clients that are there already: Node accepts one new connection each time it has looked at all the others.
  const opened = await Promise.all(
    Array.from({ length: atOnce ?? MOST_CONNECTIONS }, async () => {
      const connection = await openConnection(url, key)
      await connection.get('/livez')
      return connection
    }),
  )
  let index = 0
  const begun = performance.now()
  const end = begun + seconds * 1_000
  const due = (index: number) => (perSecond === undefined ? performance.now() : begun + (index / perSecond) * 1_000)

  /** One client: asks again and again, and opens a new connection where the old one was cut. */
  const client = async (first: Connection) => {
    let connection: Connection | undefined = first
    while (performance.now() < end) {
      const own = index++
      const since = due(own)
      if (since > end) break
      const restMs = since - performance.now()
      if (restMs > 0) await delay(restMs)
      try {
        connection ??= await openConnection(url, key)
        const reply = await ask(connection, ids, own)
        const fault = faultOf(reply, ids, own, seen)
        if (fault) answered.wrong.push(fault.slice(0, 500))
        else answered.statuses[reply.status] = (answered.statuses[reply.status] ?? 0) + 1
        answered.latencies[reply.status < 300 ? kindOf(own) : 'refused'].push(performance.now() - since)
        if (/\r\nconnection: close/i.test(reply.head)) throw new Error('closed')
      } catch (error) {
        connection?.close()
        connection = undefined
        if ((error as Error).message !== 'closed') answered.wrong.push((error as Error).message)
      }
    }
    connection?.close()
  }
  await Promise.all(opened.map(client))
  return answered
}

/** The same by a process of its own, so that who asks and who is asked do not share one thread. */
export async function loadApart(target: Target, pace: Pace): Promise<Answered> {
  const child = spawn(process.execPath, [import.meta.filename, JSON.stringify({ target, pace })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  await once(child, 'exit')
  return JSON.parse(line) as Answered
}

export const percentile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN

export const latenciesOf = ({ latencies: { refused: _, ...answers } }: Answered): number[] => Object.values(answers).flat()

export const told = (who: string, answered: Answered) => {
  const each = Object.entries(answered.latencies).map(([kind, values]) => {
    const [p50, p99, longest] = [0.5, 0.99, 1].map((share) => Math.round(percentile(values, share)))
    return `${kind} ${values.length}: p50 ${p50}, p99 ${p99}, longest ${longest} ms`
  })
  return [`${who}: ${JSON.stringify(answered.statuses)}`, ...each].join('\n  ')
}

if (process.argv[1] === import.meta.filename) {
  const { target, pace } = JSON.parse(process.argv[2]!)
  console.log(JSON.stringify(await load(target, pace)))
}
