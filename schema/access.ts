import { type Static, Type } from '@sinclair/typebox'
import { Id, Instant, nullable } from './shared.ts'

/** Who somebody is, as whoever gives out keys calls him or his team. No address: names are seen by all who see what belongs to him. */
export const OwnerName = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$', examples: ['ada'] })

export const Sees = Type.Union([Type.Literal('all'), Type.Literal('team'), Type.Literal('own')], {
  description: 'Which contacts, and which mails and imports with them: all, those of its owner and team, or those of its owner.',
})
export const RoleName = Type.String({ pattern: '^[a-z][a-z0-9-]{0,49}$', examples: ['support'] })
export const PermissionName = Type.String({ pattern: '^[a-z]+:[a-z]+$', examples: ['contacts:read'] })

/** At most so many requests in so many seconds. */
export const RateLimit = Type.Object({
  requests: Type.Integer({ minimum: 1 }),
  seconds: Type.Integer({ minimum: 1 }),
})
export type RateLimit = Static<typeof RateLimit>

const exampleKey = {
  id: '6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11',
  actor: 'key:0d7a5c2b9e11',
  name: 'Mail room',
  role: 'member',
  scopes: null,
  sees: 'own',
  owner: 'ada',
  team: null,
  rateLimit: null,
  createdAt: '2026-03-01T09:30:00.000Z',
  expiresAt: null,
  lastUsedAt: '2026-03-02T16:05:00.000Z',
  revokedAt: null,
  replacedBy: null,
}

/** An API key as the API shows it: never the key itself. */
export const ApiKey = Type.Object(
  {
    id: Id,
    actor: Type.String({ description: 'What it is called in events and in the audit.' }),
    name: Type.String(),
    role: Type.String(),
    scopes: nullable(Type.Array(PermissionName, { description: 'It may do no more of what its role may; null: all of it.' })),
    sees: Sees,
    owner: nullable(Type.String()),
    team: nullable(Type.String()),
    rateLimit: nullable(RateLimit),
    createdAt: Instant,
    expiresAt: nullable(Instant),
    lastUsedAt: nullable(Type.String({ ...Instant, description: 'To within a minute or two.' })),
    revokedAt: nullable(
      Type.String({ ...Instant, description: 'From when on it opens nothing; in the future while it is being replaced by another.' }),
    ),
    replacedBy: nullable(Id),
  },
  { title: 'ApiKey', examples: [exampleKey] },
)
export type ApiKey = Static<typeof ApiKey>

export const ApiKeyList = Type.Object({ data: Type.Array(ApiKey) }, { title: 'ApiKeyList', examples: [{ data: [exampleKey] }] })

/** What issuing answers. */
export const IssuedApiKey = Type.Object(
  {
    ...ApiKey.properties,
    key: nullable(
      Type.String({
        description: 'The key, shown this once. Null where the very request was answered before: if that answer is lost, revoke the key.',
      }),
    ),
  },
  { title: 'IssuedApiKey', examples: [{ ...exampleKey, key: 'smc_0d7a5c2b9e11_…' }] },
)

const exampleRole = { name: 'support', permissions: ['contacts:read', 'emails:read'], builtIn: false }
export const AccessRole = Type.Object(
  {
    name: Type.String(),
    permissions: Type.Array(PermissionName),
    builtIn: Type.Boolean({ description: 'It comes with SmartCRM and is as it is.' }),
  },
  { title: 'Role', examples: [exampleRole] },
)
export type AccessRole = Static<typeof AccessRole>
export const AccessRoleList = Type.Object({ data: Type.Array(AccessRole) }, { title: 'RoleList', examples: [{ data: [exampleRole] }] })
