import type { NewEvent } from '../../schema/define.ts'
import { type Cause, type Codec, Corrupt, type Head, NO_HEAD } from './codec.ts'
import type { Command, Context, Decider } from './decider.ts'
import type { Metadata, RecordedEvent } from './event.ts'
import { type EventStore, WrongExpectedRevision } from './event-store.ts'
import type { Position } from './position.ts'
import { Refused, Unavailable } from './refusal.ts'
import { withSpan } from './tracing.ts'
import { uuidv5 } from './uuid.ts'
import type { SubjectKey } from './vault.ts'
import { everybody, type Viewer } from './viewer.ts'
import { within } from './within.ts'

/** Who asks, and what makes a repeat of it recognisable. */
export type Request = {
  readonly actor: string
  /** Whom it is for: what is made is theirs, and what they do not see is not there. The service itself unless given. */
  readonly viewer?: Viewer
  readonly commandId: string
  /** HMAC of path and body. */
  readonly request: string
  readonly correlationId: string
  /** The id of what caused it; the command itself unless a reactor's event did. */
  readonly causationId?: string
  /** No such commandId can be in the log yet (it was made at random just now), so that a new stream need not be read. */
  readonly fresh?: boolean
  /** The caller has just seen that the stream has no events, so it need not be read; should it have some by now, it is decided anew. */
  readonly assumeNew?: boolean
  /**
   * The key of the stream's subject, for a stream whose first events refer to what was sealed with it before (blobs, see blobs.ts).
   * With a stream that has another key already, the command fails with OtherKey.
   */
  readonly key?: SubjectKey
  /** The revisions that the stream may be at (`If-Match`); `*`: any, if it has events. */
  readonly ifMatch?: readonly number[] | '*' | undefined
}

export type Outcome = {
  /** 200, or the command's `success` where it made something. */
  readonly status: 200 | 201
  readonly id: string
  /** The stream's events up to this command's last one (all of them, where it changed nothing). */
  readonly events: readonly RecordedEvent[]
  /** How many of them are this command's. */
  readonly made: number
  /** The very same command was carried out before: this is its answer again. */
  readonly repeated: boolean
  readonly position: Position | null
}

/** What must be held before a decision's events are appended, and let go after it. */
export type Guard = {
  before(events: readonly NewEvent[], context: Context, cause: Cause): Promise<void>
  after(events: readonly NewEvent[], context: Context, cause: Cause): Promise<void>
  /** For how long after `before` it is sure that nobody else holds it, in milliseconds. */
  readonly holdsMs: number
}

export type Runner = {
  /** @throws Refused; Unavailable; AppendTooLarge; OtherKey */
  execute(command: Command, body: unknown, params: Readonly<Record<string, string>>, request: Request): Promise<Outcome>
  /** All events of a stream, decoded, its chain checked. @throws Unavailable; Corrupt */
  load(stream: string): Promise<RecordedEvent[]>
}

const TRIES = 3
/** The whole of a command, however many steps it takes; each of them has a bound of its own, below this. */
const COMMAND_MS = 10_000

/** Runs commands: folds the stream, decides, appends at the folded revision, and on a conflict decides again. */
export function createRunner(
  store: EventStore,
  codec: Codec,
  guards: Readonly<Record<string, Guard>> = {},
  now = () => new Date(),
): Runner {
  const load = async (stream: string) => {
    const events = await codec.decode(await store.readStream(stream))
    checkChain(events)
    return events
  }

  /** Of a stream whose newest event says it all. Nothing is said of its chain then. */
  const loadLast = async (stream: string) => {
    const last = await store.readLast(stream)
    return last ? codec.decode([last]) : []
  }

  const attempt = async (command: Command, body: unknown, context: Context, request: Request, assumeNew: boolean): Promise<Outcome> => {
    const { decider } = command
    // As old as `now` is, by which others tell the age of what is held.
    const heldSince = performance.now()
    const stream = `${decider.category}-${context.id}`
    const events = assumeNew ? [] : await (command.fromLast ? loadLast(stream) : load(stream))
    const state = fold(decider, events)
    // A command that brings an id along is told that it is taken.
    const isHidden = events.length > 0 && !command.idOf && decider.isVisible?.(state, context.viewer) === false
    if (isHidden) throw new Refused(`${decider.category}-not-found`, `There is no such ${decider.category}.`, 404)
    // Before it is asked whether this is a repeat: the answer of the first time would tell.
    if (events.some(({ erased }) => erased) || decider.isErased?.(state))
      throw new Refused('erased', 'What this was about was erased.', 410)
    const earlier = repeated(command, context.id, events, request)
    if (earlier) return earlier
    const head = headOf(events)
    const { ifMatch } = request
    if (ifMatch && !(ifMatch === '*' ? head.revision >= 0 : ifMatch.includes(head.revision))) throw mismatch()
    const decided = command.decide(body as never, state, context)
    if (decided.length === 0) return { ...answer(command, context.id, events, 0, false, events.at(-1)?.position ?? null), status: 200 }

    const guard = guards[decider.category]
    const cause = causeOf(context, request)
    await guard?.before(decided, context, cause)
    const { encoded, position } = await withSpan(`append ${decider.category}`, { kind: 'producer' }, async () => {
      const encoded = await codec.encode(decided, stream, head, cause, request.key)
      // This process may have been frozen meanwhile, and what it holds taken over: then begin anew.
      if (guard && performance.now() - heldSince > guard.holdsMs) throw new WrongExpectedRevision(stream, head.revision)
      return { encoded, position: await store.append(stream, head.revision, encoded) }
    })
    await guard?.after(decided, context, cause)
    const made = decided.map((event, index): RecordedEvent => {
      const { id, metadata } = encoded[index]!
      const revision = head.revision + 1 + index
      return {
        ...event,
        id,
        stream,
        revision,
        position: position ?? { commit: 0n, prepare: 0n },
        created: context.now,
        meta: metadata,
        erased: false,
        known: true,
      }
    })
    return answer(command, context.id, [...events, ...made], made.length, false, position)
  }

  return {
    load,
    async execute(command, body, params, request) {
      const { viewer = everybody } = request
      const newId = (index: number) => uuidv5(String(index), request.commandId)
      const known = { params, actor: request.actor, viewer, commandId: request.commandId, now: now().toISOString(), newId }
      const id = params['id'] ?? command.idOf?.(body as never, known) ?? newId(0)
      // A made-up id of a fresh command names a stream that cannot be there yet.
      let assumeNew = request.assumeNew === true || (request.fresh === true && id === newId(0))
      const tried = async () => {
        for (let attempts = 1; ; attempts += 1) {
          try {
            const outcome = await withSpan(`decide ${command.operationId}`, {}, () =>
              attempt(command, body, { ...known, id, now: now().toISOString() }, request, assumeNew),
            )
            return outcome.position ? outcome : { ...outcome, position: await store.end() }
          } catch (error) {
            if (!(error instanceof WrongExpectedRevision)) throw error
            if (attempts === TRIES) throw new Unavailable('Others keep changing this.', { cause: error, retryAfterSeconds: 1 })
            assumeNew = false
            await new Promise((resolve) => setTimeout(resolve, Math.random() * 20 * 2 ** attempts))
          }
        }
      }
      // It may still be carried out: the same key asked for again finds out.
      return within(
        COMMAND_MS,
        tried(),
        () => new Unavailable('The command was not carried out in its time, or it is not known whether it was.'),
      )
    },
  }
}

const mismatch = () =>
  new Refused('revision-mismatch', 'It has changed since the revision that If-Match names. Read it again and decide anew.', 412)

/** The state that a stream's events add up to. Of what was erased nothing is known: such events are passed over. */
export const fold = <State>(decider: Decider<State>, events: readonly (NewEvent & { readonly erased?: boolean })[]): State =>
  events.reduce((state, event) => (event.erased ? state : decider.evolve(state, event)), decider.initial)

/** What the next event is chained to: learned from what is in the log, never from one's own append. */
export function headOf(events: readonly RecordedEvent[]): Head {
  const last = events.at(-1)
  return last ? { revision: last.revision, hash: last.meta.hash, key: last.meta.key } : NO_HEAD
}

/** The answer of the first time, where this very command is already in the stream. @throws Refused when another request had its Idempotency-Key */
function repeated(command: Command, id: string, events: readonly RecordedEvent[], { commandId, request }: Request): Outcome | null {
  const last = events.findLastIndex(({ meta }) => meta.commandId === commandId)
  if (last === -1) return null
  if (events[last]!.meta.request !== request) {
    throw new Refused('idempotency-key-reused', 'This Idempotency-Key was used for another request. Use a new key for a new request.', 422)
  }
  const made = events.filter(({ meta }) => meta.commandId === commandId).length
  return answer(command, id, events.slice(0, last + 1), made, true, events[last]!.position)
}

function answer(
  command: Command,
  id: string,
  events: readonly RecordedEvent[],
  made: number,
  isRepeat: boolean,
  position: Position | null,
): Outcome {
  // PUT makes or changes: it made something where its first event is the stream's first.
  const status = command.method === 'PUT' ? (events.length === made ? 201 : 200) : command.success
  const known = position && position.commit > 0n && position.commit < 2n ** 63n - 1n ? position : null
  return { status, id, events, made, repeated: isRepeat, position: known }
}

export const causeOf = ({ now, commandId }: Context, { actor, request, correlationId, causationId }: Request): Cause => ({
  at: now,
  actor,
  commandId,
  request,
  $correlationId: correlationId,
  $causationId: causationId ?? commandId,
})

function checkChain(events: readonly RecordedEvent[]): void {
  let prev: Metadata['hash'] | null = null
  for (const event of events) {
    if (event.meta.prev !== prev) throw new Corrupt(event, 'the event before it is not the one that it was written after')
    prev = event.meta.hash
  }
}
