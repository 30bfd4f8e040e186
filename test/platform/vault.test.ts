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
import { watchKeys } from '../../src/platform/key-watch.ts'
import { awsKms } from '../../src/platform/kms-aws.ts'
import { createLogger } from '../../src/platform/log.ts'
import { fileMasterKey, givenMasterKey, kmsMasterKey, type MasterKeySource, masterKeyOf } from '../../src/platform/master-key.ts'
import { KeyDamaged } from '../../src/platform/master-keys.ts'
import { Unavailable } from '../../src/platform/refusal.ts'
import { openVault, type Vault } from '../../src/platform/vault.ts'
import { rotateMasterKey } from '../../src/platform/vault-rotation.ts'
import { kmsCredentials, startKms } from '../support/kms.ts'
import { testDatabase } from '../support/postgres.ts'
import { startNode, until } from '../support/processes.ts'
import { request, testServices } from '../support/services.ts'

const log = createLogger('silent', 'test')
const master = givenMasterKey(randomBytes(32))

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
    await t.rejects(later.keys([a.id]), KeyDamaged, 'one put in the place of another is noticed')
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

t.test('destroying keys', async (t) => {
  const { pool, another } = await freshPool(t)
  const vault = await openVault(pool, master)

  t.test('is for ever, and for all who hold them in memory', async (t) => {
    const other = await openVault(another(), master)
    const [{ id: gone }, { id: kept, key }] = [await vault.claim(), await vault.claim()]
    t.ok((await other.keys([gone, kept])).get(gone))
    const watch = watchKeys(another(), log, other, { look: async () => {} })
    t.teardown(() => watch.close())
    t.equal(await vault.destroy([gone]), 1)
    t.equal((await vault.keys([gone])).get(gone), null)
    await until('the key to be forgotten', async () => (await other.keys([gone])).get(gone) === null)
    t.same((await other.keys([kept])).get(kept), key)
    t.equal(await vault.destroy([gone, randomUUID()]), 0, 'again it changes nothing')
    const [row] = await pool.rows<{ wrapped: null }>(sql.unsafe`select wrapped from vault.keys where id = ${gone}`)
    t.equal(row!.wrapped, null)
  })

  t.test('is learned by who could not hear of it', async (t) => {
    const other = await openVault(another(), master)
    const { id } = await vault.claim()
    await other.keys([id])
    await vault.destroy([id])
    t.ok((await other.keys([id])).get(id), 'it holds it still')
    const watch = watchKeys(another(), log, other, { look: async () => {} })
    t.teardown(() => watch.close())
    await until('the key to be forgotten', async () => (await other.keys([id])).get(id) === null)
  })

  t.test('holds against a key that was on its way into memory', async (t) => {
    const { id } = await vault.claim()
    const other = await openVault(another(), master)
    other.forget([id])
    await other.keys([id])
    await vault.destroy([id])
    t.equal((await other.keys([id])).get(id), null)
  })
})

t.test('tokens of providers', async (t) => {
  const { pool, another } = await freshPool(t)
  const vault = await openVault(pool, master)

  t.test('lie in the database only wrapped, one an id, and are cleared', async (t) => {
    const [id, other] = [randomUUID(), randomUUID()]
    t.equal(await vault.tokens.get(id), null)
    await vault.tokens.put(id, 'first')
    await vault.tokens.put(other, 'another')
    const [row] = await pool.rows<{ wrapped: Buffer }>(sql.unsafe`select wrapped from vault.provider_tokens where id = ${id}`)
    t.notOk(row!.wrapped.includes('first'))
    const first = (await (await openVault(another(), master)).tokens.get(id))!
    t.equal(first.token, 'first')
    await vault.tokens.put(id, 'second')
    await vault.tokens.remove(id, first.storedAt)
    const second = (await vault.tokens.get(id))!
    t.equal(second.token, 'second', 'one that came meanwhile stays')
    await vault.tokens.remove(id, second.storedAt)
    t.equal(await vault.tokens.get(id), null)
    t.equal((await vault.tokens.get(other))!.token, 'another')
  })

  t.test('put in the place of another are noticed', async (t) => {
    const [id, other] = [randomUUID(), randomUUID()]
    await vault.tokens.put(id, 'mine')
    await vault.tokens.put(other, 'yours')
    await pool.rows(
      sql.unsafe`update vault.provider_tokens set wrapped = (select wrapped from vault.provider_tokens where id = ${id}) where id = ${other}`,
    )
    await t.rejects(vault.tokens.get(other), KeyDamaged)
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
    const masters = Array.from({ length: 6 }, () => {
      const key = randomBytes(32)
      return { ...givenMasterKey(key), ...masterKeyOf(key) }
    })
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
    await t.rejects(openVault(pool, master), KeyDamaged)
  })
})

t.test('the master key', async (t) => {
  t.test('is made once, by however many at once, and only its owner can read it', async (t) => {
    const dir = await folder(t)
    const made: string[] = []
    const keys = await Promise.all(Array.from({ length: 12 }, () => fileMasterKey(dir, (file) => made.push(file)).make()))
    for (const key of keys) t.same(key, keys[0])
    t.same(made, [join(dir, 'master.key')], 'and one of them can say so')
    t.same(await fileMasterKey(dir).load([]), keys[0]!.key)
    t.equal((await stat(join(dir, 'master.key'))).mode & 0o777, 0o600)
    t.same(await readdir(dir), ['master.key'], 'nothing else of it is left')
    t.match(await readFile(join(dir, 'master.key'), 'utf8'), /^[0-9a-f]{64}\n$/)
    t.equal(keys[0]!.key.length, 32)
    const { id, key } = masterKeyOf(keys[0]!.key)
    t.notOk(key.toString('hex').includes(id), 'the fingerprint is no part of the key')
  })

  t.test('that is lost is asked for, and no other is made in its place', async (t) => {
    const dir = await folder(t)
    const { pool } = await freshPool(t)
    await openVault(pool, master)
    await t.rejects(openVault(pool, fileMasterKey(dir)), {
      name: 'Fault',
      message: /master\.key is missing, .* Put back your copy of it, or set SMARTCRM_MASTER_KEY/,
    })
    t.same(await readdir(dir), [])
  })

  t.test('that is damaged is never made anew', async (t) => {
    const { pool } = await freshPool(t)
    for (const text of ['', 'nonsense', '0'.repeat(63), '0'.repeat(65), `${'0'.repeat(64)}\n${'0'.repeat(64)}`]) {
      const dir = await folder(t)
      await writeFile(join(dir, 'master.key'), text)
      await t.rejects(openVault(pool, fileMasterKey(dir)), { name: 'Fault', message: /is damaged/ })
      t.equal(await readFile(join(dir, 'master.key'), 'utf8'), text)
    }
    const dir = await folder(t)
    await mkdir(join(dir, 'master.key'))
    await t.rejects(openVault(pool, fileMasterKey(dir)), { code: 'EISDIR' })
  })

  t.test('of a KMS is wrapped by it in the vault, and it is asked once a start', async (t) => {
    const { pool, another } = await freshPool(t)
    const { endpoint, region, requests, faults } = await startKms(t)
    const source = (keyId: string) =>
      kmsMasterKey(awsKms({ keyId, region, endpoint }, kmsCredentials, { tries: 1, timeoutMs: 2_000, firstRetryMs: 1 }))
    const vaults = await Promise.all(Array.from({ length: 4 }, () => openVault(another(2), source('alias/smartcrm'))))
    const { id, key } = await vaults[0]!.claim()
    t.same((await vaults[1]!.keys([id])).get(id), key, 'of several at once all have the same')
    requests.length = 0
    const later = await openVault(another(), source('alias/smartcrm'))
    for (let n = 0; n < 300; n += 1) await later.claim()
    t.same((await later.keys([id])).get(id), key)
    t.same(requests, ['Decrypt'])
    t.equal((await pool.rows(sql.unsafe`select from vault.master_keys where kms_wrapped is not null`)).length, 1)
    await t.rejects(openVault(another(), source('alias/other')), {
      name: 'Fault',
      message: /was not wrapped by the AWS KMS key alias\/other/,
    })
    faults.push('hang up')
    await t.rejects(openVault(another(), source('alias/smartcrm')), { name: 'Unavailable' })
  })
})

/** What does something at the n-th statement from now. */
function tripwire(pool: Pool, at: number): Pool {
  let left = at
  const step = () => {
    left -= 1
    if (left === 0) throw new Error('killed')
  }
  const watched = (db: Pick<Pool, 'rows'>): Pick<Pool, 'rows'> => ({
    async rows(query) {
      step()
      const rows = await db.rows<never>(query)
      return rows
    },
  })
  return {
    ...pool,
    ...watched(pool),
    async transaction(work) {
      const result = await pool.transaction((db) => work(watched(db)))
      step()
      return result
    },
  }
}

t.test('changing the master key', async (t) => {
  /** A vault with keys in it, and what tells whether all of them can be had. */
  async function filled(t: Test, source: MasterKeySource, count = 600) {
    const { pool, another } = await freshPool(t)
    const vault = await openVault(pool, source)
    const keys = new Map<string, Buffer>()
    for (let n = 0; n < count; n += 1) {
      const { id, key } = await vault.claim()
      keys.set(id, key)
    }
    const [destroyed] = [...keys.keys()]
    await pool.rows(sql.unsafe`update vault.keys set wrapped = null, destroyed_at = now() where id = ${destroyed!}`)
    keys.delete(destroyed!)
    const tokenId = randomUUID()
    await vault.tokens.put(tokenId, 'a token')
    const isWhole = async (source: MasterKeySource) => {
      const opened = await openVault(another(1), source)
      const found = await opened.keys([...keys.keys(), destroyed!])
      const hasToken = (await opened.tokens.get(tokenId))?.token === 'a token'
      return hasToken && found.get(destroyed!) === null && [...keys].every(([id, key]) => found.get(id)?.equals(key))
    }
    return { pool, another, vault, keys, isWhole }
  }
  const leftBy = (pool: Pool, id: string) =>
    pool.rows(sql.unsafe`
      select 1 from vault.keys where master_key = ${id} and wrapped is not null union all select 1 from vault.secrets where master_key = ${id}
      union all select 1 from vault.provider_tokens where master_key = ${id}`)

  t.test('wraps everything by another, and the one before opens nothing any more', async (t) => {
    const dir = await folder(t)
    const file = fileMasterKey(dir)
    const { pool, another, vault, isWhole } = await filled(t, file)
    const before = masterKeyOf((await file.load([]))!)
    const secret = vault.secret('claims')
    const { from, to, rewrapped, retired } = await rotateMasterKey(another(2), file)
    t.match({ from, rewrapped, retired }, { from: before.id, rewrapped: 805, retired: true })
    const after = masterKeyOf((await file.load([]))!)
    t.equal(after.id, to)
    t.ok(await isWhole(file))
    t.same((await openVault(another(1), file)).secret('claims'), secret)
    t.equal((await leftBy(pool, before.id)).length, 0)
    t.strictSame((await readdir(dir)).sort(), ['master.key', `master.key.${before.id}`], 'backups from before need the one before')
    t.equal(await readFile(join(dir, `master.key.${before.id}`), 'utf8'), `${before.key.toString('hex')}\n`)
    for (const name of await readdir(dir)) t.equal((await stat(join(dir, name))).mode & 0o777, 0o600)
    await t.rejects(openVault(another(1), givenMasterKey(before.key)), { name: 'Fault', message: new RegExp(`replaced by ${to} on `) })
    t.match(await pool.rows(sql.unsafe`select successor_sealed, self_sealed from vault.master_keys`), [
      { successor_sealed: null, self_sealed: null },
      { successor_sealed: null, self_sealed: null },
    ])
    t.match(await rotateMasterKey(another(2), file), { from: to, rewrapped: 805, retired: true }, 'and can be changed again')
    t.ok(await isWhole(file))
  })

  t.test('goes on where it was killed, and every key can be read at every moment', async (t) => {
    const dir = await folder(t)
    const file = fileMasterKey(dir)
    const { pool, another, isWhole } = await filled(t, file, 30)
    const worker = another(2)
    let killed = 0
    for (let at = 1; ; at += 1) {
      const outcome = await rotateMasterKey(tripwire(worker, at), file).catch((error: Error) => error)
      if (!(outcome instanceof Error)) break
      t.equal(outcome.message, 'killed')
      killed += 1
      if (!(await isWhole(file))) t.fail(`after it was killed at step ${at}`)
    }
    t.ok(killed > 15, `${killed} times`)
    t.ok(await isWhole(file))
    const masters = await pool.rows<{ retired: boolean }>(sql.unsafe`select retired_at is not null as retired from vault.master_keys`)
    t.equal(masters.filter(({ retired }) => !retired).length, 1)
  })

  t.test('is noticed by those who run, who miss no key and lose none', { timeout: 60_000 }, async (t) => {
    const dir = await folder(t)
    const file = fileMasterKey(dir)
    const { another, keys, isWhole } = await filled(t, file, 100)
    const running: Vault[] = await Promise.all([openVault(another(2), file), openVault(another(2), file)])
    // One that hears of nothing until all is over.
    const asleep = await openVault(another(2), file)
    let over = false
    const working = running.map(async (vault) => {
      let read = 0
      while (!over) {
        const made = await Promise.all(Array.from({ length: 70 }, () => vault.claim()))
        for (const { id, key } of made) keys.set(id, key)
        const reader = await openVault(another(1), file)
        const found = await reader.keys(keys.keys())
        read += found.size
        if ([...found.values()].some((key) => key === null)) throw new Error('a key is missing')
      }
      return read
    })
    for (let n = 0; n < 4; n += 1) t.match(await rotateMasterKey(another(2), file), { retired: true })
    over = true
    for (const read of await Promise.all(working)) t.ok(read > 100, `${read} read`)
    t.ok(await isWhole(file))
    t.equal((await asleep.keys(keys.keys())).size, keys.size)
    const { id, key } = await asleep.claim()
    for (let n = 0; n < 300; n += 1) await asleep.claim()
    t.same((await (await openVault(another(1), file)).keys([id])).get(id), key)
  })

  t.test('that is given by the environment needs a person, who is told how', async (t) => {
    const [old, next] = [givenMasterKey(randomBytes(32)), givenMasterKey(randomBytes(32), 'SMARTCRM_NEW_MASTER_KEY')]
    const { another, vault, isWhole } = await filled(t, old)
    await t.rejects(rotateMasterKey(another(2), old), { name: 'Fault', message: /openssl rand .*SMARTCRM_NEW_MASTER_KEY.*once more/s })
    await t.rejects(rotateMasterKey(another(2), old, old), { name: 'Fault', message: /is the master key that is in use/ })
    t.match(await rotateMasterKey(another(2), old, next), { retired: false }, 'what is started with the old one still has to work')
    t.ok(await isWhole(old))
    t.ok(await isWhole(next))
    t.ok((await vault.claim()).id)
    await t.rejects(rotateMasterKey(another(2), old, givenMasterKey(randomBytes(32))), {
      name: 'Fault',
      message: /is being replaced by .* already/,
    })
    t.match(await rotateMasterKey(another(2), next), { rewrapped: 0, retired: true })
    t.ok(await isWhole(next))
    await t.rejects(openVault(another(1), old), { name: 'Fault', message: /opens nothing any more/ })
    await t.rejects(rotateMasterKey(another(2), next, old), { name: 'Fault', message: /was in use before/ })
  })

  t.test('goes from a file to a KMS, and on from there', async (t) => {
    const { endpoint, region } = await startKms(t)
    const source = (keyId: string) => kmsMasterKey(awsKms({ keyId, region, endpoint }, kmsCredentials))
    const file = fileMasterKey(await folder(t))
    const [one, two] = [source('alias/smartcrm'), source('alias/other')]
    const { another, isWhole } = await filled(t, file)
    t.match(await rotateMasterKey(another(2), file, one), { retired: false })
    t.ok(await isWhole(file))
    t.ok(await isWhole(one))
    t.match(await rotateMasterKey(another(2), one), { retired: true })
    t.match(
      await rotateMasterKey(another(2), one),
      { rewrapped: 805, retired: true },
      'another master key, wrapped by the same key of the KMS',
    )
    t.match(await rotateMasterKey(another(2), one, two), { retired: false }, 'another key of the KMS')
    t.ok(await isWhole(one))
    t.match(await rotateMasterKey(another(2), two), { retired: true })
    t.ok(await isWhole(two))
    await t.rejects(openVault(another(1), one), Fault)
  })

  t.test('rewraps all else when a key is damaged, says so, and keeps the one before', async (t) => {
    const file = fileMasterKey(await folder(t))
    const { pool, another, keys, isWhole } = await filled(t, file)
    const [id] = [...keys.keys()]
    await pool.rows(sql.unsafe`update vault.keys set wrapped = ${sql.binary(randomBytes(60))} where id = ${id!}`)
    const before = masterKeyOf((await file.load([]))!)
    await t.rejects(rotateMasterKey(another(2), file), { name: 'KeyDamaged', message: new RegExp(`${id} \\(1 of such\\) is damaged`) })
    t.equal((await leftBy(pool, before.id)).length, 1)
    keys.delete(id!)
    t.ok(await isWhole(file))
  })

  t.test('by the command survives kill -9', { timeout: 60_000 }, async (t) => {
    const dir = await folder(t)
    const { url } = await testDatabase(t)
    const pool = openPool(url, log, 4)
    t.teardown(() => pool.close())
    const vault = await openVault(pool, fileMasterKey(dir))
    const { id, key } = await vault.claim()
    // So many that it takes a while.
    await pool.rows(sql.unsafe`
      with one as (select master_key from vault.keys where id = ${id})
      insert into vault.keys (id, master_key, wrapped, destroyed_at) select gen_random_uuid(), master_key, null, now() from one, generate_series(1, 1000)`)
    for (let n = 0; n < 3_000; n += 1) await vault.claim()
    const env = { ...process.env, SMARTCRM_DATA: dir, DATABASE_URL: url, SMARTCRM_MASTER_KEY: '' }
    const rotate = (...args: string[]) =>
      startNode(t, [join(import.meta.dirname, '../../src/main.ts'), 'vault', 'rotate', ...args], { env })
    const first = rotate()
    const begun = () => pool.rows(sql.unsafe`select from vault.master_keys where replaced_by is not null`)
    await until('its beginning', async () => (await begun()).length > 0)
    first.child.kill('SIGKILL')
    await first.ended
    const [state] = await pool.rows<{ retired: boolean }>(
      sql.unsafe`select bool_or(retired_at is not null) as retired from vault.master_keys`,
    )
    t.equal(state!.retired, false, 'it was killed on the way')
    t.same((await (await openVault(pool, fileMasterKey(dir))).keys([id])).get(id), key)
    const second = rotate('--json')
    t.equal(await second.ended, 0, second.lines.join('\n'))
    t.match(JSON.parse(second.lines.join('')), { retired: true })
    t.equal((await begun()).length, 1, 'the second has ended what the first began')
    t.same((await (await openVault(pool, fileMasterKey(dir))).keys([id])).get(id), key)
    const third = rotate()
    t.equal(await third.ended, 0)
    t.match(third.lines.join(' '), /Rewrapped .* keys and secrets: .* is in .*master\.key\.[0-9a-f]{16}/)
    const given = startNode(t, [join(import.meta.dirname, '../../src/main.ts'), 'vault', 'rotate'], {
      env: { ...env, SMARTCRM_MASTER_KEY: '0'.repeat(64) },
    })
    t.equal(await given.ended, 2)
    t.match(given.lines.join(' '), /does not open this vault/)
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
    t.match(await keys.caller(key!), { actor: `key:${idOf(key!)}`, role: 'administrator' })
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
    const keys = createApiKeys({ ...pool, rows: (query) => rows(query) }, undefined, { freshMs: 0 })
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
    t.match(await asking.caller('given by the settings'), { actor: 'key:admin', role: 'administrator' })
    t.equal(await asking.caller('given by the setting'), null)
    t.ok(await asking.caller(key), 'nor is one asked for again that was seen just now')
  })
})
