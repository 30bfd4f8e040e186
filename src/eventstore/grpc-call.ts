import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { frame } from './wire.ts'

/** The status codes of gRPC that the node answers with. */
export const STATUS = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  failedPrecondition: 9,
  aborted: 10,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  resourceExhausted: 8,
} as const

export type Failure = { code: number; message: string; trailers?: Record<string, string> }

/** One call, as its handler sees it. */
export type Call = {
  headers: IncomingHttpHeaders
  /** Sends framed messages, any number at once. False: the client is not keeping up, wait for `onDrain` (everything is kept meanwhile). */
  send(frames: Buffer): boolean
  sendMessage(message: Uint8Array): boolean
  /** Ends the call: well, or with a failure. What was sent before arrives before. */
  finish(failure?: Failure): void
  onDrain: () => void
  /** The call is over, whoever ended it. */
  onClose: () => void
  isOpen(): boolean
  /** Stops taking messages, so that the client cannot send more than is worked off; `resume` goes on. */
  pause(): void
  resume(): void
}

/** The call on an HTTP/2 stream. What is sent in one turn of the event loop goes out as one write. */
export function createCall(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Call {
  let open = true
  let pending: Buffer[] = []
  let pendingBytes = 0
  let waiting = false
  let ending: Failure | 'well' | undefined
  const call: Call = {
    headers,
    send(frames) {
      if (!open || ending) return true
      if (pending.length === 0) process.nextTick(flush)
      pending.push(frames)
      pendingBytes += frames.length
      // Until the drain, whatever else is sent meanwhile: somebody may be waiting for it.
      waiting ||= stream.writableLength + pendingBytes >= stream.writableHighWaterMark
      return !waiting
    },
    sendMessage: (message) => call.send(frame(message)),
    finish(failure) {
      if (!open || ending) return
      ending = failure ?? 'well'
      if (isGone()) return
      if (!stream.headersSent && pending.length === 0) {
        open = false
        stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...trailersOf(ending) }, { endStream: true })
        return
      }
      flush()
      stream.end()
    },
    onDrain: () => {},
    onClose: () => {},
    isOpen: () => open && !ending && !isGone(),
    pause: () => void stream.pause(),
    resume: () => void stream.resume(),
  }

  /** The client may go at any moment; what is done to its stream after that throws. */
  const isGone = () => stream.destroyed || stream.closed

  function respond(): void {
    if (stream.headersSent) return
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => {
      if (!isGone()) stream.sendTrailers(trailersOf(ending ?? 'well'))
    })
  }

  /** Everything that was sent in this turn goes out as one write. */
  function flush(): void {
    if (!open || isGone()) return
    respond()
    if (pending.length === 0) return
    const frames = pending
    pending = []
    pendingBytes = 0
    // There is a 'drain' only where Node itself found the buffer full.
    const room = stream.write(frames.length === 1 ? frames[0] : Buffer.concat(frames))
    if (room && waiting) process.nextTick(drained)
  }

  function drained(): void {
    if (!waiting) return
    waiting = false
    call.onDrain()
  }

  stream.on('drain', drained)
  stream.on('close', () => {
    open = false
    call.onClose()
  })
  return call
}

function trailersOf(ending: Failure | 'well'): Record<string, string> {
  if (ending === 'well') return { 'grpc-status': '0' }
  const trailers: Record<string, string> = { 'grpc-status': String(ending.code), 'grpc-message': printable(ending.message) }
  for (const [key, value] of Object.entries(ending.trailers ?? {})) trailers[key] = printable(value)
  return trailers
}

/** Headers carry printable ASCII; the rest is percent-encoded (gRPC over HTTP/2, "Status-Message"). */
function printable(text: string): string {
  return Buffer.from(text)
    .toString('latin1')
    .replace(/[^\x20-\x24\x26-\x7e]/g, (char: string) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
}
