/*
 * What share of a replay's time the looking up of keys is: events of as many subjects, so that every event has a key that nobody remembers. The tables
 * are built from the log, step after step, by a vault that has just been opened. The shares can be compared with a tenth, which is what it may be; the machine
 * is as fast as it is. `node test/bench/vault.ts [events]`
 */
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { projections } from '../../projections/index.ts'
import { contactEvents } from '../../schema/contact-events.ts'
import type { NewEvent } from '../../schema/define.ts'
import { allEvents } from '../../schema/events.ts'
import { createCodec, NO_HEAD } from '../../src/platform/codec.ts'
import { openPool, sql } from '../../src/platform/database.ts'
import { openEventStore } from '../../src/platform/event-store.ts'
import { createLogger } from '../../src/platform/log.ts'
import { fileMasterKey } from '../../src/platform/master-key.ts'
import { migrate } from '../../src/platform/migrate.ts'
import type { Position } from '../../src/platform/position.ts'
import { createInterpreter } from '../../src/platform/rows.ts'
import { createTableStore } from '../../src/platform/table-store.ts'
import { openVault, type Vault } from '../../src/platform/vault.ts'
import { startApart } from '../eventstore/apart.ts'
import { received } from '../projections/mail.ts'
import { liveTables } from '../support/projections.ts'
import { startThrowAwayPostgres } from '../support/throw-away-postgres.ts'

const many = Number(process.argv[2] ?? 10_000)
const ROUNDS = 3
const log = createLogger('error', 'bench')
const folder = mkdtempSync(join(tmpdir(), 'smartcrm-bench-'))
const postgres = await startThrowAwayPostgres()
await migrate(postgres.url, log)
const pool = openPool(postgres.url, log, 4)
const source = fileMasterKey(folder)

const cause = () => {
  const id = randomUUID()
  return { at: new Date().toISOString(), actor: 'key:bench', commandId: id, request: '', $correlationId: id, $causationId: id }
}
const contact = (n: number): [string, NewEvent] => {
  const [contactId, id] = [randomUUID(), randomUUID()]
  const value = `p${n}@x.example`
  const methods = [{ id, type: 'email' as const, value, normalized: value }]
  return [`contact-${contactId}`, contactEvents.ContactCreated({ contactId, name: `Person ${n}`, methods })]
}
const mail = (n: number): [string, NewEvent] => {
  const event = received(`mail ${n}`, {
    from: `p${n % 500}@x.example`,
    to: ['me@own.example', `p${n % 700}@x.example`],
    text: 'Words of a mail. '.repeat(50),
  })
  return [`email-${event.data.emailId}`, event]
}

type Spent = { wallMs: number; lookupMs: number }

/** Builds the tables from the whole log, a batch a transaction. */
async function replay(store: ReturnType<typeof openEventStore>, vault: Vault): Promise<Spent> {
  await pool.rows(sql.unsafe`drop schema read cascade`)
  await pool.rows(sql.unsafe`create schema read`)
  await liveTables(pool, projections, log)
  let lookupMs = 0
  const keys: Vault['keys'] = async (ids) => {
    const since = performance.now()
    const found = await vault.keys(ids)
    lookupMs += performance.now() - since
    return found
  }
  const codec = createCodec(allEvents, { claim: vault.claim, keys })
  const [interpret, tables] = [createInterpreter(projections), createTableStore(projections)]
  const since = performance.now()
  for (let after: Position | null = null; ; ) {
    const batch = await store.readAll(after, 500)
    if (batch.length === 0) break
    const events = await codec.decode(batch.filter(({ type }) => !type.startsWith('$')))
    await pool.transaction((db) => tables.apply(db, events.flatMap(interpret)))
    after = batch.at(-1)!.position
  }
  return { wallMs: performance.now() - since, lookupMs }
}

const results = []
try {
  for (const [what, make] of [
    ['contacts, one row each', contact],
    ['mails, five rows each', mail],
  ] as const) {
    const node = await startApart(join(folder, `${what.split(',')[0]}.db`))
    const store = openEventStore(node.url, log)
    const writing = await openVault(pool, source)
    const codec = createCodec(allEvents, writing)
    let next = 0
    const lane = async () => {
      while (next < many) {
        const [stream, event] = make(next++)
        await store.append(stream, -1, await codec.encode([event], stream, NO_HEAD, cause()))
      }
    }
    await Promise.all(Array.from({ length: 32 }, lane))
    const rounds: Spent[] = []
    for (let round = 0; round < ROUNDS; round += 1) rounds.push(await replay(store, await openVault(pool, source)))
    const percents = rounds.map(({ wallMs, lookupMs }) => (lookupMs / wallMs) * 100)
    const eventsPerSecond = Math.round((many / Math.min(...rounds.map(({ wallMs }) => wallMs))) * 1000)
    results.push({ what, events: many, eventsPerSecond, lookups: `${Math.max(...percents).toFixed(1)} % at most of ${ROUNDS} rounds` })
    await store.close()
    await node.stop()
  }
  console.table(results)
  if (process.env['BENCH_OUT']) writeFileSync(process.env['BENCH_OUT'], JSON.stringify(results, null, 2))
} finally {
  await pool.close()
  await postgres.close()
  rmSync(folder, { recursive: true, force: true })
}
