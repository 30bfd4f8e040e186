import { readAnswers, streamDeleted } from './answers.ts'
import type { Call } from './grpc-call.ts'
import type { Committed, Log } from './log.ts'
import type { Row } from './log-reads.ts'
import type { Metrics } from './metrics.ts'
import type { ReadRequest } from './read-requests.ts'
import { readStreamPage, wants } from './reads.ts'
import { TOMBSTONE } from './record.ts'
import { frame } from './wire.ts'

/** What a subscription follows: how to read on from where it is, and which of the new events are for it. */
export type Source = {
  /** The next page after what was seen; undefined: there is no more for now, or the call is over because the stream was deleted. */
  catchUp(): Buffer | undefined
  /** What is sent for a new event that comes right after what was seen; empty where it is not for this subscriber. */
  live(record: Committed): Buffer[]
  /** How many new events there are that it has not seen. */
  behind(): number
}

/** `$all`, with a filter or without. */
export function allSource(log: Log, { from, filter, render }: ReadRequest, metrics: Metrics): Source {
  let seen = from === 'start' ? 0 : from === 'end' ? log.end() : from
  let considered = 0

  /** An event if it is wanted, and a checkpoint whenever as many were looked at as the client asked for. */
  function consider(row: Row, wanted: boolean): Buffer[] {
    seen = row.position
    const parts = wanted ? [render(row)] : []
    if (filter && ++considered >= filter.checkpointInterval) {
      considered = 0
      parts.push(frame(readAnswers.checkpoint(row.position)))
    }
    return parts
  }

  return {
    catchUp() {
      const rows = log.readAll(seen + 1, 'forwards', Number.MAX_SAFE_INTEGER)
      if (rows.length === 0) return undefined
      const parts = rows.flatMap((row) => consider(row, !filter || wants(filter, row)))
      metrics.sent(parts.length)
      return Buffer.concat(parts)
    },
    live: (record) => (record.position <= seen ? [] : consider(record, !filter || filter.matches(record.stream, record.type))),
    behind: () => Math.max(0, log.end() - seen),
  }
}

/** One stream, which may not be there yet. */
export function streamSource(log: Log, call: Call, name: string, { from, render }: ReadRequest, metrics: Metrics): Source {
  let seen = from === 'start' ? -1 : from === 'end' ? log.stream(name).head : from
  return {
    catchUp() {
      const page = readStreamPage(log, name, seen + 1, 'forwards', Number.MAX_SAFE_INTEGER)
      if (page.kind === 'deleted') call.finish(streamDeleted(name))
      if (page.kind !== 'page' || page.next <= seen + 1) return undefined
      // A start beyond the end stays there: such a subscriber asked for nothing before it.
      seen = Math.max(seen, page.next - 1)
      metrics.sent(page.rows.length)
      return Buffer.concat(page.rows.map(render))
    },
    live(record) {
      if (record.revision === TOMBSTONE) {
        call.finish(streamDeleted(name))
        return []
      }
      if (record.revision <= seen) return []
      seen = record.revision
      return [render(record)]
    },
    behind: () => Math.max(0, log.stream(name).head - seen),
  }
}
