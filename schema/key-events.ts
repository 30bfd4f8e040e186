import { Type } from '@sinclair/typebox'
import { PermissionName, RateLimit, RoleName, Sees } from './access.ts'
import { type EventOf, events, personal } from './define.ts'
import { Id, Instant } from './shared.ts'

// Stored for ever: a field may be added as optional, never renamed or retyped.
export const keyEvents = events({
  ApiKeyIssued: {
    keyId: Id,
    /** SHA-256 of the key, in hex. The key has 192 random bits, so nobody finds it by this. */
    secretHash: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    role: RoleName,
    /** What of its role's permissions it has; all unless given. */
    scopes: Type.Optional(Type.Array(PermissionName)),
    sees: Sees,
    name: personal(Type.String()),
    owner: personal(Type.Optional(Type.String())),
    team: personal(Type.Optional(Type.String())),
    expiresAt: Type.Optional(Instant),
    rateLimit: Type.Optional(RateLimit),
    /** The key that this one takes the place of. */
    replaces: Type.Optional(Id),
  },
  ApiKeyRevoked: {
    keyId: Id,
    /** From when on it opens nothing: later than the event where another takes its place. */
    effectiveAt: Instant,
    replacedBy: Type.Optional(Id),
  },
})
export type KeyEvent = EventOf<typeof keyEvents>
