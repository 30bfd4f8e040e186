import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { type Connection, openConnection, type Reply } from '../../support/connection.ts'
import { adminKey } from './processes.ts'

/*
 * Who asks: a process of its own with so many connections that are kept, each with one request at a time.
 */
export type Task = {
  readonly url: string
  readonly what: keyof typeof kinds
  readonly callers: number
  /** How long; or how many. */
  readonly seconds?: number
  readonly count?: number
  /** How many are begun; left out: as many as are answered. */
  readonly perSecond?: number
  /** What is created is numbered from here on. */
  readonly from: number
  readonly known: readonly Known[]
}
export type Known = { readonly id: string; readonly name: string }
export type Result = {
  readonly done: number
  readonly seconds: number
  readonly p50: number
  readonly p99: number
  /** How many answers were 503, for there was too much to do; each was asked again, and its latency holds that. */
  readonly turnedAway: number
  /** Of the last write, to wait for. */
  readonly position: string | null
  readonly created: readonly Known[]
}

/** Letters that look like a name, the same for the same number. */
const word = (seed: string, letters: number) => {
  const hex = createHash('md5').update(seed).digest('hex').slice(0, letters)
  const text = hex.replaceAll(/\d/g, (digit) => 'ghijklmnop'[Number(digit)]!)
  return text[0]!.toUpperCase() + text.slice(1)
}
export const contactOf = (n: number) => {
  const name = `${word(`first ${n}`, 6)} ${word(`last ${n}`, 8)}`
  const address = `${name.toLowerCase().replace(' ', '.')}.${n}@people.example`
  const methods = [
    { type: 'email', value: address, label: 'work' },
    { type: 'phone', value: `+49 30 ${String(1_000_000 + n).padStart(8, '2')}` },
  ]
  return { name, company: `Company ${n % 700}`, methods }
}

type State = Task & { next: number; created: Known[]; position: string | null; cursors: Map<Connection, { cursor: string; pages: number }> }
const random = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)]!

async function create(connection: Connection, state: State): Promise<Known> {
  const contact = contactOf(state.next++)
  const { status, head, body } = await connection.post('/v1/contacts', JSON.stringify(contact))
  if (status !== 201) throw new Error(`answered ${status}: ${body}`)
  state.position = /\r\nsmartcrm-position: (\S+)/i.exec(head)?.[1] ?? null
  const made = { id: (JSON.parse(body) as { id: string }).id, name: contact.name }
  state.created.push(made)
  return made
}

async function found(asked: Promise<Reply>, has: string): Promise<Reply> {
  const answer = await asked
  if (answer.status !== 200 || !answer.body.includes(has))
    throw new Error(`answered ${answer.status} without ${has}: ${answer.body.slice(0, 500)}`)
  return answer
}

const get = async (connection: Connection, { known }: State) => {
  const { id } = random(known)
  await found(connection.get(`/v1/contacts/${id}`), id)
}

/** Page after page, twenty of them, and again. */
const list = async (connection: Connection, { cursors }: State) => {
  const { cursor, pages } = cursors.get(connection) ?? { cursor: '', pages: 0 }
  const { body } = await found(connection.get(`/v1/contacts?limit=25${cursor && `&cursor=${cursor}`}`), '"nextCursor":')
  const next = body.slice(body.lastIndexOf('"nextCursor":') + 13, -1)
  cursors.set(connection, next !== 'null' && pages < 20 ? { cursor: JSON.parse(next), pages: pages + 1 } : { cursor: '', pages: 0 })
}

/** What everybody looks at: the newest contacts, and one of them. */
const first = async (connection: Connection) => void (await found(connection.get('/v1/contacts?limit=25'), '"nextCursor":'))
const one = async (connection: Connection, { known }: State) =>
  void (await found(connection.get(`/v1/contacts/${known[0]!.id}`), known[0]!.id))

const search = async (connection: Connection, { known }: State) => {
  const { id, name } = random(known)
  await found(connection.get(`/v1/contacts?q=${name.split(' ')[1]}`), id)
}

const kinds = {
  create: async (connection: Connection, state: State) => void (await create(connection, state)),
  get,
  list,
  first,
  one,
  search,
  /** A day's: five look at somebody, three at a list, one searches, one adds somebody. */
  mix: (connection: Connection, state: State) => {
    const which = Math.random() * 10
    return which < 5
      ? get(connection, state)
      : which < 8
        ? list(connection, state)
        : which < 9
          ? search(connection, state)
          : kinds.create(connection, state)
  },
  /** Each kind of query, of mail too, and one command in ten. */
  everything(connection: Connection, state: State) {
    const which = Math.random() * 10
    if (which < 1) return kinds.create(connection, state)
    if (which < 4) return get(connection, state)
    if (which < 6) return list(connection, state)
    if (which < 7) return search(connection, state)
    const path = which < 8 ? '/v1/emails?limit=25' : which < 9 ? '/v1/threads?limit=25' : '/v1/emails?q=w1ord&limit=25'
    return found(connection.get(path), '"data":[{').then(() => {})
  },
  /** A command, until a query shows what it did. */
  async visible(connection: Connection, state: State) {
    const { id } = await create(connection, state)
    await found(connection.get(`/v1/contacts/${id}`, `smartcrm-after: ${state.position}\r\nprefer: wait=20\r\n`), id)
  },
}

const AGAIN_MS = 20

/** Asks again where there was too much to do. */
function patient(connection: Connection, onTurnedAway: () => void): Connection {
  const ask = async (once: () => Promise<Reply>): Promise<Reply> => {
    for (;;) {
      const answer = await once()
      if (answer.status !== 503 || !answer.body.includes('"code":"overloaded"')) return answer
      onTurnedAway()
      await delay(AGAIN_MS)
    }
  }
  return {
    ...connection,
    get: (path, headers) => ask(() => connection.get(path, headers)),
    post: (path, body) => ask(() => connection.post(path, body)),
  }
}

async function run(task: Task): Promise<Result> {
  const { url, what, callers, seconds = Number.POSITIVE_INFINITY, count: most = Number.POSITIVE_INFINITY, perSecond } = task
  const state: State = { ...task, next: task.from, created: [], position: null, cursors: new Map() }
  let turnedAway = 0
  const count = () => {
    turnedAway += 1
  }
  const open = async () => patient(await openConnection(url, adminKey), count)
  const connections = await Promise.all(Array.from({ length: callers }, open))
  const latencies: number[] = []
  let next = 0
  const begun = performance.now()
  await Promise.all(
    connections.map(async (connection) => {
      while (next < most && performance.now() - begun < seconds * 1_000) {
        const due = perSecond === undefined ? performance.now() : begun + (next / perSecond) * 1_000
        next += 1
        const restMs = due - performance.now()
        if (restMs > 0) await delay(restMs)
        await kinds[what](connection, state)
        // From when it was due, so that those who had to wait for their turn count too.
        latencies.push(performance.now() - due)
      }
    }),
  )
  const took = (performance.now() - begun) / 1_000
  for (const connection of connections) connection.close()
  latencies.sort((a, b) => a - b)
  const at = (part: number) => Number((latencies[Math.floor((latencies.length - 1) * part)] ?? 0).toFixed(2))
  const { position, created } = state
  return { done: latencies.length, seconds: took, p50: at(0.5), p99: at(0.99), turnedAway, position, created }
}

if (import.meta.main) {
  process.on('message', async (task: Task) => process.send!(await run(task)))
  process.send!('ready')
}
