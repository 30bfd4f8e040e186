/**
 * What 200 readers of the live journal cost: commands a second and their latency without and with them, in turns, and how long an event takes to the last
 * of them. The event node, the API and the readers are processes of their own. Prints a table when run alone.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { access, permissionsOf } from '../../src/access.ts'
import { createApp } from '../../src/app.ts'
import { readConfig } from '../../src/config.ts'
import { startEventStore } from '../../src/eventstore/server.ts'
import { journalRoutes } from '../../src/journal/routes.ts'
import { createApiKeys } from '../../src/platform/api-keys.ts'
import { createServer } from '../../src/platform/http/server.ts'
import { createLogger } from '../../src/platform/log.ts'
import { migrate } from '../../src/platform/migrate.ts'
import { openServices } from '../../src/services.ts'
import { startThrowAwayPostgres } from '../support/throw-away-postgres.ts'

/** @property ratio with the readers by without, of the medians */
export type Row = { what: string; 'no reader': string; readers: string; ratio: string }

const READERS = 200
const CALLERS = 16
const PER_SECOND = 200
const ROUND_MS = 5_000
const ROUNDS = 4
const AGAIN_MS = 20
const adminKey = 'a-key-for-benches-0123456789'
const authorization = `Bearer ${adminKey}`
const log = createLogger('error', 'bench')

/** `scale` below 1 shortens it. */
export async function measure(scale = 1): Promise<Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'smartcrm-bench-'))
  const postgres = await startThrowAwayPostgres()
  const children: ChildProcess[] = []
  const start = async <T>(part: keyof typeof parts, ...args: string[]): Promise<[ChildProcess, T]> => {
    const child = fork(import.meta.filename, [part, ...args])
    children.push(child)
    const [told] = (await once(child, 'message')) as [T]
    return [child, told]
  }
  try {
    await migrate(postgres.url, log)
    const [, node] = await start<{ url: string }>('node', folder)
    const [api, urls] = await start<{ commands: string; live: string }>('api', folder, postgres.url, node.url)
    const usage = async () => {
      api.send('usage')
      const [{ rssBytes, cpu }] = (await once(api, 'message')) as [{ rssBytes: number; cpu: NodeJS.CpuUsage }]
      return { rssBytes, cpuMs: (cpu.user + cpu.system) / 1_000 }
    }
    const round = async (perSecond?: number): Promise<Round> => {
      const { cpuMs } = await usage()
      const measured = await commandsFor(urls.commands, ROUND_MS * scale, perSecond)
      return { ...measured, cpuMs: (await usage()).cpuMs - cpuMs }
    }
    await round()
    const { rssBytes: before } = await usage()

    let events = 0
    /** Rounds without and with readers in turns, now these first and now those, since other work on the machine comes and goes. */
    const compare = async (perSecond?: number): Promise<Compared> => {
      const [without, withReaders]: [Round[], Round[]] = [[], []]
      const readTo = async () => {
        const [readers] = await start('readers', urls.live, String(READERS))
        // That so many come at once is not what is measured.
        await delay(1_000 * scale)
        const measured = await round(perSecond)
        withReaders.push(measured)
        readers.send(measured.done)
        const [got] = (await once(readers, 'message')) as [{ events: number }]
        events += got.events
        if (got.events !== measured.done * READERS) throw new Error(`the readers got ${got.events} events of ${measured.done} each`)
        await ended(readers)
      }
      for (let n = 0; n < ROUNDS; n += 1) {
        if (n % 2 === 1) await readTo()
        without.push(await round(perSecond))
        if (n % 2 === 0) await readTo()
      }
      return { without, withReaders }
    }
    const paced = await compare(PER_SECOND)
    const asMany = await compare()
    const [readers] = await start('readers', urls.live, String(READERS))
    const latencies: number[] = []
    for (let n = 0; n < 50 * scale; n += 1) {
      const begun = performance.now()
      const got = once(readers, 'message')
      readers.send(1)
      await post(urls.commands)
      await got
      latencies.push(performance.now() - begun)
    }
    const { rssBytes } = await usage()
    const mib = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`
    const pair = (what: string, { without, withReaders }: Compared, measure: (rounds: readonly Round[]) => number): Row => {
      const [before, after] = [measure(without), measure(withReaders)]
      return { what, 'no reader': before.toFixed(1), readers: after.toFixed(1), ratio: (after / before).toFixed(2) }
    }
    const rowsOf = (what: string, compared: Compared): Row[] => [
      pair(`${what}: commands a second`, compared, (rounds) => median(rounds.map(({ rate }) => rate))),
      pair(`${what}: p50, ms`, compared, (rounds) => at(rounds, 0.5)),
      pair(`${what}: p99, ms`, compared, (rounds) => at(rounds, 0.99)),
      pair(`${what}: turned away in a thousand (503)`, compared, (rounds) => (sum(rounds, 'refused') / sum(rounds, 'done')) * 1_000),
      pair(`${what}: the API’s processor time each, ms`, compared, cpuOf),
    ]
    const alone = (what: string, measured: string): Row => ({ what, 'no reader': '', readers: measured, ratio: '' })
    return [
      ...rowsOf(`${PER_SECOND} a second wanted`, paced),
      ...rowsOf(`${CALLERS} callers, as many as can be`, asMany),
      alone('events given to readers, all of them', events.toLocaleString('en')),
      alone(
        `one command, until the last of ${READERS} has its event, ms`,
        `p50 ${percentile(latencies, 0.5).toFixed(1)}, p99 ${percentile(latencies, 0.99).toFixed(1)}`,
      ),
      { what: 'memory of the API before and after', 'no reader': mib(before), readers: mib(rssBytes), ratio: '' },
    ]
  } finally {
    for (const child of children) await ended(child)
    await postgres.close()
    await rm(folder, { recursive: true, force: true })
  }
}

/** @property refused how often one was turned away and tried again, which its latency holds */
type Round = { done: number; rate: number; latencies: number[]; refused: number; cpuMs: number }
type Compared = { without: Round[]; withReaders: Round[] }

const agent = new Agent({ keepAlive: true, maxSockets: CALLERS })
const body = JSON.stringify({ name: 'Ada Lovelace', company: 'Analytical Engines' })

/** @returns how often it was turned away before */
async function post(url: string, refused = 0): Promise<number> {
  const asked = request(`${url}/v1/contacts`, { method: 'POST', agent, headers: { authorization, 'content-type': 'application/json' } })
  asked.end(body)
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  const said = await text(response)
  if (response.statusCode === 503 && said.includes('overloaded')) return delay(AGAIN_MS).then(() => post(url, refused + 1))
  if (response.statusCode !== 201) throw new Error(`answered ${response.statusCode}: ${said}`)
  return refused
}

/** @param perSecond how many are begun; left out: as many as are answered */
async function commandsFor(url: string, ms: number, perSecond = Number.POSITIVE_INFINITY): Promise<Omit<Round, 'cpuMs'>> {
  const begun = performance.now()
  const latencies: number[] = []
  let refused = 0
  await Promise.all(
    Array.from({ length: CALLERS }, async (_, caller) => {
      for (let n = 0; performance.now() - begun < ms; n += 1) {
        const due = begun + ((n * CALLERS + caller) / perSecond) * 1_000
        if (due > performance.now()) await delay(due - performance.now())
        const before = performance.now()
        refused += await post(url)
        latencies.push(performance.now() - before)
      }
    }),
  )
  return { done: latencies.length, rate: (latencies.length / (performance.now() - begun)) * 1_000, latencies, refused }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

const percentile = (values: readonly number[], part: number) => values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * part)]!
const at = (rounds: readonly Round[], part: number) =>
  percentile(
    rounds.flatMap(({ latencies }) => latencies),
    part,
  )
const sum = (rounds: readonly Round[], name: 'done' | 'refused' | 'cpuMs') => rounds.reduce((total, round) => total + round[name], 0)
const cpuOf = (rounds: readonly Round[]) => sum(rounds, 'cpuMs') / sum(rounds, 'done')
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!

/** What the processes do; each says so when it is ready. */
const parts = {
  async node(folder: string) {
    const { url } = await startEventStore({ file: join(folder, 'events.db') })
    process.send!({ url })
  },

  async api(folder: string, databaseUrl: string, eventStoreUrl: string) {
    const config = { ...readConfig({ SMARTCRM_DATA: folder }), databaseUrl, eventStoreUrl }
    const services = await openServices(config, log)
    // Beside the API's own routes in the same process and event loop.
    const live = createServer({ keys: createApiKeys(services.pool, adminKey, { permissionsOf }), access, log })
    journalRoutes(live, services)
    const tables = { current: () => null, waitFor: async () => true }
    const { server } = await createApp({ services, tables, checks: {}, adminKey, version: '0.0.0', log })
    const [commands, streams] = [await server.listen({ host: '127.0.0.1', port: 0 }), await live.listen({ host: '127.0.0.1', port: 0 })]
    process.on('message', () => process.send!({ rssBytes: process.memoryUsage.rss(), cpu: process.cpuUsage() }))
    process.send!({ commands, live: streams })
  },

  /** Told a number, it says when every reader has got so many events more. */
  async readers(url: string, count: string) {
    const got = new Array<number>(Number(count)).fill(0)
    let wanted: number | null = null
    const tell = () => {
      if (wanted === null || got.some((events) => events < wanted!)) return
      wanted = null
      process.send!({ events: got.reduce((sum, events) => sum + events, 0) })
      got.fill(0)
    }
    const { port, hostname, host } = new URL(url)
    // Bare, for what the readers do with it is not what is measured. Only what the commands make: that somebody began to read is an event, too.
    const read = (index: number, begun: () => void, failed: (error: Error) => void) => {
      const socket = connect(Number(port), hostname).on('error', failed)
      socket.write(
        `GET /v1/events?type=ContactCreated HTTP/1.1\r\nhost: ${host}\r\nauthorization: ${authorization}\r\naccept: text/event-stream\r\n\r\n`,
      )
      let tail: Buffer = Buffer.alloc(0)
      socket.once('data', (head) => {
        if (head.includes('HTTP/1.1 200')) return
        socket.destroy()
        setTimeout(read, AGAIN_MS, index, begun, failed)
      })
      socket.on('data', (part: Buffer) => {
        if (part.includes('\nretry: ')) begun()
        const all = Buffer.concat([tail, part])
        let events = 0
        for (let place = all.indexOf('\nevent: '); place !== -1; place = all.indexOf('\nevent: ', place + 8)) events += 1
        tail = all.subarray(-7)
        got[index]! += events
        if (events > 0) tell()
      })
    }
    await Promise.all(got.map((_, index) => new Promise<void>((begun, failed) => read(index, begun, failed))))
    process.on('message', (events: number) => {
      wanted = events
      tell()
    })
    process.send!('connected')
  },
}

if (import.meta.main) {
  const [part, ...args] = process.argv.slice(2)
  // None of them outlives a bench that is killed.
  if (part) process.once('disconnect', () => process.exit())
  if (part && part in parts) await (parts[part as keyof typeof parts] as (...args: string[]) => Promise<void>)(...args)
  else {
    console.table(await measure(Number(part ?? 1)))
    process.exit()
  }
}
