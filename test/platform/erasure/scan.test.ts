/** Values hidden in every corner are found, and never told. */
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { createBlobs } from '../../../src/platform/blobs.ts'
import { openBlobFolder } from '../../../src/platform/blobs-folder.ts'
import { openPool, sql } from '../../../src/platform/database.ts'
import { formsOf } from '../../../src/platform/erasure/forms.ts'
import { type ScanOptions, scan } from '../../../src/platform/erasure/scan.ts'
import { scanBytes, seeker } from '../../../src/platform/erasure/scan-files.ts'
import { createLogger } from '../../../src/platform/log.ts'
import { testDatabase } from '../../support/postgres.ts'

const folder = await mkdtemp(join(tmpdir(), 'smartcrm-test-'))
const { url } = await testDatabase(t)
const pool = openPool(url, createLogger('silent', 'test'))
t.teardown(async () => {
  await pool.close()
  await rm(folder, { recursive: true })
})
const run = (text: string) => pool.rows({ ...sql.unsafe``, sql: text })

const name = { kind: 'name', value: 'Zéphyrine O"Quillfeather' }
const address = { kind: 'address', value: 'Zephyrine.Quill@example.com' }
const look = async (options: Partial<ScanOptions>) => scan({ pool, sought: [name, address], ...options })

t.test('in every column of every table, in whatever it is written', async (t) => {
  await run(`create schema asof_0123456789ab`)
  // Postgres looks at tables by itself, and remembers values of them: here nothing is to be found but what is put there.
  await run(
    `create table asof_0123456789ab.t (a text, j jsonb, js json, l text[], w tsvector, b bytea, n int) with (autovacuum_enabled = false)`,
  )
  const places = [
    [`a`, `'to ZEPHYRINE.quill@EXAMPLE.com, hello'`, 'address'],
    [`a`, `'mailto:zephyrine.quill%40example.com'`, 'address'],
    [`a`, `'zephyrine o"quillfeather'`, 'name'],
    [`a`, `'=?utf-8?q?Z=C3=A9phyrine O"Quillfeather?='`, 'name'],
    [`j`, `'{"deep": [{"name": "Zéphyrine O\\"Quillfeather"}]}'`, 'name'],
    [`js`, `'{"name": "Z\\u00e9phyrine O\\"Quillfeather"}'`, 'name'],
    [`l`, `array['x', 'Zéphyrine O"Quillfeather']`, 'name'],
    [`w`, `'quillfeather:3 zéphyrine:1'`, 'name'],
    [`w`, `to_tsvector('simple', 'write to zephyrine.quill@example.com')`, 'address'],
    [`b`, `convert_to('… zephyrine.quill@example.com', 'UTF8')`, 'address'],
    ...[0, 1, 2].map((n) => [`a`, `'${Buffer.from(`${'x'.repeat(n)}${address.value} and more`).toString('base64')}'`, 'address']),
  ]
  for (const [column, value, kind] of places) {
    await run(`insert into asof_0123456789ab.t (${column}) values (${value})`)
    await run(`insert into asof_0123456789ab.t (a, n) select 'nobody', g from generate_series(1, 20) g`)
    t.strictSame((await look({})).findings, [{ place: `table asof_0123456789ab.t column ${column}`, kind, count: 1 }], `${column} ${value}`)
    await run(`truncate asof_0123456789ab.t`)
  }
  const { places: searched, unread, bytes } = await look({})
  t.ok(searched > 20 && bytes > 0)
  t.strictSame(unread, [])
})

t.test('in queues, in what Postgres remembers of columns, and word by word where that is asked for', async (t) => {
  await run(`create table read.words (word text) with (autovacuum_enabled = false)`)
  await run(`insert into read.words select 'quillfeather' from generate_series(1, 30)`)
  await run(`analyze read.words`)
  t.strictSame((await look({})).findings, [], 'a part of a name alone is anybody’s')
  const { findings } = await look({ sought: [{ ...name, eachWord: true }] })
  t.strictSame(findings, [{ place: 'table read.words column word', kind: 'name', count: 30 }])
  await run(`delete from read.words`)
  const remembered = await look({ sought: [{ kind: 'word', value: 'Quillfeather' }] })
  t.match(remembered.findings, [{ place: /pg_catalog\.pg_statistic column stavalues1/, kind: 'word' }])
  t.notMatch(JSON.stringify([findings, remembered]), /quillfeather/i, 'no value is told')
})

t.test('in files, across the pieces that they are read in, and what cannot be read is told', async (t) => {
  const root = join(folder, 'data')
  await mkdir(join(root, 'pg_wal'), { recursive: true })
  await mkdir(join(root, 'kept'))
  const filler = Buffer.alloc(1024 * 1024 - 10, 0xe9)
  await writeFile(
    join(root, 'pg_wal', 'segment'),
    Buffer.concat([filler, Buffer.from('ZEPHYRINE.QUILL@example.com'), filler, Buffer.from(name.value)]),
  )
  await writeFile(join(root, 'kept', 'log'), `{"to":"${address.value}"}\n`.repeat(3))
  await symlink(join(root, 'kept'), join(root, 'link'))
  const all = await look({ files: [root, join(folder, 'never made')] })
  const segment = `file ${join(root, 'pg_wal', 'segment')}`
  t.strictSame(all.findings, [
    { place: `file ${join(root, 'kept', 'log')}`, kind: 'address', count: 3 },
    { place: segment, kind: 'address', count: 1 },
    { place: segment, kind: 'name', count: 1 },
  ])
  t.strictSame(all.unread, [{ place: `file ${join(root, 'link')}`, why: 'it is a link' }])
  const some = await look({ files: [root], except: [join(root, 'pg_wal'), join(root, 'link')] })
  t.strictSame([some.findings.length, some.unread], [1, []])
})

t.test('in blobs as they are stored', async (t) => {
  const store = openBlobFolder(join(folder, 'blobs'))
  const blobs = createBlobs(store)
  const key = { id: '6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11', key: randomBytes(32) }
  await blobs.put(key, Buffer.from(`${address.value}\n`.repeat(100_000)))
  t.strictSame((await look({ blobs })).findings, [], 'sealed, they say nothing')
  const plain = join(store.spool, 'plain')
  await writeFile(plain, `by mistake ${address.value}`)
  await store.store(`${key.id}/${'a'.repeat(32)}-${'0'.repeat(12)}-${'b'.repeat(8)}`, plain, 40)
  t.match((await look({ blobs })).findings, [{ place: /^blob 6f1c1a52/, kind: 'address', count: 1 }])
  const broken: AsyncIterable<Buffer> = {
    [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(Object.assign(new Error(), { code: 'EIO' })) }),
  }
  t.match((await look({ blobs: { ...blobs, readSealed: () => broken } })).unread, [{ why: 'EIO' }, { why: 'EIO' }])
})

t.test('what is too short to mean anything is named as not searched', async (t) => {
  const { findings, notSearched, places } = await look({
    sought: [
      { kind: 'name', value: 'Bo ' },
      { kind: 'company', value: 'X' },
    ],
  })
  t.strictSame({ findings, notSearched, places }, { findings: [], notSearched: ['name', 'company'], places: 0 })
})

t.test('nothing is asked of a Postgres that logs what it is asked, and of tables that this role may not read that is told', async (t) => {
  const loud = new URL(url)
  loud.searchParams.set('options', '-c log_statement=all')
  const overheard = openPool(loud.href, createLogger('silent', 'test'))
  t.teardown(() => overheard.close())
  t.match((await scan({ pool: overheard, sought: [name] })).unread, [{ place: 'tables', why: /log_statement/ }])
  const role = `weak_${randomBytes(4).toString('hex')}`
  await run(`create role ${role} login password 'weak'`)
  t.teardown(() => run(`drop role ${role}`))
  const other = new URL(url)
  other.username = role
  other.password = 'weak'
  const weak = openPool(other.href, createLogger('silent', 'test'))
  t.teardown(() => weak.close())
  const { unread } = await scan({ pool: weak, sought: [name] })
  t.ok(unread.some(({ place, why }) => place === 'table vault.keys' && /may not/.test(why)))
})

t.test('a value is found wherever it lies, in any pieces', async (t) => {
  const seek = seeker(formsOf([address]))
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.constant(address.value), fc.constant('zephyrine.QUILL@example.com'), fc.string({ unit: 'binary' })), {
        maxLength: 6,
      }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 }),
      async (parts, sizes) => {
        const bytes = Buffer.from(parts.join('|'))
        async function* pieces() {
          for (let at = 0, n = 0; at < bytes.length; n += 1) {
            const size = sizes[n % sizes.length]!
            yield bytes.subarray(at, at + size)
            at += size
          }
        }
        const found: number[] = []
        await scanBytes('here', pieces(), seek, {
          found: ({ count }) => found.push(count),
          unread: () => t.fail(),
          read: () => {},
          place: () => {},
        })
        const expected = parts.join('|').toLowerCase().split(address.value.toLowerCase()).length - 1
        return (found[0] ?? 0) === expected
      },
    ),
  )
})
