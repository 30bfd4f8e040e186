import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { ApiKey, ApiKeyList, IssuedApiKey } from '../../schema/access.ts'
import { Id } from '../../schema/shared.ts'
import { allPermissions, builtInRoles } from '../access.ts'
import { findKey, listKeys, listRoles } from '../platform/api-key-rows.ts'
import { makeKey } from '../platform/api-keys.ts'
import { commandSchema, positionHeader, requestOf, sendPosition } from '../platform/http/commands.ts'
import { answersOf, sendCacheable } from '../platform/http/queries.ts'
import { type Fault, Invalid, Refused } from '../platform/refusal.ts'
import type { Outcome, Request } from '../platform/runner.ts'
import { uuidv5 } from '../platform/uuid.ts'
import type { Services } from '../services.ts'
import { checkGrant, grantOf } from './grants.ts'
import { keepAccess } from './keep.ts'
import { issueKey, KeyInput, keyFaults, keyNotFound, keyState, revokeKey } from './key.ts'

const DAY_SECONDS = 24 * 3600
const RotateInput = Type.Object(
  {
    overlapSeconds: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 30 * DAY_SECONDS,
        default: DAY_SECONDS,
        description: 'How long the old key opens beside the new one.',
      }),
    ),
  },
  { additionalProperties: false, examples: [{ overlapSeconds: 3600 }] },
)

const params = Type.Object({ id: Id })
const tags = ['keys']
type Body = Parameters<typeof issueKey.decide>[0]

/** API keys: who has which, given out, replaced and taken back. */
export function keyRoutes(app: FastifyInstance, services: Services): void {
  const { pool, runner, vault } = services
  const secret = vault.secret('requests')
  const idOf = (request: FastifyRequest) => (request.params as Static<typeof params>).id
  const shown = async (id: string): Promise<ApiKey> => {
    const key = await findKey(pool, id)
    if (!key) throw keyNotFound()
    return key
  }
  const customRoles = async () => new Map((await listRoles(pool)).map(({ name, permissions }) => [name, permissions]))

  /** Makes a key, appends that it was issued, and lets it open. A repeat of the same request finds it made, and cannot show it again. */
  const issue = async (body: Omit<Body, 'secretHash'>, request: Request) => {
    const { key, secretHash } = makeKey(uuidv5('0', request.commandId))
    const outcome = await runner.execute(issueKey, { ...body, secretHash: secretHash.toString('hex') }, {}, request)
    await keepAccess(services, `key-${outcome.id}`)
    return { outcome, key: outcome.repeated ? null : key }
  }
  const answer = async (reply: FastifyReply, { outcome, key }: { outcome: Outcome; key: string | null }) => {
    sendPosition(reply, outcome.position)
    reply.header('location', `/v1/keys/${outcome.id}`).header('cache-control', 'no-store')
    return reply.code(outcome.repeated ? 200 : 201).send({ ...(await shown(outcome.id)), key })
  }

  app.get('/v1/keys', {
    schema: {
      operationId: 'listApiKeys',
      summary: 'List API keys, the newest first; also those that open nothing any more',
      tags,
      response: answersOf(ApiKeyList),
    },
    handler: async (request, reply) => sendCacheable(request, reply, { data: await listKeys(pool) }),
  })

  app.get('/v1/keys/:id', {
    schema: {
      operationId: 'getApiKey',
      summary: 'What an API key may do, and when it was last used',
      tags,
      params,
      response: answersOf(ApiKey),
    },
    handler: async (request, reply) => sendCacheable(request, reply, await shown(idOf(request))),
  })

  app.post('/v1/keys', {
    schema: {
      operationId: 'issueApiKey',
      summary: 'Issue an API key',
      description: 'The answer shows it, this once: it is kept as a hash only. It may do no more than the key that issues it.',
      tags,
      body: KeyInput,
      ...commandSchema({ 201: IssuedApiKey, 200: IssuedApiKey }, positionHeader),
    },
    async handler(request, reply) {
      const { sees = 'all', ...input } = request.body as KeyInput
      const roles = await customRoles()
      const faults = [...keyFaults({ sees, ...input }), ...roleFaults(input, roles)]
      if (faults.length > 0) throw new Invalid(faults)
      checkGrant(request.caller, grantOf({ role: input.role, scopes: input.scopes ?? null, sees }, roles.get(input.role) ?? null))
      const asked = requestOf(request, secret)
      return answer(
        reply,
        await issue({ sees, ...input, ...(input.expiresAt && { expiresAt: new Date(input.expiresAt).toISOString() }) }, asked),
      )
    },
  })

  app.post('/v1/keys/:id/rotate', {
    schema: {
      operationId: 'rotateApiKey',
      summary: 'Issue a key that takes the place of another, which opens for a while yet',
      tags,
      params,
      body: RotateInput,
      ...commandSchema({ 201: IssuedApiKey, 200: IssuedApiKey }, positionHeader),
    },
    async handler(request, reply) {
      const { overlapSeconds = DAY_SECONDS } = request.body as Static<typeof RotateInput>
      const old = keyState(await runner.load(`key-${idOf(request)}`))
      if (!old) throw keyNotFound()
      const asked = { ...requestOf(request, secret), fresh: false }
      const isRepeat = old.replacedBy === uuidv5('0', asked.commandId)
      if (!isRepeat && old.revokedAt !== null)
        throw new Refused('key-revoked', 'This key was revoked or replaced already. Issue a new one.')
      const { role, scopes, viewer, name, rateLimit, expiresAt } = old
      checkGrant(request.caller, grantOf({ role, scopes, sees: viewer.sees }, (await customRoles()).get(role) ?? null))
      const body = {
        role,
        name,
        sees: viewer.sees,
        ...(scopes && { scopes: [...scopes] }),
        ...(viewer.owner !== null && { owner: viewer.owner }),
        ...(viewer.team !== null && { team: viewer.team }),
        ...(rateLimit && { rateLimit }),
        ...(expiresAt !== null && { expiresAt }),
        replaces: old.keyId,
      }
      // The new one first: should this end in between, there is one more that nobody has, and the old one still opens.
      const made = await issue(body, asked)
      const revoking = { ...asked, commandId: uuidv5('revoke', asked.commandId) }
      await runner.execute(revokeKey, { afterSeconds: overlapSeconds, replacedBy: made.outcome.id }, { id: old.keyId }, revoking)
      await keepAccess(services, `key-${old.keyId}`)
      return answer(reply, made)
    },
  })

  app.delete('/v1/keys/:id', {
    schema: {
      operationId: 'revokeApiKey',
      summary: 'Revoke an API key: within 5 s it opens nothing, on no process',
      tags,
      params,
      ...commandSchema({ 200: ApiKey }, positionHeader),
    },
    async handler(request, reply) {
      const id = idOf(request)
      const outcome = await runner.execute(revokeKey, { afterSeconds: 0 }, { id }, requestOf(request, secret))
      await keepAccess(services, `key-${id}`)
      sendPosition(reply, outcome.position)
      return shown(id)
    },
  })
}

function roleFaults({ role, scopes = [] }: Pick<KeyInput, 'role' | 'scopes'>, custom: ReadonlyMap<string, unknown>): Fault[] {
  const names = [...Object.keys(builtInRoles), ...custom.keys()]
  const unknown = scopes.filter((scope) => !(allPermissions as string[]).includes(scope))
  return [
    ...(names.includes(role) ? [] : [{ path: '/role', message: `is no role: there are ${names.join(', ')}` }]),
    ...(unknown.length > 0
      ? [{ path: '/scopes', message: `has ${unknown.join(', ')}, which is no permission: there are ${allPermissions.join(', ')}` }]
      : []),
  ]
}
