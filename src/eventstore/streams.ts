import type { DatabaseSync } from 'node:sqlite'
import { checked, DamagedLog, type Raw } from './log-reads.ts'
import { isMetastream, metastreamOf, originalOf, type Retention, readRetention } from './metadata.ts'
import { describe, TOMBSTONE } from './record.ts'

/** A stream as the log knows it; -1 as `head`: it has no event. Good until the next turn of the event loop; never keep one. */
export type Stream = { id: number; name: string; head: number; first: number; retention: Retention | undefined }

export type Streams = {
  stream(name: string): Stream
  retention(stream: Stream): Retention
  /** The last metadata event's body, undefined without one. */
  metadataBody(stream: string): Uint8Array | undefined
  /** Where a recent event of this id is (for appends at any revision); the last 50,000 events are known. */
  committedAs(id: string): { stream: string; revision: number } | undefined
  /** Gives a new stream its id. */
  register(stream: Stream): void
  /** The event is written (its transaction may still fail). */
  written(stream: Stream, id: string, revision: number): void
  /** Streams are read again from the file: for who changed it beside the log. */
  forgetStreams(): void
  /** Everything is read again from the file: after a rollback. */
  forget(): void
  /** Makes room, where nobody holds a stream. */
  trim(): void
}

const CACHED_STREAMS = 20_000
/** About what the server remembers too (8 MB). */
const REMEMBERED_IDS = 50_000

type Place = { stream: string; revision: number }
type Ids = { get(id: string): Place | undefined; set(id: string, place: Place): void }

/** What is known of streams and event ids: in memory as far as it was needed lately, else from the file. */
export function createStreams(database: DatabaseSync): Streams {
  const findStream = database.prepare('select id, first from streams where name = ?')
  const findFirst = database.prepare('select min(revision) as first from events where stream = ?')
  const columns = 'position, stream, revision, frame, checksum'
  const findLast = database.prepare(`select ${columns} from events where stream = ? order by revision desc limit 1`)
  const findRecent = database.prepare(`select ${columns} from events order by position desc limit ?`)
  const findLastId = database.prepare('select coalesce(max(id), 0) as last from streams')
  const insert = database.prepare('insert into streams (id, name) values (?, ?)')
  const known = new Map<string, Stream>()
  let recentIds: Ids | undefined

  function stream(name: string): Stream {
    const cached = known.get(name)
    if (cached) return cached
    const row = findStream.get(name) as { id: number; first: number } | undefined
    const found: Stream = {
      id: row?.id ?? 0,
      name,
      head: row ? headOf(row.id, row.first, name) : -1,
      first: row?.first ?? 0,
      retention: undefined,
    }
    known.set(name, found)
    return found
  }

  /** Its first and last event bound what readers are shown of a stream, so they have to be what was written, where it was written. */
  function headOf(id: number, kept: number, name: string): number {
    const last = findLast.get(id) as Raw | undefined
    const { first } = findFirst.get(id) as { first: number | null }
    const isWhole = last && describe(checked(last).frame).stream === name && (first === kept || first === TOMBSTONE)
    if (!isWhole) throw new DamagedLog(`The log is damaged: stream "${name}" does not begin or end as it should.`)
    return last.revision
  }

  function metadataBody(name: string): Uint8Array | undefined {
    const meta = stream(metastreamOf(name))
    const row = meta.id === 0 ? undefined : (findLast.get(meta.id) as Raw | undefined)
    return row && describe(checked(row).frame).data
  }

  function loadRecentIds(): Ids {
    const ids = createIds()
    for (const row of (findRecent.all(REMEMBERED_IDS) as Raw[]).reverse()) {
      try {
        const { id, stream, revision } = describe(checked(row).frame)
        ids.set(id, { stream, revision })
      } catch (error) {
        // Who reads it is told; it must not keep others from writing.
        if (!(error instanceof DamagedLog)) throw error
      }
    }
    return ids
  }

  return {
    stream,
    metadataBody,
    retention(of) {
      of.retention ??= readRetention(of.name, isMetastream(of.name) ? undefined : metadataBody(of.name))
      return of.retention
    },
    committedAs(id) {
      recentIds ??= loadRecentIds()
      return recentIds.get(id)
    },
    register(added) {
      added.id = (findLastId.get() as { last: number }).last + 1
      insert.run(added.id, added.name)
    },
    written(to, id, revision) {
      to.head = revision
      if (isMetastream(to.name)) {
        const original = known.get(originalOf(to.name))
        if (original) original.retention = undefined
      }
      recentIds?.set(id, { stream: to.name, revision })
    },
    forgetStreams: () => known.clear(),
    forget() {
      known.clear()
      recentIds = undefined
    },
    trim() {
      if (known.size > CACHED_STREAMS) known.clear()
    },
  }
}

/**
 * Remembers the last ids, 50,000 at least. Two maps that take turns: one map that forgets its oldest key at each new one costs 25 µs a
 * key, since it walks over all that it has forgotten.
 */
function createIds(): Ids {
  let current = new Map<string, Place>()
  let previous = new Map<string, Place>()
  return {
    get: (id) => current.get(id) ?? previous.get(id),
    set(id, place) {
      if (current.size >= REMEMBERED_IDS) {
        previous = current
        current = new Map()
      }
      current.set(id, place)
    },
  }
}
