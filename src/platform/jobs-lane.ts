import { setImmediate as nextTurn } from 'node:timers/promises'
import type { PgBoss } from 'pg-boss'
import { GivesWay, JobAborted, type JobRun, type JobType } from './jobs.ts'
import { type Failure, failureOf } from './jobs-failure.ts'
import { type Envelope, type Jobs, onBehalfOf } from './jobs-queue.ts'
import { storable, whole } from './jobs-storable.ts'
import {
  type Attempt,
  type Claimed,
  claimInOrder,
  forget,
  handBack,
  makeLast,
  type Progress,
  postpone,
  sendBack,
  stillHeld,
} from './jobs-store.ts'
import type { Logger } from './log.ts'
import { storableText } from './values.ts'

export type Claim = Attempt & {
  readonly data: Envelope
  /** How many attempts are left after this one. */
  readonly left: number
}

type Outcome = { readonly result: string } | { readonly failure: Failure } | { readonly givesWay: true }
type Run = {
  readonly claim: Claim
  readonly abort: AbortController
  /** What it said last, until it is stored. */
  progress: Progress | null
  outcome: Outcome | null
  leavesNoTrace: boolean
}

/** One queue's jobs in this process. */
export type Lane = {
  readonly queue: string
  /** There may be something to do. */
  wake(): void
  abort(id: string, reason: JobAborted['reason']): void
  /** Tells that this worker lives; jobs that are no longer its own are aborted. */
  beat(): Promise<void>
  takeProgress(): (Progress & { readonly jobId: string })[]
  /** Fetches no more; resolves when all that ran is settled or, after `graceMs`, handed back. */
  close(graceMs: number): Promise<void>
}

type LaneOptions = {
  readonly jobs: Jobs
  readonly boss: PgBoss
  readonly type: JobType
  readonly log: Logger
  /** Runs the handler of one claim. */
  execute(claim: Claim, run: Pick<JobRun, 'signal' | 'progress' | 'log' | 'leaveNoTrace'>): Promise<object | undefined>
  /** Stores what the jobs that are about to be settled said last. */
  flush(): Promise<void>
  readonly pollMs: number
}

const FETCHED_AT_ONCE = 200
const HEED_MS = 300

/**
 * Fetches and settles in turns: while one statement is on its way, more jobs end and more places come free for the next, so batches grow with
 * the load by themselves. One job's failure or slowness is nobody else's.
 */
export function openLane({ jobs, boss, type, log, execute, flush, pollMs }: LaneOptions): Lane {
  const { queue, concurrency } = type
  const { pool } = jobs
  const runs = new Map<string, Run>()
  let isStopping = false
  let isClosed = false
  let due = true
  let rouse = () => {}
  let failures = 0
  const wake = () => {
    due = true
    rouse()
  }

  const start = (claim: Claim) => {
    const abort = new AbortController()
    const run: Run = { claim, abort, progress: null, outcome: null, leavesNoTrace: false }
    const leaveNoTrace = () => {
      run.leavesNoTrace = true
    }
    runs.set(claim.id, run)
    const jobLog = log.child({ jobId: claim.id, queue, attempt: claim.retryCount + 1, correlationId: claim.data.correlationId })
    const progress: JobRun['progress'] = (done, total = null, note = null) => {
      run.progress = { done: whole(done), total: total === null ? null : whole(total), note: note === null ? null : storableText(note) }
    }
    const work = async () => execute(claim, { signal: abort.signal, progress, log: jobLog, leaveNoTrace })
    work()
      .then((result): Outcome => ({ result: storable(result ?? {}) }))
      .catch((error): Outcome => {
        if (error instanceof GivesWay) return { givesWay: true }
        const failure = failureOf(error, type, claim.left)
        if (!abort.signal.aborted) jobLog.warn({ err: error, ...failure }, 'a job failed')
        return { failure }
      })
      .then((outcome) => {
        run.outcome = outcome
        rouse()
      })
  }

  const fetch = async () => {
    const free = Math.min(concurrency - runs.size, FETCHED_AT_ONCE)
    if (free <= 0 || !due || isStopping) return
    due = false
    const claimed: Promise<Claimed[]> = type.ordered
      ? claimInOrder(pool, queue, free)
      : boss.fetch<Envelope>(queue, { batchSize: free, includeMetadata: true })
    const found = await claimed.catch((error) => {
      due = true
      throw error
    })
    // As many as were asked for: there may be more.
    if (found.length === free) due = true
    for (const { id, retryCount, retryLimit, data } of found)
      start({ id, retryCount, data: data as Envelope, left: retryLimit - retryCount })
  }

  /** What the signal ended is not the job's own failure: another worker begins it anew, or nobody does. */
  const wasAborted = ({ abort, outcome }: Run) => abort.signal.aborted && outcome !== null && !('result' in outcome)

  const settle = async () => {
    const ended = [...runs.values()].filter(({ outcome }) => outcome)
    if (ended.length === 0) return
    if (ended.some(({ progress }) => progress)) await flush()
    const settled = ended.filter((run) => !wasAborted(run))
    const done = settled.flatMap(({ claim, outcome }) => (outcome && 'result' in outcome ? [{ claim, result: outcome.result }] : []))
    for (const [result, same] of Map.groupBy(done, ({ result }) => result)) {
      const attempts = same.map(({ claim: { id, retryCount } }) => ({ id, retryCount }))
      await boss.complete(queue, attempts, JSON.parse(result))
      const traceless = attempts.flatMap(({ id }) => (runs.get(id)!.leavesNoTrace ? [id] : []))
      if (traceless.length > 0) await forget(pool, queue, traceless)
      for (const { id } of attempts) runs.delete(id)
    }
    for (const { claim, outcome } of settled) {
      if (outcome && 'failure' in outcome) await fail(claim, outcome.failure)
      if (outcome && 'givesWay' in outcome) await sendBack(pool, queue, [claim], type.retries)
      runs.delete(claim.id)
    }
    for (const run of ended.filter(wasAborted)) {
      if ((run.abort.signal.reason as JobAborted).reason === 'stopping') await handBack(pool, queue, [run.claim])
      runs.delete(run.claim.id)
    }
    // Their keys are free again.
    due = true
  }

  const fail = ({ id, retryCount }: Attempt, { code, message, delaySeconds }: Failure) =>
    pool.transaction(async (db) => {
      if (delaySeconds === null) await makeLast(db, queue, { id, retryCount })
      await boss.fail(queue, { id, retryCount }, { code, message: storableText(message) }, { db: onBehalfOf(db) })
      if (delaySeconds !== null) await postpone(db, queue, id, delaySeconds)
    })

  const rest = (ms: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        due = true
        resolve()
      }, ms)
      rouse = () => {
        clearTimeout(timer)
        resolve()
      }
      // What came while nobody rested.
      const hasEnded = [...runs.values()].some(({ outcome }) => outcome)
      const hasRoom = due && runs.size < concurrency && !isStopping
      if (isClosed || ((hasEnded || hasRoom) && failures === 0)) rouse()
    })

  const loop = async () => {
    while (!isClosed) {
      try {
        await settle()
        await fetch()
        failures = 0
      } catch (err) {
        failures += 1
        if (failures === 1) log.warn({ err, queue }, 'jobs cannot be fetched or settled now; trying again')
      }
      await nextTurn()
      await rest(failures === 0 ? pollMs * (0.75 + Math.random() / 2) : Math.random() * Math.min(100 * 2 ** failures, 5_000))
    }
  }
  const looping = loop()

  const emptied = async (ms: number) => {
    for (const end = performance.now() + ms; runs.size > 0 && performance.now() < end; ) {
      rouse()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  return {
    queue,
    wake,
    abort(id, reason) {
      runs.get(id)?.abort.abort(new JobAborted(reason))
    },
    async beat() {
      const held = [...runs.values()].map(({ claim: { id, retryCount } }) => ({ id, retryCount }))
      if (held.length === 0) return
      const { affected } = (await boss.touch(queue, held)) as { affected: number }
      if (affected === held.length) return
      const still = await stillHeld(pool, queue, held)
      for (const { id, retryCount } of held) {
        const run = runs.get(id)
        // One that is settled by now is nobody's business any more.
        if (!still.has(id) && run?.claim.retryCount === retryCount && !run.outcome) run.abort.abort(new JobAborted('lost'))
      }
    },
    takeProgress() {
      const said = [...runs.values()].flatMap(({ claim, progress }) => (progress ? [{ jobId: claim.id, ...progress }] : []))
      for (const run of runs.values()) run.progress = null
      return said
    },
    async close(graceMs) {
      isStopping = true
      await emptied(graceMs)
      for (const { abort } of runs.values()) abort.abort(new JobAborted('stopping'))
      await emptied(HEED_MS)
      isClosed = true
      rouse()
      await looping
      const left = [...runs.values()].map(({ claim }) => claim)
      if (left.length > 0) log.info({ queue, jobs: left.length }, 'jobs that are not done are handed back')
      // Should Postgres be away, others find out by this worker's silence.
      if (left.length > 0) await handBack(pool, queue, left).catch((err) => log.warn({ err, queue }, 'jobs could not be handed back'))
    },
  }
}
