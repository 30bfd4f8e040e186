import { createHmac, createSecretKey } from 'node:crypto'
import { Value } from '@sinclair/typebox/value'
import type { Command } from './decider.ts'
import { FailedForGood, type JobRun, type JobType } from './jobs.ts'
import { type Claim, openLane } from './jobs-lane.ts'
import type { Jobs } from './jobs-queue.ts'
import { CANCEL_CHANNEL, isAwaited, storeProgress, sweep, WAKE_CHANNEL } from './jobs-store.ts'
import { listen } from './listener.ts'
import type { Logger } from './log.ts'
import type { Outcome, Request } from './runner.ts'
import { withSpan } from './tracing.ts'
import { uuidv5 } from './uuid.ts'

export type WorkerOptions<S> = {
  readonly jobs: Jobs
  readonly log: Logger
  /** What the handlers get. */
  readonly services: S
  /** Carries out the commands of the jobs. */
  execute(command: Command, body: unknown, params: Readonly<Record<string, string>>, request: Request): Promise<Outcome>
  /** Keys the HMAC of requests. */
  readonly secret: Buffer
  /** How often a queue is looked into when nobody tells that it has something: a retry whose time has come is found so. */
  readonly pollMs?: number
  readonly beatMs?: number
  readonly progressMs?: number
}

const SWEEP_MS = 3_600_000

/** Works on the jobs of every queue. @throws a connection error when Postgres is away */
export async function startWorker<S>(options: WorkerOptions<S>): Promise<{ close(graceMs: number): Promise<void> }> {
  const { jobs, log, services, execute, secret, pollMs = 2_000, beatMs = 3_000, progressMs = 1_000 } = options
  const { types, pool } = jobs
  const boss = await jobs.ready()

  const runOf = (type: JobType) => async (claim: Claim, run: Pick<JobRun, 'signal' | 'progress' | 'log' | 'leaveNoTrace'>) => {
    const { id: jobId, data: envelope } = claim
    if (!Value.Check(type.schema, envelope.data)) {
      throw new FailedForGood('data-invalid', 'What the job was given does not fit this version of SmartCRM.')
    }
    const requestOf: JobRun['requestOf'] = (index, command) => requestOfJob(jobId, envelope, index, command, secret)
    const job: JobRun<S> = {
      ...run,
      jobId,
      attempt: claim.retryCount + 1,
      services,
      correlationId: envelope.correlationId,
      causationId: envelope.causationId,
      requestOf,
      execute: (index, command, body, params = {}) => execute(command, body, params, requestOf(index, command)),
      isAwaited: () => isAwaited(pool, type.queue, jobId),
    }
    const handle = type.run as (data: unknown, job: JobRun<S>) => ReturnType<JobType['run']>
    const attributes = { 'messaging.destination.name': type.queue, 'smartcrm.attempt': job.attempt }
    const span = { kind: 'consumer', attributes, follows: [envelope] } as const
    const result = await withSpan<object | undefined>(`process ${type.queue}`, span, () => handle(envelope.data, job))
    // Only what is declared is stored.
    return result && (Value.Clean({ ...type.result, additionalProperties: false }, structuredClone(result)) as object)
  }

  const flush = async () => {
    const said = lanes.flatMap((lane) => lane.takeProgress())
    if (said.length > 0) await storeProgress(pool, said)
  }
  const lanes = types.map((type) => openLane({ jobs, boss, type, log, execute: runOf(type), flush, pollMs }))
  const everyLane = (work: (lane: (typeof lanes)[number]) => void) => {
    for (const lane of lanes) work(lane)
  }

  const listener = listen(
    pool,
    log,
    [WAKE_CHANNEL, CANCEL_CHANNEL],
    (channel, payload) =>
      everyLane((lane) => {
        if (channel === CANCEL_CHANNEL) lane.abort(payload, 'cancelled')
        else if (lane.queue === payload) lane.wake()
      }),
    // What was told while nobody listened: enqueued, or cancelled.
    () =>
      everyLane((lane) => {
        lane.wake()
        lane.beat().catch((err) => log.warn({ err }, 'telling that this worker lives failed; trying again'))
      }),
  )
  const every = (ms: number, what: string, work: () => Promise<unknown>) => {
    let isAtIt = false
    return setInterval(async () => {
      if (isAtIt) return
      isAtIt = true
      await work().catch((err) => log.warn({ err }, `${what} failed; trying again`))
      isAtIt = false
    }, ms)
  }
  const queues = types.map(({ queue }) => queue)
  const forget = () => sweep(pool, queues)
  // A worker that is started again every day sweeps, too.
  forget().catch((err) => log.warn({ err }, 'forgetting old jobs failed; trying again'))
  const timers = [
    every(beatMs, 'telling that this worker lives', () => Promise.all(lanes.map((lane) => lane.beat()))),
    every(progressMs, 'storing progress', flush),
    every(SWEEP_MS, 'forgetting old jobs', forget),
  ]
  return {
    async close(graceMs) {
      await Promise.all(lanes.map((lane) => lane.close(graceMs)))
      for (const timer of timers) clearInterval(timer)
      await flush().catch((err) => log.warn({ err }, 'the last progress was not stored'))
      await listener.close()
    },
  }
}

/** The request of a job's command. Its HMAC leaves the body out: what a repeat learns may be worded otherwise, and the first answer counts. */
function requestOfJob(jobId: string, cause: Claim['data'], index: number | string, { method, path }: Command, secret: Buffer): Request {
  const commandId = uuidv5(String(index), jobId)
  return {
    actor: 'system:worker',
    commandId,
    request: createHmac('sha256', createSecretKey(secret))
      .update(JSON.stringify(['job', commandId, method, path]))
      .digest('base64url'),
    correlationId: cause.correlationId,
    causationId: cause.causationId,
  }
}
