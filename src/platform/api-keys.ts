import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { type Pool, sql } from './database.ts'

/** Who a request comes from, as it stands in the metadata of events (`key:<id>`). */
export type Caller = { readonly actor: string; readonly role: string }

export type ApiKeys = {
  /** Who has this key; null when nobody has. @throws a connection error when Postgres is away and the key is not known yet */
  caller(key: string): Promise<Caller | null>
  /** Makes the first key where there is none and no key was given by the settings: shown once, kept only as a hash. */
  makeFirst(): Promise<string | null>
}

const CACHE_MS = 5_000
const hash = (text: string) => createHash('sha256').update(text).digest()
const checksum = (body: string) => hash(body).toString('base64url').slice(0, 6)

/** `smc_<id>_<secret>` with a checksum at its end, so that a mistyped key is known as one without asking anybody. */
function makeKey(): { id: string; key: string } {
  const id = randomBytes(6).toString('hex')
  const body = `smc_${id}_${randomBytes(24).toString('hex')}`
  return { id, key: `${body}${checksum(body)}` }
}

/** The id in a well-formed key; null for anything else. */
export function idOf(key: string): string | null {
  const match = /^(smc_([0-9a-f]{12})_[0-9a-f]{48})([\w-]{6})$/.exec(key)
  return match && checksum(match[1]!) === match[3] ? match[2]! : null
}

/** @param adminKey a key to accept as administrator beside those in the vault (SMARTCRM_ADMIN_KEY) */
export function createApiKeys(pool: Pool, adminKey: string | undefined): ApiKeys {
  const adminHash = adminKey === undefined ? null : hash(adminKey)
  const cache = new Map<string, { caller: Caller; secretHash: Buffer; until: number }>()

  return {
    async caller(key) {
      const given = hash(key)
      if (adminHash && timingSafeEqual(given, adminHash)) return { actor: 'key:admin', role: 'administrator' }
      const id = idOf(key)
      if (!id) return null
      let known = cache.get(id)
      if (!known || known.until < Date.now()) {
        const [row] = await pool.rows<{ secret_hash: Buffer; role: string }>({
          ...sql.unsafe`select secret_hash, role from vault.api_keys where id = ${id}`,
          name: 'api-key',
        })
        cache.delete(id)
        if (!row) return null
        known = { caller: { actor: `key:${id}`, role: row.role }, secretHash: row.secret_hash, until: Date.now() + CACHE_MS }
        cache.set(id, known)
      }
      return timingSafeEqual(given, known.secretHash) ? known.caller : null
    },

    async makeFirst() {
      if (adminHash) return null
      return pool.transaction(async (db) => {
        // Of several processes that start at once, one makes the key.
        await db.rows(sql.unsafe`lock table vault.api_keys in share row exclusive mode`)
        const there = await db.rows(sql.unsafe`select from vault.api_keys limit 1`)
        if (there.length > 0) return null
        const { id, key } = makeKey()
        await db.rows(
          sql.unsafe`insert into vault.api_keys (id, secret_hash, role) values (${id}, ${sql.binary(hash(key))}, 'administrator')`,
        )
        return key
      })
    },
  }
}
