import streamMessages from '@eventstore/db-client/generated/streams_pb.js'
import { isTombstoned } from './appends.ts'
import { createFilter, type Filter } from './filters.ts'
import type { Log } from './log.ts'
import type { Row } from './log-reads.ts'
import { firstVisible } from './metadata.ts'
import { describe, resolvedFrame, TOMBSTONE, withStructuredIds } from './record.ts'

export type Direction = 'forwards' | 'backwards'

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
  const backwards = options.getReadDirection() !== 0
  if (options.hasSubscription() && backwards) throw new RangeError('A subscription cannot go backwards.')
  if (!all && options.hasFilter()) throw new RangeError('A filter is for $all only.')
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
    direction: backwards ? 'backwards' : 'forwards',
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

export function isExpired(row: Row, maxAgeMs: number | undefined): boolean {
  return maxAgeMs !== undefined && describe(row.frame).createdMs < Date.now() - maxAgeMs
}
