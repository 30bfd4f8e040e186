import t from 'tap'
import { contactWords } from '../../projections/contact-words.ts'
import { contacts } from '../../projections/contacts.ts'
import { projections, queries } from '../../projections/index.ts'
import { timeline } from '../../projections/timeline.ts'
import { type Database, type Query, sql } from '../../src/platform/database.ts'
import { fillMails } from './many-mails.ts'
import { type ReadTables, readTables } from './support.ts'

/*
 * Lists, filters and searches stay quick when there is much: on 20,000 contacts none of their statements reads a whole table. What is asked is the
 * planner, not the clock.
 */
const many = 20_000
const endpoint = (id: string) => queries.find(({ operationId }) => operationId === id)!

/** People with made-up names of letters, so that a search has something to choose from. */
async function fill({ pool }: ReadTables): Promise<void> {
  const { contacts: people, contactMethods } = contacts.tables
  const words = contactWords.tables.contactWords.sql
  const letters = (seed: string, length: number) =>
    sql.fragment`initcap(translate(left(md5(${seed} || n), ${length}), '0123456789', 'ghijklmnop'))`
  for (const statement of [
    sql.unsafe`
      insert into ${people.sql} (contact_id, name, company, archived, created_at, updated_at, revision)
      select md5('id' || n)::uuid, ${letters('first', 6)} || ' ' || ${letters('last', 8)}, 'Company ' || n % 700, n % 50 = 0,
        timestamptz '2026-01-01Z' + n / 3 * interval '1 minute', timestamptz '2026-02-01Z' + n * 7919 % ${many} * interval '1 minute', 0
      from generate_series(1, ${many}::int) n`,
    sql.unsafe`
      insert into ${contactMethods.sql} (contact_id, method_id, added_in, place, type, value, normalized)
      select contact_id, contact_id, 0, 0, 'email', address, address
      from ${people.sql}, lateral (select replace(lower(name), ' ', '.') || '@' || md5(name) || '.example') a (address)`,
    sql.unsafe`
      insert into ${words} (contact_id, field, word, whole)
      select contact_id, 'name', word, false from ${people.sql}, regexp_split_to_table(lower(name), ' ') word
      union select contact_id, 'company', word, false from ${people.sql}, regexp_split_to_table(lower(company), ' ') word
      union select contact_id, method_id::text, value, true from ${contactMethods.sql}
      union select contact_id, method_id::text, word, false from ${contactMethods.sql}, regexp_split_to_table(value, '[@.]') word`,
    sql.unsafe`
      insert into ${timeline.tables.timeline.sql} (contact_id, revision, event_id, kind, at, actor, details)
      select contact_id, n, contact_id, 'archived', created_at, 'key:test', '{}' from ${people.sql}, generate_series(0, 2) n`,
    sql.unsafe`
      insert into ${timeline.tables.timelineMethods.sql} (contact_id, method_id, method) select contact_id, contact_id, '{}' from ${people.sql}`,
    sql.unsafe`analyze`,
  ]) {
    await pool.rows(statement)
  }
}

/** The endpoint's answer, and the plan of its one statement. */
async function explained({ pool }: ReadTables, id: string, query: object, params: object = {}) {
  const asked: Query[] = []
  const db: Database = {
    rows(query) {
      asked.push(query)
      return pool.rows(query)
    },
  }
  const answer = await endpoint(id).run(db, { params: { ...params }, query: { ...query } })
  const lines = await pool.rows<{ 'QUERY PLAN': string }>({ ...asked[0]!, name: undefined, sql: `explain ${asked[0]!.sql}` } as Query)
  return { statements: asked.length, plan: lines.map((line) => line['QUERY PLAN']).join('\n'), answer: answer as Answer }
}
type Answer = { data: { name: string; methods: { value: string }[] }[]; nextCursor: string | null }

t.test('no list, filter or search reads a whole table', async (t) => {
  const tables = await readTables(t, projections)
  await fillMails(tables, 20_000)
  await fill(tables)
  const [someone] = await tables.pool.rows<{ contact_id: string; name: string; value: string }>(
    sql.unsafe`select * from ${contacts.tables.contacts.sql} join ${contacts.tables.contactMethods.sql} using (contact_id) where contact_id = md5('id777')::uuid`,
  )
  const { contact_id: id, name, value } = someone!
  const [first, last] = name.toLowerCase().split(' ') as [string, string]

  const sorts = ['name', '-name', 'createdAt', '-createdAt', 'updatedAt', '-updatedAt', 'lastEmailAt', '-lastEmailAt']
  const lists = [{}, ...['false', 'true', 'any'].flatMap((archived) => sorts.map((sort) => ({ sort, archived })))]
  for (const query of lists) {
    const firstPage = await explained(tables, 'listContacts', query)
    const second = await explained(tables, 'listContacts', { ...query, cursor: firstPage.answer.nextCursor })
    for (const { statements, plan } of [firstPage, second]) {
      t.equal(statements, 1)
      t.notMatch(plan, /Seq Scan|-> +(Incremental )?Sort /, `${JSON.stringify(query)}: in the order of an index`)
    }
  }
  for (const query of [
    { company: 'COMPANY 77' },
    { company: 'Company 77', sort: 'name', archived: 'any' },
    { createdAfter: '2026-01-03T00:00:00Z', createdBefore: '2026-01-03T01:00:00Z' },
    { updatedAfter: '2026-02-14T00:00:00Z' },
    { createdAfter: '2026-01-03T00:00:00Z', createdBefore: '2026-01-03T01:00:00Z', sort: 'name' },
  ]) {
    const { plan, answer } = await explained(tables, 'listContacts', query)
    t.notMatch(plan, /Seq Scan/, JSON.stringify(query))
    t.ok(answer.data.length > 1, 'and finds some')
  }
  for (const query of [
    { method: value },
    { q: last },
    { q: `${last.slice(0, 4)}x${last.slice(5)}` },
    { q: last.slice(2) },
    { q: `${last} ${first}` },
    { q: `${last} ${first}`, sort: 'name', archived: 'any' },
    { q: value.slice(3, 24) },
  ]) {
    const { plan, answer } = await explained(tables, 'listContacts', query)
    t.notMatch(plan, /Seq Scan/, JSON.stringify(query))
    t.equal(answer.data[0]!.name, name, 'and finds who is meant')
  }
  for (const operation of ['getContact', 'getContactTimeline']) {
    const { plan, statements } = await explained(tables, operation, {}, { id })
    t.equal(statements, 1)
    t.notMatch(plan, /Seq Scan/, operation)
  }
})
