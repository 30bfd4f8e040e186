import { randomBytes, randomUUID } from 'node:crypto'
import { type Pool, sql } from './database.ts'
import { Fault } from './fault.ts'
import type { MasterKey } from './master-key.ts'
import { Unavailable } from './refusal.ts'
import { seal, unseal } from './sealing.ts'

export type SubjectKey = { readonly id: string; readonly key: Buffer }

/** Subject keys and the service's own secrets, wrapped by the master key, in Postgres schema `vault`. */
export type Vault = {
  /** A new subject's key: made ahead, committed before use, so that commands rarely wait for Postgres. @throws Unavailable */
  claim(): Promise<SubjectKey>
  /** The keys of these ids; null for a destroyed one. @throws Unavailable when they cannot be looked up: never to be taken for erased */
  keys(ids: Iterable<string>): Promise<Map<string, Buffer | null>>
  /** A secret of the service, made at first opening. */
  secret(name: SecretName): Buffer
}

const secretNames = ['claims', 'requests', 'emails'] as const
export type SecretName = (typeof secretNames)[number]

const BLOCK = 200
const CACHED_KEYS = 50_000

/** @throws when the vault was made with another master key, naming both; a connection error when Postgres is away */
export async function openVault(pool: Pool, master: MasterKey): Promise<Vault> {
  await checkMasterKey(pool, master)
  const secrets = await loadSecrets(pool, master)
  const cache = new Map<string, Buffer>()
  let block: SubjectKey[] = []
  let filling: Promise<void> | undefined

  const remember = (id: string, key: Buffer) => {
    if (cache.size >= CACHED_KEYS) cache.delete(cache.keys().next().value!)
    cache.set(id, key)
  }

  const fill = () => {
    filling ??= makeBlock(pool, master)
      .then((made) => {
        block = block.concat(made)
      })
      .finally(() => {
        filling = undefined
      })
    return filling
  }

  return {
    async claim() {
      while (block.length === 0) await fill().catch(unavailable)
      const claimed = block.pop()!
      // The next block is made while this one is used; should that fail, the next claim tries again and says so.
      if (block.length < BLOCK / 2) fill().catch(() => {})
      remember(claimed.id, claimed.key)
      return claimed
    },

    async keys(ids) {
      const found = new Map<string, Buffer | null>()
      const missing: string[] = []
      for (const id of new Set(ids)) {
        const key = cache.get(id)
        if (key) found.set(id, key)
        else missing.push(id)
      }
      if (missing.length === 0) return found
      const rows = await pool
        .rows<{ id: string; wrapped: Buffer | null }>({
          ...sql.unsafe`select id, wrapped from vault.keys where id = any(${sql.array(missing, 'uuid')})`,
          name: 'vault-keys',
        })
        .catch(unavailable)
      for (const { id, wrapped } of rows) {
        const key = wrapped && unwrap(master, wrapped, id)
        if (key) remember(id, key)
        found.set(id, key)
      }
      const unknown = missing.filter((id) => !found.has(id))
      // Not there at all is not the same as destroyed: a vault restored from an older backup than the log would look like this.
      if (unknown.length > 0)
        throw new Unavailable(
          `The vault has no key ${unknown[0]} (${unknown.length} missing). Was it restored from a backup older than the log?`,
        )
      return found
    },

    secret: (name) => secrets.get(name)!,
  }
}

/** What the vault holds does not open with the master key: it is neither erased nor away. */
export class KeyDamaged extends Fault {
  override name = 'KeyDamaged'
  constructor(what: string) {
    super(`What the vault holds as ${what} is damaged: it does not open with the master key. Restore the vault from a backup.`)
  }
}

/** @throws KeyDamaged */
function unwrap(master: MasterKey, wrapped: Buffer, name: string): Buffer {
  try {
    // A copy with memory of its own: what unsealing gives is a slice of Node's pool, and one that is kept keeps 8 KiB.
    const plain = unseal(master.key, wrapped, name)
    return Buffer.alloc(plain.length, plain)
  } catch {
    throw new KeyDamaged(name)
  }
}

const unavailable = (cause: unknown): never => {
  throw new Unavailable('The key vault (Postgres) cannot be reached.', { cause })
}

async function makeBlock(pool: Pool, master: MasterKey): Promise<SubjectKey[]> {
  // They begin alike, so that what is stored by them one after the other lies in one folder (blobs-folder.ts), and one sync of it serves many.
  const begin = randomUUID().slice(0, 3)
  const made = Array.from({ length: BLOCK }, () => ({ id: begin + randomUUID().slice(3), key: randomBytes(32) }))
  const ids = made.map(({ id }) => id)
  const wrapped = made.map(({ id, key }) => seal(master.key, key, id))
  await pool.rows(sql.unsafe`
    insert into vault.keys (id, master_key, wrapped)
    select id, ${master.id}, wrapped from ${sql.unnest(
      ids.map((id, index) => [id, wrapped[index]!]),
      ['uuid', 'bytea'],
    )} as made (id, wrapped)`)
  return made
}

/** Whether there is a master key already without which the vault does not open. @throws a connection error when Postgres is away */
export async function isFounded(pool: Pool): Promise<boolean> {
  return (await pool.rows(sql.unsafe`select 1 from vault.master_keys limit 1`)).length > 0
}

/** One transaction under a table lock, so that of two processes with different keys only one can found the vault. */
async function checkMasterKey(pool: Pool, master: MasterKey): Promise<void> {
  await pool.transaction(async (db) => {
    await db.rows(sql.unsafe`lock table vault.master_keys in share row exclusive mode`)
    const known = await db.rows<{ id: string; sealed_check: Buffer }>(sql.unsafe`select id, sealed_check from vault.master_keys`)
    if (known.length === 0) {
      const check = seal(master.key, Buffer.from('smartcrm'), master.id)
      await db.rows(sql.unsafe`insert into vault.master_keys (id, sealed_check) values (${master.id}, ${sql.binary(check)})`)
      return
    }
    const mine = known.find(({ id }) => id === master.id)
    if (!mine) {
      throw new Fault(
        `The master key from ${master.source} (fingerprint ${master.id}) does not open this vault, which was made with ${known.map(({ id }) => id).join(', ')}. ` +
          'Put back the master key that belongs to this data (SMARTCRM_MASTER_KEY, or master.key in the data folder): without it nothing personal can be read.',
      )
    }
    unwrap(master, mine.sealed_check, master.id)
  })
}

async function loadSecrets(pool: Pool, master: MasterKey): Promise<Map<string, Buffer>> {
  for (const name of secretNames) {
    const wrapped = sql.binary(seal(master.key, randomBytes(32), name))
    await pool.rows(
      sql.unsafe`insert into vault.secrets (name, master_key, wrapped) values (${name}, ${master.id}, ${wrapped}) on conflict do nothing`,
    )
  }
  const rows = await pool.rows<{ name: string; wrapped: Buffer }>(sql.unsafe`select name, wrapped from vault.secrets`)
  return new Map(rows.map(({ name, wrapped }) => [name, unwrap(master, wrapped, name)]))
}
