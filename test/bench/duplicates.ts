/**
 * What suggesting duplicates costs when there are many contacts: the first page and a late one, with many dismissed or archived, and for who sees his own alone; a contact
 * in the tables, among unique ones and in the largest groups. Arguments, with what they are unless given: contacts=200000 group=10000.
 * Milliseconds are of Postgres's processor, so that other work on the machine does not count.
 */
import { writeFile } from 'node:fs/promises'
import { contacts as people } from '../../projections/contacts.ts'
import { duplicateQueries } from '../../projections/duplicate-queries.ts'
import { duplicates } from '../../projections/duplicates.ts'
import { contactEvents } from '../../schema/contact-events.ts'
import type { NewEvent } from '../../schema/define.ts'
import { duplicateEvents } from '../../schema/duplicate-events.ts'
import { toMethod } from '../../src/contacts/methods.ts'
import { type Database, openPool, sql } from '../../src/platform/database.ts'
import { createLogger } from '../../src/platform/log.ts'
import { migrate } from '../../src/platform/migrate.ts'
import { createInterpreter } from '../../src/platform/rows.ts'
import { createTableStore } from '../../src/platform/table-store.ts'
import { everybody, type Viewer } from '../../src/platform/viewer.ts'
import { idOf } from '../projections/recorded.ts'
import { liveTables, recorded } from '../support/projections.ts'
import { startThrowAwayPostgres } from '../support/throw-away-postgres.ts'
import { cpuSeconds } from './service/processes.ts'

const { ContactArchived, ContactCreated, ContactRenamed, ContactMethodAdded } = contactEvents
const BATCH = 500
const PER_PAGE = 25

type Row = { readonly what: string; readonly ms: number; readonly each: string }

/** Contact `n`: a tenth have the phone and the name of the one before, two large groups a switchboard's number and a name with a company. */
function contact(n: number, group: number, owner?: string): NewEvent {
  const own = n % 10 === 1 ? n - 1 : n
  const isInGroup = n < group
  const methods = [
    toMethod(idOf(`mail ${n}`), { type: 'email', value: `person${n}@company${n % 5_000}.example` }),
    toMethod(idOf(`phone ${n}`), { type: 'phone', value: `+49301${String(isInGroup ? 0 : own).padStart(7, '0')}` }),
  ]
  const name = isInGroup ? 'Reception Desk' : `Given${own} Family${own % 3_000}`
  return ContactCreated({
    contactId: idOf(`contact ${n}`),
    name,
    company: isInGroup ? 'Large Ltd' : `Company ${n % 5_000}`,
    methods,
    ...(owner && { owner }),
  })
}

async function measure({ contacts, group }: { contacts: number; group: number }): Promise<Row[]> {
  const log = createLogger('error', 'bench')
  const postgres = await startThrowAwayPostgres()
  // One connection: its processor time is what is told.
  const pool = openPool(postgres.url, log, 1)
  try {
    await migrate(postgres.url, log)
    await liveTables(pool, [people, duplicates], log)
    const [backend] = await pool.rows<{ pid: number }>(sql.unsafe`select pg_backend_pid() as pid`)
    const cost = async (work: () => Promise<unknown>) => {
      const before = await cpuSeconds(backend!.pid)
      await work()
      return 1_000 * ((await cpuSeconds(backend!.pid)) - before)
    }
    const interpret = createInterpreter([people, duplicates])
    const store = createTableStore([people, duplicates])
    let number = 1
    const apply = (events: readonly NewEvent[]) => {
      const writes = recorded(events, number).flatMap(interpret)
      number += events.length
      return pool.transaction((db) => store.apply(db, writes))
    }
    const rows: Row[] = []
    const tell = (what: string, ms: number, count = 1, of = 'query') => {
      rows.push({ what, ms: Number(ms.toFixed(1)), each: `${(ms / count).toFixed(2)} ms a ${of}` })
      console.log(rows.at(-1))
    }
    /** In batches, as the projector does. */
    const fill = async (from: number, to: number) => {
      for (let at = from; at < to; at += BATCH) {
        const count = Math.min(BATCH, to - at)
        await apply(Array.from({ length: count }, (_, index) => contact(at + index, group, (at + index) % 1_000 === 0 ? 'bea' : undefined)))
        // As autovacuum does after so many.
        if (at % 20_000 === 0) await pool.rows(sql.unsafe`analyze`)
      }
    }
    tell(`${group} contacts with one number, name and company`, await cost(() => fill(0, group)), group, 'contact')
    const half = Math.round((contacts + group) / 2)
    tell('the others, first half', await cost(() => fill(group, half)), half - group, 'contact')
    tell('the others, second half', await cost(() => fill(half, contacts)), contacts - half, 'contact')
    await pool.rows(sql.unsafe`vacuum analyze`)
    const [count] = await pool.rows<{ pairs: number; keys: number }>(sql.unsafe`
      select (select count(*) from ${duplicates.tables.duplicatePairs.sql}) as pairs, (select count(*) from ${duplicates.tables.duplicateKeys.sql}) as keys`)
    console.log(count)

    const TIMES = 50
    const each = (event: (n: number) => NewEvent) => async () => {
      for (let n = 0; n < TIMES; n += 1) await apply([event(n)])
    }
    const ofGroup = (n: number) => idOf(`contact ${n}`)
    const ofOthers = (n: number) => idOf(`contact ${contacts - 1 - n}`)
    const renamed = (of: typeof ofGroup) => each((n) => ContactRenamed({ contactId: of(n), name: `Renamed ${n}` }))
    const called = (of: typeof ofGroup) =>
      each((n) =>
        ContactMethodAdded({ contactId: of(n), method: toMethod(idOf(`more ${of(n)}`), { type: 'phone', value: '+493010000000' }) }),
      )
    tell('one of the others is renamed', await cost(renamed(ofOthers)), TIMES, 'event')
    tell('one of the group is renamed', await cost(renamed(ofGroup)), TIMES, 'event')
    tell('one of the others gets the number of the group', await cost(called(ofOthers)), TIMES, 'event')
    tell('a group of 50 with one number, a batch', await cost(() => apply(fifty(0))), 50, 'contact')
    tell('one more than 50', await cost(() => apply([contactOfFifty(0, 50)])), 1, 'contact')

    const timed = async (when: string) => {
      await pool.rows(sql.unsafe`vacuum analyze`)
      await timeQueries(pool, cost, tell, when)
    }
    await timed('')
    const top = await pool.rows<{ contactId: string; otherId: string }>(sql.unsafe`
      select contact_id as "contactId", other_id as "otherId" from ${duplicates.tables.duplicatePairs.sql} order by score desc, contact_id desc, other_id desc
      limit ${Math.min(10_000, Math.floor(count!.pairs / 2))}`)
    const inBatches = async (events: readonly NewEvent[]) => {
      for (let at = 0; at < events.length; at += BATCH) await apply(events.slice(at, at + BATCH))
    }
    const dismissals = top.slice(0, top.length / 2).map((pair) => duplicateEvents.DuplicateDismissed({ pairId: pair.contactId, ...pair }))
    tell('a pair is dismissed', await cost(() => inBatches(dismissals)), dismissals.length, 'pair')
    const archived = [...new Set(top.slice(top.length / 2).flatMap(({ contactId, otherId }) => [contactId, otherId]))]
    const events = archived.map((contactId) => ContactArchived({ contactId }))
    tell('a contact is archived', await cost(() => inBatches(events)), events.length, 'contact')
    await timed(`, ${top.length} more dismissed or archived`)
    return rows
  } finally {
    await pool.close()
    await postgres.close()
  }
}

const contactOfFifty = (which: number, n: number): NewEvent =>
  ContactCreated({
    contactId: idOf(`fifty ${which} ${n}`),
    name: `Fifty ${which} ${n}`,
    methods: [toMethod(idOf(`fifty phone ${which} ${n}`), { type: 'phone', value: `+4930200000${which}` })],
  })
const fifty = (which: number) => Array.from({ length: 50 }, (_, n) => contactOfFifty(which, n))

const [listDuplicates] = duplicateQueries
const bea: Viewer = { sees: 'own', owner: 'bea', team: null }

async function timeQueries(
  db: Database,
  cost: (work: () => Promise<unknown>) => Promise<number>,
  tell: (what: string, ms: number, count?: number) => void,
  when: string,
): Promise<void> {
  const ask = (query: Record<string, unknown>, viewer: Viewer = everybody) =>
    listDuplicates!.run(db, { params: {}, query, viewer }) as Promise<{ nextCursor: string | null }>
  const [count] = await db.rows<{ pairs: number }>(sql.unsafe`select count(*) as pairs from ${duplicates.tables.duplicatePairs.sql}`)
  const page = Math.floor((count!.pairs * 0.9) / PER_PAGE)
  const { nextCursor: late } = await ask({ limit: PER_PAGE * (page - 1) })
  const cases: [string, Record<string, unknown>, Viewer?][] = [
    ['page 1', {}],
    [`page ${page}`, { cursor: late! }],
    ['page 1 of score 0.9', { minScore: 0.9 }],
    ['page 1 of who sees his own', {}, bea],
  ]
  const TIMES = 20
  for (const [what, query, viewer] of cases) {
    const ms = await cost(async () => {
      for (let n = 0; n < TIMES; n += 1) await ask(query, viewer)
    })
    tell(`${what}${when}`, ms, TIMES)
  }
}

const sizes = { contacts: 200_000, group: 10_000 }
for (const argument of process.argv.slice(2)) {
  const [name = '', value] = argument.split('=')
  if (!(name in sizes)) throw new Error(`There is no ${name}. There are: ${Object.keys(sizes).join(', ')}.`)
  sizes[name as keyof typeof sizes] = Number(value)
}
const rows = await measure(sizes)
console.table(rows)
if (process.env['BENCH_OUT'])
  await writeFile(process.env['BENCH_OUT'], `${JSON.stringify({ bench: 'duplicates', sizes, rows }, null, 2)}\n`)
