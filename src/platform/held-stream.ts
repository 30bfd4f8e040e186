import type { NewEvent } from '../../schema/define.ts'
import type { Codec } from './codec.ts'
import type { Command, Context, Decider } from './decider.ts'
import { type EventStore, WrongExpectedRevision } from './event-store.ts'
import { causeOf, fold, headOf, type Request, type Runner } from './runner.ts'
import { uuidv5 } from './uuid.ts'
import { everybody } from './viewer.ts'

/** A stream that one job carries on. */
export type HeldStream<State> = {
  readonly id: string
  /** As the events up to now add up. */
  readonly state: State
  /** Of the newest event; -1: there is none. */
  readonly revision: number
  /** The id of its first event, by which it is named as a cause; null: there is none. */
  readonly firstEventId: string | null
  /**
   * Decides on the state that is held, and appends at its revision.
   * @returns the events that were made
   * @throws Refused; WrongExpectedRevision where somebody else carries the stream on: it is to be held no longer, nor after any other error
   */
  execute(command: Command<State>, body: unknown, request: Request): Promise<readonly NewEvent[]>
}

export type HoldNeeds = { readonly store: EventStore; readonly codec: Codec; readonly runner: Pick<Runner, 'load'> }

/**
 * Folds a stream once and goes on with it, for streams that grow long in the hands of one: a command costs the same however long the stream is. That
 * nobody else has appended is told by the newest event, of which each next one learns what it is chained to.
 */
export async function holdStream<State>(
  { store, codec, runner }: HoldNeeds,
  decider: Decider<State>,
  id: string,
  now = () => new Date(),
): Promise<HeldStream<State>> {
  const stream = `${decider.category}-${id}`
  const events = await runner.load(stream)
  let state = fold(decider, events)
  let { revision } = headOf(events)
  let firstEventId = events[0]?.id ?? null

  return {
    id,
    get state() {
      return state
    },
    get revision() {
      return revision
    },
    get firstEventId() {
      return firstEventId
    },
    async execute(command, body, request) {
      const newId = (index: number) => uuidv5(String(index), request.commandId)
      const { commandId, actor, viewer = everybody } = request
      const context: Context = { id, params: { id }, commandId, actor, viewer, now: now().toISOString(), newId }
      const decided = command.decide(body as never, state, context)
      if (decided.length === 0) return decided
      const last = revision < 0 ? null : await store.readLast(stream)
      const head = headOf(last ? await codec.decode([last]) : [])
      if (head.revision !== revision) throw new WrongExpectedRevision(stream, revision)
      const encoded = await codec.encode(decided, stream, head, causeOf(context, request), request.key)
      await store.append(stream, revision, encoded)
      firstEventId ??= encoded[0]!.id
      state = decided.reduce((before, event) => decider.evolve(before, event), state)
      revision += decided.length
      return decided
    },
  }
}
