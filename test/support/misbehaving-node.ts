import sharedMessages from '@eventstore/db-client/generated/shared_pb.js'
import streamServices from '@eventstore/db-client/generated/streams_grpc_pb.js'
import streamMessages from '@eventstore/db-client/generated/streams_pb.js'
import { Client, credentials, Metadata, Server, ServerCredentials, type ServerDuplexStream, status } from '@grpc/grpc-js'

const { StreamsService } = streamServices
const { BatchAppendReq, BatchAppendResp, ReadResp } = streamMessages

type Teardown = { teardown(clear: () => unknown): void }
export type ReadAnswer = InstanceType<typeof ReadResp>

/** What becomes of an append. What is taken is in the log; whatever comes after that, the client is not told so. */
export type AppendFault =
  | 'hangs'
  | 'ends'
  | 'takes and hangs'
  | 'takes and ends'
  | 'takes and dies'
  | 'takes and says so twice'
  | 'takes and says so in the other form'
  | { leader: number }

/** An event store that does to its clients what servers have done: a gRPC server before the embedded node, which does the real work. */
export type MisbehavingNode = {
  readonly port: number
  /** What becomes of the next appends, one after the other; after them all go well again. */
  readonly appendFaults: AppendFault[]
  /** The answers of reads and subscriptions as they are sent: none, others, or an error that ends the call. */
  onRead: (answer: ReadAnswer) => ReadAnswer[] | 'ends' | 'is too slow'
  /** How many appends were asked for so far, and how many reads and subscriptions. */
  readonly counts: { appends: number; reads: number }
}

type Bytes = ServerDuplexStream<Buffer, Buffer>

/** Both as streams of bytes in both directions, which are passed on as they are. */
const asBytes = (path: string) => ({
  path,
  requestStream: true,
  responseStream: true,
  requestSerialize: (bytes: Buffer) => bytes,
  requestDeserialize: (bytes: Buffer) => bytes,
  responseSerialize: (bytes: Buffer) => bytes,
  responseDeserialize: (bytes: Buffer) => bytes,
})
const methods = { batchAppend: asBytes(StreamsService.batchAppend.path), read: asBytes(StreamsService.read.path) }

/** @param die ends its connections without a word, for a fault that asks for it */
export async function misbehavingNode(t: Teardown, target: { port: number }, die: () => void): Promise<MisbehavingNode> {
  const onward = new Client(`127.0.0.1:${target.port}`, credentials.createInsecure())
  const server = new Server()

  const pass = (path: string, call: Bytes) => {
    const passed = onward.makeBidiStreamRequest(
      path,
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes,
      new Metadata(),
      {},
    )
    passed.on('error', () => {})
    call.on('error', () => passed.cancel()).on('cancelled', () => passed.cancel())
    call.on('data', (bytes: Buffer) => passed.write(bytes)).on('end', () => passed.end())
    return passed
  }

  const fail = (call: Bytes, code: status, details: string, told: Record<string, string> = {}) => {
    const metadata = new Metadata()
    for (const [name, value] of Object.entries(told)) metadata.set(name, value)
    call.emit('error', { code, details, metadata })
  }

  const batchAppend = (call: Bytes) => {
    // What comes after the answer to an append is known by its correlation id.
    const faults = new Map<string, AppendFault | undefined>()
    const passed = onward.makeBidiStreamRequest(
      methods.batchAppend.path,
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes,
      new Metadata(),
      {},
    )
    passed.on('error', () => {})
    call.on('error', () => passed.cancel()).on('cancelled', () => passed.cancel())
    call.on('end', () => passed.end())
    call.on('data', (bytes: Buffer) => {
      node.counts.appends += 1
      const fault = node.appendFaults.shift()
      if (typeof fault === 'object') {
        const leader = { 'leader-endpoint-host': '127.0.0.1', 'leader-endpoint-port': String(fault.leader) }
        return fail(call, status.NOT_FOUND, 'Leader info available', { exception: 'not-leader', ...leader })
      }
      if (fault === 'hangs') return
      if (fault === 'ends') return call.end()
      faults.set(BatchAppendReq.deserializeBinary(bytes).getCorrelationId()!.getString(), fault)
      passed.write(bytes)
    })
    passed.on('data', (bytes: Buffer) => {
      const answer = BatchAppendResp.deserializeBinary(bytes)
      const fault = faults.get(answer.getCorrelationId()!.getString())
      if (fault === 'takes and hangs') return
      if (fault === 'takes and ends') return call.end()
      if (fault === 'takes and dies') return die()
      if (fault === 'takes and says so in the other form') return call.write(inOtherForm(answer))
      call.write(bytes)
      if (fault === 'takes and says so twice') call.write(bytes)
    })
    passed.on('status', ({ code, details, metadata }) => {
      if (code !== status.OK) call.emit('error', { code, details, metadata })
      else call.end()
    })
  }

  const read = (call: Bytes) => {
    node.counts.reads += 1
    const passed = pass(methods.read.path, call)
    let isOver = false
    passed.on('data', (bytes: Buffer) => {
      if (isOver) return
      const sent = node.onRead(ReadResp.deserializeBinary(bytes))
      if (typeof sent !== 'string') {
        for (const answer of sent) call.write(Buffer.from(answer.serializeBinary()))
        return
      }
      isOver = true
      passed.cancel()
      if (sent === 'ends') call.end()
      else fail(call, status.ABORTED, 'Operation timed out: Consumer too slow to handle event while live.')
    })
    passed.on('status', ({ code, details, metadata }) => {
      if (isOver) return
      if (code !== status.OK) call.emit('error', { code, details, metadata })
      else call.end()
    })
  }

  server.addService(methods, { batchAppend, read })
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => (error ? reject(error) : resolve(port))),
  )
  t.teardown(() => {
    server.forceShutdown()
    onward.close()
  })
  const node: MisbehavingNode = { port, appendFaults: [], onRead: (answer) => [answer], counts: { appends: 0, reads: 0 } }
  return node
}

/** The id of an answer in two numbers, as servers may write it. */
function inOtherForm(answer: InstanceType<typeof BatchAppendResp>): Buffer {
  const id = answer.getCorrelationId()!
  const hex = id.getString().replaceAll('-', '')
  const half = (from: number) => String(BigInt.asIntN(64, BigInt(`0x${hex.slice(from, from + 16)}`)))
  const structured = new sharedMessages.UUID.Structured()
  structured.setMostSignificantBits(half(0))
  structured.setLeastSignificantBits(half(16))
  id.setStructured(structured)
  return Buffer.from(answer.serializeBinary())
}

/** What a server sends between the events of a filtered subscription. */
export function checkpointAt(position: bigint): ReadAnswer {
  const checkpoint = new ReadResp.Checkpoint()
  checkpoint.setCommitPosition(String(position))
  checkpoint.setPreparePosition(String(position))
  const answer = new ReadResp()
  answer.setCheckpoint(checkpoint)
  return answer
}
