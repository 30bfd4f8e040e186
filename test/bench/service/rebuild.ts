import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { readCheckpoint } from '../../../src/platform/checkpoint.ts'
import { openPool } from '../../../src/platform/database.ts'
import { openEventStore } from '../../../src/platform/event-store.ts'
import { createLogger } from '../../../src/platform/log.ts'
import { comparePositions, type Position, parsePosition } from '../../../src/platform/position.ts'
import { keepWitness, WITNESS } from '../../../src/platform/witness.ts'
import { madeUpLog, masterKey, postgresIn } from './made-up-log.ts'
import { cpuSecondsOf, peakMegabytes, postmasterIn, type Stack, seen, startRole, startSystem, startWorker, until } from './processes.ts'
import { type Cost, costOf, median, medianCost, type Row } from './rows.ts'

export type RebuildSizes = { readonly events: number; readonly rebuilds: number; readonly cache: string; readonly timeoutSeconds: number }

/**
 * Row (e): SmartCRM is started on a log that is there and a database that has the keys but no read tables, until a query has seen the log's end;
 * against a reader of the same log that does nothing with it. Only from outside, so it does not matter how the tables are built.
 */
export async function measureRebuild(stack: Stack, { events, rebuilds, cache, timeoutSeconds }: RebuildSizes): Promise<Row> {
  const folder = `${cache}/log-${events}`
  const postgres = await postgresIn(folder)
  stack.defer(() => postgres.close())
  await madeUpLog(folder, postgres.url, events)
  const server = new pg.Client({ connectionString: postgres.url.replace(/\w+$/, 'postgres') })
  await server.connect()
  stack.defer(() => server.end())
  const node = await startRole(stack, 'eventstore', { SMARTCRM_DATA: folder, EVENTSTORE_PORT: '0' })
  const reader = await startWorker(stack, 'reader.ts', node.url)

  const postmaster = await postmasterIn(folder)
  const [reading, building, memory]: [number[], number[], number[]] = [[], [], []]
  const costs: Cost[] = []
  for (let round = 0; round < rebuilds; round += 1) {
    const { seconds, end } = await reader.ask<{ seconds: number; end: string }>({ events })
    reading.push(events / seconds)
    await witnessed(postgres.url, node.url, end, timeoutSeconds * 1_000)

    const database = `rebuild_${Date.now()}`
    await server.query(`create database ${database} template smartcrm`)
    const DATABASE_URL = postgres.url.replace(/\w+$/, database)
    const servers = { DATABASE_URL, EVENTSTORE_URL: node.url, SMARTCRM_MASTER_KEY: masterKey.toString('hex') }
    const system = await startSystem(stack, `${folder}/service`, servers, false)
    const projector = await system.pid('projector')
    const used = () => cpuSecondsOf({ projector, eventstore: node.pid }, postmaster)
    const [before, begun] = [await used(), performance.now()]
    await seen(system.url, end, timeoutSeconds)
    costs.push(costOf(before, await used(), events))
    building.push(events / ((performance.now() - begun) / 1_000))
    memory.push(await peakMegabytes(projector))
    const { rows } = await query(
      DATABASE_URL,
      'select (select count(*) from read.contacts_v3) + (select count(*) from read.emails_v2) as count',
    )
    if (Number(rows[0].count) !== events) throw new Error(`${rows[0].count} rows of ${events} events`)
    await system.close()
    await server.query(`drop database ${database} with (force)`)
  }
  const [own, other] = [median(building), median(reading)]
  const seconds = events / own
  return {
    row: 'e',
    what: `all tables from ${events.toLocaleString('en')} events`,
    smartcrm: `${Math.round(own)}/s, ${seconds.toFixed(1)} s, projector ${Math.max(...memory)} MB at most`,
    peer: `${Math.round(other)}/s read by the official client`,
    ratio: own / other,
    target: '≥ 0.25, a million in 90 s',
    cost: { smartcrm: medianCost(costs) },
    numbers: { building, reading, projectorMegabytes: memory },
  }
}

/**
 * What was witnessed of the log is none of the tables: it is made while events are new, and never again. So it is there, as the keys are, before it is
 * measured how long the tables take.
 */
async function witnessed(databaseUrl: string, eventStoreUrl: string, end: string, timeoutMs: number): Promise<void> {
  const log = createLogger('error', 'bench')
  const [pool, store] = [openPool(databaseUrl, log), openEventStore(eventStoreUrl, log)]
  const subscribe = (after: Position | null, signal: AbortSignal) => store.subscribe({ after, signal })
  const witness = keepWitness({ pool, log, subscribe, owner: randomUUID(), gatherMs: 0 })
  try {
    const isThere = async () => {
      const at = await readCheckpoint(pool, WITNESS)
      return at && comparePositions(at.position, parsePosition(end)!) >= 0
    }
    await until('the log to be witnessed', isThere, timeoutMs)
  } finally {
    await witness.close()
    await store.close()
    await pool.close()
  }
}

async function query(url: string, text: string): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  return client.query(text).finally(() => client.end())
}
