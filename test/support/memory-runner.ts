import { contactEvents } from '../../schema/contact-events.ts'
import type { NewEvent } from '../../schema/define.ts'
import { type Claims, createClaims } from '../../src/contacts/claims.ts'
import type { RecordedEvent } from '../../src/platform/event.ts'
import { WrongExpectedRevision } from '../../src/platform/event-store.ts'
import { Refused } from '../../src/platform/refusal.ts'
import { causeOf, fold, type Runner } from '../../src/platform/runner.ts'
import { everybody } from '../../src/platform/viewer.ts'
import { id } from './given.ts'

export class Killed extends Error {}

/**
 * Commands and claims on streams in memory, by the same decisions: thousands of histories in a second. Its process can be killed before any of its appends.
 * @property killAfter how many appends there still are until it is killed
 */
export function memoryRunner() {
  const log: RecordedEvent[] = []
  const state = { killAfter: Number.POSITIVE_INFINITY }
  const load = async (stream: string) => log.filter((event) => event.stream === stream)
  const append = (stream: string, revision: number, events: readonly (NewEvent & { meta: object })[]) => {
    const head = log.filter((event) => event.stream === stream).length - 1
    if (head !== revision) throw new WrongExpectedRevision(stream, revision)
    if (state.killAfter-- <= 0) throw new Killed('killed')
    for (const [index, event] of events.entries()) {
      const number = BigInt(log.length + 1)
      const whole = { ...event, id: id(log.length), stream, revision: revision + 1 + index, position: { commit: number, prepare: number } }
      log.push({ ...whole, created: new Date(log.length * 1000).toISOString(), erased: false, known: true } as unknown as RecordedEvent)
    }
  }
  const metaOf = (cause: object) => ({ v: 1, key: null, prev: null, hash: String(log.length), ...cause })
  const codec = {
    encode: async (events: NewEvent[], _stream: string, _head: unknown, cause: object) =>
      events.map((event) => ({ ...event, meta: metaOf(cause) })),
  }
  const store = { append: async (stream: string, revision: number, events: never) => append(stream, revision, events) }
  const claims: Claims = createClaims(store as never, codec as never, load, Buffer.alloc(32))
  const runner: Runner = {
    load,
    async execute(command, body, params, request) {
      // Each command is an hour after the one before: no claim is held by its age alone.
      const context = {
        id: params['id'] ?? command.idOf?.(body as never, {} as never) ?? id(log.length),
        params,
        actor: request.actor,
        viewer: everybody,
        commandId: request.commandId,
        now: new Date(Date.UTC(2026, 0, 1) + log.length * 3_600_000).toISOString(),
        newId: (index: number) => id(1_000_000 + log.length * 100 + index),
      }
      const stream = `${command.decider.category}-${context.id}`
      const events = await load(stream)
      const before = events.filter(({ meta }) => meta.commandId === request.commandId)
      const answer = (made: number, repeated: boolean, all: RecordedEvent[]) => ({
        status: 200 as const,
        id: context.id,
        events: all,
        made,
        repeated,
        position: null,
      })
      if (before.length > 0) {
        if (before[0]!.meta.request !== request.request) throw new Refused('idempotency-key-reused', 'It was another request.', 422)
        return answer(before.length, true, events)
      }
      const decided = command.decide(body as never, fold(command.decider, events), context)
      if (decided.length === 0) return answer(0, false, events)
      const cause = causeOf(context, request)
      if (command.decider.category === 'contact') await claims.before(decided, context, cause)
      append(
        stream,
        events.length - 1,
        decided.map((event) => ({ ...event, meta: metaOf(cause) })),
      )
      if (command.decider.category === 'contact') await claims.after(decided, context, cause)
      return answer(decided.length, false, await load(stream))
    },
  }
  /** All that was recorded of contacts, in order. */
  const contactLog = () => log.filter(({ type }) => Object.hasOwn(contactEvents, type))
  return { runner, claims, log, contactLog, state }
}
