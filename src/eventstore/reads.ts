import { readAnswers, streamDeleted } from './answers.ts'
import { isTombstoned } from './appends.ts'
import type { Filter } from './filters.ts'
import { type Call, STATUS } from './grpc-call.ts'
import type { Log } from './log.ts'
import { DamagedLog, type Row } from './log-reads.ts'
import { firstVisible, isSoftDeleted } from './metadata.ts'
import type { Metrics } from './metrics.ts'
import { type Direction, isExpired, type ReadRequest } from './read-requests.ts'
import { describe, TOMBSTONE } from './record.ts'
import { frame } from './wire.ts'

export type StreamPage =
  | { kind: 'page'; rows: Row[]; next: number; last: boolean; head: number }
  | { kind: 'not-found' }
  | { kind: 'deleted' }

/** A page of what may be seen of a stream. `next` is where the following page starts. */
export function readStreamPage(log: Log, name: string, from: number, direction: Direction, count: number): StreamPage {
  const stream = log.stream(name)
  if (isTombstoned(log, stream)) return { kind: 'deleted' }
  const retention = log.retention(stream)
  if (stream.head < 0 || isSoftDeleted(retention)) return { kind: 'not-found' }
  const lowest = Math.max(firstVisible(retention, stream.head), stream.first)
  const forwards = direction === 'forwards'
  const start = forwards ? Math.max(from, lowest) : Math.min(from, stream.head)
  const { head } = stream
  if (forwards ? start > head : start < lowest) return { kind: 'page', rows: [], next: forwards ? head + 1 : -1, last: true, head }
  const rows = log.readStream(stream, start, direction, forwards ? count : Math.min(count, start - lowest + 1))
  const edge = rows.at(-1)?.revision ?? start
  const seen = retention.maxAgeMs === undefined ? rows : rows.filter((row) => !isExpired(row, retention.maxAgeMs))
  return { kind: 'page', rows: seen, next: forwards ? edge + 1 : edge - 1, last: forwards ? edge >= head : edge <= lowest, head }
}

/** Sends page after page, as fast as the client takes them; other work goes in between. */
export function pump(call: Call, next: () => Buffer | undefined): void {
  const step = () => {
    if (!call.isOpen()) return
    let bytes: Buffer | undefined
    try {
      bytes = next()
    } catch (error) {
      call.finish(failureOfRead(error))
      return
    }
    if (bytes === undefined) return
    if (bytes.length === 0 || call.send(bytes)) setImmediate(step)
    else call.onDrain = step
  }
  step()
}

export function failureOfRead(error: unknown) {
  const message = error instanceof Error ? error.message : String(error)
  return { code: error instanceof DamagedLog ? STATUS.dataLoss : STATUS.unknown, message }
}

/** Answers a read that ends. */
export function serveRead(call: Call, log: Log, request: ReadRequest, metrics: Metrics): void {
  const started = performance.now()
  call.onClose = () => metrics.readEnded(performance.now() - started)
  if (request.stream === undefined) pump(call, allPages(call, log, request, metrics))
  else pump(call, streamPages(call, log, request, request.stream, metrics))
}

function streamPages(call: Call, log: Log, request: ReadRequest, name: string, metrics: Metrics): () => Buffer | undefined {
  const { direction, from } = request
  let left = request.count as number
  let next = from === 'end' ? TOMBSTONE - 1 : from === 'start' ? 0 : from
  if (direction === 'forwards' && from === 'end') left = 0
  let first = true
  return () => {
    const page = readStreamPage(log, name, next, direction, Math.max(left, 1))
    if (page.kind === 'deleted') return void call.finish(streamDeleted(name))
    if (page.kind === 'not-found') {
      call.sendMessage(readAnswers.notFound(name))
      return void call.finish()
    }
    const rows = page.rows.slice(0, left)
    const parts = rows.map(request.render)
    if (first && rows.length === 0 && request.compatibility >= 1 && direction === 'forwards' && page.next !== next)
      parts.push(frame(readAnswers.firstPosition(page.next)))
    first = false
    left -= rows.length
    next = page.next
    metrics.sent(rows.length)
    if (!page.last && left > 0) return Buffer.concat(parts)
    if (request.compatibility >= 1) parts.push(frame(readAnswers.lastPosition(page.head)))
    call.send(Buffer.concat(parts))
    return void call.finish()
  }
}

function allPages(call: Call, log: Log, request: ReadRequest, metrics: Metrics): () => Buffer | undefined {
  const { direction, from, filter } = request
  const forwards = direction === 'forwards'
  let left = request.count as number
  let next = firstPosition(from, forwards, log.end())
  return () => {
    const rows = left === 0 ? [] : log.readAll(next, direction, filter ? Number.MAX_SAFE_INTEGER : left)
    const last = rows.at(-1)
    if (last) next = last.position + (forwards ? 1 : -1)
    const wanted = (filter ? rows.filter((row) => wants(filter, row)) : rows).slice(0, left)
    left -= wanted.length
    metrics.sent(wanted.length)
    const bytes = Buffer.concat(wanted.map(request.render))
    if (last && left > 0) return bytes
    if (bytes.length > 0) call.send(bytes)
    return void call.finish()
  }
}

/** Forwards the position asked for is included, backwards it is not, as on the server. */
function firstPosition(from: ReadRequest['from'], forwards: boolean, end: number): number {
  if (from === 'start') return forwards ? 1 : 0
  if (from === 'end') return forwards ? end + 1 : end
  return forwards ? from : from - 1
}

export function wants(filter: Filter, row: Row): boolean {
  const told = describe(row.frame)
  return filter.matches(told.stream, told.type)
}
