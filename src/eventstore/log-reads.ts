import type { DatabaseSync } from 'node:sqlite'
import { checksum, describe } from './record.ts'
import type { Stream } from './streams.ts'

/** An event as it lies in the log. */
export type Row = { position: number; revision: number; frame: Buffer }

/** A record that is not what was written, or is not there. Never passed over: a reader gets this error instead of a shorter history. */
export class DamagedLog extends Error {
  override name = 'DamagedLog'
}

export type Readers = {
  /** Up to a page of a stream's events, from a revision on (or down). Empty: there are none in that direction. */
  readStream(stream: Stream, from: number, direction: 'forwards' | 'backwards', count: number): Row[]
  /** Up to a page of all events, from a position on (or down), the position itself included. */
  readAll(from: number, direction: 'forwards' | 'backwards', count: number): Row[]
  /** The event that has this revision in the stream. */
  readAt(stream: Stream, revision: number): Row | undefined
}

/** Under a millisecond a page, so that many readers at once hold up nobody. */
const PAGE_EVENTS = 128
const PAGE_BYTES = 128 * 1024

export type Raw = { position: number; stream: number; revision: number; frame: Uint8Array; checksum: number }

export function createReaders(database: DatabaseSync, end: () => number): Readers {
  const columns = 'position, stream, revision, frame, checksum'
  const inStream = `select ${columns} from events where stream = ? and revision`
  const statements = {
    streamForwards: database.prepare(`${inStream} >= ? order by revision limit ?`),
    streamBackwards: database.prepare(`${inStream} <= ? order by revision desc limit ?`),
    allForwards: database.prepare(`select ${columns} from events where position >= ? order by position limit ?`),
    allBackwards: database.prepare(`select ${columns} from events where position <= ? order by position desc limit ?`),
    one: database.prepare(`${inStream} = ?`),
    removed: database.prepare(`
      select coalesce(sum(min(last, :last) - max(first, :first) + 1), 0) as count from removed
      where first >= coalesce((select max(first) from removed where first <= :first), :first) and first <= :last and last >= :first`),
  }

  function page(rows: Iterable<Raw>): Row[] {
    const taken: Row[] = []
    let size = 0
    for (const row of rows) {
      taken.push(checked(row))
      size += row.frame.length
      if (size >= PAGE_BYTES) break
    }
    return taken
  }

  /** Positions leave no gaps but those that compaction noted. */
  function expectRemoved(first: number, last: number): void {
    const { count } = statements.removed.get({ first, last }) as { count: number }
    if (count !== last - first + 1) throw new DamagedLog(`The log is damaged: events between positions ${first} and ${last} are missing.`)
  }

  return {
    readStream(stream, from, direction, count) {
      const forwards = direction === 'forwards'
      const start = forwards ? Math.max(from, stream.first) : Math.min(from, stream.head)
      if (stream.id === 0 || start > stream.head || start < stream.first) return []
      const limit = Math.min(count, PAGE_EVENTS)
      const statement = forwards ? statements.streamForwards : statements.streamBackwards
      const rows = page(statement.iterate(stream.id, start, limit) as Iterable<Raw>)
      let expected = start
      for (const { revision } of rows) {
        if (revision !== expected) throw missing(stream, expected)
        expected += forwards ? 1 : -1
      }
      if (rows.length === 0 && count > 0) throw missing(stream, start)
      return rows
    },
    readAll(from, direction, count) {
      const forwards = direction === 'forwards'
      const start = forwards ? Math.max(from, 1) : Math.min(from, end())
      if (start > end() || start < 1) return []
      const limit = Math.min(count, PAGE_EVENTS)
      const statement = forwards ? statements.allForwards : statements.allBackwards
      const rows = page(statement.iterate(start, limit) as Iterable<Raw>)
      let expected = start
      for (const { position } of rows) {
        if (forwards && position > expected) expectRemoved(expected, position - 1)
        if (!forwards && position < expected) expectRemoved(position + 1, expected)
        expected = position + (forwards ? 1 : -1)
      }
      if (rows.length === 0 && count > 0) {
        if (forwards) expectRemoved(start, end())
        else expectRemoved(1, start)
      }
      return rows
    },
    readAt(stream, revision) {
      const row = stream.id === 0 ? undefined : (statements.one.get(stream.id, revision) as Raw | undefined)
      return row && checked(row)
    },
  }
}

/** Throws DamagedLog where the bytes are not those that were written at this place. */
export function checked({ position, stream, revision, frame, checksum: kept }: Raw): Row {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.length)
  if (checksum(bytes, stream, revision, position) !== kept) throw new DamagedLog(damageOf(bytes, revision, position))
  return { position, revision, frame: bytes }
}

/** Names the stream as well as the damaged bytes allow. */
export function damageOf(bytes: Buffer, revision: number, position: number): string {
  let name = 'unknown'
  try {
    name = describe(bytes).stream
  } catch {
    // Its own bytes do not tell.
  }
  return `The log is damaged: the event at position ${position} (stream "${name}", revision ${revision}) does not match its checksum.`
}

function missing(stream: Stream, revision: number): DamagedLog {
  return new DamagedLog(`The log is damaged: revision ${revision} of stream "${stream.name}" is missing.`)
}
