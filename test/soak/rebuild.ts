/**
 * All tables are built anew from a million events while queries and commands go on, and no answer fails. Arguments, with what they are unless given:
 * events=1000000 perSecond=100 cache=FOLDER (where log and tables are kept from one run to the next; not the bench's, whose log has to stay as it was made).
 */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { ProjectionStatus } from '../../schema/projection.ts'
import type { Known, Result, Task } from '../bench/service/load.ts'
import { madeUpLog, masterKey, postgresIn } from '../bench/service/made-up-log.ts'
import { adminKey, cpuSeconds, peakMegabytes, type Stack, seen, startRole, startSystem, startWorker } from '../bench/service/processes.ts'
import { median } from '../bench/service/rows.ts'

const sizes = { events: 1_000_000, perSecond: 100, cache: join(tmpdir(), 'smartcrm-soak-rebuild') }
for (const argument of process.argv.slice(2)) {
  const [name = '', value] = argument.split('=')
  if (!(name in sizes)) throw new Error(`There is no ${name}. There are: ${Object.keys(sizes).join(', ')}.`)
  Object.assign(sizes, { [name]: name === 'cache' ? value : Number(value) })
}
const { events, perSecond, cache } = sizes
const KNOWN = 1_000
const ROUND_SECONDS = 20
const USUAL_ROUNDS = 2
const FIRST_BUILD_MS = 30 * 60_000

const ends: (() => unknown)[] = []
const stack: Stack = { defer: (end) => void ends.unshift(end) }
try {
  await soak()
  console.log('\nNothing is wrong.')
} catch (error) {
  console.error('\n', error)
  process.exitCode = 1
} finally {
  for (const end of ends) await end()
}

async function soak(): Promise<void> {
  const folder = `${cache}/log-${events}`
  const postgres = await postgresIn(folder)
  stack.defer(() => postgres.close())
  await madeUpLog(folder, postgres.url, events)
  const node = await startRole(stack, 'eventstore', { SMARTCRM_DATA: folder, EVENTSTORE_PORT: '0' })
  const servers = { DATABASE_URL: postgres.url, EVENTSTORE_URL: node.url, SMARTCRM_MASTER_KEY: masterKey.toString('hex') }
  const { url, pid } = await startSystem(stack, `${folder}/service`, servers, false)
  const projector = await pid('projector')
  const started = performance.now()
  await live(url)
  console.log(`the tables of ${events} events are there after ${Math.round((performance.now() - started) / 1_000)} s`)

  const load = await startWorker(stack, 'load.ts')
  let number = Date.now() % 1_000_000_000
  let known: readonly Known[] = []
  const ask = async (task: Pick<Task, 'what'> & Partial<Task>): Promise<Result> => {
    const result = await load.ask<Result>({ url, callers: 16, from: number, known, ...task })
    number += result.created.length
    return result
  }
  const made = await ask({ what: 'create', count: KNOWN })
  await seen(url, made.position!, 30)
  known = made.created
  const round = () => ask({ what: 'everything', perSecond, seconds: ROUND_SECONDS })
  const usual: Result[] = []
  for (let n = 0; n < USUAL_ROUNDS; n += 1) usual.push(await round())
  tell('usually', usual)

  const [begun, cpu] = [performance.now(), await cpuSeconds(projector)]
  const begin = await fetch(`${url}/v1/admin/projections/rebuild`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' },
    body: '{}',
  })
  if (begin.status !== 200) throw new Error(`the rebuild was answered ${begin.status}: ${await begin.text()}`)
  const meanwhile: Result[] = []
  for (let all = await status(url); all.some(({ building }) => building); all = await status(url)) {
    const [slowest] = all.flatMap(({ building }) => building?.progress ?? []).sort((a, b) => a - b)
    const one = await round()
    console.log(
      `${Math.round((slowest ?? 1) * 100)} % before: ${one.done} answered, p50 ${one.p50} ms, p99 ${one.p99} ms, ${one.turnedAway} turned away`,
    )
    meanwhile.push(one)
  }
  const seconds = (performance.now() - begun) / 1_000
  const turnedAway = tell('while all tables are built anew', meanwhile)
  if (turnedAway > 0) throw new Error(`${turnedAway} were turned away meanwhile`)
  const spent = (await cpuSeconds(projector)) - cpu
  console.log(
    `built within ${Math.round(seconds)} s: ${Math.round(events / seconds)} events a second, projector ${spent.toFixed(0)} s of processor time, ${await peakMegabytes(projector)} MB at most`,
  )
  const switched = (await status(url)).filter(({ kept }) => kept !== null)
  if (switched.length === 0) throw new Error('nothing was switched to')
  console.log(`${switched.length} projections were switched; p99 is ${(p99(meanwhile) / p99(usual)).toFixed(2)} of the usual`)
}

function p99(rounds: readonly Result[]): number {
  return median(rounds.map((round) => round.p99))
}

/** The load ends with the first answer that is neither what it asked for nor says that there is too much to do. @returns how many said so */
function tell(when: string, rounds: readonly Result[]): number {
  const turnedAway = rounds.reduce((sum, round) => sum + round.turnedAway, 0)
  const done = rounds.reduce((sum, round) => sum + round.done, 0)
  const p50 = median(rounds.map((round) => round.p50))
  console.log(
    `${when}: ${done} asked and answered, ${turnedAway} of them after they were turned away; p50 ${p50} ms, p99 ${p99(rounds)} ms (${rounds.map((round) => round.p99).join(', ')})`,
  )
  return turnedAway
}

async function status(url: string): Promise<ProjectionStatus[]> {
  const answer = await fetch(`${url}/v1/admin/projections`, { headers: { authorization: `Bearer ${adminKey}` } })
  if (answer.status !== 200) throw new Error(`the projections' state was answered ${answer.status}: ${await answer.text()}`)
  return ((await answer.json()) as { data: ProjectionStatus[] }).data
}

/** Until all tables have been built for the first time. */
async function live(url: string): Promise<void> {
  for (const end = Date.now() + FIRST_BUILD_MS; Date.now() < end; await delay(500)) {
    const all = await status(url).catch(() => [])
    if (all.length > 0 && all.every(({ answering, building }) => answering?.state === 'live' && !building)) return
  }
  throw new Error('the tables were not built in time')
}
