import { type Permission, permissionsOf } from '../access.ts'
import type { Caller } from '../platform/api-keys.ts'
import { lacking } from '../platform/http/permissions.ts'
import type { Viewer } from '../platform/viewer.ts'

/** What a key may do. @param custom the permissions of its role, where that was defined here */
export const grantOf = (
  { role, scopes, sees }: { role: string; scopes: readonly string[] | null; sees: Viewer['sees'] },
  custom: readonly string[] | null,
): Permission[] => permissionsOf(role, custom, { sees }).filter((permission) => scopes === null || scopes.includes(permission))

/** Nobody gives away what he has not: else whoever may issue keys could issue himself one for everything. @throws Refused */
export function checkGrant({ permissions }: Caller, given: readonly string[]): void {
  const beyond = given.filter((permission) => !permissions.has(permission))
  if (beyond.length > 0) throw lacking(beyond)
}
