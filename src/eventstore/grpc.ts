import {
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import { type Call, createCall, type Failure, STATUS } from './grpc-call.ts'

/** What a handler does with the request's messages, and when the client has said all. */
export type Receiver = { message(payload: Buffer): void; end(): void }
export type Handler = (call: Call) => Receiver

/** For calls of one request: without it they fail, rather than wait for it for ever. */
export function oneRequest(call: Call, take: (payload: Buffer) => void): Receiver {
  let taken = false
  return {
    message(payload) {
      if (!taken) take(payload)
      taken = true
    },
    end() {
      if (!taken) call.finish({ code: STATUS.internal, message: 'The request is missing.' })
    },
  }
}

/** Above the largest append by far, as on the server. */
const MAX_MESSAGE_BYTES = 17 * 1024 * 1024
/** Node's default of 64 KiB makes a large append wait for a round trip every 64 KiB. */
const WINDOW_BYTES = 4 * 1024 * 1024

/**
 * gRPC over HTTP/2 on Node's own server. Not @grpc/grpc-js, because its server writes one message at a time: a read that sends
 * hundreds of events in one write is several times cheaper, and many acknowledgements go out as one.
 */
export function createGrpcServer(handlers: Map<string, Handler>): { http2: Http2Server; close(graceMs: number): Promise<void> } {
  const sessions = new Set<ServerHttp2Session>()
  const http2 = createServer({
    settings: { initialWindowSize: WINDOW_BYTES },
    maxSessionMemory: 512,
  })
  http2.on('session', (session) => {
    sessions.add(session)
    session.setLocalWindowSize(WINDOW_BYTES * 4)
    session.on('close', () => sessions.delete(session))
    session.on('error', () => {})
  })
  http2.on('sessionError', () => {})
  http2.on('stream', (stream, headers) => serve(stream, headers, handlers))
  return {
    http2,
    /** Tells every client to go (GOAWAY), lets calls end for a while, then cuts. */
    async close(graceMs) {
      const closed = [...sessions].map((session) => new Promise<void>((resolve) => session.once('close', resolve)))
      for (const session of sessions) session.close()
      const cut = setTimeout(() => {
        for (const session of sessions) session.destroy()
      }, graceMs)
      await Promise.all(closed)
      clearTimeout(cut)
    },
  }
}

function serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, handlers: Map<string, Handler>): void {
  stream.on('error', () => {})
  if (!String(headers['content-type'] ?? '').startsWith('application/grpc')) {
    stream.respond({ ':status': 415 }, { endStream: true })
    return
  }
  const call = createCall(stream, headers)
  const path = String(headers[':path'])
  const handler = handlers.get(path)
  if (!handler) {
    stream.resume()
    call.finish({ code: STATUS.unimplemented, message: `This event store does not offer ${path.slice(1)}.` })
    return
  }
  limitTime(call, stream, headers)
  receive(stream, handler(call), call)
}

/** Cuts the request's bytes into messages. */
function receive(stream: ServerHttp2Stream, receiver: Receiver, call: Call): void {
  let chunks: Buffer[] = []
  let size = 0
  let needed = 5
  const fail = (failure: Failure) => {
    call.finish(failure)
    stream.removeAllListeners('data')
    stream.resume()
  }
  const end = () => {
    if (!call.isOpen()) return
    if (size > 0) return fail({ code: STATUS.internal, message: 'The request ends in the middle of a message.' })
    try {
      receiver.end()
    } catch (error) {
      fail({ code: STATUS.unknown, message: error instanceof Error ? error.message : String(error) })
    }
  }
  stream.on('data', (chunk: Buffer) => {
    // The rest of a request that is answered already.
    if (!call.isOpen()) return
    chunks.push(chunk)
    size += chunk.length
    if (size < needed) return
    let bytes = chunks.length === 1 ? chunk : Buffer.concat(chunks)
    while (bytes.length >= 5) {
      if (bytes[0] !== 0) return fail({ code: STATUS.unimplemented, message: 'Compressed messages are not supported.' })
      const length = bytes.readUInt32BE(1)
      if (length > MAX_MESSAGE_BYTES)
        return fail({ code: STATUS.resourceExhausted, message: `A message of ${length} bytes is larger than ${MAX_MESSAGE_BYTES}.` })
      needed = 5 + length
      if (bytes.length < needed) break
      const payload = bytes.subarray(5, needed)
      bytes = bytes.subarray(needed)
      needed = 5
      if (!call.isOpen()) break
      try {
        receiver.message(payload)
      } catch (error) {
        return fail({ code: STATUS.unknown, message: error instanceof Error ? error.message : String(error) })
      }
    }
    chunks = bytes.length > 0 ? [bytes] : []
    size = bytes.length
  })
  // A turn later: a client that cancels, or is cut off, in the middle ends its request too, right before it resets it. Half of an append is none.
  stream.on('end', () => setImmediate(end))
  stream.on('aborted', () => stream.close(constants.NGHTTP2_CANCEL))
}

const UNITS: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 }

function limitTime(call: Call, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  const told = /^(\d{1,8})([HMSmun])$/.exec(String(headers['grpc-timeout'] ?? ''))
  if (!told) return
  const milliseconds = Number(told[1]) * UNITS[told[2]!]!
  if (milliseconds > 2 ** 31 - 1) return
  const timer = setTimeout(() => call.finish({ code: STATUS.deadlineExceeded, message: 'The deadline of the call is over.' }), milliseconds)
  stream.on('close', () => clearTimeout(timer))
}
