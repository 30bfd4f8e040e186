import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { type Pool, sql } from './database.ts'

/** Who a request comes from, as it stands in the metadata of events (`key:<id>`). */
export type Caller = { readonly actor: string; readonly role: string }

export type ApiKeys = {
  /**
   * Who has this key; null when nobody has. A key that was known in the last quarter of an hour is known while Postgres is away.
   * @throws a connection error when Postgres is away and the key is not known yet
   */
  caller(key: string): Promise<Caller | null>
  /** Makes the first key where there is none and no key was given by the settings: shown once, kept only as a hash. */
  makeFirst(): Promise<string | null>
}

/** So long after it was taken back at most a key still opens. */
const FRESH_MS = 5_000
/** And so long while Postgres does not answer. */
const TRUSTED_MS = 15 * 60_000
/** For how long that is waited for where the key was known. */
const PATIENCE_MS = 500

type Known = { readonly caller: Caller; readonly secretHash: Buffer; readonly checkedAt: number }
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

/**
 * @param adminKey a key to accept as administrator beside those in the vault (SMARTCRM_ADMIN_KEY)
 * @param freshMs for how long Postgres is not asked for a key again
 */
export function createApiKeys(pool: Pool, adminKey: string | undefined, freshMs = FRESH_MS): ApiKeys {
  const adminHash = adminKey === undefined ? null : hash(adminKey)
  const cache = new Map<string, Known>()
  const lookups = new Map<string, { found: Promise<Known | null>; since: number }>()

  const lookUp = (id: string) => {
    const running = lookups.get(id)
    if (running) return running
    const query = { ...sql.unsafe`select secret_hash, role from vault.api_keys where id = ${id}`, name: 'api-key' }
    const found = pool
      .rows<{ secret_hash: Buffer; role: string }>(query)
      .then(([row]) => {
        cache.delete(id)
        if (!row) return null
        const known = { caller: { actor: `key:${id}`, role: row.role }, secretHash: row.secret_hash, checkedAt: performance.now() }
        cache.set(id, known)
        return known
      })
      .finally(() => lookups.delete(id))
    const lookup = { found, since: performance.now() }
    lookups.set(id, lookup)
    return lookup
  }

  const find = async (id: string): Promise<Known | null> => {
    const known = cache.get(id)
    const ageMs = known ? performance.now() - known.checkedAt : Number.POSITIVE_INFINITY
    if (known && ageMs < freshMs) return known
    const { found, since } = lookUp(id)
    if (!known || ageMs > TRUSTED_MS) return found
    const patienceMs = Math.max(0, PATIENCE_MS - (performance.now() - since))
    return Promise.race([found, delay(patienceMs, known, { ref: false })]).catch(() => known)
  }

  return {
    async caller(key) {
      const given = hash(key)
      if (adminHash && timingSafeEqual(given, adminHash)) return { actor: 'key:admin', role: 'administrator' }
      const id = idOf(key)
      if (!id) return null
      const known = await find(id)
      return known && timingSafeEqual(given, known.secretHash) ? known.caller : null
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
