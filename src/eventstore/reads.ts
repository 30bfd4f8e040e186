import streamMessages from '@eventstore/db-client/generated/streams_pb.js'
import { readAnswers, streamDeleted } from './answers.ts'
import { isTombstoned } from './appends.ts'
import { createFilter, type Filter } from './filters.ts'
import { type Call, STATUS } from './grpc.ts'
import type { Log } from './log.ts'
import { DamagedLog, type Row } from './log-reads.ts'
import { firstVisible, isSoftDeleted } from './metadata.ts'
import type { Metrics } from './metrics.ts'
import { describe, resolvedFrame, TOMBSTONE, withStructuredIds } from './record.ts'
import { frame } from './wire.ts'

type Direction = 'forwards' | 'backwards'

/** What a client asks to read; `from` is a revision or position, 'start' and 'end' are what they say. */
export type ReadRequest = {
  stream: string | undefined
  from: number | 'start' | 'end'
  direction: Direction
  count: number | 'subscription'
  filter: Filter | undefined
  /** From one row to what is sent for it. */
  render(row: Row): Buffer
  compatibility: number
}

/** Numbers beyond this mean "the end" or more. */
function clamp(text: string): number {
  return Math.min(Number(text), TOMBSTONE - 1)
}

export function parseRead(payload: Buffer, log: Log): ReadRequest {
  const options = streamMessages.ReadReq.deserializeBinary(payload).getOptions()
  if (!options) throw new RangeError('The read has no options.')
  const all = options.getAll()
  const one = options.getStream()
  const name = one?.getStreamIdentifier()?.getStreamName_asU8()
  if (!all && !name?.length) throw new RangeError('The read names neither a stream nor $all.')
  const place = all ?? one!
  const from = place.hasStart()
    ? 'start'
    : place.hasEnd()
      ? 'end'
      : clamp(all?.getPosition()?.getCommitPosition() ?? one?.getRevision() ?? '0')
  const structured = !options.getUuidOption()?.hasString()
  const resolve = options.getResolveLinks()
  return {
    stream: name?.length && one ? Buffer.from(name).toString() : undefined,
    from,
    direction: options.getReadDirection() === 0 ? 'forwards' : 'backwards',
    count: options.hasSubscription() ? 'subscription' : clamp(options.getCount()),
    filter: readFilter(options),
    render: (row) => {
      const bytes = resolve ? resolved(log, row) : row.frame
      return structured ? withStructuredIds(bytes) : bytes
    },
    compatibility: options.getControlOption()?.getCompatibility() ?? 0,
  }
}

function readFilter(options: InstanceType<typeof streamMessages.ReadReq.Options>): Filter | undefined {
  const asked = options.getFilter()
  const expression = asked?.getStreamIdentifier() ?? asked?.getEventType()
  if (!asked || !expression) return undefined
  return createFilter({
    on: asked.hasStreamIdentifier() ? 'stream' : 'type',
    regex: expression.getRegex(),
    prefixes: expression.getPrefixList(),
    maxSearchWindow: asked.hasMax() ? asked.getMax() : undefined,
    checkpointIntervalMultiplier: asked.getCheckpointintervalmultiplier(),
  })
}

/** A link with what it points to, where that can still be read. */
function resolved(log: Log, row: Row): Buffer {
  const told = describe(row.frame)
  if (told.type !== '$>') return row.frame
  const [, revision, name] = /^(\d+)@([\s\S]*)$/.exec(Buffer.from(told.data).toString()) ?? []
  if (revision === undefined || !name) return row.frame
  const stream = log.stream(name)
  const gone = stream.head < 0 || isTombstoned(log, stream) || Number(revision) < firstVisible(log.retention(stream), stream.head)
  const target = gone ? undefined : log.readAt(stream, Number(revision))
  const old = target !== undefined && isExpired(target, log.retention(stream).maxAgeMs)
  return resolvedFrame(row.frame, old ? undefined : target?.frame, row.position)
}

function isExpired(row: Row, maxAgeMs: number | undefined): boolean {
  return maxAgeMs !== undefined && describe(row.frame).createdMs < Date.now() - maxAgeMs
}

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
  // Forwards a position is included, backwards it is not, as on the server.
  let next = forwards
    ? from === 'start'
      ? 1
      : from === 'end'
        ? log.end() + 1
        : from
    : from === 'end'
      ? log.end()
      : from === 'start'
        ? 0
        : from - 1
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

export function wants(filter: Filter, row: Row): boolean {
  const told = describe(row.frame)
  return filter.matches(told.stream, told.type)
}
