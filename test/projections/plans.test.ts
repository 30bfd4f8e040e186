import t from 'tap'
import { projections, queries } from '../../projections/index.ts'
import { type Database, sql } from '../../src/platform/database.ts'
import { everybody } from '../../src/platform/viewer.ts'
import { fillTables } from './many-rows.ts'
import { cursorOf, explained, mostRows, planCases } from './plan-cases.ts'
import { readTables } from './support.ts'

/*
 * Lists, filters and searches stay quick when there is much. What is asked here is the planner, not the clock: no statement of any query reads a whole
 * table, nor half of one, on the first page and on a later one. `npm run bench -- plans` asks the clock, at full size.
 */
const MANY = 12_000

t.test('much can be asked quickly', { timeout: 120_000 }, async (t) => {
  const tables = await readTables(t, projections)
  const { pool } = tables
  await fillTables(pool, { contacts: MANY, mails: MANY })

  await t.test('no query reads a whole table, on the first page or a later one', async (t) => {
    const cases = await planCases(pool)
    for (const one of cases) {
      const later = await cursorOf(pool, one, 20)
      for (const page of [{}, ...(later ? [{ cursor: later }] : [])]) {
        const { plan } = await explained(pool, one, page)
        const read = mostRows(plan)
        if (read > MANY / 2) t.fail(`${one.what}${'cursor' in page ? ', a later page' : ''} reads ${read} rows`, { plan })
      }
    }
    t.ok(cases.length > 200, `${cases.length} of them`)
  })

  const listContacts = queries.find(({ operationId }) => operationId === 'listContacts')!
  type Page = { data: { id: string; name: string }[]; nextCursor: string | null }
  const ask = (query: object, db: Database = pool) =>
    listContacts.run(db, { params: {}, query: { ...query }, viewer: everybody }) as Promise<Page>

  await t.test('a search finds who is meant among many, also where one of its words is everywhere', async (t) => {
    const [someone] = await pool.rows<{ name: string; value: string }>(
      sql.unsafe`select name, value from read.contacts_v3 join read.contact_methods_v3 using (contact_id) where contact_id = md5('id777')::uuid`,
    )
    const { name, value } = someone!
    const [first, last] = name.toLowerCase().split(' ') as [string, string]
    for (const q of [
      last,
      `${last.slice(0, 4)}x${last.slice(5)}`,
      last.slice(2),
      `${last} ${first}`,
      `example ${last}`,
      `${last} company`,
      value,
    ]) {
      t.equal((await ask({ q })).data[0]?.name, name, q)
    }
  })

  // Two in a hundred are archived, and one in two hundred is part of another.
  const shown = MANY * 0.98 - MANY / 200
  await t.test('what thousands match is given page by page, each once', async (t) => {
    for (const query of [{ q: 'example' }, { q: 'example company', sort: 'name' }]) {
      const ids = new Set<string>()
      let count = 0
      for (let cursor: string | null = ''; cursor !== null; ) {
        const page: Page = await ask({ ...query, limit: 1_000, ...(cursor && { cursor }) })
        for (const { id } of page.data) ids.add(id)
        count += page.data.length
        cursor = page.nextCursor
      }
      t.strictSame([count, ids.size], [shown, shown], JSON.stringify(query))
    }
  })
})
