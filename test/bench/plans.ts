/**
 * How long every query takes on large tables: with every value of every filter under every sort, on page 1 and on page 1,000. Arguments, with what they
 * are unless given: contacts=200000 mails=1000000 page=1000. The target is 20 ms each; the slowest are printed, all are in the JSON file.
 */
import { writeFile } from 'node:fs/promises'
import { projections } from '../../projections/index.ts'
import { openPool } from '../../src/platform/database.ts'
import { createLogger } from '../../src/platform/log.ts'
import { migrate } from '../../src/platform/migrate.ts'
import { fillTables } from '../projections/many-rows.ts'
import { cursorOf, explained, mostRows, planCases, timed } from '../projections/plan-cases.ts'
import { liveTables } from '../support/projections.ts'
import { startThrowAwayPostgres } from '../support/throw-away-postgres.ts'

const TARGET_MS = 20
const SHOWN = 25

type Measured = { readonly what: string; readonly page: number; readonly ms: number; readonly rows: number; readonly plan: string }

async function measure({ contacts, mails, page }: { contacts: number; mails: number; page: number }): Promise<Measured[]> {
  const log = createLogger('error', 'bench')
  const postgres = await startThrowAwayPostgres()
  const pool = openPool(postgres.url, log, 2)
  try {
    await migrate(postgres.url, log)
    await liveTables(pool, projections, log)
    const begun = performance.now()
    await fillTables(pool, { contacts, mails })
    console.log(`${contacts} contacts and ${mails} mails are there after ${Math.round((performance.now() - begun) / 1_000)} s`)
    const measured: Measured[] = []
    for (const one of await planCases(pool)) {
      const later = await cursorOf(pool, one, page)
      for (const [number, at] of [[1, {}], ...(later ? [[page, { cursor: later }]] : [])] as [number, object][]) {
        const ms = await timed(pool, one, at)
        const { plan } = await explained(pool, one, at)
        measured.push({ what: one.what, page: number, ms: Number(ms.toFixed(1)), rows: mostRows(plan), plan })
      }
    }
    return measured.sort((a, b) => b.ms - a.ms)
  } finally {
    await pool.close()
    await postgres.close()
  }
}

const sizes = { contacts: 200_000, mails: 1_000_000, page: 1_000 }
for (const argument of process.argv.slice(2)) {
  const [name = '', value] = argument.split('=')
  if (!(name in sizes)) throw new Error(`There is no ${name}. There are: ${Object.keys(sizes).join(', ')}.`)
  sizes[name as keyof typeof sizes] = Number(value)
}
const measured = await measure(sizes)
console.table(measured.slice(0, SHOWN).map(({ plan: _, ...columns }) => columns))
const slow = measured.filter(({ ms }) => ms > TARGET_MS).length
console.log(`${measured.length} measured, ${slow} of them above ${TARGET_MS} ms`)
if (process.env['BENCH_OUT'])
  await writeFile(process.env['BENCH_OUT'], `${JSON.stringify({ bench: 'plans', sizes, rows: measured }, null, 2)}\n`)
