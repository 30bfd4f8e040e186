import type { ApiKey, RateLimit } from '../../schema/access.ts'
import { type Database, sql } from './database.ts'
import type { Viewer } from './viewer.ts'

/** What a key's events come to. */
export type KeyState = {
  readonly keyId: string
  readonly secretHash: string
  readonly name: string
  readonly role: string
  readonly scopes: readonly string[] | null
  readonly viewer: Viewer
  readonly rateLimit: RateLimit | null
  readonly createdAt: string
  readonly expiresAt: string | null
  readonly revokedAt: string | null
  readonly replacedBy: string | null
}

/**
 * Keeps what a key's events come to where every request looks. Whoever is late changes nothing: the revision only grows.
 * @param revision of the last of the events
 */
export const keepKey = (db: Database, state: KeyState, revision: number) =>
  db.rows(sql.unsafe`
    insert into vault.api_keys as k (id, key_id, secret_hash, role, name, scopes, sees, owner, team, rate_limit, created_at, expires_at, revoked_at, replaced_by, revision)
    values (${state.keyId.slice(-12)}, ${state.keyId}, ${sql.binary(Buffer.from(state.secretHash, 'hex'))}, ${state.role}, ${state.name},
      ${state.scopes && sql.array([...state.scopes], 'text')}, ${state.viewer.sees}, ${state.viewer.owner}, ${state.viewer.team},
      ${state.rateLimit && JSON.stringify(state.rateLimit)}::jsonb, ${state.createdAt}, ${state.expiresAt}, ${state.revokedAt}, ${state.replacedBy}, ${revision})
    on conflict (key_id) do update set role = excluded.role, name = excluded.name, scopes = excluded.scopes, sees = excluded.sees, owner = excluded.owner,
      team = excluded.team, rate_limit = excluded.rate_limit, created_at = excluded.created_at, expires_at = excluded.expires_at,
      revoked_at = excluded.revoked_at, replaced_by = excluded.replaced_by, revision = excluded.revision
    where k.revision < excluded.revision`)

/** The same for a role that was defined here. @param permissions null: it was removed */
export const keepRole = (db: Database, name: string, permissions: readonly string[] | null, revision: number) =>
  db.rows(sql.unsafe`
    insert into vault.roles as r (name, permissions, revision) values (${name}, ${permissions && sql.array([...permissions], 'text')}, ${revision})
    on conflict (name) do update set permissions = excluded.permissions, revision = excluded.revision where r.revision < excluded.revision`)

const columns = sql.fragment`
  key_id as id, 'key:' || id as actor, name, role, scopes, sees, owner, team, rate_limit as "rateLimit", created_at as "createdAt", expires_at as "expiresAt",
  last_used_at as "lastUsedAt", revoked_at as "revokedAt", replaced_by as "replacedBy"`

/** Every key there is or was, the newest first. */
export const listKeys = (db: Database): Promise<ApiKey[]> =>
  db.rows<ApiKey>(sql.unsafe`select ${columns} from vault.api_keys order by created_at desc, id`)

export async function findKey(db: Database, id: string): Promise<ApiKey | null> {
  const [row] = await db.rows<ApiKey>(sql.unsafe`select ${columns} from vault.api_keys where key_id = ${id}`)
  return row ?? null
}

/** Keys that the log does not know of yet: the first one, and those of before keys had events. */
export const unloggedKeys = (db: Database): Promise<readonly { keyId: string; secretHash: string; role: string; name: string }[]> =>
  db.rows(
    sql.unsafe`select key_id as "keyId", encode(secret_hash, 'hex') as "secretHash", role, name from vault.api_keys where revision = -1`,
  )

export const listRoles = (db: Database): Promise<readonly { name: string; permissions: string[] }[]> =>
  db.rows(sql.unsafe`select name, permissions from vault.roles where permissions is not null order by name`)

/** How many keys that still open have a role. */
export async function keysOfRole(db: Database, role: string): Promise<number> {
  const [row] = await db.rows<{ count: number }>(
    sql.unsafe`select count(*) as count from vault.api_keys where role = ${role} and coalesce(least(expires_at, revoked_at), 'infinity') > now()`,
  )
  return row!.count
}
