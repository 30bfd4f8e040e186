/**
 * How fast the event node is, through the official client, each in a process of its own as in production. With EVENTSTORE_URL set, that
 * server's numbers stand beside. `million` as argument: also what a million events cost (a minute more). BENCH_SCALE below 1 shortens it.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { EventStoreDBClient, jsonEvent } from '@eventstore/db-client'
import { startApart } from '../eventstore/apart.ts'

/**
 * One measurement: what, the number as measured, what EventStoreDB 23.10.6 gives on two shared cores, and the processor time that client and
 * node took for one: on a busy machine it tells more than the rate, and which of the two is the limit.
 */
type Row = { what: string; measured: string; reference: string; cpu?: string }

const EVENT_BYTES = 500
const filler = 'x'.repeat(EVENT_BYTES - 80)
let serial = 0
const one = () => jsonEvent({ type: 'Measured', data: { n: serial++, filler } })
const many = (count: number) => Array.from({ length: count }, one)

/** Runs every measurement against the server at `url`. `scale` below 1 shortens it. */
async function measure(url: string, scale = 1, nodePid?: number): Promise<Row[]> {
  const timed = (work: () => Promise<number>) => timeOf(work, nodePid)
  const client = EventStoreDBClient.connectionString(url)
  const times = (count: number) => Math.max(1, Math.round(count * scale))
  await client.appendToStream('bench-warm', many(1))
  for (let n = 0; n < times(300); n++) await client.appendToStream('bench-warm', one())
  const start = (await client.appendToStream('bench-start', one())).position!
  const rows: Row[] = []

  const latencies: number[] = []
  const oneByOne = await timed(async () => {
    for (let n = 0; n < times(2000); n++) {
      const begun = performance.now()
      await client.appendToStream('bench-one', one())
      latencies.push(performance.now() - begun)
    }
    return times(2000)
  })
  rows.push({
    what: 'append one by one',
    measured: `${rate(oneByOne)}/s, p50 ${percentile(latencies, 0.5)} ms, p99 ${percentile(latencies, 0.99)} ms`,
    reference: '765–1,020/s, p50 0.9–1.1 ms',
    cpu: oneByOne.cpu,
  })
  for (const [lanes, count, reference] of [
    [32, 12_000, '4,400–6,000/s'],
    [256, 25_000, '8,800–10,300/s'],
  ] as const) {
    const result = await timed(() => inLanes(lanes, times(count), (n) => client.appendToStream(`bench-lane-${n % 64}`, one())))
    rows.push({ what: `append, ${lanes} at once`, measured: `${rate(result)}/s`, reference, cpu: result.cpu })
  }
  const large = await timed(
    async () => (await inLanes(4, times(200), (n) => client.appendToStream(`bench-large-${n % 4}`, many(500)))) * 500,
  )
  rows.push({ what: 'append, 500 events each', measured: `${rate(large)} events/s`, reference: '24,000–28,800 events/s', cpu: large.cpu })

  const read = await timed(async () => {
    let count = 0
    for await (const _ of client.readAll({ fromPosition: start })) count++
    return count
  })
  rows.push({ what: 'read $all', measured: `${rate(read)} events/s`, reference: '45,000–52,000 events/s', cpu: read.cpu })
  const caughtUp = await timed(() => catchUp(client, start))
  rows.push({ what: 'catch up on $all', measured: `${rate(caughtUp)} events/s`, reference: '52,000 events/s', cpu: caughtUp.cpu })
  const delays = await liveDelays(client, times(1000))
  rows.push({
    what: 'live delivery at 200/s',
    measured: `p50 ${percentile(delays, 0.5)} ms, p99 ${percentile(delays, 0.99)} ms`,
    reference: 'p50 1.5 ms, p99 7.5 ms',
  })
  await client.dispose()
  return rows
}

type Timed = { count: number; seconds: number; cpu: string }

async function timeOf(work: () => Promise<number>, nodePid?: number): Promise<Timed> {
  const begun = performance.now()
  const own = process.cpuUsage()
  const node = cpuSeconds(nodePid)
  const count = await work()
  const { user, system } = process.cpuUsage(own)
  const client = `client ${Math.round((user + system) / count)} µs`
  const cpu = node === undefined ? client : `${client}, node ${Math.round(((cpuSeconds(nodePid)! - node) * 1e6) / count)} µs`
  return { count, seconds: (performance.now() - begun) / 1000, cpu }
}

/** The processor time of a process so far (Linux: in steps of 10 ms); undefined where it cannot be told. */
function cpuSeconds(pid: number | undefined): number | undefined {
  if (pid === undefined || process.platform !== 'linux') return undefined
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

const rate = ({ count, seconds }: Timed) => Math.round(count / seconds).toLocaleString('en')

function percentile(values: number[], part: number): string {
  const sorted = values.toSorted((a, b) => a - b)
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0).toFixed(2)
}

async function inLanes(lanes: number, count: number, work: (n: number) => Promise<unknown>): Promise<number> {
  let next = 0
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      while (next < count) await work(next++)
    }),
  )
  return count
}

function catchUp(client: EventStoreDBClient, from: { commit: bigint; prepare: bigint }): Promise<number> {
  return new Promise((resolve, reject) => {
    let count = 0
    const subscription = client.subscribeToAll({ fromPosition: from })
    subscription.on('data', () => count++)
    subscription.on('error', reject)
    subscription.on('caughtUp', () => {
      void subscription.unsubscribe()
      // The last events are still on their way through the client's streams.
      setImmediate(() => resolve(count))
    })
  })
}

async function liveDelays(client: EventStoreDBClient, count: number): Promise<number[]> {
  const sent = new Map<string, number>()
  const delays: number[] = []
  const subscription = client.subscribeToAll({ fromPosition: 'end' })
  const everything = new Promise<void>((resolve) => {
    subscription.on('data', ({ event }) => {
      const at = sent.get(event?.id ?? '')
      if (at !== undefined) delays.push(performance.now() - at)
      if (delays.length === count) resolve()
    })
  })
  await new Promise((resolve) => subscription.once('caughtUp', resolve))
  for (let n = 0; n < count; n++) {
    const written = one()
    sent.set(written.id, performance.now())
    void client.appendToStream('bench-live', written)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await everything
  await subscription.unsubscribe()
  return delays
}

/** A log of a million events: how long it takes to open, and what memory the node needs while it grows. */
async function measureMillion(folder: string, count = 1_000_000): Promise<Row[]> {
  const file = join(folder, 'million.db')
  const memory: number[] = []
  let node = await startApart(file)
  const client = EventStoreDBClient.connectionString(node.url)
  for (let part = 0; part < 5; part++) {
    await inLanes(4, count / 5 / 500, (n) => client.appendToStream(`million-${part}-${n % 5000}`, many(500)))
    memory.push(residentMegabytes(node.child.pid!))
  }
  await client.dispose()
  await node.stop()
  const begun = performance.now()
  node = await startApart(file)
  const opened = performance.now() - begun
  const reader = EventStoreDBClient.connectionString(node.url)
  const read = await timeOf(async () => {
    let events = 0
    for await (const _ of reader.readAll()) events++
    return events
  })
  memory.push(residentMegabytes(node.child.pid!))
  await reader.dispose()
  await node.stop()
  return [
    { what: 'open a million events (with the start of Node)', measured: `${(opened / 1000).toFixed(2)} s`, reference: '2 s' },
    { what: 'read a million events', measured: `${rate(read)} events/s`, reference: '45,000–52,000 events/s' },
    { what: 'memory at every 200,000 events, and after the read', measured: `${memory.join(', ')} MB`, reference: 'flat' },
  ]
}

/** Linux only; 0 elsewhere. */
function residentMegabytes(pid: number): number {
  if (process.platform !== 'linux') return 0
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024)
}

const folder = mkdtempSync(join(tmpdir(), 'eventstore-bench-'))
const scale = Number(process.env['BENCH_SCALE'] ?? 1)
try {
  const node = await startApart(join(folder, 'log.db'))
  const rows = await measure(node.url, scale, node.child.pid)
  await node.stop()
  if (process.argv.includes('million')) rows.push(...(await measureMillion(folder)))
  const url = process.env['EVENTSTORE_URL']
  const other = url ? await measure(url, scale) : []
  const table = rows.map(({ what, measured, reference, cpu = '' }, index) => ({
    what,
    embedded: measured,
    ...(other.length > 0 && { EVENTSTORE_URL: other[index]?.measured ?? '' }),
    'EventStoreDB 23.10.6': reference,
    'CPU for one': cpu,
  }))
  console.table(Object.fromEntries(table.map(({ what, ...columns }) => [what, columns])))
  const about = { bench: 'eventstore', at: new Date().toISOString(), node: process.version, cores: availableParallelism(), scale }
  if (process.env['BENCH_OUT']) writeFileSync(process.env['BENCH_OUT'], `${JSON.stringify({ ...about, rows: table }, null, 2)}\n`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
