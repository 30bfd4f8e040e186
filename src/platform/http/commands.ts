import { createHmac, createSecretKey } from 'node:crypto'
import { Type } from '@sinclair/typebox'
import canonicalize from 'canonicalize'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Id } from '../../../schema/shared.ts'
import type { Command } from '../decider.ts'
import { formatPosition, type Position } from '../position.ts'
import { type Fault, Invalid } from '../refusal.ts'
import type { Outcome, Request } from '../runner.ts'
import { uuidv5 } from '../uuid.ts'
import { etagOf, idempotencyKey, revisionsOf } from './preconditions.ts'
import { problemResponse } from './problem-response.ts'
import { faultsOf } from './validation.ts'

/** Namespace of command ids (UUIDv5). For ever: a repeat is recognised by it. */
const COMMANDS = '0d0f9a6e-6a2b-4d0e-9a53-5c1a7c0a6f10'

/** How the subject of a category is shown after a command: what its events add up to. */
export type View = { readonly schema: object; render(events: Outcome['events'], id: string): object; location(id: string): string }

/** What a command would come to, asked before it is carried out (`?dryRun=true`): nothing is changed, and no trace is left. */
export type Preview = {
  readonly schema: object
  run(body: unknown, params: Readonly<Record<string, string>>): Promise<object>
}

/** Carries a command out: the runner, or what a feature puts before it. */
export type Execute = (command: Command, body: unknown, params: Readonly<Record<string, string>>, request: Request) => Promise<Outcome>

const commandHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({ description: 'Sent again with the same body, the command is carried out once and answered the same, for ever.' }),
  ),
  'if-match': Type.Optional(Type.String({ description: 'Only if it is still at the revision of this ETag; else 412.' })),
  'x-correlation-id': Type.Optional(Type.String({ description: 'A UUID that goes with every event that follows from this.' })),
})

export const positionHeader = {
  'SmartCRM-Position': { type: 'string', description: 'Send it back with a query as SmartCRM-After, and the answer has seen this.' },
}
const answerHeaders = { ETag: { type: 'string', description: 'The revision, a dot and a digest of the answer.' }, ...positionHeader }

const descriptions: Readonly<Record<string, string>> = {
  200: 'Done, or there was nothing to do: how it is now.',
  201: 'It was made: how it is now.',
  207: 'A result for each input.',
}

/** The schema of a command's headers and answers; the same for all of them. @param headers of the answers that are none of a problem */
export function commandSchema(answers: Record<string, object>, headers: object = answerHeaders) {
  const response = Object.entries(answers).map(([status, schema]) => {
    const more = status === '201' ? { ...headers, Location: { type: 'string', description: 'Where it is.' } } : headers
    return [status, { description: descriptions[status], headers: more, content: { 'application/json': { schema } } }]
  })
  return {
    headers: { ...commandHeaders, additionalProperties: true },
    response: { ...Object.fromEntries(response), default: problemResponse },
  }
}

/**
 * What makes a repeat of this request recognisable, and who asks.
 * @param secret keys the HMAC of the request
 * @param body what must be the same in a repeat
 */
export function requestOf(request: FastifyRequest, secret: Buffer, body: unknown = request.body): Request {
  const { caller, method, routeOptions, url, headers } = request
  const key = idempotencyKey(headers['idempotency-key'])
  const commandId = uuidv5(JSON.stringify([caller.actor, method, routeOptions.url, key ?? `random ${request.id}`]), COMMANDS)
  // The log line says it too.
  request.correlationId ??= commandId
  return {
    actor: caller.actor,
    viewer: caller.viewer,
    commandId,
    request: digest(secret, method, url.split('?')[0]!, body),
    correlationId: request.correlationId,
    fresh: key === undefined,
    ifMatch: revisionsOf(headers['if-match']),
  }
}

/** The HMAC by which a repeat is told from another request with the same Idempotency-Key. */
export const digest = (secret: Buffer, method: string, path: string, body: unknown): string =>
  createHmac('sha256', createSecretKey(secret))
    .update(canonicalize([method, path, body ?? null])!)
    .digest('base64url')

/** The request of one input of a batch: an id of its own, made of the batch's and its index. */
export const requestOfInput = (batch: Request, index: number, secret: Buffer, path: string, input: unknown): Request => ({
  ...batch,
  commandId: uuidv5(String(index), batch.commandId),
  request: digest(secret, 'POST', path, input),
  ifMatch: undefined,
})

export const sendPosition = (reply: FastifyReply, position: Position | null) => {
  if (position) reply.header('smartcrm-position', formatPosition(position))
}

const dryRun = Type.Object(
  {
    dryRun: Type.Optional(
      Type.Unsafe<'true' | 'false'>({ type: 'string', enum: ['true', 'false'], description: '`true`: only tells what it would come to.' }),
    ),
  },
  { additionalProperties: false },
)

/** Makes a command an endpoint. @param preview where it can be asked beforehand what it would come to */
export function commandRoute(
  app: FastifyInstance,
  command: Command,
  view: View,
  execute: Execute,
  secret: Buffer,
  preview?: Preview,
): void {
  const { operationId, method, path, summary, success } = command
  const hasBody = Object.keys(command.body.properties).length > 0
  app.route({
    method,
    url: `/v1${path.replaceAll(/\{(\w+)\}/g, ':$1')}`,
    // The body's faults are put together with those that no schema can tell.
    attachValidation: true,
    schema: {
      operationId,
      summary,
      tags: [path.split('/')[1]!],
      ...(method === 'PATCH' && { consumes: ['application/json', 'application/merge-patch+json'] }),
      params: pathSchema(path),
      ...(preview && { querystring: dryRun }),
      ...(hasBody && { body: command.body }),
      ...commandSchema(
        method === 'PUT'
          ? { 200: preview ? { anyOf: [view.schema, preview.schema] } : view.schema, 201: view.schema }
          : { [success]: view.schema, ...(success === 201 && { 200: view.schema }) },
      ),
    },
    async handler(request, reply) {
      const { validationError, body } = request
      const faults = [
        ...(validationError
          ? faultsOf(
              validationError.validation,
              validationError.validationContext === 'body' ? '' : `/${validationError.validationContext}`,
            )
          : []),
        ...(hasBody ? (command.faults?.(body) ?? []) : emptyBody(body)),
      ]
      if (faults.length > 0) throw new Invalid(faults)
      if (preview && (request.query as { dryRun?: string }).dryRun === 'true') {
        reply.header('cache-control', 'no-store')
        return reply.send(await preview.run(body, request.params as Record<string, string>))
      }
      const outcome = await execute(command, body ?? {}, request.params as Record<string, string>, requestOf(request, secret))
      const answer = JSON.stringify(view.render(outcome.events, outcome.id))
      sendPosition(reply, outcome.position)
      reply.header('etag', etagOf(answer, outcome.events.at(-1)?.revision))
      if (outcome.status === 201) reply.header('location', view.location(outcome.id))
      return reply.code(outcome.status).type('application/json; charset=utf-8').serializer(String).send(answer)
    },
  })
}

function emptyBody(body: unknown): Fault[] {
  if (typeof body !== 'object' || Array.isArray(body)) return body === undefined ? [] : [{ path: '', message: 'must be empty, or {}' }]
  return Object.keys(body ?? {}).map((field) => ({ path: `/${field}`, message: 'is not a known field: this takes no body' }))
}

/** The parameters in a path template: ids are UUIDs, an address is text. */
export function pathSchema(path: string) {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!)
  return Type.Object(
    Object.fromEntries(
      names.map((name) => [
        name,
        /id$/i.test(name) ? Type.String({ pattern: Id.pattern! }) : Type.String({ minLength: 1, maxLength: 400 }),
      ]),
    ),
  )
}
