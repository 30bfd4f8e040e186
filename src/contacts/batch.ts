import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { Problem } from '../../schema/problem.ts'
import { Id } from '../../schema/shared.ts'
import { normalizeEmail } from '../platform/email-address.ts'
import { commandSchema, positionHeader, requestOf, requestOfInput, sendPosition } from '../platform/http/commands.ts'
import { faultsOfText } from '../platform/http/json.ts'
import { problemOf } from '../platform/http/problem.ts'
import { checker } from '../platform/http/validation.ts'
import { comparePositions, type Position } from '../platform/position.ts'
import { Invalid } from '../platform/refusal.ts'
import type { Outcome, Request, Runner } from '../platform/runner.ts'
import type { Claims } from './claims.ts'
import { ContactInput, createContact } from './contact.ts'
import { create, upsert } from './upsert.ts'

const AT_ONCE = 32
const MAX_INPUTS = 1_000

const Body = Type.Object(
  {
    inputs: Type.Array(Type.Unknown({ description: 'A contact as POST /v1/contacts takes it; checked by itself.' }), {
      minItems: 1,
      maxItems: MAX_INPUTS,
    }),
    mode: Type.Optional(
      Type.Union([Type.Literal('upsert'), Type.Literal('create')], {
        description: '`upsert` (the default) updates the owner of a taken address, `create` refuses it.',
      }),
    ),
  },
  {
    additionalProperties: false,
    examples: [{ inputs: [{ name: 'Ada Lovelace', methods: [{ type: 'email', value: 'ada@example.com' }] }] }],
  },
)
type Body = { inputs: unknown[]; mode?: 'upsert' | 'create' }

const Result = Type.Object({
  status: Type.Integer(),
  outcome: Type.Union([Type.Literal('created'), Type.Literal('updated'), Type.Literal('unchanged'), Type.Literal('failed')]),
  repeated: Type.Boolean({ description: 'This very input was carried out before; nothing was done again.' }),
  contactId: Type.Optional(Id),
  revision: Type.Optional(Type.Integer()),
  problem: Type.Optional(Type.Omit(Problem, [], { $id: undefined })),
})
type Result = {
  status: number
  outcome: 'created' | 'updated' | 'unchanged' | 'failed'
  repeated: boolean
  contactId?: string
  revision?: number
  problem?: object
}

const Answer = Type.Object({ correlationId: Id, results: Type.Array(Result, { description: 'One an input, in their order.' }) })
const check = checker(ContactInput)
const PATH = '/v1/contacts/batch'

/** `POST /v1/contacts/batch`: each input is a command of its own, with an answer of its own. */
export function batchRoute(app: FastifyInstance, runner: Runner, claims: Claims, secret: Buffer): void {
  app.post(PATH, {
    bodyLimit: 16 * 1024 * 1024,
    config: { apart: 'inputs', unhurried: true },
    schema: {
      operationId: 'batchContacts',
      summary: 'Create or update up to 1,000 contacts',
      tags: ['contacts'],
      body: Body,
      ...commandSchema({ 207: Answer }, positionHeader),
    },
    async handler(http, reply) {
      if (http.headers['if-match'] !== undefined) {
        throw new Invalid([{ path: '/headers/if-match', message: 'means nothing for a batch: its contacts have a revision each' }])
      }
      // Each input has an HMAC of its own; that of them all would be the slowest thing here.
      const batch = requestOf(http, secret, null)
      const { inputs, mode = 'upsert' } = http.body as Body
      let last: Position | null = null

      const one = async (index: number): Promise<Result> => {
        const input = inputs[index]
        try {
          const outcome = await carryOut(runner, claims, input, mode, () => requestOfInput(batch, index, secret, PATH, { mode, input }))
          if (outcome.position && (!last || comparePositions(outcome.position, last) > 0)) last = outcome.position
          return succeeded(outcome)
        } catch (error) {
          const problem = problemOf(error)
          if (problem.status >= 500)
            http.log[problem.status === 503 ? 'warn' : 'error']({ err: error, index }, 'an input of a batch failed')
          return { status: problem.status, outcome: 'failed', repeated: false, problem }
        }
      }

      const results = await inOrderByKey(inputs.map(keysOf), AT_ONCE, one)
      sendPosition(reply, last)
      return reply.code(207).send({ correlationId: batch.correlationId, results })
    },
  })
}

/**
 * Carries out one input of many, which nobody has checked before.
 * @param requestOf asked for only once the input is known to be one: of what is no JSON there is no HMAC
 * @throws Invalid, Refused, Unavailable
 */
export async function carryOut(
  runner: Runner,
  claims: Claims,
  input: unknown,
  mode: 'upsert' | 'create',
  requestOf: () => Request,
): Promise<Outcome> {
  const faults = [...faultsOfText(input), ...check(input), ...(createContact.faults?.(input) ?? [])]
  if (faults.length > 0) throw new Invalid(faults)
  const checked = input as ContactInput
  return mode === 'create' ? create(runner, checked, requestOf()) : upsert(runner, claims, checked, requestOf())
}

/** What came of an input, in a word. */
export const outcomeOf = ({ made, events }: Outcome): 'created' | 'updated' | 'unchanged' =>
  made === 0 ? 'unchanged' : events.length === made ? 'created' : 'updated'

function succeeded(done: Outcome): Result {
  const { id, events, repeated, status } = done
  const outcome = outcomeOf(done)
  return {
    status: outcome === 'created' ? 201 : status === 201 ? 200 : status,
    outcome,
    repeated,
    contactId: id,
    revision: events.at(-1)?.revision ?? -1,
  }
}

/** What two inputs must not share if they are to be carried out at the same time: an address, an id. Bears any value. */
export function keysOf(input: unknown): string[] {
  const { id, methods } = (input ?? {}) as { id?: unknown; methods?: unknown }
  const addresses = (Array.isArray(methods) ? methods : []).flatMap((method: unknown) => {
    const { type, value } = (method ?? {}) as { type?: unknown; value?: unknown }
    return type === 'email' && typeof value === 'string' ? [normalizeEmail(value) ?? value] : []
  })
  return typeof id === 'string' ? [...addresses, id] : addresses
}

/** Runs `work` for each index, several at once; those that share a key one after the other in their order, so that a repeat gives the same end. */
async function inOrderByKey<T>(keys: readonly string[][], atOnce: number, work: (index: number) => Promise<T>): Promise<T[]> {
  const latest = new Map<string, Promise<unknown>>()
  const results: Promise<T>[] = []
  const running = new Set<Promise<unknown>>()
  for (const [index, mine] of keys.entries()) {
    while (running.size >= atOnce) await Promise.race(running)
    const before = mine.flatMap((key) => latest.get(key) ?? [])
    const result = Promise.all(before).then(() => work(index))
    for (const key of mine) latest.set(key, result)
    const tracked = result.finally(() => running.delete(tracked))
    running.add(tracked)
    results.push(result)
  }
  return Promise.all(results)
}
