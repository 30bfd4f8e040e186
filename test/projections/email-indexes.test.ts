import t from 'tap'
import { emails } from '../../projections/emails.ts'
import { projections, queries } from '../../projections/index.ts'
import { type Database, type Query, sql } from '../../src/platform/database.ts'
import { fillMails } from './many-mails.ts'
import { type ReadTables, readTables } from './support.ts'

/*
 * Lists, filters and searches of mails stay quick when there is much: on 50,000 mails none of their statements reads a whole table, and those without a
 * search begin to answer from an index in its order. What is asked is the planner, not the clock.
 */
const endpoint = (id: string) => queries.find(({ operationId }) => operationId === id)!
type Answer = { data: unknown[]; nextCursor: string | null }

/** The endpoint's answer, and the plans of its statements. */
async function explained({ pool }: ReadTables, id: string, query: object, params: object) {
  const plans: string[] = []
  const db: Database = {
    async rows(query) {
      const lines = await pool.rows<{ 'QUERY PLAN': string }>({
        ...query,
        name: undefined,
        sql: `explain (analyze, costs off, timing off) ${query.sql}`,
      } as Query)
      plans.push(lines.map((line) => line['QUERY PLAN']).join('\n'))
      return pool.rows(query)
    },
  }
  const answer = (await endpoint(id).run(db, { params: { ...params }, query: { ...query } })) as Answer
  return { answer, plan: plans.join('\n') }
}

/** The most rows that any step of the plan gave, over all its loops. */
const mostRows = (plan: string) => {
  const steps = [...plan.matchAll(/actual rows=([\d.]+) loops=(\d+)/g)]
  return Math.max(...steps.map(([, rows, loops]) => Number(rows) * Number(loops)))
}

t.test('no list, filter or search of mails reads a whole table', async (t) => {
  const tables = await readTables(t, projections)
  await fillMails(tables, 50_000)
  await tables.pool.rows(sql.unsafe`
    insert into read.contacts_v1 (contact_id, name, archived, created_at, updated_at, revision)
    select contact_id, 'Somebody', archived, now(), now(), 0 from ${emails.tables.contactStates.sql}`)
  await tables.pool.rows(sql.unsafe`
    insert into read.timeline_v1 (contact_id, revision, event_id, kind, at, actor, details)
    select contact_id, n, contact_id, 'archived', '2021-01-01Z', 'key:test', '{}' from ${emails.tables.contactStates.sql}, generate_series(0, 2) n`)
  await tables.pool.rows(sql.unsafe`
    insert into read.timeline_methods_v1 (contact_id, method_id, method) select contact_id, contact_id, '{}' from ${emails.tables.contactStates.sql}`)
  await tables.pool.rows(sql.unsafe`analyze`)
  const [{ email } = { email: '' }] = await tables.pool.rows<{ email: string }>(sql.unsafe`select md5('mail777')::uuid as email`)
  const [{ contact } = { contact: '' }] = await tables.pool.rows<{ contact: string }>(sql.unsafe`select md5('id77')::uuid as contact`)
  const address = 'p77@x.example'
  const dates = { dateAfter: '2021-03-01T00:00:00Z', dateBefore: '2021-04-01T00:00:00Z' }

  for (const [id, query, params = {}] of [
    ['listEmails', {}],
    ['listEmails', { sort: 'date' }],
    ['listEmails', dates],
    ['listEmails', { hasAttachment: 'true' }],
    ['listEmails', { hasAttachment: 'true', ...dates, sort: 'date' }],
    ['listEmails', { contact }],
    ['listEmails', { contact, hasAttachment: 'false' }],
    ['listEmails', { address, ...dates }],
    ['listEmails', { contact, address: 'p78@x.example' }],
    ['listEmails', { thread: email }],
    ['listContactEmails', {}, { id: contact }],
    ['listContactEmails', { sort: 'date' }, { id: contact }],
    ['getContactTimeline', {}, { id: contact }],
    ['getEmail', {}, { id: email }],
    ['getThread', {}, { id: email }],
    ['listThreads', {}],
    ['listThreads', { contact }],
    ['listThreads', { address }],
  ] as [string, object, object?][]) {
    const what = `${id} ${JSON.stringify(query)}`
    const { answer, plan } = await explained(tables, id, { ...query, ...(!id.startsWith('getE') && { limit: 5 }) }, params)
    t.notMatch(plan, /Seq Scan/, what)
    t.ok(mostRows(plan) < 500, `${what} looks at few rows (${mostRows(plan)})`)
    if (answer.nextCursor) {
      const next = await explained(tables, id, { ...query, limit: 5, cursor: answer.nextCursor }, params)
      t.notMatch(next.plan, /Seq Scan/, `${what}, the next page`)
      t.ok(mostRows(next.plan) < 500, `${what}, the next page, looks at few rows (${mostRows(next.plan)})`)
    }
  }
  for (const query of [
    { q: 'rare' },
    { q: 'common' },
    { q: 'common rare', sort: 'date' },
    { q: 'common', contact },
    { q: 'common', hasAttachment: 'true', ...dates },
    { q: 'rare', address, ...dates },
    { q: 'nowhere' },
  ]) {
    const { plan } = await explained(tables, 'listEmails', query, {})
    // What nearly all mails have is looked for in the first that come: a scan that stops.
    t.notMatch(plan, query.q === 'common' ? /Seq Scan on (?!email_texts)/ : /Seq Scan/, JSON.stringify(query))
    t.ok(mostRows(plan) <= 5_001, `${JSON.stringify(query)}: ${mostRows(plan)}`)
  }
})
