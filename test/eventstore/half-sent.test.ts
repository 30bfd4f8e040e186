/** Requests that break off: half of an append is no append, at the bare protocol, where the official client does not go. */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectSocket } from 'node:net'
import featureServices from '@eventstore/db-client/generated/serverfeatures_grpc_pb.js'
import sharedMessages from '@eventstore/db-client/generated/shared_pb.js'
import streamServices from '@eventstore/db-client/generated/streams_grpc_pb.js'
import streamMessages from '@eventstore/db-client/generated/streams_pb.js'
import emptyMessages from 'google-protobuf/google/protobuf/empty_pb.js'
import t, { type Test } from 'tap'
import { frame } from '../../src/eventstore/wire.ts'
import { all, connect, embedded, event, failure } from './node.ts'

const { AppendReq } = streamMessages
const { path } = streamServices.StreamsService.append

function options(stream: string): Buffer {
  const identifier = new sharedMessages.StreamIdentifier()
  identifier.setStreamName(Buffer.from(stream))
  const written = new AppendReq.Options()
  written.setStreamIdentifier(identifier).setAny(new sharedMessages.Empty())
  const request = new AppendReq()
  request.setOptions(written)
  return frame(request.serializeBinary())
}

function proposed(change: (message: InstanceType<typeof AppendReq.ProposedMessage>) => void = () => {}): Buffer {
  const id = new sharedMessages.UUID()
  id.setString(randomUUID())
  const message = new AppendReq.ProposedMessage()
  message.setId(id).setData(Buffer.from('{"n":1}').toString('base64'))
  message.getMetadataMap().set('type', 'Happened').set('content-type', 'application/json')
  change(message)
  const request = new AppendReq()
  request.setProposedMessage(message)
  return frame(request.serializeBinary())
}

/** A call of its own connection; `answer` is what the server ends it with. */
function call(t: Test, port: number, headers: Record<string, string> = {}) {
  const session = connectHttp2(`http://127.0.0.1:${port}`)
  session.on('error', () => {})
  t.teardown(() => session.destroy())
  const request = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', ...headers })
  request.on('error', () => {})
  const answer = new Promise<{ status: string; message: string }>((resolve) => {
    const told = (fields: Record<string, unknown>) => {
      if (fields['grpc-status'] !== undefined) resolve({ status: String(fields['grpc-status']), message: String(fields['grpc-message']) })
    }
    request.on('response', told).on('trailers', told)
    request.resume()
  })
  return { session, request, answer }
}

/** An HTTP/2 frame (RFC 9113 §4.1). */
function http2Frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** A header as a literal without indexing (RFC 7541 §6.2.2). */
const literal = (name: string, value: string) =>
  Buffer.concat([Buffer.of(0, name.length), Buffer.from(name), Buffer.of(value.length), Buffer.from(value)])

/** Resets its stream without ending its request, as clients in Go, Rust or Java do when they cancel. Resolves when the server has seen that. */
async function resetHalfWay(port: number, stream: string, code: number): Promise<void> {
  const socket = connectSocket(port, '127.0.0.1')
  await once(socket, 'connect')
  const headers = Object.entries({
    ':method': 'POST',
    ':scheme': 'http',
    ':path': path,
    ':authority': 'node',
    'content-type': 'application/grpc',
  })
  const reset = Buffer.alloc(4)
  reset.writeUInt32BE(code)
  const ping = Buffer.from('finished')
  socket.write(
    Buffer.concat([
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      http2Frame(4, 0, 0, Buffer.alloc(0)),
      http2Frame(1, 4, 1, Buffer.concat(headers.map(([name, value]) => literal(name, value)))),
      http2Frame(0, 0, 1, Buffer.concat([options(stream), proposed(), proposed()])),
      http2Frame(3, 0, 1, reset),
      http2Frame(6, 0, 0, ping),
    ]),
  )
  let received = Buffer.alloc(0)
  for await (const chunk of socket) {
    received = Buffer.concat([received, chunk as Buffer])
    if (received.includes(ping)) break
  }
}

t.test('an append that breaks off in the middle is not there, not even in part', async (t) => {
  const { url, port } = await embedded(t)
  const client = connect(t, url)
  const isThere = async (stream: string) => {
    // What comes later is written later: after this nothing of the call is under way.
    for (let n = 0; n < 3; n++) await client.appendToStream('after', event(n))
    return (await failure(all(client.readStream(stream)))).type !== 'stream-not-found'
  }
  for (const code of [0, 2, 8]) {
    await resetHalfWay(port, `reset-${code}`, code)
    t.notOk(await isThere(`reset-${code}`), `reset with ${code}`)
  }

  const cut = call(t, port)
  cut.request.write(Buffer.concat([options('cut'), proposed(), proposed()]))
  await client.appendToStream('meanwhile', event(1))
  cut.session.destroy()
  t.notOk(await isThere('cut'), 'the connection was cut')

  const torn = call(t, port)
  torn.request.end(Buffer.concat([options('torn'), proposed(), proposed().subarray(0, 20)]))
  t.match(await torn.answer, { status: '13', message: /in the middle of a message/ })
  t.notOk(await isThere('torn'), 'the request ended in the middle of an event')

  const late = call(t, port, { 'grpc-timeout': '20m' })
  late.request.write(Buffer.concat([options('late'), proposed()]))
  t.match(await late.answer, { status: '4' })
  late.request.end(proposed())
  t.notOk(await isThere('late'), 'the deadline came first')

  const whole = call(t, port)
  whole.request.end(Buffer.concat([options('whole'), proposed(), proposed()]))
  t.match(await whole.answer, { status: '0' })
  t.equal((await all(client.readStream('whole'))).length, 2)
})

t.test('a call without its request fails, rather than wait for ever', async (t) => {
  const { port } = await embedded(t)
  const { read, delete: remove, tombstone, append } = streamServices.StreamsService
  for (const { path } of [read, remove, tombstone, append, featureServices.ServerFeaturesService.getSupportedMethods]) {
    const { request, answer } = call(t, port, { ':path': path })
    request.end()
    t.notMatch(await answer, { status: '0' }, path)
  }
  const empty = call(t, port, { ':path': remove.path })
  empty.request.end(frame(Buffer.alloc(0)))
  t.match(await empty.answer, { message: /without options/ })
})

t.test('a client that takes no answers is not read from any more', async (t) => {
  const { url, port } = await embedded(t)
  const { BatchAppendReq } = streamMessages
  const { request } = call(t, port, { ':path': streamServices.StreamsService.batchAppend.path })
  request.pause()
  const identifier = new sharedMessages.StreamIdentifier()
  identifier.setStreamName(Buffer.from('flood'))
  const options = new BatchAppendReq.Options()
  options.setStreamIdentifier(identifier).setNoStream(new emptyMessages.Empty())
  const id = new sharedMessages.UUID()
  id.setString(randomUUID())
  const message = new BatchAppendReq()
  // Appends of nothing: so the log has no part in what holds the client back.
  message.setCorrelationId(id).setOptions(options).setIsFinal(true)
  const part = frame(message.serializeBinary())
  const many = Buffer.concat(Array.from({ length: 1000 }, () => part))
  const client = connect(t, url)
  let written = 0
  for (; request.writableLength < 8 * many.length && written < 1000; written++) {
    request.write(many)
    await client.appendToStream('beside', event(written))
  }
  t.ok(written < 1000, `after ${written},000 appends`)
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const answered = Number(/result="written"} (\d+)/.exec(metrics)?.[1]) - written
  t.ok(answered > 0 && answered < written * 1000, `${answered} were answered`)
})

t.test('the size of an append counts data, metadata and type, and the limit is exact', async (t) => {
  const { url, port } = await embedded(t)
  const sizes = { limit: 1024 * 1024, type: 2 * 'Happened'.length }
  const send = async (dataBytes: number, metadataBytes: number) => {
    const { request, answer } = call(t, port)
    const message = proposed(
      (one) =>
        void one.setData(Buffer.alloc(dataBytes).toString('base64')).setCustomMetadata(Buffer.alloc(metadataBytes).toString('base64')),
    )
    request.end(Buffer.concat([options('edge'), message]))
    return answer
  }
  t.match(await send(sizes.limit - sizes.type, 0), { status: '0' }, 'just as much as may be')
  t.match(await send(sizes.limit - sizes.type + 1, 0), { status: '3', message: /Maximum Append Size of 1048576 Exceeded/ }, 'a byte more')
  t.match(await send(0, sizes.limit - sizes.type), { status: '0' }, 'all of it metadata')
  t.match(await send(1, sizes.limit - sizes.type), { status: '3' })
  const [first, second] = await all(connect(t, url).readStream('edge'))
  t.equal((first!.event!.data as unknown as Uint8Array | undefined)?.length ?? 0, sizes.limit - sizes.type)
  t.ok(second)
})
