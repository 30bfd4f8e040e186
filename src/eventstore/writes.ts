import { appendAnswer, batchAnswer, deleteAnswer, failureOf, type Result } from './answers.ts'
import { appendEvents, deleteStream, type Expected, type WriteOutcome } from './appends.ts'
import { type Call, type Receiver, STATUS } from './grpc.ts'
import type { Log, Writer } from './log.ts'
import { DamagedLog } from './log-reads.ts'
import type { Metrics } from './metrics.ts'
import type { Proposed } from './record.ts'
import { type BatchPart, MissingProperty, readBatchPart, readProposed, readWriteOptions, sizeOf, type WriteOptions } from './requests.ts'
import { eachField, frame } from './wire.ts'

export type Limits = { maxAppendBytes: number }

/** How long a batch may take to arrive whole where its client asks for longer. */
const MAX_ARRIVAL_MS = 10_000

/** Above this clients are not read from until the log has caught up with them. */
const MAX_WAITING_BYTES = 32 * 1024 * 1024

type Part = { options: WriteOptions & { identifier: Buffer }; events: Proposed[]; sizeBytes: number; timer?: NodeJS.Timeout }

/** The handlers of everything that writes: append, batch append, delete, tombstone. */
export function createWrites(log: Log, limits: Limits, metrics: Metrics) {
  const open = new Set<Call>()
  const paused = new Set<Call>()
  let underWay = 0
  let waitingBytes = 0
  let closing = false
  let idle = () => {}

  /** Decides and writes in the next group commit; `done` hears what became of it after the sync. */
  function write(sizeBytes: number, deadlineMs: number, run: (writer: Writer) => WriteOutcome, done: (result: Result) => void): void {
    const started = performance.now()
    let result: Result = { kind: 'timeout' }
    underWay++
    waitingBytes += sizeBytes
    log.enqueue({
      sizeBytes,
      run(writer) {
        if (Date.now() >= deadlineMs) return
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
        if (waitingBytes < MAX_WAITING_BYTES) resume()
        const told: Result = error ? { kind: 'not-kept', message: `The event log cannot be written: ${error.message}` } : result
        metrics.wrote(told.kind, performance.now() - started)
        done(told)
        if (underWay === 0) idle()
      },
    })
  }

  function resume(): void {
    for (const call of paused) call.resume()
    paused.clear()
  }

  function append(options: WriteOptions, events: Proposed[], sizeBytes: number, done: (result: Result) => void): void {
    if (sizeBytes > limits.maxAppendBytes) done({ kind: 'too-large', limitBytes: limits.maxAppendBytes })
    else
      write(
        sizeBytes,
        options.deadlineMs,
        (writer) => appendEvents(writer, options.stream, options.expected, events),
        (result) => {
          if (result.kind === 'written') metrics.appended(events.length, sizeBytes)
          done(result)
        },
      )
  }

  function batchAppend(call: Call): Receiver {
    const parts = new Map<string, Part>()
    let pending = 0
    let halfClosed = false
    open.add(call)
    call.onClose = () => {
      open.delete(call)
      paused.delete(call)
      for (const part of parts.values()) clearTimeout(part.timer)
    }
    const answer = (correlation: Buffer, identifier: Buffer, result: Result, expected: Expected) =>
      call.send(frame(batchAnswer(correlation, identifier, result, expected)))

    function begin(told: BatchPart, key: string, options: NonNullable<BatchPart['options']>): Part | undefined {
      const milliseconds = Math.min(options.deadlineMs - Date.now(), MAX_ARRIVAL_MS)
      const expire = () => {
        parts.delete(key)
        answer(told.correlation, options.identifier, { kind: 'timeout' }, options.expected)
      }
      if (milliseconds <= 0) return void expire()
      const part: Part = { options, events: [], sizeBytes: 0 }
      if (!told.final) part.timer = setTimeout(expire, milliseconds)
      parts.set(key, part)
      return part
    }

    return {
      message(payload) {
        const told = parseBatch(payload, answer)
        if (!told) return
        const key = told.correlation.toString('latin1')
        const part = parts.get(key) ?? (told.options && begin(told, key, told.options))
        // A batch that was refused already: the rest of it is ignored, as on the server.
        if (!part) return
        for (const event of told.events) {
          part.events.push(event)
          part.sizeBytes += sizeOf(event)
        }
        const tooLarge = part.sizeBytes > limits.maxAppendBytes
        if (!told.final && !tooLarge) return
        clearTimeout(part.timer)
        parts.delete(key)
        pending++
        if (waitingBytes > MAX_WAITING_BYTES) {
          paused.add(call)
          call.pause()
        }
        append(part.options, part.events, part.sizeBytes, (result) => {
          pending--
          answer(told.correlation, part.options.identifier, result, part.options.expected)
          if (pending === 0 && halfClosed) call.finish()
        })
      },
      end() {
        halfClosed = true
        if (pending === 0) call.finish()
      },
    }
  }

  function appendOnce(call: Call): Receiver {
    let options: WriteOptions | undefined
    const events: Proposed[] = []
    let sizeBytes = 0
    return {
      message(payload) {
        eachField(payload, 0, payload.length, (field, _size, start, end) => {
          if (field === 1 && !options) options = readWriteOptions(payload, start, end)
          else if (field === 2 && options) sizeBytes += propose(call, events, payload, start, end)
        })
        if (!options) throw new Error('The options of an append come first.')
        if (sizeBytes > limits.maxAppendBytes && call.isOpen())
          call.finish(failureOf({ kind: 'too-large', limitBytes: limits.maxAppendBytes }, options.stream, options.expected, 'Append'))
      },
      end() {
        if (!options) return call.finish({ code: STATUS.unknown, message: 'An append without options.' })
        const { stream, expected } = options
        append(options, events, sizeBytes, (result) => {
          if (result.kind !== 'written' && result.kind !== 'wrong-expected-version')
            return call.finish(failureOf(result, stream, expected, 'Append'))
          call.sendMessage(appendAnswer(result, expected))
          call.finish()
        })
      },
    }
  }

  const remove = (forGood: boolean) => (call: Call) => ({
    message(payload: Buffer) {
      eachField(payload, 0, payload.length, (field, _size, start, end) => {
        if (field !== 1) return
        const { stream, expected } = readWriteOptions(payload, start, end)
        write(
          0,
          Number.POSITIVE_INFINITY,
          (writer) => deleteStream(writer, stream, expected, forGood),
          (result) => {
            if (result.kind !== 'written') return call.finish(failureOf(result, stream, expected, 'Delete'))
            call.sendMessage(deleteAnswer(result.position))
            call.finish()
          },
        )
      })
    },
    end() {},
  })

  return {
    batchAppend: (call: Call) => (closing ? refuse(call) : batchAppend(call)),
    append: (call: Call) => (closing ? refuse(call) : appendOnce(call)),
    delete: remove(false),
    tombstone: remove(true),
    /** Waits for what is being written, and ends the calls so that their clients connect anew. */
    async close() {
      closing = true
      if (underWay > 0) await new Promise<void>((resolve) => (idle = resolve))
      for (const call of open) call.finish(SHUTTING_DOWN)
    },
  }
}

export const SHUTTING_DOWN = { code: STATUS.unavailable, message: 'Server Is Shutting Down' }

function refuse(call: Call): Receiver {
  call.finish(SHUTTING_DOWN)
  return { message() {}, end() {} }
}

/** Parses a part of a batch; what is wrong with it is answered to its correlation id, and the call goes on. */
function parseBatch(
  payload: Buffer,
  answer: (correlation: Buffer, identifier: Buffer, result: Result, expected: Expected) => void,
): BatchPart | undefined {
  try {
    return readBatchPart(payload)
  } catch (error) {
    let correlation: Buffer = Buffer.alloc(0)
    let identifier: Buffer = Buffer.alloc(0)
    eachField(payload, 0, payload.length, (field, _size, start, end) => {
      if (field === 1) correlation = payload.subarray(start, end)
      if (field === 2)
        eachField(payload, start, end, (part, _length, a, b) => {
          if (part === 1) identifier = payload.subarray(a, b)
        })
    })
    answer(correlation, identifier, { kind: 'bad-request', message: error instanceof Error ? error.message : String(error) }, 'any')
    return undefined
  }
}

/** Adds an event to an append and returns its size in bytes. */
function propose(call: Call, events: Proposed[], payload: Buffer, start: number, end: number): number {
  try {
    const event = readProposed(payload, start, end)
    events.push(event)
    return sizeOf(event)
  } catch (error) {
    if (!(error instanceof MissingProperty)) throw error
    call.finish({
      code: STATUS.invalidArgument,
      message: error.message,
      trailers: { exception: 'missing-required-metadata-property', 'required-metadata-properties': 'type,content-type' },
    })
    return 0
  }
}
