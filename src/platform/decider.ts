import type { Static, TObject } from '@sinclair/typebox'
import type { AnyEventType, NewEvent } from '../../schema/define.ts'
import type { Fault } from './refusal.ts'
import type { Viewer } from './viewer.ts'

/** What a stream's events mean for decisions: its first state and what each event makes of it. Pure. */
export type Decider<State = unknown> = {
  /** Streams are called `<category>-<id>`. */
  readonly category: string
  readonly initial: State
  evolve(state: State, event: NewEvent): State
  /** Whether somebody may see it in this state; who may not is told that there is no such thing. All may, unless it says. */
  isVisible?(state: State, viewer: Viewer): boolean
  /** Whether it was erased: every command is refused then (410). The key may be there for a moment yet. */
  isErased?(state: State): boolean
}

type EventTypes = Record<string, AnyEventType>
type Evolve<State, E extends EventTypes> = { [T in keyof E]: (state: State, data: ReturnType<E[T]>['data']) => State }

/**
 * Declares a decider.
 * @param on one line an event, no default: a missed event fails to compile
 * @param isVisible to whom, where not to all
 */
export function decider<State, E extends EventTypes>(
  category: string,
  _events: E,
  initial: NoInfer<State>,
  on: Evolve<State, E>,
  isVisible?: (state: State, viewer: Viewer) => boolean,
): Decider<State> {
  const table = on as Record<string, (state: State, data: unknown) => State>
  return {
    category,
    initial,
    ...(isVisible && { isVisible }),
    evolve: (state, { type, data }) => {
      const step = table[type]
      if (!step) throw new Error(`A ${category} stream does not know ${type}.`)
      return step(state, data)
    },
  }
}

/** What a decision may know beside body and state. Time, ids and randomness come in by here: decisions are pure. */
export type Context = {
  /** The id of the stream's subject. */
  readonly id: string
  /** The other parameters of the path. */
  readonly params: Readonly<Record<string, string>>
  readonly commandId: string
  /** Who asks, as it stands in the events' metadata. */
  readonly actor: string
  /** RFC 3339 in UTC. */
  readonly now: string
  /** Whom it is carried out for: what is made is theirs. */
  readonly viewer: Viewer
  /** An id made of the command's id and a number: a repeated command makes the same ones. */
  newId(index: number): string
}

/** A command: its endpoint, its body's schema and a pure decision. */
// biome-ignore lint/suspicious/noExplicitAny: lists hold commands of every state
export type Command<State = any, Body extends TObject = TObject> = {
  readonly decider: Decider<State>
  readonly operationId: string
  readonly method: 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** As OpenAPI writes it, below `/v1`. `{id}` names the stream; a command without it makes the id. */
  readonly path: string
  readonly summary: string
  readonly body: Body
  /** 201 when a resource is made by it; nothing changed is always 200. */
  readonly success: 200 | 201
  /** The stream's newest event alone says all that the decision needs: no other is read. For streams that grow long. */
  readonly fromLast?: boolean
  /** What is wrong with a body beyond its schema. It must bear any value, since it is asked about bodies that break the schema too. */
  faults?(body: unknown): Fault[]
  /** The stream's id where the path does not give it. */
  idOf?(body: Static<Body>, context: Omit<Context, 'id'>): string
  /** Refuses (throws `Refused`), or gives nothing (nothing to do), or events; in that order. */
  decide(body: Static<Body>, state: State, context: Context): readonly NewEvent[]
}

/** Declares a command; only fixes its types. */
export const command = <State, Body extends TObject>(
  decider: Decider<State>,
  declared: Omit<Command<State, Body>, 'decider' | 'success'> & { success?: 200 | 201 },
): Command<State, Body> => ({ success: 200, ...declared, decider })

/**
 * Declares a command that is no endpoint: what the service itself does to a stream, such as recording what it has fetched.
 * @param name in the place of an operation's id
 */
export const internalCommand = <State, Body extends TObject>(
  decider: Decider<State>,
  name: string,
  declared: Pick<Command<State, Body>, 'body' | 'decide' | 'fromLast'>,
): Command<State, Body> => ({
  operationId: name,
  method: 'POST',
  path: `/${decider.category}s/{id}/${name}`,
  summary: name,
  success: 200,
  ...declared,
  decider,
})
