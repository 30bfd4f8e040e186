import sharedMessages from '@eventstore/db-client/generated/shared_pb.js'
import statusMessages from '@eventstore/db-client/generated/status_pb.js'
import anyMessages from 'google-protobuf/google/protobuf/any_pb.js'
import emptyMessages from 'google-protobuf/google/protobuf/empty_pb.js'
import type { Expected, WriteOutcome } from './appends.ts'
import { type Failure, STATUS } from './grpc-call.ts'
import { nested, putVarint, varintSize } from './wire.ts'

/** What became of a write; beyond what the log decides: it came too late, was too large, was malformed, or could not be kept. */
export type Result =
  | WriteOutcome
  | { kind: 'timeout' }
  | { kind: 'too-large'; limitBytes: number }
  | { kind: 'bad-request'; message: string }
  | { kind: 'not-kept'; message: string }

const EXPECTED_NUMBERS: Record<Exclude<Expected, number>, number> = { 'no-stream': -1, any: -2, 'stream-exists': -4 }

function number(field: number, value: number): Buffer {
  const written = Buffer.allocUnsafe(1 + varintSize(value))
  written[0] = field << 3
  putVarint(written, 1, value)
  return written
}

const NOTHING = Buffer.alloc(0)
/** In the form of 20.6, no stream is the revision 2^64-1. */
const NO_STREAM = [Buffer.from('18ffffffffffffffffff01', 'hex'), nested(11, NOTHING)]

/** The answer to one batch. `correlation` and `identifier` are the request's own messages, sent back as they came. */
export function batchAnswer(correlation: Buffer, identifier: Buffer, result: Result, expected: Expected): Buffer {
  const body =
    result.kind === 'written'
      ? nested(3, success(result.revision, result.position))
      : nested(2, statusOf(result, identifier, expected).serializeBinary())
  return Buffer.concat([nested(1, correlation), body, nested(4, identifier)])
}

function success(revision: number, position: number): Buffer {
  return Buffer.concat([
    revision < 0 ? nested(2, NOTHING) : number(1, revision),
    position > 0 ? nested(3, Buffer.concat([number(1, position), number(2, position)])) : nested(4, NOTHING),
  ])
}

type Refused = Exclude<Result, { kind: 'written' }>
type Message = { serializeBinary(): Uint8Array }

/** Names, codes and details as the server's Status.cs has them. */
function statusOf(result: Refused, identifier: Buffer, expected: Expected) {
  const { WrongExpectedVersion, StreamDeleted, Timeout, MaximumAppendSizeExceeded, BadRequest, StreamIdentifier } = sharedMessages
  switch (result.kind) {
    case 'wrong-expected-version': {
      const details = new WrongExpectedVersion()
      if (result.current < 0) details.setCurrentNoStream(new emptyMessages.Empty())
      else details.setCurrentStreamRevision(String(result.current))
      if (expected === 'any') details.setExpectedAny(new emptyMessages.Empty())
      else if (expected === 'no-stream') details.setExpectedNoStream(new emptyMessages.Empty())
      else if (expected === 'stream-exists') details.setExpectedStreamExists(new emptyMessages.Empty())
      else details.setExpectedStreamPosition(String(expected))
      return status(6, 'WrongExpectedVersion', details, 'event_store.client.WrongExpectedVersion')
    }
    case 'stream-deleted': {
      const details = new StreamDeleted()
      details.setStreamIdentifier(StreamIdentifier.deserializeBinary(identifier))
      return status(5, 'StreamDeleted', details, 'event_store.client.StreamDeleted')
    }
    case 'timeout':
      return status(STATUS.deadlineExceeded, 'Timeout', new Timeout(), 'event_store.client.Timeout')
    case 'too-large': {
      const details = new MaximumAppendSizeExceeded()
      details.setMaxappendsize(result.limitBytes)
      return status(STATUS.invalidArgument, 'MaximumAppendSizeExceeded', details, 'event_store.client.MaximumAppendSizeExceeded')
    }
    case 'bad-request': {
      const details = new BadRequest()
      details.setMessage(result.message)
      return status(STATUS.invalidArgument, result.message, details, 'event_store.client.BadRequest')
    }
    case 'not-kept':
      return status(STATUS.resourceExhausted, result.message, new emptyMessages.Empty(), 'google.protobuf.Empty')
  }
}

function status(code: number, message: string, details: Message, type: string) {
  const any = new anyMessages.Any()
  any.pack(details.serializeBinary(), type)
  const written = new statusMessages.Status()
  written.setCode(code)
  written.setMessage(message)
  written.setDetails(any)
  return written
}

/** The answer to an append of one call: a conflict is an answer too, in both its forms (20.6 and later). */
export function appendAnswer(outcome: Extract<Result, { kind: 'written' | 'wrong-expected-version' }>, expected: Expected): Uint8Array {
  if (outcome.kind === 'written') return nested(1, success(outcome.revision, outcome.position))
  const current = outcome.current < 0 ? [nested(2, NOTHING), nested(7, NOTHING)] : [number(1, outcome.current), number(6, outcome.current)]
  const asked =
    typeof expected === 'number'
      ? [number(3, expected), number(8, expected)]
      : {
          any: [nested(4, NOTHING), nested(9, NOTHING)],
          'stream-exists': [nested(5, NOTHING), nested(10, NOTHING)],
          'no-stream': NO_STREAM,
        }[expected]
  return nested(2, Buffer.concat([...current, ...asked]))
}

/** What a call fails with, as the server's RpcExceptions have it. */
export function failureOf(result: Refused, stream: string, expected: Expected, operation: string): Failure {
  switch (result.kind) {
    case 'wrong-expected-version': {
      const asked = typeof expected === 'number' ? expected : EXPECTED_NUMBERS[expected]
      return {
        code: STATUS.failedPrecondition,
        message: `${operation} failed due to WrongExpectedVersion. Stream: ${stream}, Expected version: ${asked}, Actual version: ${result.current}`,
        trailers: {
          exception: 'wrong-expected-version',
          'stream-name': stream,
          'expected-version': String(asked),
          'actual-version': String(result.current),
        },
      }
    }
    case 'stream-deleted':
      return streamDeleted(stream)
    case 'timeout':
      return { code: STATUS.aborted, message: 'Operation timed out: it was not begun before its deadline' }
    case 'too-large':
      return {
        code: STATUS.invalidArgument,
        message: `Maximum Append Size of ${result.limitBytes} Exceeded.`,
        trailers: { exception: 'maximum-append-size-exceeded', 'maximum-append-size': String(result.limitBytes) },
      }
    case 'bad-request':
      return { code: STATUS.invalidArgument, message: result.message }
    case 'not-kept':
      // Not "unavailable": at that the official client closes its channel, and what it sends meanwhile stays pending for ever.
      return { code: STATUS.resourceExhausted, message: result.message }
  }
}

export function streamDeleted(stream: string): Failure {
  return {
    code: STATUS.failedPrecondition,
    message: `Event stream '${stream}' is deleted.`,
    trailers: { exception: 'stream-deleted', 'stream-name': stream },
  }
}

/** The answers of a read or subscription other than its events. */
export const readAnswers = {
  notFound: (stream: string) => nested(4, nested(1, nested(3, Buffer.from(stream)))),
  firstPosition: (revision: number) => number(5, revision),
  lastPosition: (revision: number) => number(6, revision),
  confirmation: (id: string) => nested(2, nested(1, Buffer.from(id))),
  checkpoint: (position: number) => nested(3, Buffer.concat([number(1, position), number(2, position)])),
  caughtUp: () => nested(8, NOTHING),
  fellBehind: () => nested(9, NOTHING),
}

/** The answer to a delete or tombstone: where it was written. */
export function deleteAnswer(position: number): Uint8Array {
  return nested(1, Buffer.concat([number(1, position), number(2, position)]))
}
