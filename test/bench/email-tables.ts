import { createHash } from 'node:crypto'
import { emails } from '../../projections/emails.ts'
import { contactEvents } from '../../schema/contact-events.ts'
import { type Database, openPool } from '../../src/platform/database.ts'
import { createLogger } from '../../src/platform/log.ts'
import { migrate } from '../../src/platform/migrate.ts'
import { createInterpreter } from '../../src/platform/rows.ts'
import { createTableStore } from '../../src/platform/table-store.ts'
import { received, sent } from '../projections/mail.ts'
import { idOf, recorded } from '../projections/recorded.ts'
import { liveTables } from '../support/projections.ts'
import { startThrowAwayPostgres } from '../support/throw-away-postgres.ts'

/*
 * How many mails a second the tables of mail take: `node test/bench/email-tables.ts [mails] [mails a batch] [one-thread]`. Mails of 1 kB with three parties, two
 * of them contacts, in threads of five, or all in one, naming up to 21 others. Compare rows with each other and with the share that our own code has: the
 * machine is as fast as it is.
 */
const [many = 20_000, size = 500] = process.argv.slice(2, 4).map(Number)
const isOneThread = process.argv[4] === 'one-thread'
const log = createLogger('error', 'bench')

const random = (below: number, seed: string) => createHash('md5').update(seed).digest().readUInt32LE(0) % below
const words = (count: number, seed: string) =>
  // Some words are frequent and most are not.
  Array.from({ length: count }, (_, n) => `w${Math.floor(20_000 * (random(1e6, seed + n) / 1e6) ** 3).toString(36)}ord`).join(' ')

function mail(n: number) {
  const root = isOneThread ? 0 : n - (n % 5)
  const named = Array.from({ length: Math.min(n - root, 20) }, (_, k) => `<${n - 1 - k}@x>`).reverse()
  const references = n === root ? [] : [`<${root}@x>`, ...named]
  const [a, b] = [`p${random(2_000, `a${n}`)}@x.example`, `p${random(2_000, `b${n}`)}@x.example`]
  const given = {
    subject: `${n === root ? '' : 'Re: '}${words(5, `s${root}`)}`,
    messageId: `<${n}@x>`,
    references,
    inReplyTo: references.slice(-1),
    date: new Date(Date.UTC(2020, 0, 1) + n * 600_000).toISOString(),
    text: words(140, `t${n}`),
  }
  return n % 3 ? received(`mail ${n}`, { ...given, from: a, to: ['me@own.example', b] }) : sent(`mail ${n}`, { ...given, to: [a, b] })
}

const contact = (n: number) => {
  const value = `p${n}@x.example`
  return contactEvents.ContactCreated({
    contactId: idOf(value),
    name: value,
    methods: [{ id: idOf(value), type: 'email', value, normalized: value }],
  })
}

const postgres = await startThrowAwayPostgres()
await migrate(postgres.url, log)
const pool = openPool(postgres.url, log, 2)
const spentMs = new Map<string, number>()
const spend = (what: string, since: number) => spentMs.set(what, (spentMs.get(what) ?? 0) + performance.now() - since)
const timed = (db: Database): Database => ({
  async rows(query) {
    const start = performance.now()
    const rows = await db.rows<never>(query)
    spend(query.sql.trim().replaceAll(/\s+/g, ' ').slice(0, 70), start)
    return rows
  },
})
try {
  await liveTables(pool, [emails], log)
  const interpret = createInterpreter([emails])
  const store = createTableStore([emails])
  const contacts = recorded(...Array.from({ length: 2_000 }, (_, n) => contact(n))).flatMap(interpret)
  await pool.transaction((db) => store.apply(db, contacts))
  let totalMs = 0
  for (let from = 0; from < many; from += size) {
    const events = recorded(...Array.from({ length: size }, (_, n) => mail(from + n)))
    const start = performance.now()
    const writes = events.flatMap(interpret)
    spend('(our own code: what the events mean)', start)
    await pool.transaction((db) => store.apply(timed(db), writes))
    totalMs += performance.now() - start
  }
  console.log(`${many} mails in batches of ${size}: ${Math.round((many / totalMs) * 1000)} a second`)
  const shares = [...spentMs].sort(([, a], [, b]) => b - a)
  for (const [what, ms] of shares) console.log(`${String(Math.round((ms / totalMs) * 100)).padStart(3)} %  ${what}`)
} finally {
  await pool.close()
  await postgres.close()
}
