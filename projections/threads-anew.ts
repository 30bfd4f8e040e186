import type { FragmentSqlToken } from 'slonik'
import { type Database, sql } from '../src/platform/database.ts'
import { raw } from '../src/platform/table-statements.ts'
import type { ThreadTables } from './threads.ts'

/** So many pairs of mails, or mails, at a time. */
const PAGE = 20_000
/** Sorting some million rows in less memory writes them to the disk again and again. */
const SORT_MEMORY = '64MB'

/**
 * All threads of all mails, where none are made yet: what threads.ts says, in one pass. Mails are numbered in the order of their ids, so that a set of numbers
 * (four bytes each) holds who belongs to whom, and the least number of a thread is its id.
 */
export async function makeThreads(db: Database, tables: ThreadTables): Promise<void> {
  await db.rows(sql.unsafe`select set_config('work_mem', ${SORT_MEMORY}, true)`)
  await db.rows(sql.unsafe`
    create temporary table numbered_mails on commit drop as
    select email_id, at, (row_number() over (order by email_id) - 1)::integer as n from ${tables.emails.sql}`)
  await db.rows(sql.unsafe`create unique index on pg_temp.numbered_mails (n)`)
  await db.rows(sql.unsafe`analyze pg_temp.numbered_mails`)
  const [{ count }] = (await db.rows<{ count: number }>(sql.unsafe`select count(*) from pg_temp.numbered_mails`)) as [{ count: number }]

  const least = createLeast(count)
  for (const select of [pairsByToken(tables), pairsBySubject(tables)])
    for await (const pairs of pagesOf<{ a: number; b: number }>(db, select)) for (const { a, b } of pairs) least.join(a, b)

  for (let from = 0; from < count; from += PAGE) {
    const threads = Array.from({ length: Math.min(PAGE, count - from) }, (_, index) => least.of(from + index))
    await db.rows(sql.unsafe`
      insert into ${tables.threadMembers.sql} (email_id, thread_id, at)
      select e.email_id, t.email_id, e.at from unnest(${`{${threads.join(',')}}`}::integer[]) with ordinality k (thread, place)
        join pg_temp.numbered_mails e on e.n = ${from}::integer + place - 1 join pg_temp.numbered_mails t on t.n = k.thread`)
  }
  const first = (order: 'asc' | 'desc') =>
    order === 'asc'
      ? sql.fragment`array_agg(email_id order by at, email_id)`
      : sql.fragment`array_agg(email_id order by at desc, email_id desc)`
  await db.rows(sql.unsafe`
    insert into ${tables.threads.sql} (thread_id, emails, first_at, last_at, first_email, last_email)
    select thread_id, count(*), min(at), max(at), (${first('asc')})[1], (${first('desc')})[1] from ${tables.threadMembers.sql} group by thread_id`)
}

/** Of all that have a token, each and the one before it. */
const pairsByToken = ({ threadTokens }: ThreadTables) => sql.fragment`
  select a, b from (
    select n as a, lag(n) over (partition by token order by n) as b from ${threadTokens.sql} t join pg_temp.numbered_mails using (email_id)
  ) p where b is not null`

/** Replies that ask, and the mail just before each. */
const pairsBySubject = ({ emailParties }: ThreadTables) => sql.fragment`
  select e.n as a, b.n as b from (
    select email_id, at, asks, lag(email_id) over w as before, lag(at) over w as before_at from ${emailParties.sql}
    where topic in (select topic from ${emailParties.sql} where asks) window w as (partition by topic order by at, email_id)
  ) p join pg_temp.numbered_mails e on e.email_id = p.email_id join pg_temp.numbered_mails b on b.email_id = p.before
  where p.asks and p.before_at >= p.at - interval '30 days'`

async function* pagesOf<Row extends object>(db: Database, select: FragmentSqlToken): AsyncGenerator<Row[]> {
  await db.rows(sql.unsafe`declare pairs no scroll cursor for ${select}`)
  for (;;) {
    const page = await db.rows<Row>(sql.unsafe`fetch ${raw(String(PAGE))} from pairs`)
    yield page
    if (page.length < PAGE) break
  }
  await db.rows(sql.unsafe`close pairs`)
}

/** Disjoint sets of the numbers below a bound, each called by its least (union-find, with halving of paths). */
function createLeast(bound: number) {
  const parents = Int32Array.from({ length: bound }, (_, n) => n)
  const of = (n: number): number => {
    let at = n
    while (parents[at] !== at) {
      parents[at] = parents[parents[at]!]!
      at = parents[at]!
    }
    return at
  }
  return {
    of,
    join(a: number, b: number) {
      const [x, y] = [of(a), of(b)]
      parents[Math.max(x, y)] = Math.min(x, y)
    },
  }
}
