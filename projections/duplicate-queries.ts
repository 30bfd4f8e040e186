import { Type } from '@sinclair/typebox'
import { type Duplicate, DuplicatePage } from '../schema/duplicate.ts'
import { sql } from '../src/platform/database.ts'
import { pageParameters, paging, type SortKey } from '../src/platform/page.ts'
import { query } from '../src/platform/projection.ts'
import { contacts } from './contacts.ts'
import { duplicates } from './duplicates.ts'
import { isOwnRow } from './visibility.ts'

const { duplicatePairs } = duplicates.tables
const people = contacts.tables.contacts.sql

const surestFirst: SortKey[] = [
  { sql: sql.fragment`p.score`, kind: 'integer' },
  { sql: sql.fragment`p.contact_id`, kind: 'uuid' },
  { sql: sql.fragment`p.other_id`, kind: 'uuid' },
]
type Row = { contacts: Duplicate['contacts']; score: number; reasons: Duplicate['reasons'] }

const person = (alias: string) => {
  const row = sql.identifier([alias])
  return sql.fragment`jsonb_build_object('id', ${row}.contact_id, 'name', ${row}.name, 'company', ${row}.company, 'archived', ${row}.archived)`
}

const listDuplicates = query({
  operationId: 'listDuplicates',
  path: '/duplicates',
  summary: 'List pairs of contacts that may be the same, the surest first, without those that were dismissed',
  params: Type.Object({}),
  querystring: Type.Object({
    ...pageParameters,
    minScore: Type.Optional(Type.Number({ minimum: 0, maximum: 1, description: 'Only those with at least this score.' })),
  }),
  response: DuplicatePage,
  async run(db, { query, viewer }) {
    const { minScore } = query
    const page = paging(query, { keys: surestFirst, descending: true, scope: ['duplicates', minScore] })
    const rows = await db.rows<Row>(sql.unsafe`
      select jsonb_build_array(${person('a')}, ${person('b')}) as contacts, p.score, p.reasons, ${page.columns}
      from ${duplicatePairs.sql} p join ${people} a on a.contact_id = p.contact_id join ${people} b on b.contact_id = p.other_id
      where ${page.after} ${minScore === undefined ? sql.fragment`` : sql.fragment`and p.score >= ${Math.ceil(minScore * 1000)}`}
        and ${isOwnRow(viewer, sql.fragment`a`)} and ${isOwnRow(viewer, sql.fragment`b`)}
      ${page.order}`)
    return page.page(rows, ({ contacts, score, reasons }) => ({ contacts, score: score / 1000, reasons }))
  },
})

export const duplicateQueries = [listDuplicates]
