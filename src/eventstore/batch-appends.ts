import { batchAnswer, type Result } from './answers.ts'
import type { Expected } from './appends.ts'
import type { Receiver } from './grpc.ts'
import type { Call } from './grpc-call.ts'
import type { Proposed } from './record.ts'
import { type BatchPart, readBatchPart, sizeOf, type WriteOptions } from './requests.ts'
import { eachField, frame } from './wire.ts'
import { SHUTTING_DOWN, type WriteQueue } from './write-queue.ts'

/** How long a batch may take to arrive whole where its client asks for longer. */
const MAX_ARRIVAL_MS = 10_000

type Options = WriteOptions & { identifier: Buffer }
type Batch = { options: Options; events: Proposed[]; sizeBytes: number; timer?: NodeJS.Timeout }
type Answer = (correlation: Buffer, identifier: Buffer, result: Result, expected: Expected) => void

/** The call that carries any number of appends, told apart by their correlation ids, each in one part or many. */
export function createBatchAppends(queue: WriteQueue) {
  const open = new Set<Call>()

  function handle(call: Call): Receiver {
    const batches = new Map<string, Batch>()
    let pending = 0
    let halfClosed = false
    open.add(call)
    call.onClose = () => {
      open.delete(call)
      for (const batch of batches.values()) clearTimeout(batch.timer)
    }
    // A client that does not take its answers is not read from until it does, so that they cannot pile up.
    call.onDrain = () => call.resume()
    const answer: Answer = (correlation, identifier, result, expected) => {
      if (!call.send(frame(batchAnswer(correlation, identifier, result, expected)))) call.pause()
    }

    function begin(part: BatchPart, key: string, options: Options): Batch | undefined {
      const milliseconds = Math.min(options.deadlineMs - Date.now(), MAX_ARRIVAL_MS)
      const expire = () => {
        batches.delete(key)
        answer(part.correlation, options.identifier, { kind: 'timeout' }, options.expected)
      }
      if (milliseconds <= 0) {
        expire()
        return undefined
      }
      const batch: Batch = { options, events: [], sizeBytes: 0 }
      if (!part.final) batch.timer = setTimeout(expire, milliseconds)
      batches.set(key, batch)
      return batch
    }

    /** Adds a part to its batch; the batch when it is whole (or larger than may be), undefined before. */
    function gather(part: BatchPart): Batch | undefined {
      const key = part.correlation.toString('latin1')
      const batch = batches.get(key) ?? (part.options && begin(part, key, part.options))
      // One that was refused already: the rest of it is ignored, as on the server.
      if (!batch) return undefined
      for (const event of part.events) {
        batch.events.push(event)
        batch.sizeBytes += sizeOf(event)
      }
      if (!part.final && batch.sizeBytes <= queue.maxAppendBytes) return undefined
      clearTimeout(batch.timer)
      batches.delete(key)
      return batch
    }

    return {
      message(payload) {
        // The call ends with "unavailable" as soon as what came before is written.
        if (queue.isClosing()) return
        const part = parse(payload, answer)
        const batch = part && gather(part)
        if (!batch) return
        pending++
        queue.holdBack(call)
        const isTooLate = () => Date.now() >= batch.options.deadlineMs
        queue.append(batch.options, batch.events, batch.sizeBytes, isTooLate, (result) => {
          pending--
          answer(part.correlation, batch.options.identifier, result, batch.options.expected)
          if (pending === 0 && halfClosed) call.finish()
        })
      },
      end() {
        halfClosed = true
        if (pending === 0) call.finish()
      },
    }
  }

  return {
    handle,
    /** Ends the calls so that their clients connect anew: one that ended well would leave its client waiting for ever. */
    close() {
      for (const call of open) call.finish(SHUTTING_DOWN)
    },
  }
}

/** Parses a part; what is wrong with it is answered to its correlation id, and the call goes on. */
function parse(payload: Buffer, answer: Answer): BatchPart | undefined {
  try {
    return readBatchPart(payload)
  } catch (error) {
    let correlation: Buffer = Buffer.alloc(0)
    let identifier: Buffer = Buffer.alloc(0)
    eachField(payload, 0, payload.length, (field, _size, start, end) => {
      if (field === 1) correlation = payload.subarray(start, end)
      if (field !== 2) return
      eachField(payload, start, end, (part, _length, a, b) => {
        if (part === 1) identifier = payload.subarray(a, b)
      })
    })
    answer(correlation, identifier, { kind: 'bad-request', message: error instanceof Error ? error.message : String(error) }, 'any')
    return undefined
  }
}
