import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { AccessRole, AccessRoleList, RoleName } from '../../schema/access.ts'
import { allPermissions, builtInRoles, permissions } from '../access.ts'
import { keysOfRole, listRoles } from '../platform/api-key-rows.ts'
import { commandSchema, positionHeader, requestOf, sendPosition } from '../platform/http/commands.ts'
import { answersOf, sendCacheable } from '../platform/http/queries.ts'
import { Invalid, Refused } from '../platform/refusal.ts'
import type { Services } from '../services.ts'
import { checkGrant } from './grants.ts'
import { keepAccess } from './keep.ts'
import { defineRole, removeRole, roleIdOf, roleNotFound } from './role.ts'

const params = Type.Object({ name: RoleName })
const tags = ['roles']
const Body = Type.Object(
  {
    permissions: Type.Array(Type.Unsafe<string>({ type: 'string', enum: allPermissions }), {
      minItems: 1,
      maxItems: 100,
      description: Object.entries(permissions)
        .map(([name, meaning]) => `\`${name}\`: ${meaning}`)
        .join('; '),
    }),
  },
  { additionalProperties: false, examples: [{ permissions: ['contacts:read', 'emails:read'] }] },
)

/** Roles: those that come with SmartCRM, and one's own beside them. */
export function roleRoutes(app: FastifyInstance, services: Services): void {
  const { pool, runner, vault } = services
  const secret = vault.secret('requests')
  const nameOf = (request: FastifyRequest) => (request.params as Static<typeof params>).name
  const all = async (): Promise<AccessRole[]> => [
    ...Object.entries(builtInRoles).map(([name, permissions]) => ({ name, permissions: [...permissions], builtIn: true })),
    ...(await listRoles(pool)).map((role) => ({ ...role, builtIn: false })),
  ]
  const one = async (name: string): Promise<AccessRole> => {
    const found = (await all()).find((role) => role.name === name)
    if (!found) throw roleNotFound()
    return found
  }
  const own = (name: string): string => {
    if (Object.hasOwn(builtInRoles, name))
      throw new Refused('role-built-in', `${name} comes with SmartCRM and is as it is. Define another.`)
    return name
  }

  app.get('/v1/roles', {
    schema: { operationId: 'listRoles', summary: 'List roles and what they may do', tags, response: answersOf(AccessRoleList) },
    handler: async (request, reply) => sendCacheable(request, reply, { data: await all() }),
  })

  app.get('/v1/roles/:name', {
    schema: { operationId: 'getRole', summary: 'What a role may do', tags, params, response: answersOf(AccessRole) },
    handler: async (request, reply) => sendCacheable(request, reply, await one(nameOf(request))),
  })

  app.put('/v1/roles/:name', {
    schema: {
      operationId: 'defineRole',
      summary: 'Define a role: from now on it may do this, and so may the keys that have it',
      tags,
      params,
      body: Body,
      ...commandSchema({ 200: AccessRole }, positionHeader),
    },
    async handler(request, reply) {
      const name = own(nameOf(request))
      const { permissions } = request.body as Static<typeof Body>
      checkGrant(request.caller, permissions)
      const id = roleIdOf(name)
      const outcome = await runner.execute(defineRole, { name, permissions }, { id }, requestOf(request, secret))
      await keepAccess(services, `role-${id}`)
      sendPosition(reply, outcome.position)
      return one(name)
    },
  })

  app.delete('/v1/roles/:name', {
    schema: {
      operationId: 'removeRole',
      summary: 'Remove a role that no key has any more',
      tags,
      params,
      ...commandSchema({ 200: AccessRole }, positionHeader),
    },
    async handler(request, reply) {
      const name = own(nameOf(request))
      if (request.body !== undefined) throw new Invalid([{ path: '', message: 'must be empty' }])
      const keys = await keysOfRole(pool, name)
      if (keys > 0) throw new Refused('role-in-use', `${keys} API keys have this role. Revoke them first, or define it anew.`)
      const id = roleIdOf(name)
      const outcome = await runner.execute(removeRole, {}, { id }, requestOf(request, secret))
      await keepAccess(services, `role-${id}`)
      sendPosition(reply, outcome.position)
      return { name, permissions: [], builtIn: false }
    },
  })
}
