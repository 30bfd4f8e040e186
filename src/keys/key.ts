import { type Static, Type } from '@sinclair/typebox'
import { OwnerName, PermissionName, RoleName, Sees } from '../../schema/access.ts'
import { keyEvents } from '../../schema/key-events.ts'
import { Id, Instant, line } from '../../schema/shared.ts'
import type { KeyState } from '../platform/api-key-rows.ts'
import { decider, internalCommand } from '../platform/decider.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { type Fault, Refused } from '../platform/refusal.ts'
import { fold } from '../platform/runner.ts'

const { ApiKeyIssued, ApiKeyRevoked } = keyEvents

type Issued = ReturnType<typeof ApiKeyIssued>['data']
export type Key = { status: 'unknown' } | { status: 'issued'; issued: Issued; revokedAt: string | null; replacedBy: string | null }

/** An API key: who may do what with it, and for how long. */
export const apiKey = decider<Key, typeof keyEvents>(
  'key',
  keyEvents,
  { status: 'unknown' },
  {
    ApiKeyIssued: (_, issued) => ({ status: 'issued', issued, revokedAt: null, replacedBy: null }),
    ApiKeyRevoked: (state, { effectiveAt, replacedBy }) =>
      state.status === 'unknown' ? state : { ...state, revokedAt: effectiveAt, replacedBy: replacedBy ?? state.replacedBy },
  },
)

const strict = { additionalProperties: false }

/** What somebody says of a key that he wants. */
export const KeyInput = Type.Object(
  {
    name: { ...line(200, ['Mail room']), description: 'What it is for.' },
    role: RoleName,
    scopes: Type.Optional(
      Type.Array(PermissionName, {
        minItems: 1,
        maxItems: 100,
        description: 'No more than these of what its role may; all of it unless given.',
      }),
    ),
    sees: Type.Optional(Sees),
    owner: Type.Optional({ ...OwnerName, description: 'Whose key it is: what is made with it is theirs.' }),
    team: Type.Optional({ ...OwnerName, description: 'The team of its owner.' }),
    expiresAt: Type.Optional({ ...Instant, description: 'From when on it opens nothing. RFC 3339.' }),
    rateLimit: Type.Optional(
      Type.Object(
        { requests: Type.Integer({ minimum: 1, maximum: 1_000_000 }), seconds: Type.Integer({ minimum: 1, maximum: 86_400 }) },
        { ...strict, description: 'Instead of what its role has.' },
      ),
    ),
  },
  { ...strict, examples: [{ name: 'Mail room', role: 'member', sees: 'own', owner: 'ada' }] },
)
export type KeyInput = Static<typeof KeyInput>

/** What is wrong with it beyond its schema. */
export const keyFaults = ({ sees = 'all', owner, team }: KeyInput): Fault[] => [
  ...(sees !== 'all' && owner === undefined ? [{ path: '/owner', message: `is required where \`sees\` is ${sees}` }] : []),
  ...(sees === 'team' && team === undefined ? [{ path: '/team', message: 'is required where `sees` is team' }] : []),
]

const { keyId: _id, ...issued } = ApiKeyIssued.schema.properties

/** The key itself was made before; here only its hash comes by. */
export const issueKey = internalCommand(apiKey, 'issue', {
  body: Type.Object(issued, strict),
  decide: (body, state, { id, now }) => {
    if (state.status !== 'unknown') return []
    if (body.expiresAt !== undefined && body.expiresAt <= now)
      throw new Refused('expiry-past', 'This key would have expired already: let expiresAt be in the future.')
    return [ApiKeyIssued({ keyId: id, ...body })]
  },
})

/** @property afterSeconds how long it opens yet, while another takes its place */
export const revokeKey = internalCommand(apiKey, 'revoke', {
  body: Type.Object({ afterSeconds: Type.Integer({ minimum: 0 }), replacedBy: Type.Optional(Id) }, strict),
  decide: ({ afterSeconds, replacedBy }, state, { id, now }) => {
    if (state.status === 'unknown') throw keyNotFound()
    const effectiveAt = new Date(Date.parse(now) + afterSeconds * 1000).toISOString()
    if (state.revokedAt !== null && state.revokedAt <= effectiveAt) {
      if (replacedBy !== undefined) throw new Refused('key-revoked', 'This key was revoked or replaced already. Issue a new one.')
      return []
    }
    return [ApiKeyRevoked({ keyId: id, effectiveAt, ...(replacedBy !== undefined && { replacedBy }) })]
  },
})

export const keyNotFound = () => new Refused('key-not-found', 'There is no such API key.', 404)

/** What a key's events come to; null: it has none. Of an erased one the names are gone. */
export function keyState(events: readonly RecordedEvent[]): KeyState | null {
  const state = fold(apiKey, events)
  if (state.status === 'unknown') return null
  const { keyId, secretHash, name, role, scopes, sees, owner, team, rateLimit, expiresAt } = state.issued
  return {
    keyId,
    secretHash,
    name: name ?? '',
    role,
    scopes: scopes ?? null,
    viewer: { sees, owner: owner ?? null, team: team ?? null },
    rateLimit: rateLimit ?? null,
    createdAt: events[0]!.meta.at,
    expiresAt: expiresAt ?? null,
    revokedAt: state.revokedAt,
    replacedBy: state.replacedBy,
  }
}
