import pg from 'pg'
import { adminKey, peakMegabytes, type Stack, type System, startWorker } from './processes.ts'
import { median, type Row } from './rows.ts'

export type AppendSizes = { readonly appends: number; readonly rounds: number; readonly callers: number }

/**
 * Row (f): events of new contacts are appended, and the rows of all tables that follow from them are there: by SmartCRM's codec, client, node and
 * projector; by Emmett with an inline projection; and by hand, an event and its rows in one transaction. The rows and their statements are the same.
 */
export async function measureAppends(stack: Stack, system: System, { appends, rounds, callers }: AppendSizes): Promise<Row[]> {
  const server = new pg.Client({ connectionString: system.databaseUrl })
  await server.connect()
  stack.defer(() => server.end())
  const ofItsOwn = async (name: string) => {
    await server.query(`create database ${name}`)
    return system.databaseUrl.replace(/\w+$/, name)
  }
  const kinds = [
    { kind: 'smartcrm', args: [system.databaseUrl, system.eventStoreUrl, system.folder] },
    { kind: 'emmett', args: [await ofItsOwn('emmett')] },
    { kind: 'transactions', args: [await ofItsOwn('transactions')] },
  ]
  const rates = new Map<string, number[]>()
  const workers = []
  for (const { kind, args } of kinds)
    workers.push({ kind, database: args[0]!, worker: await startWorker(stack, 'appender.ts', kind, ...args) })
  for (let round = 0; round < rounds; round += 1) {
    for (const { kind, worker } of workers) {
      const begun = performance.now()
      const position = await worker.ask<string>({ from: 1_000_000 + round * appends, count: appends, atOnce: callers })
      if (position) await seen(system.url, position)
      rates.set(kind, [...(rates.get(kind) ?? []), appends / ((performance.now() - begun) / 1_000)])
    }
  }
  for (const { kind, database, worker } of workers) {
    await worker.close()
    const count = await countOf(database)
    if (count !== rounds * appends) throw new Error(`${kind} has ${count} contacts of ${rounds * appends}`)
  }
  const own = median(rates.get('smartcrm')!)
  const memory = await peakMegabytes(await system.pid('projector'))
  const names: Record<string, string> = { emmett: 'Emmett, inline projection', transactions: 'one transaction an event' }
  return Object.entries(names).map(([kind, name]) => {
    const other = median(rates.get(kind)!)
    return {
      row: 'f',
      what: `append and project, against ${name}`,
      smartcrm: `${Math.round(own)}/s, projector ${memory} MB at most`,
      peer: `${Math.round(other)}/s`,
      ratio: own / other,
      target: '≥ 3',
      numbers: { smartcrm: rates.get('smartcrm'), peer: rates.get(kind), projectorMegabytes: memory },
    }
  })
}

async function seen(url: string, position: string): Promise<void> {
  const headers = { authorization: `Bearer ${adminKey}`, 'smartcrm-after': position, prefer: 'wait=30' }
  const answer = await fetch(`${url}/v1/contacts?limit=1`, { headers })
  if (answer.status !== 200) throw new Error(`the tables are far behind: ${await answer.text()}`)
}

/** Of the contacts that this row's events made. */
async function countOf(database: string): Promise<number> {
  const client = new pg.Client({ connectionString: database })
  await client.connect()
  const { rows } = await client.query(`select count(*) from read.address_owners_v2 where address ~ '^p1[0-9]{6}@people.example$'`)
  await client.end()
  return Number(rows[0].count)
}
