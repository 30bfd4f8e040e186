import { setTimeout as delay } from 'node:timers/promises'
import { Fenced, type Moved, moveCheckpoint, readCheckpoint, tellTrouble } from './checkpoint.ts'
import type { Database, Pool } from './database.ts'
import type { RecordedEvent, StoredEvent } from './event.ts'
import { gather, holdBack, type Limits, type Rest } from './gather.ts'
import type { Term } from './lease.ts'
import type { Logger } from './log.ts'
import { comparePositions, formatPosition, type Position, START } from './position.ts'
import { isFaultOfData, Unapplicable } from './projector-fault.ts'
import { createSteps, type Decode, type Step, sizeOf } from './projector-steps.ts'

export type FollowerOptions<Work> = {
  readonly pool: Pool
  readonly log: Logger
  /** Every event after a position (null: from the first), in order, until the signal aborts. */
  subscribe(after: Position | null, signal: AbortSignal): AsyncIterable<StoredEvent>
  readonly decode: Decode
  /** Whether a type may mean something here; events of others are passed over undecoded. Left out: all are decoded. */
  concerns?(type: string): boolean
  /** What has to be known first; asked for in every term, and after every failure. */
  prepare?(term: Term): Promise<void>
  /** What an event means. What it throws is taken for a fault of the event. */
  interpret(event: RecordedEvent): readonly Work[]
  /** Carries that out for a whole batch, in the transaction in which the checkpoint moves. */
  apply(db: Database, work: readonly Work[], moved: Moved): Promise<void>
  /** The same for one event whose work Postgres refuses (`fault`), should something be left to do but to halt. What it throws halts. */
  applyRefused?(db: Database, work: readonly Work[], moved: Moved, fault: unknown): Promise<void>
  /** Asked after every batch, and before the first: whether this has come as far as it is to come. Left out: it goes on for ever. */
  isThere?(position: Position): boolean
  /** What comes meanwhile is decoded together, and applied together. Left out: what comes is decoded at once. */
  readonly rest?: Rest<StoredEvent>
  /** For so long after the one before a batch may wait to become full, in milliseconds: where it is no matter when an event comes. Left out: none waits. */
  readonly fillMs?: number
  /** Waited for after every batch. @param tookMs how long that took */
  pace?(tookMs: number): Promise<void>
  /** For how long the position may stand still, in milliseconds, while what comes means nothing here; it moves with the next that does. */
  readonly idleMs?: number
  /** What it is applied to, in words. */
  readonly target: string
  readonly checkpoint: string
  /** Of one batch, and so of one transaction. */
  readonly limits?: Limits
}

export type FollowerHealth = {
  /** `retrying`: something that it needs is away. `halted`: an event cannot be applied; another version of the code has to. */
  readonly state: 'standing-by' | 'leading' | 'retrying' | 'halted'
  /** Why it is retrying or halted. */
  readonly reason: string | null
  /** How far this process has come; null before its first batch. */
  readonly position: Position | null
  readonly events: number
  readonly batches: number
  /** How many events of which types that this version does not know were passed over. */
  readonly unknownTypes: Readonly<Record<string, number>>
}

export type Follower = {
  /**
   * Follows the log from the checkpoint on, until the term's signal aborts or it is where it is to come. What may pass (Postgres or the keys away) is
   * tried again for ever.
   * @throws Fenced when another owner took over; Unapplicable at an event that cannot be applied, when everything before it has been
   */
  lead(term: Term): Promise<void>
  health(): FollowerHealth
}

const MAX_BACKOFF_MS = 10_000
const IDLE_MS = 20
/** So many events are decoded before whatever else this process does has its turn. */
const DECODED = 250

/** Turns the log into something else, exactly once each event: one subscription, one position, one transaction a batch. */
export function createFollower<Work>(options: FollowerOptions<Work>): Follower {
  const {
    pool,
    log,
    subscribe,
    apply,
    target,
    checkpoint,
    limits = { events: 500, bytes: 4 * 2 ** 20 },
    fillMs,
    idleMs = IDLE_MS,
  } = options
  const steps = createSteps(options)
  let health: FollowerHealth = { state: 'standing-by', reason: null, position: null, events: 0, batches: 0, unknownTypes: {} }

  /** What was applied and the checkpoint commit together: a crash repeats nothing and loses nothing. */
  const commit = async (epoch: number, from: Position, batch: readonly Step<Work>[]): Promise<Position> => {
    const to = batch.at(-1)!.event.position
    const work = batch.flatMap(({ work }) => work)
    try {
      await pool.transaction(async (db) => apply(db, work, await moveCheckpoint(db, checkpoint, epoch, from, to, batch.length)))
    } catch (error) {
      if (!isFaultOfData(error)) throw error
      if (batch.length === 1) await commitRefused(epoch, from, batch[0]!, error)
      else {
        // Halving finds which of the events it is, and applies those before it.
        const half = Math.ceil(batch.length / 2)
        return commit(epoch, await commit(epoch, from, batch.slice(0, half)), batch.slice(half))
      }
    }
    const { events, batches } = health
    health = { ...health, state: 'leading', reason: null, position: to, events: events + batch.length, batches: batches + 1 }
    for (const { event, known } of batch) if (!known) passOver(event)
    return to
  }

  const commitRefused = async (epoch: number, from: Position, { event, work }: Step<Work>, fault: unknown) => {
    const { applyRefused } = options
    if (!applyRefused) throw new Unapplicable(event, target, fault)
    await pool
      .transaction(async (db) => applyRefused(db, work, await moveCheckpoint(db, checkpoint, epoch, from, event.position, 1), fault))
      .catch((error) => {
        throw isFaultOfData(error) ? new Unapplicable(event, target, error) : error
      })
  }

  const passOver = ({ type, stream, revision }: StoredEvent) => {
    const count = (health.unknownTypes[type] ?? 0) + 1
    health = { ...health, unknownTypes: { ...health.unknownTypes, [type]: count } }
    if (count === 1) log.warn({ type, stream, revision }, 'passed over an event of a type that this version does not know')
  }

  /** @returns whether it has come as far as it is to come */
  const follow = async (term: Term): Promise<boolean> => {
    const { epoch, signal } = term
    await options.prepare?.(term)
    const stored = await readCheckpoint(pool, checkpoint)
    if (stored?.epoch !== epoch) throw new Fenced()
    let position = stored.position
    const isThere = () => options.isThere?.(position) ?? false
    if (isThere()) return true
    const leaving = new AbortController()
    const events = subscribe(comparePositions(position, START) === 0 ? null : position, AbortSignal.any([signal, leaving.signal]))
    try {
      const decoding = { ...limits, events: Math.min(limits.events, DECODED) }
      const decoded = steps(gather(events, sizeOf, decoding, options.rest))
      const batches = gather(decoded, ({ sizeBytes }) => sizeBytes, limits, fillMs === undefined ? undefined : { ms: fillMs })
      for await (const batch of holdBack(batches, isIdle, idleMs, limits.events)) {
        if (signal.aborted) return false
        const faulty = firstFaulty(batch, position)
        const sound = batch.slice(0, faulty?.index)
        const began = performance.now()
        if (sound.length > 0) position = await commit(epoch, position, sound)
        if (faulty) throw new Unapplicable(batch[faulty.index]!.event, target, faulty.fault)
        if (isThere()) return true
        await options.pace?.(performance.now() - began)
      }
      if (!signal.aborted) throw new Error('the subscription ended')
      return false
    } finally {
      leaving.abort()
    }
  }

  const lead = async (term: Term) => {
    let failures = 0
    health = { ...health, state: 'leading', reason: null }
    while (!term.signal.aborted) {
      const { batches } = health
      try {
        if (await follow(term)) return
      } catch (error) {
        if (error instanceof Unapplicable || error instanceof Fenced) throw error
        if (term.signal.aborted) return
        await tell(term, error as Error)
        failures = health.batches > batches ? 1 : failures + 1
        health = { ...health, state: 'retrying', reason: (error as Error).message }
        log.warn({ err: error, failures }, `${target} cannot be brought up to date now; trying again from the stored position`)
        const backoffMs = Math.random() * Math.min(100 * 2 ** failures, MAX_BACKOFF_MS)
        await delay(backoffMs, undefined, { signal: term.signal }).catch(() => {})
      }
    }
  }

  const tell = ({ epoch }: Term, { message }: Error) => tellTrouble(pool, checkpoint, epoch, message).catch(() => {})

  return {
    health: () => health,
    async lead(term) {
      try {
        await lead(term)
        health = { ...health, state: 'standing-by', reason: null }
      } catch (error) {
        const isHalted = error instanceof Unapplicable
        if (isHalted) await tell(term, error)
        health = { ...health, state: isHalted ? 'halted' : 'standing-by', reason: isHalted ? error.message : null }
        throw error
      }
    },
  }
}

const isIdle = (batch: readonly Step<unknown>[]): boolean => batch.every(({ work, fault }) => work.length === 0 && fault === undefined)

/** The first event that must not be applied. Servers have sent wrong positions, so one that does not grow is refused too. */
function firstFaulty(batch: readonly Step<unknown>[], after: Position): { index: number; fault: unknown } | null {
  let before = after
  for (const [index, { event, fault }] of batch.entries()) {
    if (fault !== undefined) return { index, fault }
    if (comparePositions(event.position, before) <= 0) {
      return { index, fault: new Error(`its position ${formatPosition(event.position)} does not come after ${formatPosition(before)}`) }
    }
    before = event.position
  }
  return null
}
