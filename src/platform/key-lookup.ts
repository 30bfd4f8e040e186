import type { KeyObject } from 'node:crypto'
import { type Pool, sql } from './database.ts'
import { type MasterKeys, open, unreachable } from './master-keys.ts'
import { Unavailable } from './refusal.ts'

const CACHED_KEYS = 50_000

/** The vault never had such a key, or it was restored from a backup older than the log. */
export class UnknownKey extends Unavailable {}

export type KeyLookup = {
  /** The keys of these ids; null for a destroyed one. @throws Unavailable when they cannot be looked up: never to be taken for erased; KeyDamaged */
  keys(ids: Iterable<string>): Promise<Map<string, Buffer | null>>
  /** Nobody needs to be asked for this one. */
  remember(id: string, key: Buffer): void
  /** These were destroyed: they are held no longer, nor ever again. */
  forget(ids: Iterable<string>): void
}

/** Looks subjects' keys up, many at once, and holds those that it has seen. It only reads. */
export function createKeyLookup(pool: Pool, masters: MasterKeys): KeyLookup {
  const cache = new Map<string, Buffer>()
  /** A key that was read just before it was destroyed may be remembered just after. */
  const destroyed = new Set<string>()

  const remember = (id: string, key: Buffer) => {
    if (destroyed.has(id)) return
    if (cache.size >= CACHED_KEYS) cache.delete(cache.keys().next().value!)
    cache.set(id, key)
  }

  const masterOf = async (id: string): Promise<KeyObject> => {
    if (!masters.known(id)) await masters.learn()
    const known = masters.known(id)
    if (!known) throw new Unavailable(`The vault has keys that are wrapped by the master key ${id}, which is not to be had.`)
    return known
  }

  return {
    remember,
    forget(ids) {
      for (const id of ids) {
        cache.delete(id)
        destroyed.add(id)
        if (destroyed.size > CACHED_KEYS) destroyed.delete(destroyed.values().next().value!)
      }
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
        .rows<{ id: string; master_key: string; wrapped: Buffer | null }>({
          ...sql.unsafe`select id, master_key, wrapped from vault.keys where id = any(${sql.array(missing, 'uuid')})`,
          name: 'vault-keys',
        })
        .catch(unreachable)
      for (const { id, master_key, wrapped } of rows) {
        const key = wrapped && open(masters.known(master_key) ?? (await masterOf(master_key)), wrapped, id)
        if (key) remember(id, key)
        found.set(id, key)
      }
      const unknown = missing.filter((id) => !found.has(id))
      // Not there at all is not the same as destroyed: a vault restored from an older backup than the log would look like this.
      if (unknown.length > 0)
        throw new UnknownKey(
          `The vault has no key ${unknown[0]} (${unknown.length} missing). Was it restored from a backup older than the log?`,
        )
      return found
    },
  }
}
