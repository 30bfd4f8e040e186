import { keyEvents } from '../../schema/key-events.ts'
import { roleEvents } from '../../schema/role-events.ts'
import { reactor } from '../platform/reactor.ts'

const job = (stream: string, key: string) => [{ queue: 'access', key, data: { stream } }]

/** Mostly it has been done already by who changed it; this is for one who was killed before he came to it. */
export const accessOnChanged = reactor({
  name: 'access-on-changed',
  events: { ...keyEvents, ...roleEvents },
  on: {
    ApiKeyIssued: ({ keyId }) => job(`key-${keyId}`, keyId),
    ApiKeyRevoked: ({ keyId }) => job(`key-${keyId}`, keyId),
    RoleDefined: ({ roleId }) => job(`role-${roleId}`, roleId),
    RoleRemoved: ({ roleId }) => job(`role-${roleId}`, roleId),
  },
})
