import { createSecretKey, type KeyObject } from 'node:crypto'
import { type Database, type Pool, sql } from './database.ts'
import { Fault } from './fault.ts'
import { type MasterKeySource, masterKeyOf, type NewMasterKey } from './master-key.ts'
import { Unavailable } from './refusal.ts'
import { seal, unseal } from './sealing.ts'

/** A row of `vault.master_keys`; what its columns mean stands in migrations/0008_master-keys.sql. */
export type StoredMasterKey = {
  readonly id: string
  readonly sealed_check: Buffer
  readonly kms_wrapped: Buffer | null
  readonly replaced_by: string | null
  readonly successor_sealed: Buffer | null
  readonly self_sealed: Buffer | null
  readonly retired_at: string | null
}

/** The master keys that open the vault: one, and while it is being replaced, the one before too. */
export type MasterKeys = {
  /** The one that new keys are wrapped by, as far as this process knows. */
  current(): { readonly id: string; readonly key: KeyObject }
  /** Null for one that this process has not heard of. */
  known(id: string): KeyObject | null
  /** Learns what has changed: another process may be replacing the master key. @throws Unavailable when the new one cannot be had */
  learn(): Promise<void>
}

/** What the vault holds does not open with the master key: it is neither erased nor away. */
export class KeyDamaged extends Fault {
  override name = 'KeyDamaged'
  constructor(what: string) {
    super(`What the vault holds as ${what} is damaged: it does not open with the master key. Restore the vault from a backup.`)
  }
}

/**
 * Opens what is there, and founds nothing.
 * @throws Fault when the master key is missing or another than the vault's, naming both; Unavailable; a connection error when Postgres is away
 */
export async function openMasterKeys(pool: Pool, source: MasterKeySource): Promise<MasterKeys> {
  const masters = new Map<string, KeyObject>()
  let current: ReturnType<MasterKeys['current']>

  /** @returns false when the one that is used now cannot be had from those that are known */
  const take = (rows: readonly StoredMasterKey[]): boolean => {
    for (const { id, replaced_by: successor, successor_sealed: next, self_sealed: self } of rows) {
      if (successor === null || !next || !self) continue
      const [mine, other] = [masters.get(id), masters.get(successor)]
      if (mine && !other) masters.set(successor, createSecretKey(open(mine, next, successor)))
      if (other && !mine) masters.set(id, createSecretKey(open(other, self, id)))
    }
    const { id } = rows.find((row) => row.replaced_by === null)!
    const key = masters.get(id)
    if (key) current = { id, key }
    return key !== undefined
  }

  const load = async (rows: readonly StoredMasterKey[]) => {
    const key = await source.load(wrappedBy(rows))
    if (!key) throw new Fault(source.lost)
    const { id } = masterKeyOf(key)
    const row = rows.find((row) => row.id === id)
    if (!row || row.retired_at !== null) throw doesNotOpen(source, id, rows)
    open(key, row.sealed_check, id)
    masters.set(id, createSecretKey(key))
    take(rows)
  }

  await load(await readMasterKeys(pool))
  return {
    current: () => current,
    known: (id) => masters.get(id) ?? null,
    async learn() {
      const rows = await readMasterKeys(pool).catch(unreachable)
      if (take(rows)) return
      // It slept through the whole of it. A file and a KMS have the new one; what was given to the process at its start has not.
      await load(rows).catch((cause) => {
        throw new Unavailable(
          `The master key was replaced, and this process cannot get the new one: start it anew with that. ${cause.message}`,
          { cause },
        )
      })
    },
  }
}

/**
 * Founds the vault where it has no master key yet. Of several processes at once one founds it: a table lock keeps the others waiting, and they open it.
 * @throws as openMasterKeys
 */
export async function foundMasterKeys(pool: Pool, source: MasterKeySource): Promise<MasterKeys> {
  if ((await readMasterKeys(pool)).length === 0) {
    const kept = await source.load([])
    const made = kept ? { key: kept, kmsWrapped: null } : await source.make()
    await pool.transaction(async (db) => {
      await lockMasterKeys(db)
      if ((await readMasterKeys(db)).length === 0) await insertMasterKey(db, made)
    })
  }
  return openMasterKeys(pool, source)
}

export const readMasterKeys = (db: Database): Promise<StoredMasterKey[]> =>
  db.rows<StoredMasterKey>(sql.unsafe`
    select id, sealed_check, kms_wrapped, replaced_by, successor_sealed, self_sealed, retired_at from vault.master_keys order by created_at desc, id`)

/** One changes them at a time, and who is about to wrap something by one of them waits. */
export const lockMasterKeys = (db: Database) => db.rows(sql.unsafe`lock table vault.master_keys in share row exclusive mode`)

export async function insertMasterKey(db: Database, { key, kmsWrapped }: NewMasterKey): Promise<void> {
  const { id } = masterKeyOf(key)
  const check = sql.binary(seal(key, Buffer.from('smartcrm'), id))
  await db.rows(
    sql.unsafe`insert into vault.master_keys (id, sealed_check, kms_wrapped) values (${id}, ${check}, ${kmsWrapped && sql.binary(kmsWrapped)})`,
  )
}

/** Opens what a master key has sealed. @throws KeyDamaged */
export function open(master: Buffer | KeyObject, sealed: Buffer, name: string): Buffer {
  try {
    // A copy with memory of its own: what unsealing gives is a slice of Node's pool, and one that is kept keeps 8 KiB.
    const plain = unseal(master, sealed, name)
    return Buffer.alloc(plain.length, plain)
  } catch {
    throw new KeyDamaged(name)
  }
}

/** For what fails because Postgres is away. @throws Unavailable, and never what could be taken for erased; Unavailable and Fault as they are */
export const unreachable = (cause: unknown): never => {
  if (cause instanceof Unavailable || cause instanceof Fault) throw cause
  throw new Unavailable('The key vault (Postgres) cannot be reached.', { cause })
}

/** Of those that still open something, the newest first. */
export const wrappedBy = (rows: readonly StoredMasterKey[]): Buffer[] =>
  rows.flatMap(({ retired_at, kms_wrapped }) => (retired_at === null && kms_wrapped ? [kms_wrapped] : []))

function doesNotOpen(source: MasterKeySource, id: string, rows: readonly StoredMasterKey[]): Fault {
  const retired = rows.find((row) => row.id === id)
  const those = rows.filter(({ retired_at }) => retired_at === null).map(({ id }) => id)
  return new Fault(
    retired
      ? `The master key from ${source.name} (fingerprint ${id}) opens nothing any more: it was replaced by ${retired.replaced_by} on ${retired.retired_at}. Set that one.`
      : `The master key from ${source.name} (fingerprint ${id}) does not open this vault, which was made with ${those.join(', ')}. ` +
          'Put back the master key that belongs to this data (SMARTCRM_MASTER_KEY, or master.key in the data folder, beside which a rotation leaves ' +
          'the one before as master.key.FINGERPRINT): without it nothing personal can be read.',
  )
}
