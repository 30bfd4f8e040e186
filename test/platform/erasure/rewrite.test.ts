/** What was deleted is gone from every byte of a cluster of the test's own. */
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { openPool, type Pool, sql } from '../../../src/platform/database.ts'
import { startPostgres } from '../../../src/platform/embedded-postgres.ts'
import { rewriteDatabase } from '../../../src/platform/erasure/rewrite.ts'
import { askForRewrite, isRewriteDue, rewriteIfDue } from '../../../src/platform/erasure/rewrite-due.ts'
import { createLogger } from '../../../src/platform/log.ts'
import { givenMasterKey } from '../../../src/platform/master-key.ts'
import { migrate } from '../../../src/platform/migrate.ts'
import { freePort } from '../../../src/platform/ports.ts'
import { openVault } from '../../../src/platform/vault.ts'

const log = createLogger('silent', 'test')
const quick = { fsync: 'off', full_page_writes: 'off' }

const dir = await mkdtemp(join(tmpdir(), 'smartcrm-test-'))
const postgres = await startPostgres({ dir, port: await freePort(), log, settings: quick })
await migrate(postgres.url, log)
const pool = openPool(postgres.url, log)
t.teardown(async () => {
  await pool.close().catch(() => {})
  await postgres.close()
  await rm(dir, { recursive: true, force: true })
})

/** Files of the cluster that any of these is in. */
async function holding(...values: (string | Buffer)[]): Promise<string[]> {
  const found = []
  for (const entry of await readdir(join(dir, 'cluster'), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const file = join(entry.parentPath, entry.name)
    const bytes = await readFile(file).catch(() => Buffer.alloc(0))
    if (values.some((value) => bytes.includes(value))) found.push(file.slice(dir.length))
  }
  return found
}
const run = (pool: Pool, text: string) => pool.rows({ ...sql.unsafe``, sql: text })

t.test('what was deleted is in no page, no index, no statistics, no segment of the write-ahead log', async (t) => {
  await run(pool, `create table read.people (id int primary key, name text, words tsvector, note text)`)
  await run(pool, `create index on read.people using gin (name public.gin_trgm_ops)`)
  await run(pool, `create index on read.people (lower(name))`)
  await run(pool, `create table read.gone (name text)`)
  await run(pool, `alter table read.people alter column note set storage external`)
  // Others enough that statistics have something to remember, and pages a free space.
  await run(
    pool,
    `insert into read.people select n, 'Canary Quillfeather ' || n % 3, to_tsvector('simple', 'Quillfeather'), repeat('Quillfeather', 500) from generate_series(1, 60) n`,
  )
  await run(pool, `insert into read.people select n, 'Somebody else ' || n, '', '' from generate_series(61, 200) n`)
  await run(pool, `insert into read.gone select 'Quillfeather' from generate_series(1, 50)`)
  await run(pool, 'analyze')
  const vault = await openVault(pool, givenMasterKey(randomBytes(32)))
  const key = await vault.claim()
  const [{ wrapped } = { wrapped: Buffer.alloc(0) }] = await pool.rows<{ wrapped: Buffer }>(
    sql.unsafe`select wrapped from vault.keys where id = ${key.id}`,
  )
  await run(pool, 'checkpoint')
  t.match((await holding('uillfeather')).join(' '), /(?=.*base)(?=.*pg_wal)/, 'it was there')
  t.match((await holding(wrapped)).join(' '), /(?=.*base)(?=.*pg_wal)/)

  await run(pool, 'delete from read.people where id <= 60')
  await run(pool, 'delete from read.gone')
  await vault.destroy([key.id])
  await run(pool, 'vacuum')
  await run(pool, 'checkpoint')
  t.ok((await holding('uillfeather')).length > 0, 'vacuuming leaves it')

  const { left, again, tables } = await rewriteDatabase(pool, { log })
  t.strictSame({ left, again }, { left: [], again: false })
  t.ok(tables > 10)
  t.strictSame(await holding('uillfeather', 'canary', wrapped, wrapped.subarray(0, 12)), [])
  const [{ count } = { count: 0 }] = await pool.rows<{ count: number }>(
    sql.unsafe`select count(*) from read.people where name like 'Somebody%'`,
  )
  t.equal(count, 140, 'all else is there')
  t.equal((await vault.keys([(await vault.claim()).id])).size, 1)
})

t.test('who may not do all of it is told in words what is left', async (t) => {
  await run(pool, `create role weak login password 'weak'`)
  await run(pool, 'grant usage on schema smartcrm, read to weak')
  await run(pool, 'grant select, insert, update on all tables in schema smartcrm to weak')
  const url = new URL(postgres.url)
  url.username = 'weak'
  url.password = 'weak'
  const weak = openPool(url.href, log, 2)
  t.teardown(() => weak.close())
  const { left, again } = await rewriteDatabase(weak, { log })
  t.match(left.join('\n'), /read\.people could not be rewritten: this role may not[\s\S]*write-ahead log still says what was deleted/)
  t.equal(again, true)
})

t.test('a transaction that may still see it, or holds a table, is waited for, and then named', async (t) => {
  const client = await pool.connect()
  t.teardown(() => client.end())
  await client.query('begin isolation level repeatable read')
  await client.query('select * from read.people')
  await run(pool, 'delete from read.people where id = 200')
  const { left, again } = await rewriteDatabase(pool, { log, patienceMs: 300, lockMs: 100 })
  t.match(
    left.join('\n'),
    /Deleted rows are kept for a transaction of [\s\S]*read\.people could not be rewritten: others held it all the time/,
  )
  t.equal(again, true)
  const rewriting = rewriteDatabase(pool, { log, lockMs: 100 })
  await pool.rows(sql.unsafe`select count(*) from read.people`)
  await client.query('commit')
  t.strictSame((await rewriting).left, [])
})

t.test('a large table that nobody wrote to since is left alone', async (t) => {
  const all = { log, smallBytes: 0, countMs: 0 }
  await rewriteDatabase(pool, all)
  const second = await rewriteDatabase(pool, all)
  t.ok(second.untouched > 3, `${second.untouched} of ${second.tables + second.untouched} are left alone`)
  const client = await pool.connect()
  await client.query('delete from read.people where id = 61')
  // Postgres counts at the latest when a connection ends.
  await client.end()
  const file = async () =>
    (await pool.rows<{ file: number }>(sql.unsafe`select pg_relation_filenode('read.people'::regclass)::int8 as file`))[0]!.file
  const before = await file()
  await rewriteDatabase(pool, { ...all, countMs: 100 })
  t.not(await file(), before, 'one that somebody wrote to is rewritten')
})

t.test('nothing is rewritten unless something was deleted since the last time', async (t) => {
  t.equal(await rewriteIfDue(pool, { log }), null)
  await askForRewrite(pool)
  t.equal(await isRewriteDue(pool), true)
  const client = await pool.connect()
  await client.query('begin')
  await client.query('select pg_current_xact_id()')
  t.equal((await rewriteIfDue(pool, { log, patienceMs: 100 }))!.again, true)
  t.equal(await isRewriteDue(pool), true, 'what could not be done is tried again')
  await client.end()
  t.strictSame((await rewriteIfDue(pool, { log }))!.left, [])
  t.equal(await rewriteIfDue(pool, { log }), null)
})

t.test('segments that were kept for use in the future are written over too', async (t) => {
  await pool.close()
  await postgres.close()
  const recycling = await startPostgres({
    dir,
    port: await freePort(),
    log,
    settings: { ...quick, wal_recycle: 'on', min_wal_size: '96MB' },
  })
  const its = openPool(recycling.url, log)
  t.teardown(async () => {
    await its.close()
    await recycling.close()
  })
  const secret = randomUUID()
  await run(its, `create table read.others (name text)`)
  for (let segment = 0; segment < 3; segment += 1) {
    await run(its, `insert into read.others select '${secret}' from generate_series(1, 10)`)
    await run(its, 'select pg_switch_wal()')
  }
  await run(its, 'checkpoint')
  const inWal = async () => (await holding(secret)).filter((file) => file.includes('pg_wal')).length
  t.ok((await inWal()) > 0, 'the checkpoint leaves them')
  await run(its, 'drop table read.others')
  t.strictSame((await rewriteDatabase(its, { log })).left, [])
  t.strictSame(await holding(secret), [])
})
