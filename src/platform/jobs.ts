import { type Static, type TObject, type TSchema, Type } from '@sinclair/typebox'
import type { Command } from './decider.ts'
import type { Logger } from './log.ts'
import type { Outcome, Request } from './runner.ts'
import type { Traced } from './tracing.ts'

/** What a job's handler works with beside its data. @typeParam S what the process gives to all of them */
export type JobRun<S = unknown> = {
  readonly jobId: string
  /** From 1. A job whose worker was killed counts that as one, too. */
  readonly attempt: number
  /**
   * Aborts when the job is cancelled, another worker has taken it over, or this process is about to end. What it does after that
   * is of no account, and the next job of its key may begin already.
   */
  readonly signal: AbortSignal
  readonly log: Logger
  readonly services: S
  readonly correlationId: string
  readonly causationId: string
  /** Tells how far it is; as often as one likes, since it is stored once a second at most. `note` is shown as it is: it must not name anybody. */
  progress(done: number, total?: number | null, note?: string | null): void
  /**
   * Executes a command whose id is made of the job's and `index`, so that a repeat of the job changes nothing, even with another body.
   * @param index names this command among those of the job, the same in every attempt; the command must be about the same stream, too
   */
  execute(index: number | string, command: Command, body: unknown, params?: Readonly<Record<string, string>>): Promise<Outcome>
  /** The request by which `execute` carries out a command: for who carries it out in another way. */
  requestOf(index: number | string, command: Command): Request
  /** Whether another job waits for this one: of the same key, or of one that nobody is at while all places are taken. Who can throws `GivesWay` then. */
  isAwaited(): Promise<boolean>
  /** Once it is done, nothing is to be told of it: it is not kept, nor shown any more. */
  leaveNoTrace(): void
}

/** A kind of long work: the queue it waits in, and what it does. */
export type JobType<S = never> = {
  readonly queue: string
  readonly schema: TSchema
  /** How many run at once in one process. */
  readonly concurrency: number
  /** How many attempts after the first. */
  readonly retries: number
  /** The longest pauses before them: `baseSeconds`, doubled each time, up to `maxSeconds`. Each is drawn between nothing and that (full jitter). */
  readonly backoff: { readonly baseSeconds: number; readonly maxSeconds: number }
  /** One at a time a key, in the order in which they were enqueued; a job that failed for good holds its key until it is retried or cancelled. */
  readonly ordered: boolean
  /** The fields of the data that may be shown. */
  readonly shown: readonly string[]
  /** What of the result is stored and shown: nothing that names anybody. */
  readonly result: TObject
  /** The queue of the job, of the same data and key, that puts in order what a cancelled one leaves: it may have been waiting, and then nobody is at it. */
  readonly afterCancel?: string
  run(data: never, job: JobRun<S>): Promise<object | undefined>
}

type Declared<D extends TSchema, R extends TObject, S> = {
  queue: string
  schema: D
  run(data: Static<D>, job: JobRun<S>): Promise<Static<R> | undefined>
  result?: R
  shown?: readonly (keyof Static<D> & string)[]
} & Partial<Pick<JobType, 'concurrency' | 'retries' | 'backoff' | 'ordered' | 'afterCancel'>>

/**
 * Declares a job. `run` is run at least once: what it does outside of `execute` must bear a repeat.
 * It fails by throwing: `Failed` is shown as it is, `FailedForGood` ends the retries, `retryAfterSeconds` of any error is waited for.
 */
export const defineJob = <D extends TSchema, R extends TObject, S = unknown>(declared: Declared<D, R, S>): JobType<S> =>
  ({
    concurrency: 4,
    retries: 8,
    backoff: { baseSeconds: 2, maxSeconds: 600 },
    ordered: true,
    shown: [],
    result: Type.Object({}),
    ...declared,
  }) as unknown as JobType<S>

/** A job to be enqueued. */
export type NewJob = {
  /** The same id in the same queue is enqueued once, for as long as the first is kept. */
  readonly id: string
  readonly queue: string
  /** Jobs of one key run in order. */
  readonly key: string
  readonly data: object
  readonly correlationId: string
  /** The id of the event or command that it follows from. */
  readonly causationId: string
} & Traced

/** A job could not do it this time. The sentence is stored and shown: it must not name anybody. */
export class Failed extends Error {
  readonly code: string
  readonly retryAfterSeconds: number | undefined
  constructor(code: string, message: string, options: { retryAfterSeconds?: number; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.name = 'Failed'
    this.code = code
    this.retryAfterSeconds = options.retryAfterSeconds
  }
}

/** A job failed, and trying again does not help. */
export class FailedForGood extends Failed {
  override name = 'FailedForGood'
}

/**
 * A job is not done, and lets others go first: it goes on when its turn comes again, behind all that wait now. It has come so far without a fault, so it
 * may be tried as often again as a new one.
 */
export class GivesWay extends Error {
  override name = 'GivesWay'
  constructor() {
    super('The job goes on when its turn comes again.')
  }
}

/** Why a job's signal aborted. */
export class JobAborted extends Error {
  readonly reason: 'cancelled' | 'lost' | 'stopping'
  constructor(reason: JobAborted['reason']) {
    super({ cancelled: 'The job was cancelled.', lost: 'Another worker has this job now.', stopping: 'The worker is ending.' }[reason])
    this.name = 'JobAborted'
    this.reason = reason
  }
}
