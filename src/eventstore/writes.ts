import { appendAnswer, deleteAnswer, failureOf } from './answers.ts'
import { deleteStream } from './appends.ts'
import { oneRequest, type Receiver } from './grpc.ts'
import { type Call, STATUS } from './grpc-call.ts'
import type { Proposed } from './record.ts'
import { MissingProperty, readProposed, readWriteOptions, sizeOf, type WriteOptions } from './requests.ts'
import { eachField } from './wire.ts'
import type { WriteQueue } from './write-queue.ts'

/** An append in a call of its own: the options first, then an event a message. */
export function appendOnce(queue: WriteQueue, call: Call): Receiver {
  const limitBytes = queue.maxAppendBytes
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
      if (sizeBytes > limitBytes) call.finish(failureOf({ kind: 'too-large', limitBytes }, options.stream, options.expected, 'Append'))
    },
    end() {
      if (!options) throw new Error('An append without options.')
      const { stream, expected } = options
      // Nobody waits for one that was cancelled or whose deadline is over, and it may have been cancelled before it was whole.
      const isTooLate = () => !call.isOpen()
      queue.append(options, events, sizeBytes, isTooLate, (result) => {
        if (result.kind === 'written' || result.kind === 'wrong-expected-version') {
          call.sendMessage(appendAnswer(result, expected))
          call.finish()
        } else call.finish(failureOf(result, stream, expected, 'Append'))
      })
    },
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

/** Delete (soft) and tombstone (for good): the same request but for its name. */
export function remove(queue: WriteQueue, call: Call, forGood: boolean): Receiver {
  return oneRequest(call, (payload) => {
    let options: WriteOptions | undefined
    eachField(payload, 0, payload.length, (field, _size, start, end) => {
      if (field === 1) options = readWriteOptions(payload, start, end)
    })
    if (!options) throw new Error('A delete without options.')
    const { stream, expected } = options
    queue.write(
      0,
      () => !call.isOpen(),
      (writer) => deleteStream(writer, stream, expected, forGood),
      (result) => {
        if (result.kind !== 'written') return call.finish(failureOf(result, stream, expected, 'Delete'))
        call.sendMessage(deleteAnswer(result.position))
        call.finish()
      },
    )
  })
}
