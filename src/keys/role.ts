import { Type } from '@sinclair/typebox'
import { PermissionName, RoleName } from '../../schema/access.ts'
import { roleEvents } from '../../schema/role-events.ts'
import { decider, internalCommand } from '../platform/decider.ts'
import { Refused } from '../platform/refusal.ts'
import { uuidv5 } from '../platform/uuid.ts'

const { RoleDefined, RoleRemoved } = roleEvents

export type Role = { status: 'unknown' | 'removed' } | { status: 'defined'; name: string; permissions: readonly string[] }

/** A role that is not one of those that come with SmartCRM: a name for some permissions. */
export const role = decider<Role, typeof roleEvents>(
  'role',
  roleEvents,
  { status: 'unknown' },
  {
    RoleDefined: (_, { name, permissions }) => ({ status: 'defined', name, permissions }),
    RoleRemoved: () => ({ status: 'removed' }),
  },
)

/** Namespace of roles' ids (UUIDv5 of the name). For ever: a role finds its stream by it. */
const ROLES = '5b1f6e0a-3c0e-4a57-8a5c-0f7d9b1c2e44'
export const roleIdOf = (name: string): string => uuidv5(name, ROLES)

const strict = { additionalProperties: false }

export const defineRole = internalCommand(role, 'define', {
  body: Type.Object({ name: RoleName, permissions: Type.Array(PermissionName) }, strict),
  decide: ({ name, permissions }, state, { id }) => {
    const sorted = [...new Set(permissions)].sort()
    const isSame = state.status === 'defined' && sorted.join() === state.permissions.join()
    return isSame ? [] : [RoleDefined({ roleId: id, name, permissions: sorted })]
  },
})

export const removeRole = internalCommand(role, 'remove', {
  body: Type.Object({}, strict),
  decide: (_, state, { id }) => {
    if (state.status === 'unknown') throw roleNotFound()
    return state.status === 'defined' ? [RoleRemoved({ roleId: id, name: state.name })] : []
  },
})

export const roleNotFound = () => new Refused('role-not-found', 'There is no such role.', 404)
