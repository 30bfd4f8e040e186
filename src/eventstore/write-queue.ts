import type { Result } from './answers.ts'
import { appendEvents, type WriteOutcome } from './appends.ts'
import { type Call, STATUS } from './grpc-call.ts'
import type { Log, Writer } from './log.ts'
import { DamagedLog } from './log-reads.ts'
import type { Metrics } from './metrics.ts'
import type { Proposed } from './record.ts'
import type { WriteOptions } from './requests.ts'

export type WriteQueue = {
  /** Decides and writes in the next group commit, unless it is too late by then; `done` hears what became of it, after the sync. */
  write(sizeBytes: number, isTooLate: () => boolean, run: (writer: Writer) => WriteOutcome, done: (result: Result) => void): void
  append(options: WriteOptions, events: Proposed[], sizeBytes: number, isTooLate: () => boolean, done: (result: Result) => void): void
  maxAppendBytes: number
  /** Where more is waiting than the log can take soon, the call is not read from until it has. */
  holdBack(call: Call): void
  isClosing(): boolean
  /** Takes no more, and waits for what is being written. */
  close(): Promise<void>
}

export const SHUTTING_DOWN = { code: STATUS.unavailable, message: 'Server Is Shutting Down' }

const MAX_WAITING_BYTES = 32 * 1024 * 1024

/** What all writes go through on their way to the log. */
export function createWriteQueue(log: Log, metrics: Metrics, maxAppendBytes: number): WriteQueue {
  const held = new Set<Call>()
  let underWay = 0
  let waitingBytes = 0
  let closing = false
  let idle = () => {}

  function write(sizeBytes: number, isTooLate: () => boolean, run: (writer: Writer) => WriteOutcome, done: (result: Result) => void): void {
    const started = performance.now()
    let result: Result = { kind: 'timeout' }
    underWay++
    waitingBytes += sizeBytes
    log.enqueue({
      sizeBytes,
      run(writer) {
        if (isTooLate()) return
        try {
          result = run(writer)
        } catch (error) {
          // Found while looking, before anything was written: this write fails alone.
          if (!(error instanceof DamagedLog)) throw error
          result = { kind: 'not-kept', message: error.message }
        }
      },
      done(error) {
        underWay--
        waitingBytes -= sizeBytes
        if (waitingBytes < MAX_WAITING_BYTES) release()
        const told: Result = error ? { kind: 'not-kept', message: `The event log cannot be written: ${error.message}` } : result
        metrics.wrote(told.kind, performance.now() - started)
        done(told)
        if (underWay === 0) idle()
      },
    })
  }

  function release(): void {
    for (const call of held) call.resume()
    held.clear()
  }

  return {
    write,
    append(options, events, sizeBytes, isTooLate, done) {
      if (sizeBytes > maxAppendBytes) done({ kind: 'too-large', limitBytes: maxAppendBytes })
      else
        write(
          sizeBytes,
          isTooLate,
          (writer) => appendEvents(writer, options.stream, options.expected, events),
          (result) => {
            if (result.kind === 'written') metrics.appended(events.length, sizeBytes)
            done(result)
          },
        )
    },
    maxAppendBytes,
    holdBack(call) {
      if (waitingBytes <= MAX_WAITING_BYTES) return
      held.add(call)
      call.pause()
    },
    isClosing: () => closing,
    async close() {
      closing = true
      if (underWay > 0) await new Promise<void>((resolve) => (idle = resolve))
    },
  }
}
