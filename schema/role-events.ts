import { Type } from '@sinclair/typebox'
import { PermissionName, RoleName } from './access.ts'
import { type EventOf, events } from './define.ts'
import { Id } from './shared.ts'

// Stored for ever: a field may be added as optional, never renamed or retyped.
export const roleEvents = events({
  /** From now on the role has these permissions, and no others. */
  RoleDefined: { roleId: Id, name: RoleName, permissions: Type.Array(PermissionName) },
  RoleRemoved: { roleId: Id, name: RoleName },
})
export type RoleEvent = EventOf<typeof roleEvents>
