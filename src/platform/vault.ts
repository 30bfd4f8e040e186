import { randomBytes, randomUUID } from 'node:crypto'
import { type Pool, sql } from './database.ts'
import { createKeyLookup, type KeyLookup } from './key-lookup.ts'
import { destroyKeys } from './key-watch.ts'
import type { MasterKeySource } from './master-key.ts'
import { foundMasterKeys, type MasterKeys, open, unreachable } from './master-keys.ts'
import { createProviderTokens, type ProviderTokens } from './provider-tokens.ts'
import { Unavailable } from './refusal.ts'
import { seal } from './sealing.ts'

export type SubjectKey = { readonly id: string; readonly key: Buffer }

/** Subject keys and the service's own secrets, wrapped by the master key, in Postgres schema `vault`. */
export type Vault = Pick<KeyLookup, 'keys' | 'forget'> & {
  /** A new subject's key: made ahead, committed before use, so that commands rarely wait for Postgres. @throws Unavailable */
  claim(): Promise<SubjectKey>
  /** A secret of the service, made at first opening. */
  secret(name: SecretName): Buffer
  /**
   * Destroys subjects' keys, and with them all that is sealed by these, for ever; the same again changes nothing. Every process drops those that it holds
   * in memory, at once or, where it does not hear of it, within seconds (key-watch.ts). @returns how many there still were @throws Unavailable
   */
  destroy(ids: readonly string[]): Promise<number>
  /** What lets us in at providers outside. */
  readonly tokens: ProviderTokens
}

const secretNames = ['claims', 'requests', 'emails', 'mailboxes', 'receipts'] as const
export type SecretName = (typeof secretNames)[number]

const BLOCK = 200
/** What has to be tried again is tried against a master key that was replaced meanwhile; not even one try more is to be expected. */
const TRIES = 5

/** @throws Fault when the vault was made with another master key, naming both; Unavailable when a KMS is away; a connection error when Postgres is */
export async function openVault(pool: Pool, source: MasterKeySource): Promise<Vault> {
  const masters = await foundMasterKeys(pool, source)
  const secrets = await loadSecrets(pool, masters)
  const { keys, remember, forget } = createKeyLookup(pool, masters)
  let block: SubjectKey[] = []
  let filling: Promise<void> | undefined

  const fill = () => {
    filling ??= makeBlock(pool, masters)
      .then((made) => {
        block = block.concat(made)
      })
      .finally(() => {
        filling = undefined
      })
    return filling
  }

  return {
    keys,
    async claim() {
      while (block.length === 0) await fill().catch(unreachable)
      const claimed = block.pop()!
      // The next block is made while this one is used; should that fail, the next claim tries again and says so.
      if (block.length < BLOCK / 2) fill().catch(() => {})
      remember(claimed.id, claimed.key)
      return claimed
    },
    secret: (name) => secrets.get(name)!,
    forget,
    async destroy(ids) {
      const destroyed = await destroyKeys(pool, ids).catch(unreachable)
      forget(ids)
      return destroyed
    },
    tokens: createProviderTokens(pool, masters, (insert) => wrapping(masters, insert)),
  }
}

/**
 * Wraps by the current master key, or by nothing: the lock on its row is held until the insert is committed, and who replaces it waits for that. So
 * once a master key has a successor nothing new is ever wrapped by it.
 */
async function wrapping<T>(masters: MasterKeys, insert: (master: ReturnType<MasterKeys['current']>) => Promise<T | null>): Promise<T> {
  for (let tried = 1; tried <= TRIES; tried += 1) {
    const done = await insert(masters.current())
    if (done !== null) return done
    await masters.learn()
  }
  throw new Error('The master key is replaced again and again.')
}

const makeBlock = (pool: Pool, masters: MasterKeys): Promise<SubjectKey[]> =>
  wrapping(masters, async (master) => {
    // They begin alike, so that what is stored by them one after the other lies in one folder (blobs-folder.ts), and one sync of it serves many.
    const begin = randomUUID().slice(0, 3)
    const made = Array.from({ length: BLOCK }, () => ({ id: begin + randomUUID().slice(3), key: randomBytes(32) }))
    const inserted = await pool.rows(sql.unsafe`
      with current as (select id from vault.master_keys where id = ${master.id} and replaced_by is null for share)
      insert into vault.keys (id, master_key, wrapped)
      select made.id, current.id, made.wrapped from current, ${sql.unnest(
        made.map(({ id, key }) => [id, seal(master.key, key, id)]),
        ['uuid', 'bytea'],
      )} as made (id, wrapped)
      returning 1`)
    return inserted.length > 0 ? made : null
  })

/** One of the service's secrets, for who only reads; null where the service has not made it yet. */
export async function readSecret(pool: Pool, masters: Pick<MasterKeys, 'known' | 'learn'>, name: SecretName): Promise<Buffer | null> {
  const [row] = await pool
    .rows<{ master_key: string; wrapped: Buffer }>(sql.unsafe`select master_key, wrapped from vault.secrets where name = ${name}`)
    .catch(unreachable)
  if (!row) return null
  if (!masters.known(row.master_key)) await masters.learn()
  const master = masters.known(row.master_key)
  if (!master) throw new Unavailable(`The vault has a secret that is wrapped by the master key ${row.master_key}, which is not to be had.`)
  return open(master, row.wrapped, name)
}

/** Every secret that there has to be: made where it is missing, by one of however many at once. */
const loadSecrets = (pool: Pool, masters: MasterKeys): Promise<Map<string, Buffer>> =>
  wrapping(masters, async (master) => {
    for (const name of secretNames) {
      const wrapped = sql.binary(seal(master.key, randomBytes(32), name))
      await pool.rows(sql.unsafe`
        with current as (select id from vault.master_keys where id = ${master.id} and replaced_by is null for share)
        insert into vault.secrets (name, master_key, wrapped) select ${name}, current.id, ${wrapped} from current on conflict do nothing`)
    }
    const rows = await pool.rows<{ name: string; master_key: string; wrapped: Buffer }>(
      sql.unsafe`select name, master_key, wrapped from vault.secrets`,
    )
    const readable = rows.every(({ master_key }) => masters.known(master_key))
    if (!readable || secretNames.some((name) => !rows.some((row) => row.name === name))) return null
    return new Map(rows.map(({ name, master_key, wrapped }) => [name, open(masters.known(master_key)!, wrapped, name)]))
  })
