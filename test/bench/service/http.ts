import pg from 'pg'
import { contactWords } from '../../../projections/contact-words.ts'
import { contacts } from '../../../projections/contacts.ts'
import { emails } from '../../../projections/emails.ts'
import type { Known, Result, Task } from './load.ts'
import { adminKey, cpuSecondsOf, type Stack, type System, seen, startRole, startWorker } from './processes.ts'
import { type Cost, costOf, median, medianCost, type Row } from './rows.ts'

export type HttpSizes = {
  /** How many contacts there are before. */
  readonly contacts: number
  readonly seconds: number
  readonly rounds: number
  readonly callers: number
}

/** So much of a round both are asked before it counts. */
const WARM = 0.5

type Side = { readonly url: string; readonly processes: Readonly<Record<string, number>> }

/** What is asked of SmartCRM over HTTP, and of its peer: rows (a) to (d). */
export async function measureHttp(stack: Stack, system: System, postmaster: number, sizes: HttpSizes, rows: string): Promise<Row[]> {
  const { contacts: many, seconds, rounds, callers } = sizes
  const load = await startWorker(stack, 'load.ts')
  const roles = await Promise.all(['api', 'eventstore', 'projector', 'worker'].map(async (role) => [role, await system.pid(role)] as const))
  const ours: Side = { url: system.url, processes: Object.fromEntries(roles) }
  let number = 0
  const ask = async ({ url }: Side, task: Pick<Task, 'what'> & Partial<Task>, known: readonly Known[] = []): Promise<Result> => {
    const result = await load.ask<Result>({ url, callers, seconds, from: number, known, ...task })
    number += result.created.length
    return result
  }
  const used = ({ processes }: Side) => cpuSecondsOf({ ...processes, load: load.pid }, postmaster)
  /** Until the tables hold the last write: the seconds that it took. */
  const settled = async ({ position }: Result) => {
    const begun = performance.now()
    if (position) await seen(system.url, position, 30)
    return (performance.now() - begun) / 1_000
  }

  const seeded = await ask(ours, { what: 'create', count: many, seconds: 600 })
  await settled(seeded)
  const database = new pg.Client({ connectionString: system.databaseUrl })
  await database.connect()
  stack.defer(() => database.end())
  const known = seeded.created
  await copyTables(database)
  const peer = await startWorker(stack, 'peer.ts', system.databaseUrl)
  const theirs: Side = { url: await peer.ask<string>('listen'), processes: { peer: peer.pid } }

  /** SmartCRM and its peer in turn. */
  const compare = async (row: string, what: Task['what'], name: string, target: number): Promise<Row> => {
    const rates: [number[], number[]] = [[], []]
    const latencies: [Result[], Result[]] = [[], []]
    const costs: [Cost[], Cost[]] = [[], []]
    // Both run for days: what a process takes to make its code fast, which is the more the more code there is, is not what is compared.
    for (const side of [ours, theirs]) await settled(await ask(side, { what, seconds: seconds * WARM }, known))
    for (let round = 0; round < rounds; round += 1) {
      for (const [index, side] of [ours, theirs].entries()) {
        const before = await used(side)
        const result = await ask(side, { what }, known)
        const more = side === ours ? await settled(result) : 0
        costs[index]!.push(costOf(before, await used(side), result.done))
        rates[index]!.push(result.done / (result.seconds + more))
        latencies[index]!.push(result)
      }
    }
    const [own, other] = [median(rates[0]), median(rates[1])]
    const latency = (index: 0 | 1) =>
      `p50 ${median(latencies[index].map(({ p50 }) => p50))} ms, p99 ${median(latencies[index].map(({ p99 }) => p99))} ms`
    return {
      row,
      what: name,
      smartcrm: `${Math.round(own)}/s, ${latency(0)}`,
      peer: `${Math.round(other)}/s, ${latency(1)}`,
      ratio: own / other,
      target: `≥ ${target}`,
      cost: { smartcrm: medianCost(costs[0]), peer: medianCost(costs[1]) },
      numbers: { rates, turnedAway: latencies[0].reduce((sum, result) => sum + result.turnedAway, 0) },
    }
  }

  const visible = async (perSecond?: number): Promise<Row> => {
    const before = await used(ours)
    // Enough connections that what is due has not to wait for one.
    const result = await ask(ours, {
      what: 'visible',
      callers: perSecond === undefined ? callers : 4 * callers,
      ...(perSecond && { perSecond }),
    })
    const { done, seconds, p50, p99 } = result
    return {
      row: 'd',
      what: `command to visible, ${perSecond ?? 'as many as go'} a second`,
      smartcrm: `${Math.round(done / seconds)}/s, p50 ${p50} ms, p99 ${p99} ms`,
      peer: '',
      ratio: null,
      target: perSecond === 500 ? 'p99 < 100 ms' : '',
      cost: { smartcrm: costOf(before, await used(ours), done) },
      numbers: { done, seconds, p50, p99 },
    }
  }

  /** The same question again and again, of a process that keeps answers and of one that does not, while nothing is written. */
  const kept = async (without: { url: string }, what: 'first' | 'one', name: string): Promise<Row> => {
    const rates: [number[], number[]] = [[], []]
    for (let round = 0; round < rounds; round += 1) {
      for (const [index, side] of [ours, { url: without.url, processes: {} }].entries()) {
        const { done, seconds } = await ask(side, { what }, known)
        rates[index]!.push(done / seconds)
      }
    }
    const [own, other] = [median(rates[0]), median(rates[1])]
    return {
      row: 'g',
      what: `${name}, kept`,
      smartcrm: `${Math.round(own)}/s`,
      peer: `made anew ${Math.round(other)}/s`,
      ratio: own / other,
      target: '≥ 2',
      numbers: { rates },
    }
  }

  const measured: Row[] = []
  const wanted = (row: string) => rows.includes(row)
  if (wanted('a')) measured.push(await compare('a', 'create', 'POST /v1/contacts', 0.45))
  if (wanted('b')) {
    measured.push(await compare('b', 'get', 'GET one contact', 0.9))
    measured.push(await compare('b', 'list', 'GET a page of 25', 0.9))
    measured.push(await compare('b', 'search', 'GET a search', 0.9))
  }
  if (wanted('c')) measured.push(await compare('c', 'mix', 'nine reads to a write', 1))
  if (wanted('d')) for (const perSecond of [100, 500, undefined]) measured.push(await visible(perSecond))
  if (wanted('g')) {
    const without = await startRole(stack, 'api', {
      SMARTCRM_DATA: system.folder,
      SMARTCRM_ADMIN_KEY: adminKey,
      EVENTSTORE_URL: system.eventStoreUrl,
      DATABASE_URL: system.databaseUrl,
      PORT: '0',
      SMARTCRM_CACHE_MIB: '0',
    })
    for (const [what, name] of [
      ['first', 'GET the newest 25'],
      ['one', 'GET one contact'],
    ] as const)
      measured.push(await kept(without, what, name))
  }
  await peer.close()
  await load.close()
  return measured
}

/** The peer's tables: the same rows as in ours, with the same indexes. */
async function copyTables(database: pg.Client): Promise<void> {
  await database.query('create schema peer')
  const { mailStatistics } = emails.tables
  const copied = { ...contacts.tables, ...contactWords.tables, mailStatistics }
  for (const [noun, { name }] of Object.entries(copied)) {
    const table = `peer.${noun.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`
    await database.query(`create table ${table} (like read.${name} including all)`)
    await database.query(`insert into ${table} select * from read.${name}`)
  }
  await database.query(`create unique index on peer.contact_methods (normalized) where type = 'email'`)
  await database.query('analyze')
}
