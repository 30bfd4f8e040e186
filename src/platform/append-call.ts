import { randomUUID } from 'node:crypto'
import { convertToCommandError, ErrorType, type EventStoreDBClient } from '@eventstore/db-client'
import sharedMessages from '@eventstore/db-client/generated/shared_pb.js'
import type { Status } from '@eventstore/db-client/generated/status_pb.js'
import streamServices, { type StreamsClient } from '@eventstore/db-client/generated/streams_grpc_pb.js'
import streamMessages, { type BatchAppendResp, type BatchAppendReq as Part } from '@eventstore/db-client/generated/streams_pb.js'
import emptyMessages from 'google-protobuf/google/protobuf/empty_pb.js'
import timestampMessages from 'google-protobuf/google/protobuf/timestamp_pb.js'
import type { EncodedEvent } from './codec.ts'
import type { Position } from './position.ts'

/** What the official client keeps for itself: its connection, by which it finds the leader and gives its credentials. */
type Inside = {
  GRPCStreamCreator(
    service: typeof StreamsClient,
    name: string,
    create: (grpc: StreamsClient) => Call,
    calls: WeakMap<object, Promise<Call> | Call>,
  ): () => Promise<Call>
  callArguments(base: object, options: object): Parameters<StreamsClient['batchAppend']> extends [...infer A] ? A : never
}
type Call = ReturnType<StreamsClient['batchAppend']>

type Waiting = { readonly stream: string; resolve(position: Position | null): void; reject(error: unknown): void }

type AppendOptions = { readonly deadlineMs: number; onSent(): void }

/** The appends of one client, all over one call of the log's. */
export type AppendCall = {
  /**
   * One append, unless the server says otherwise atomic. It may never settle: who asks has a bound of his own.
   * @param options.deadlineMs after which the server need no longer take it
   * @param options.onSent called when it is given to the connection: what fails before was never asked
   * @returns the position of the last event; null where the server does not tell
   * @throws an error with a `type` of the official client's
   */
  append(stream: string, expectedRevision: number, events: readonly EncodedEvent[], options: AppendOptions): Promise<Position | null>
  /** Those under way may still be answered, for as long as anybody may wait for it; then the call ends. */
  retire(afterMs: number): void
}

/** What one message of the call holds at most, as the official client has it; an append of more comes in parts. */
const PART_BYTES = 3 * 1024 * 1024

/**
 * Appends by the log's batch append, told apart by correlation ids over one call: a call of its own for each costs both sides twice as much, and who
 * follows the log nothing. The official client's own use of it is not for us: it keeps one table for all its calls in a process, so that one that is
 * cut rejects the others' appends; an answer to an append that is forgotten throws in an event handler; and at a clean end of the call it waits for
 * ever. Here each call has its own table, and however it ends, those that wait in it are told that it was cut.
 */
export function createAppendCall(client: EventStoreDBClient): AppendCall {
  const inside = client as unknown as Inside
  const { StreamsClient } = streamServices
  const calls = new WeakMap<object, Promise<Call> | Call>()
  const tables = new WeakMap<Call, Map<string, Waiting>>()
  const open = new Set<Call>()
  let retired = false

  const create = (grpc: StreamsClient): Call => {
    const call = grpc.batchAppend(...inside.callArguments({}, { deadline: Number.POSITIVE_INFINITY }))
    const table = new Map<string, Waiting>()
    tables.set(call, table)
    open.add(call)
    const end = (error: unknown) => {
      open.delete(call)
      calls.delete(grpc)
      for (const { reject } of table.values()) reject(error)
      table.clear()
    }
    call.on('data', (answer: BatchAppendResp) => {
      const id = textOf(answer.getCorrelationId())
      const waiting = table.get(id)
      table.delete(id)
      if (waiting) settle(waiting, answer)
    })
    call.on('error', (error) => end(convertToCommandError(error)))
    call.on('end', () => {
      end(failure(ErrorType.UNAVAILABLE, 'The event store ended the call of appends.'))
      // Our side of it too, or else the official client, which waits for that, could not be closed.
      call.end()
    })
    return call
  }

  return {
    async append(stream, expectedRevision, events, { deadlineMs, onSent }) {
      const call = await inside.GRPCStreamCreator(StreamsClient, 'appendToStream', create, calls)()
      const table = tables.get(call)!
      if (!open.has(call) || retired) throw failure(ErrorType.UNAVAILABLE, 'The call of appends is over.')
      const id = randomUUID()
      const { promise, resolve, reject } = Promise.withResolvers<Position | null>()
      table.set(id, { stream, resolve, reject })
      onSent()
      // How many may wait to be written is bounded by who appends: each awaits its answer.
      for (const part of partsOf(id, stream, expectedRevision, events, deadlineMs)) call.write(part)
      return promise
    },
    retire(afterMs) {
      retired = true
      setTimeout(() => {
        for (const call of open) call.cancel()
      }, afterMs).unref()
    },
  }
}

function settle({ stream, resolve, reject }: Waiting, answer: BatchAppendResp): void {
  const success = answer.getSuccess()
  const position = success?.getPosition()
  if (!success) reject(errorOf(answer.getError(), stream))
  else resolve(position ? { commit: BigInt(position.getCommitPosition()), prepare: BigInt(position.getPreparePosition()) } : null)
}

function* partsOf(id: string, stream: string, expectedRevision: number, events: readonly EncodedEvent[], deadlineMs: number) {
  const { BatchAppendReq } = streamMessages
  const options = new BatchAppendReq.Options()
  const identifier = new sharedMessages.StreamIdentifier()
  identifier.setStreamName(Buffer.from(stream))
  options.setStreamIdentifier(identifier)
  options.setDeadline(timestampMessages.Timestamp.fromDate(new Date(Date.now() + deadlineMs)))
  if (expectedRevision === -1) options.setNoStream(new emptyMessages.Empty())
  else options.setStreamPosition(String(expectedRevision))

  const begin = (): Part => {
    const part = new BatchAppendReq()
    part.setCorrelationId(uuidOf(id))
    return part
  }
  let part = begin()
  part.setOptions(options)
  let bytes = 0
  for (const event of events) {
    const message = new BatchAppendReq.ProposedMessage()
    // As bytes: given text, the messages take it for base64.
    const data = Buffer.from(JSON.stringify(event.data))
    const metadata = Buffer.from(JSON.stringify(event.metadata))
    message.setId(uuidOf(event.id))
    message.getMetadataMap().set('type', event.type).set('content-type', 'application/json')
    message.setData(data)
    message.setCustomMetadata(metadata)
    if (bytes > 0 && bytes + data.length + metadata.length > PART_BYTES) {
      yield part
      part = begin()
      bytes = 0
    }
    part.addProposedMessages(message)
    bytes += data.length + metadata.length
  }
  part.setIsFinal(true)
  yield part
}

type Uuid = InstanceType<typeof sharedMessages.UUID>

function uuidOf(text: string): Uuid {
  const uuid = new sharedMessages.UUID()
  uuid.setString(text)
  return uuid
}

/** Servers write the same id in either of two forms. */
function textOf(uuid: Uuid | undefined): string {
  const structured = uuid?.getStructured()
  if (!structured) return uuid?.getString() ?? ''
  const halves = [structured.getMostSignificantBits(), structured.getLeastSignificantBits()]
  const hex = halves.map((half) => BigInt.asUintN(64, BigInt(half)).toString(16).padStart(16, '0')).join('')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

const types: Readonly<Record<string, ErrorType>> = {
  WrongExpectedVersion: ErrorType.WRONG_EXPECTED_VERSION,
  StreamDeleted: ErrorType.STREAM_DELETED,
  AccessDenied: ErrorType.ACCESS_DENIED,
  MaximumAppendSizeExceeded: ErrorType.MAXIMUM_APPEND_SIZE_EXCEEDED,
  BadRequest: ErrorType.INVALID_ARGUMENT,
  Timeout: ErrorType.DEADLINE_EXCEEDED,
}

/** What the server says of an append that it did not take, or of which it does not know; the details say which (the server's Status.cs). */
function errorOf(status: Status | undefined, stream: string): Error {
  const name = /^event_store\.client\.(\w+)$/.exec(status?.getDetails()?.getTypeName() ?? '')?.[1] ?? ''
  const message = `The event store did not append to ${stream}: ${status?.getMessage() || 'it did not say why'}.`
  return failure(types[name] ?? ErrorType.UNKNOWN, message, status?.getCode())
}

const failure = (type: ErrorType, message: string, code?: number) => Object.assign(new Error(message), { type, code })
