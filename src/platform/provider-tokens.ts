import { type Pool, sql } from './database.ts'
import { type MasterKeys, open, unreachable } from './master-keys.ts'
import { Unavailable } from './refusal.ts'
import { seal } from './sealing.ts'

/** @property storedAt names this very one among those that were stored under the same id */
export type StoredToken = { readonly token: string; readonly storedAt: string }

/** Tokens by which we are let in at providers outside, wrapped by the master key; never held in memory for longer than they are used. */
export type ProviderTokens = {
  /** Stores one in the place of any before it. @param id whose it is @throws Unavailable */
  put(id: string, token: string): Promise<void>
  /** @returns null where there is none @throws Unavailable; KeyDamaged */
  get(id: string): Promise<StoredToken | null>
  /** Clears one, if it is still the one that was got. @throws Unavailable */
  remove(id: string, storedAt: string): Promise<void>
}

type Wrapping = (insert: (master: ReturnType<MasterKeys['current']>) => Promise<true | null>) => Promise<true>

/** @param wrapping gives the current master key to what inserts, and again should that be replaced meanwhile (see vault.ts) */
export function createProviderTokens(pool: Pool, masters: MasterKeys, wrapping: Wrapping): ProviderTokens {
  return {
    async put(id, token) {
      const insert: Parameters<Wrapping>[0] = async (master) => {
        const wrapped = sql.binary(seal(master.key, Buffer.from(token), id))
        const inserted = await pool.rows(sql.unsafe`
          with current as (select id from vault.master_keys where id = ${master.id} and replaced_by is null for share)
          insert into vault.provider_tokens (id, master_key, wrapped) select ${id}::uuid, current.id, ${wrapped} from current
          on conflict (id) do update set master_key = excluded.master_key, wrapped = excluded.wrapped, stored_at = clock_timestamp()
          returning 1`)
        return inserted.length > 0 ? true : null
      }
      await wrapping(insert).catch(unreachable)
    },

    async get(id) {
      const [row] = await pool
        .rows<{ master_key: string; wrapped: Buffer; stored_at: string }>(
          sql.unsafe`select master_key, wrapped, stored_at::text from vault.provider_tokens where id = ${id}::uuid`,
        )
        .catch(unreachable)
      if (!row) return null
      if (!masters.known(row.master_key)) await masters.learn()
      const master = masters.known(row.master_key)
      if (!master)
        throw new Unavailable(`The vault has tokens that are wrapped by the master key ${row.master_key}, which is not to be had.`)
      return { token: open(master, row.wrapped, id).toString('utf8'), storedAt: row.stored_at }
    },

    async remove(id, storedAt) {
      await pool
        .rows(sql.unsafe`delete from vault.provider_tokens where id = ${id}::uuid and stored_at = ${storedAt}::timestamptz`)
        .catch(unreachable)
    },
  }
}
