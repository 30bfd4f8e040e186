import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { RateLimit } from '../../schema/access.ts'
import { type Pool, sql } from './database.ts'
import { everybody, type Viewer } from './viewer.ts'

/** Who a request comes from, as it stands in the metadata of events (`key:<id>`), and what he may do. */
export type Caller = {
  readonly actor: string
  readonly role: string
  readonly permissions: ReadonlySet<string>
  readonly viewer: Viewer
  /** Of the key's own; its role's is the default. */
  readonly rateLimit: RateLimit | null
}

export type ApiKeys = {
  /**
   * Who has this key; null when nobody has, or has it no more. A key that was known in the last quarter of an hour is known while Postgres is away.
   * @throws a connection error when Postgres is away and the key is not known yet
   */
  caller(key: string): Promise<Caller | null>
  /** The same of one that this process need not ask for just now; null for any other. */
  known(key: string): Caller | null
  /** Makes the first key where there is none and no key was given by the settings: shown once, kept only as a hash. */
  makeFirst(): Promise<string | null>
}

/** So long after it was taken back at most a key still opens. */
const FRESH_MS = 5_000
/** And so long while Postgres does not answer. */
const TRUSTED_MS = 15 * 60_000
/** For how long that is waited for where the key was known. */
const PATIENCE_MS = 500
/** How often a process says that a key is in use. */
const USED_EVERY_MS = 60_000

type Known = {
  readonly caller: Caller
  readonly secretHash: Buffer
  readonly endsAt: number
  readonly checkedAt: number
}
const hash = (text: string) => createHash('sha256').update(text).digest()
const checksum = (body: string) => hash(body).toString('base64url').slice(0, 6)

export type NewKey = { readonly id: string; readonly key: string; readonly secretHash: Buffer }

/**
 * `smc_<id>_<secret>` with a checksum at its end, so that a mistyped key is known as one without asking anybody.
 * @param keyId the UUID whose last twelve digits are the id
 */
export function makeKey(keyId: string): NewKey {
  const id = keyId.slice(-12)
  const body = `smc_${id}_${randomBytes(24).toString('hex')}`
  const key = `${body}${checksum(body)}`
  return { id, key, secretHash: hash(key) }
}

/** The id in a well-formed key; null for anything else. */
export function idOf(key: string): string | null {
  const match = /^(smc_([0-9a-f]{12})_[0-9a-f]{48})([\w-]{6})$/.exec(key)
  return match && checksum(match[1]!) === match[3] ? match[2]! : null
}

type Row = {
  secret_hash: Buffer
  role: string
  scopes: string[] | null
  sees: Viewer['sees']
  owner: string | null
  team: string | null
  rate_limit: RateLimit | null
  ends_at: string | null
  permissions: string[] | null
}

type Options = {
  /** What a role may do. @param custom the permissions of a role that was defined here; null for any other */
  permissionsOf?: (role: string, custom: readonly string[] | null, viewer: Viewer) => readonly string[]
  /** For how long Postgres is not asked for a key again. */
  freshMs?: number
}

/** @param adminKey a key to accept as administrator beside those in the vault (SMARTCRM_ADMIN_KEY) */
export function createApiKeys(pool: Pool, adminKey: string | undefined, options: Options = {}): ApiKeys {
  const { permissionsOf = () => [], freshMs = FRESH_MS } = options
  const adminHash = adminKey === undefined ? null : hash(adminKey)
  const permissions = new Set(permissionsOf('administrator', null, everybody))
  const admin: Caller = { actor: 'key:admin', role: 'administrator', permissions, viewer: everybody, rateLimit: null }
  const cache = new Map<string, Known>()
  const lookups = new Map<string, { found: Promise<Known | null>; since: number }>()
  const usedAt = new Map<string, number>()

  const isRight = (given: Buffer, { secretHash, endsAt }: Known) => timingSafeEqual(given, secretHash) && Date.now() < endsAt

  const callerOf = (id: string, { role, scopes, permissions, sees, owner, team, rate_limit }: Row): Caller => {
    const viewer = { sees, owner, team }
    const allowed = permissionsOf(role, permissions, viewer).filter((permission) => scopes === null || scopes.includes(permission))
    return { actor: `key:${id}`, role, permissions: new Set(allowed), viewer, rateLimit: rate_limit }
  }

  const lookUp = (id: string) => {
    const running = lookups.get(id)
    if (running) return running
    const query = {
      ...sql.unsafe`
        select k.secret_hash, k.role, k.scopes, k.sees, k.owner, k.team, k.rate_limit, least(k.expires_at, k.revoked_at) as ends_at, r.permissions
        from vault.api_keys k left join vault.roles r on r.name = k.role where k.id = ${id}`,
      name: 'api-key',
    }
    const found = pool
      .rows<Row>(query)
      .then(([row]) => {
        cache.delete(id)
        if (!row) return null
        const endsAt = row.ends_at === null ? Number.POSITIVE_INFINITY : Date.parse(row.ends_at)
        const known = { caller: callerOf(id, row), secretHash: row.secret_hash, endsAt, checkedAt: performance.now() }
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

  /** Nobody waits for it: it says no more than that a key is not forgotten. */
  const noteUse = (id: string) => {
    const now = performance.now()
    if (now - (usedAt.get(id) ?? Number.NEGATIVE_INFINITY) < USED_EVERY_MS) return
    usedAt.set(id, now)
    pool.rows(sql.unsafe`update vault.api_keys set last_used_at = now() where id = ${id}`).catch(() => usedAt.delete(id))
  }

  return {
    async caller(key) {
      const given = hash(key)
      if (adminHash && timingSafeEqual(given, adminHash)) return admin
      const id = idOf(key)
      const known = id && (await find(id))
      if (!known || !isRight(given, known)) return null
      noteUse(id)
      return known.caller
    },

    known(key) {
      const known = cache.get(key.slice(4, 16))
      return known && performance.now() - known.checkedAt < freshMs && isRight(hash(key), known) ? known.caller : null
    },

    async makeFirst() {
      if (adminHash) return null
      return pool.transaction(async (db) => {
        // Of several processes that start at once, one makes the key.
        await db.rows(sql.unsafe`lock table vault.api_keys in share row exclusive mode`)
        const there = await db.rows(sql.unsafe`select from vault.api_keys limit 1`)
        if (there.length > 0) return null
        const keyId = crypto.randomUUID()
        const { id, key, secretHash } = makeKey(keyId)
        await db.rows(sql.unsafe`
          insert into vault.api_keys (id, key_id, secret_hash, role, name) values (${id}, ${keyId}, ${sql.binary(secretHash)}, 'administrator', 'First key')`)
        return key
      })
    },
  }
}
