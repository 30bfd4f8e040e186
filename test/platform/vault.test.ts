/** The vault and the API keys on a real Postgres, the master key in a real folder. */
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createContact } from '../../src/contacts/contact.ts'
import { createApiKeys, idOf } from '../../src/platform/api-keys.ts'
import { openPool, type Pool, sql } from '../../src/platform/database.ts'
import { Fault } from '../../src/platform/fault.ts'
import { createLogger } from '../../src/platform/log.ts'
import { loadMasterKey } from '../../src/platform/master-key.ts'
import { Unavailable } from '../../src/platform/refusal.ts'
import { isFounded, openVault } from '../../src/platform/vault.ts'
import { testDatabase } from '../support/postgres.ts'
import { until } from '../support/processes.ts'
import { request, testServices } from '../support/services.ts'

const log = createLogger('silent', 'test')
const master = await loadMasterKey(randomBytes(32), '')

async function freshPool(t: Test): Promise<{ pool: Pool; another(connections?: number): Pool }> {
  const { url } = await testDatabase(t)
  const pools: Pool[] = []
  t.teardown(() => Promise.allSettled(pools.map((pool) => pool.close())))
  const another = (connections?: number) => {
    const pool = openPool(url, log, connections)
    pools.push(pool)
    return pool
  }
  return { pool: another(), another }
}

async function folder(t: Test): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'smartcrm-test-'))
  t.teardown(() => rm(path, { recursive: true, force: true }))
  return path
}

t.test('keys', async (t) => {
  const { pool, another } = await freshPool(t)
  const vault = await openVault(pool, master)

  t.test('are each claimed once, by however many at once, and more than a block', async (t) => {
    const others = await Promise.all([openVault(another(), master), openVault(another(), master)])
    const claimed = await Promise.all(Array.from({ length: 900 }, (_, n) => [vault, ...others][n % 3]!.claim()))
    t.equal(new Set(claimed.map(({ id }) => id)).size, 900)
    t.equal(new Set(claimed.map(({ key }) => key.toString('hex'))).size, 900)
    t.ok(claimed.every(({ key }) => key.length === 32))

    const asked = claimed.map(({ id }) => id)
    const found = await others[0]!.keys([...asked, ...asked])
    t.equal(found.size, 900)
    t.ok(
      claimed.every(({ id, key }) => found.get(id)?.equals(key)),
      'another process knows them: they were committed before they were given out',
    )
  })

  t.test('lie in the database only wrapped, each for itself', async (t) => {
    const [a, b] = [await vault.claim(), await vault.claim()]
    const [row] = await pool.rows<{ wrapped: Buffer }>(sql.unsafe`select wrapped from vault.keys where id = ${a.id}`)
    t.notOk(row!.wrapped.includes(a.key))
    await pool.rows(sql.unsafe`update vault.keys set wrapped = (select wrapped from vault.keys where id = ${b.id}) where id = ${a.id}`)
    const later = await openVault(another(), master)
    await t.rejects(later.keys([a.id]), Fault, 'one put in the place of another is noticed')
    await t.rejects(later.keys([a.id]), /damaged/)
  })

  t.test('are held in memory once they are known', async (t) => {
    const { id, key } = await vault.claim()
    const reader = await openVault(another(), master)
    await reader.keys([id])
    await pool.rows(sql.unsafe`delete from vault.keys where id = ${id}`)
    t.same((await reader.keys([id])).get(id), key)
    t.same((await vault.keys([id])).get(id), key)
  })

  t.test('destroyed, missing and unreachable are three things', async (t) => {
    const [{ id: destroyed }, { id: kept, key }] = [await vault.claim(), await vault.claim()]
    await pool.rows(sql.unsafe`update vault.keys set wrapped = null, destroyed_at = now() where id = ${destroyed}`)
    const closing = another()
    const later = await openVault(closing, master)
    const found = await later.keys([destroyed, kept])
    t.equal(found.get(destroyed), null)
    t.same(found.get(kept), key)
    await t.rejects(later.keys([kept, randomUUID()]), Unavailable, 'a key that is not there is not an erased one')
    await t.rejects(later.keys([randomUUID()]), /older than the log/)
    await closing.close()
    await t.rejects(later.keys([destroyed]), Unavailable, 'nor is one that cannot be asked for')
    t.same((await later.keys([kept])).get(kept), key)
    t.same(await later.keys([]), new Map())
  })

  t.test('are not given out when they could not be made, and are again when they can', async (t) => {
    const { pool: own } = await freshPool(t)
    const frail = await openVault(own, master)
    await own.rows(sql.unsafe`alter table vault.keys rename to moved`)
    await Promise.all(Array.from({ length: 5 }, () => t.rejects(frail.claim(), Unavailable)))
    await own.rows(sql.unsafe`alter table vault.moved rename to keys`)
    t.ok((await frail.claim()).id)
  })
})

t.test('opening', async (t) => {
  t.test('several at once on a fresh database agree on everything', async (t) => {
    const { another } = await freshPool(t)
    const vaults = await Promise.all(Array.from({ length: 6 }, () => openVault(another(2), master)))
    for (const name of ['claims', 'requests'] as const) {
      t.equal(vaults[0]!.secret(name).length, 32)
      for (const vault of vaults) t.same(vault.secret(name), vaults[0]!.secret(name))
    }
    t.notSame(vaults[0]!.secret('claims'), vaults[0]!.secret('requests'))
    const { id, key } = await vaults[1]!.claim()
    t.same((await vaults[2]!.keys([id])).get(id), key)
    const again = await openVault(another(), master)
    t.same(again.secret('claims'), vaults[0]!.secret('claims'), 'and later too')
  })

  t.test('of several with different master keys at once, one founds the vault and the others are told', async (t) => {
    const { pool, another } = await freshPool(t)
    const masters = await Promise.all(Array.from({ length: 6 }, () => loadMasterKey(randomBytes(32), '')))
    const pools = masters.map(() => another(1))
    await Promise.all(pools.map((pool) => pool.ping()))
    const results = await Promise.allSettled(masters.map((master, n) => openVault(pools[n]!, master)))
    const founder = masters.filter((_, n) => results[n]!.status === 'fulfilled')
    t.equal(founder.length, 1)
    const told = results.findIndex(({ status }) => status === 'rejected')
    const failed = results[told] as PromiseRejectedResult
    t.ok(failed.reason instanceof Fault)
    t.equal((await pool.rows(sql.unsafe`select from vault.master_keys`)).length, 1)
    t.match(failed.reason.message, /SMARTCRM_MASTER_KEY.*does not open this vault.*Put back/s)
    for (const { id } of [masters[told]!, founder[0]!]) t.match(failed.reason.message, id, 'both are named')
    for (const { key } of masters) t.notOk(failed.reason.message.includes(key.toString('hex')), 'but not shown')
  })

  t.test('a secret that was damaged is a clear fault', async (t) => {
    const { pool } = await freshPool(t)
    await openVault(pool, master)
    await pool.rows(sql.unsafe`update vault.secrets set wrapped = ${sql.binary(randomBytes(60))} where name = 'claims'`)
    await t.rejects(openVault(pool, master), Fault)
  })
})

t.test('the master key', async (t) => {
  t.test('is made once, by however many at once, and only its owner can read it', async (t) => {
    const dir = await folder(t)
    const keys = await Promise.all(Array.from({ length: 12 }, () => loadMasterKey(undefined, dir)))
    for (const key of keys) t.same(key, keys[0])
    t.same(await loadMasterKey(undefined, dir), keys[0])
    t.equal((await stat(join(dir, 'master.key'))).mode & 0o777, 0o600)
    t.same(await readdir(dir), ['master.key'], 'nothing else of it is left')
    t.match(await readFile(join(dir, 'master.key'), 'utf8'), /^[0-9a-f]{64}\n$/)
    t.equal(keys[0]!.key.length, 32)
    t.notOk(keys[0]!.key.toString('hex').includes(keys[0]!.id), 'the fingerprint is no part of the key')
  })

  t.test('that was given comes before the file, and makes none', async (t) => {
    const dir = await folder(t)
    const given = randomBytes(32)
    t.match(await loadMasterKey(given, dir), { key: given, source: 'SMARTCRM_MASTER_KEY' })
    t.same(await readdir(dir), [])
  })

  t.test('that is lost is asked for, and no other is made in its place', async (t) => {
    const dir = await folder(t)
    const { pool } = await freshPool(t)
    t.equal(await isFounded(pool), false)
    await openVault(pool, master)
    await t.rejects(
      loadMasterKey(undefined, dir, () => isFounded(pool)),
      { name: 'Fault', message: /master\.key is missing, .* Put back your copy of it, or set SMARTCRM_MASTER_KEY/ },
    )
    t.same(await readdir(dir), [])
  })

  t.test('that is damaged is never made anew', async (t) => {
    for (const text of ['', 'nonsense', '0'.repeat(63), '0'.repeat(65), `${'0'.repeat(64)}\n${'0'.repeat(64)}`]) {
      const dir = await folder(t)
      await writeFile(join(dir, 'master.key'), text)
      await t.rejects(loadMasterKey(undefined, dir), Fault)
      t.equal(await readFile(join(dir, 'master.key'), 'utf8'), text)
    }
    const dir = await folder(t)
    await mkdir(join(dir, 'master.key'))
    await t.rejects(loadMasterKey(undefined, dir), { code: 'EISDIR' })
  })
})

t.test('nothing personal lies open in the files of the event store', async (t) => {
  const { open, eventsFile } = await testServices(t)
  const { runner } = await open()
  const methods = [{ type: 'email' as const, value: 'canary@example.com', label: 'canary' }]
  await runner.execute(createContact, { name: 'canary Ada', company: 'canary Ltd', methods }, {}, request())
  const files = await Promise.all([eventsFile, `${eventsFile}-wal`].map((file) => readFile(file).catch(() => Buffer.alloc(0))))
  const content = Buffer.concat(files)
  t.ok(content.includes('ContactCreated'), 'what is looked for would be found')
  t.notOk(content.includes('canary'))
  t.notOk(content.includes(Buffer.from('canary', 'utf16le')))
  // In base64 a text looks different at each of three places in it.
  for (const shift of [0, 1, 2]) t.notOk(content.includes(Buffer.from('canary Ada'.slice(shift)).toString('base64').slice(0, 8)))
})

t.test('API keys', async (t) => {
  t.test('the first is made once, by however many at once', async (t) => {
    const { another } = await freshPool(t)
    const made = (await Promise.all(Array.from({ length: 6 }, () => createApiKeys(another(1), undefined).makeFirst()))).filter(
      (key) => key !== null,
    )
    t.equal(made.length, 1)
    const keys = createApiKeys(another(), undefined)
    t.equal(await keys.makeFirst(), null)
    const [key] = made
    t.match(key, /^smc_[0-9a-f]{12}_/)
    t.same(await keys.caller(key!), { actor: `key:${idOf(key!)}`, role: 'administrator' })
  })

  t.test('only the whole key is one', async (t) => {
    const { pool } = await freshPool(t)
    const keys = createApiKeys(pool, undefined)
    const key = (await keys.makeFirst())!
    for (let index = 0; index < key.length; index += 1) {
      const other = key[index] === 'a' ? 'b' : 'a'
      const changed = key.slice(0, index) + other + key.slice(index + 1)
      t.equal(await keys.caller(changed), null, changed)
    }
    for (const wrong of ['', ' ', key.slice(0, -1), `${key}x`, ` ${key}`, key.toUpperCase(), 'smc_', '\0', 'ä'.repeat(70)])
      t.equal(await keys.caller(wrong), null)
    t.equal(idOf(key.slice(0, -1) + (key.endsWith('x') ? 'y' : 'x')), null, 'a mistyped key is known as one without asking anybody')
    const rows = await pool.rows<{ secret_hash: Buffer }>(sql.unsafe`select secret_hash from vault.api_keys`)
    t.equal(rows.length, 1)
    t.notOk(rows[0]!.secret_hash.includes(key), 'it is kept as a hash alone')
  })

  t.test('one with the id of another and a right checksum is still none', async (t) => {
    const { pool, another } = await freshPool(t)
    const { pool: elsewhere } = await freshPool(t)
    const key = (await createApiKeys(pool, undefined).makeFirst())!
    const foreign = (await createApiKeys(elsewhere, undefined).makeFirst())!
    const keys = createApiKeys(another(), undefined)
    await pool.rows(sql.unsafe`update vault.api_keys set id = ${idOf(foreign)!}`)
    t.equal(await keys.caller(foreign), null)
    t.equal(await keys.caller(key), null)
  })

  t.test('one that was known opens while Postgres is away or hangs; one that was taken back opens no more', async (t) => {
    const { pool } = await freshPool(t)
    const key = (await createApiKeys(pool, undefined).makeFirst())!
    let rows: Pool['rows'] = pool.rows
    const keys = createApiKeys({ ...pool, rows: (query) => rows(query) }, undefined, 0)
    const caller = await keys.caller(key)
    t.ok(caller)
    rows = () => Promise.reject(new Error('away'))
    t.same(await keys.caller(key), caller)
    await t.rejects(createApiKeys({ ...pool, rows }, undefined).caller(key), { message: 'away' }, 'one that is not known yet does not')
    t.equal(await keys.caller(key.slice(0, -1)), null)
    let answers = () => {}
    const hung = new Promise<void>((resolve) => {
      answers = resolve
    })
    rows = async (query) => {
      await hung
      return pool.rows(query)
    }
    for (const found of await Promise.all([keys.caller(key), keys.caller(key)])) t.same(found, caller)
    await pool.rows(sql.unsafe`delete from vault.api_keys`)
    answers()
    await until('that it was taken back', async () => (await keys.caller(key)) === null)
  })

  t.test("the settings' key is an administrator's, with Postgres away too, and then none is made", async (t) => {
    const { pool, another } = await freshPool(t)
    const keys = createApiKeys(pool, 'given by the settings')
    t.equal(await keys.makeFirst(), null)
    t.equal((await pool.rows(sql.unsafe`select from vault.api_keys`)).length, 0)
    const key = (await createApiKeys(pool, undefined).makeFirst())!
    const away = another()
    const asking = createApiKeys(away, 'given by the settings')
    t.ok(await asking.caller(key))
    await away.close()
    t.same(await asking.caller('given by the settings'), { actor: 'key:admin', role: 'administrator' })
    t.equal(await asking.caller('given by the setting'), null)
    t.ok(await asking.caller(key), 'nor is one asked for again that was seen just now')
  })
})
