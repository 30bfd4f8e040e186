import { createSecretKey } from 'node:crypto'
import { type Database, type Pool, sql } from './database.ts'
import { Fault } from './fault.ts'
import { type MasterKey, type MasterKeySource, masterKeyOf, type NewMasterKey } from './master-key.ts'
import {
  insertMasterKey,
  KeyDamaged,
  lockMasterKeys,
  type MasterKeys,
  open,
  openMasterKeys,
  readMasterKeys,
  wrappedBy,
} from './master-keys.ts'
import { seal } from './sealing.ts'

export type Rotated = {
  /** Fingerprints of the master key before and after. */
  readonly from: string
  readonly to: string
  /** How many keys and secrets this run has rewrapped; an earlier one that was killed may have done others. */
  readonly rewrapped: number
  /** False: all is wrapped by the new one, but the old one still opens it, since the service is still started with the old one. */
  readonly retired: boolean
}

const BATCH = 1_000

/**
 * Changes the master key while all runs: everything in the vault that the old one wraps is wrapped by the new one, a batch a transaction. No event is
 * touched: subjects' keys stay what they are. Killed at any moment, it is gone on with by calling it again.
 *
 * In this order, so that at no moment anything is without a master key that somebody keeps:
 * 1. The new one is in the vault, sealed by the old one, and the old one by it; from here on nothing new is wrapped by the old one. Processes that run,
 *    or start, have one of the two, and so both. 2. A file is replaced. 3. All is rewrapped. 4. When what the service is started with is the new one, and
 *    nothing is wrapped by the old one any more, the old one is retired: it opens nothing any more.
 * @param source where the service has its master key from
 * @param next where it is to have it from; null: from the same place
 * @throws Fault when a person has to do something first; KeyDamaged when something did not open (all else is rewrapped then); Unavailable
 */
export async function rotateMasterKey(pool: Pool, source: MasterKeySource, next: MasterKeySource | null = null): Promise<Rotated> {
  const masters = await openMasterKeys(pool, source)
  const { from, to } = (await pending(pool, masters, next)) ?? (await begin(pool, masters, source, next))
  if (!next) await source.replace?.(to, from)
  let rewrapped = 0
  for (const what of ['secrets', 'tokens', 'keys'] as const) rewrapped += await rewrap(pool, what, from, to)
  const kept = await source.load(wrappedBy(await readMasterKeys(pool)))
  const retired = kept?.equals(to.key) ?? false
  if (retired) await retire(pool, from)
  return { from: from.id, to: to.id, rewrapped, retired }
}

type Pair = { readonly from: MasterKey; readonly to: MasterKey }

/** What an earlier run has begun. */
async function pending(pool: Pool, masters: MasterKeys, next: MasterKeySource | null): Promise<Pair | null> {
  const row = (await readMasterKeys(pool)).find(({ replaced_by, retired_at }) => replaced_by !== null && retired_at === null)
  if (!row) return null
  await masters.learn()
  const to = masterKeyOf(masters.known(row.replaced_by!)!.export())
  const asked = await next?.load(wrappedBy(await readMasterKeys(pool)))
  if (asked && !asked.equals(to.key))
    throw new Fault(
      `The master key is being replaced by ${to.id} already. Finish that first: smartcrm vault rotate, without SMARTCRM_NEW_MASTER_KEY.`,
    )
  return { from: masterKeyOf(masters.known(row.id)!.export()), to }
}

async function begin(pool: Pool, masters: MasterKeys, source: MasterKeySource, next: MasterKeySource | null): Promise<Pair> {
  const from = masterKeyOf(masters.current().key.export())
  const made: NewMasterKey | null = next ? await next.make() : await source.successor()
  if (!made) {
    throw new Fault(
      `The master key is set by ${source.name}, which nobody but you can change. Make another (openssl rand -base64 32), put it where you keep such things, and run ` +
        'this again with it in SMARTCRM_NEW_MASTER_KEY: everything is then wrapped by it while all runs. Then set SMARTCRM_MASTER_KEY to it, start the ' +
        'processes anew, one after the other, and run `smartcrm vault rotate` once more: only then the old one opens nothing any more.',
    )
  }
  const to = masterKeyOf(made.key)
  if (to.id === from.id) throw new Fault('SMARTCRM_NEW_MASTER_KEY is the master key that is in use.')
  await pool.transaction(async (db) => {
    await lockMasterKeys(db)
    const rows = await readMasterKeys(db)
    if (rows.some(({ id }) => id === to.id)) throw new Fault(`The master key ${to.id} was in use before: take a new one.`)
    if (rows.find(({ replaced_by }) => replaced_by === null)!.id !== from.id)
      throw new Fault('Another run has begun to replace the master key. Run this again.')
    const [successor, self] = [sql.binary(seal(from.key, to.key, to.id)), sql.binary(seal(to.key, from.key, from.id))]
    await db.rows(
      sql.unsafe`update vault.master_keys set replaced_by = ${to.id}, successor_sealed = ${successor}, self_sealed = ${self} where id = ${from.id}`,
    )
    await insertMasterKey(db, made)
  })
  return { from, to }
}

const tables = {
  keys: { table: sql.identifier(['vault', 'keys']), column: sql.identifier(['id']), type: 'uuid' },
  secrets: { table: sql.identifier(['vault', 'secrets']), column: sql.identifier(['name']), type: 'text' },
  tokens: { table: sql.identifier(['vault', 'provider_tokens']), column: sql.identifier(['id']), type: 'uuid' },
} as const

/** In the order of the names, so that what was done is not looked at twice. A key that is destroyed meanwhile stays destroyed: its row is locked. */
async function rewrap(pool: Pool, what: keyof typeof tables, from: MasterKey, to: MasterKey): Promise<number> {
  const { table, column, type } = tables[what]
  const [old, next] = [createSecretKey(from.key), createSecretKey(to.key)]
  const damaged: string[] = []
  let rewrapped = 0
  let after: string | null = null
  const batch = async (db: Database): Promise<string | null> => {
    const rows: { name: string; wrapped: Buffer }[] = await db.rows(sql.unsafe`
      select ${column} as name, wrapped from ${table}
      where master_key = ${from.id} and wrapped is not null ${after === null ? sql.fragment`` : sql.fragment`and ${column} > ${after}`}
      order by ${column} limit ${BATCH} for update`)
    const sound = rows.flatMap(({ name, wrapped }) => {
      try {
        return [[name, seal(next, open(old, wrapped, name), name)]]
      } catch {
        damaged.push(name)
        return []
      }
    })
    await db.rows(sql.unsafe`
      update ${table} t set master_key = ${to.id}, wrapped = new.wrapped
      from ${sql.unnest(sound, [type, 'bytea'])} as new (name, wrapped) where t.${column} = new.name`)
    rewrapped += sound.length
    return rows.at(-1)?.name ?? null
  }
  do after = await pool.transaction(batch)
  while (after !== null)
  if (damaged.length > 0) throw new KeyDamaged(`${damaged[0]} (${damaged.length} of such)`)
  return rewrapped
}

async function retire(pool: Pool, { id }: MasterKey): Promise<void> {
  await pool.transaction(async (db) => {
    await lockMasterKeys(db)
    const left = await db.rows(sql.unsafe`
      select 1 from vault.keys where master_key = ${id} and wrapped is not null
      union all select 1 from vault.secrets where master_key = ${id}
      union all select 1 from vault.provider_tokens where master_key = ${id} limit 1`)
    // Another run may have come to the same end; nothing can come to be wrapped by it again.
    if (left.length > 0) throw new Error(`Something is still wrapped by the master key ${id}.`)
    await db.rows(sql.unsafe`
      update vault.master_keys set retired_at = coalesce(retired_at, now()), successor_sealed = null, self_sealed = null, kms_wrapped = null where id = ${id}`)
  })
}
