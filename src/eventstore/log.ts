import type { Logger } from 'pino'
import { EventStoreRefusal, lockFile, openDatabase } from './database.ts'
import { openEndMark } from './end-mark.ts'
import { createReaders, type Readers } from './log-reads.ts'
import { isMetastream, metastreamOf, originalOf, type Retention, readRetention } from './metadata.ts'
import { checksum, describe, encodeRecord, type Proposed } from './record.ts'

/** A stream as the log knows it. Good until the next turn of the event loop; never keep one. */
export type Stream = { id: number; name: string; head: number; first: number; retention: Retention | undefined }

/** A committed event, as those who follow the log are told of it. */
export type Committed = { position: number; revision: number; stream: string; type: string; frame: Buffer }

/** What an operation may do inside the group's transaction. */
export type Writer = Pick<Log, 'stream' | 'retention' | 'metadataBody' | 'committedAs' | 'readAt'> & {
  /** Appends and returns the event's position. */
  append(stream: Stream, event: Proposed, revision: number): number
}

export type Operation = {
  /** Decides and writes. Runs inside the group's transaction; what it decided is told to nobody before `done`. */
  run(writer: Writer): void
  /** Called once: after the sync, or with why nothing of the group was kept. */
  done(error?: Error): void
  sizeBytes: number
}

export type Log = Readers & {
  /** The position of the last committed event; 0 in an empty log. */
  end(): number
  stream(name: string): Stream
  retention(stream: Stream): Retention
  /** The last metadata event's body, undefined without one. */
  metadataBody(stream: string): Uint8Array | undefined
  /** Where a recent event of this id is (for appends at any revision); the last 50,000 events are known. */
  committedAs(id: string): { stream: string; revision: number } | undefined
  enqueue(operation: Operation): void
  /** What is known of streams is read again: for who changed the file beside the log. */
  forgetStreams(): void
  /** Called after each commit, before those who wrote are told. */
  onCommit(listener: (records: Committed[]) => void): void
  state(): { writable: boolean; reason?: string; commits: number; commitSeconds: number[] }
  /** Waits for what was enqueued, then closes. */
  close(): Promise<void>
  database: ReturnType<typeof openDatabase>
  file: string
}

const CACHED_STREAMS = 20_000
const REMEMBERED_IDS = 50_000
/** A commit takes about 20 ms a megabyte: this bounds how long readers wait for one. */
const GROUP_BYTES = 4 * 1024 * 1024

export type Fault = (call: 'write' | 'sync' | 'mark') => void

/** Opens the log in `file` for this process alone. `fault` is for tests: called before each write and sync, it may throw. */
export function openLog(options: { file: string; log?: Logger; fault?: Fault }): Log {
  const { file, log } = options
  const fault = options.fault ?? (() => {})
  const lock = lockFile(file)
  const database = openOrRelease(file, lock)
  const mark = openEndMark(file)
  const readers = createReaders(database, () => end)
  const findStream = database.prepare('select id, first from streams where name = ?')
  const findHead = database.prepare('select max(revision) as head from events where stream = ?')
  const findLast = database.prepare('select frame from events where stream = ? order by revision desc limit 1')
  const findRecent = database.prepare('select frame from events order by position desc limit ?')
  const insertStream = database.prepare('insert into streams (id, name) values (?, ?)')
  const insertEvent = database.prepare('insert into events (position, stream, revision, frame, checksum) values (?, ?, ?, ?, ?)')
  const lastOf = (table: string, key: string) =>
    (database.prepare(`select coalesce(max(${key}), 0) as last from ${table}`).get() as { last: number }).last
  const listeners: ((records: Committed[]) => void)[] = []
  const streams = new Map<string, Stream>()
  let recentIds: Map<string, { stream: string; revision: number }> | undefined
  let end = lastOf('events', 'position')
  let nextPosition = end + 1
  let lastStreamId = lastOf('streams', 'id')
  let queue: Operation[] = []
  let scheduled = false
  let closing: (() => void) | undefined
  let records: Committed[] = []
  let inGroup = false
  let trouble: Error | undefined
  let commits = 0
  const commitSeconds: number[] = []

  if (mark.read() > end) {
    const lost = mark.read()
    mark.close()
    database.close()
    lock.release()
    throw new EventStoreRefusal(
      `The event log ${file} ends at position ${end}, but position ${lost} was acknowledged: its tail is lost. Restore a backup, or delete ${file}.end to go on without the lost events.`,
    )
  }

  function stream(name: string): Stream {
    const known = streams.get(name)
    if (known) return known
    if (streams.size >= CACHED_STREAMS && !inGroup) streams.clear()
    const row = findStream.get(name) as { id: number; first: number } | undefined
    const head = row ? ((findHead.get(row.id) as { head: number | null }).head ?? -1) : -1
    const found: Stream = { id: row?.id ?? 0, name, head, first: row?.first ?? 0, retention: undefined }
    streams.set(name, found)
    return found
  }

  function metadataBody(name: string): Uint8Array | undefined {
    const meta = stream(metastreamOf(name))
    const row = meta.id === 0 ? undefined : (findLast.get(meta.id) as { frame: Uint8Array } | undefined)
    return row && describe(Buffer.from(row.frame.buffer, row.frame.byteOffset, row.frame.length)).data
  }

  function retention(of: Stream): Retention {
    of.retention ??= readRetention(of.name, isMetastream(of.name) ? undefined : metadataBody(of.name))
    return of.retention
  }

  function append(to: Stream, event: Proposed, revision: number): number {
    if (records.length === 0) database.exec('begin immediate')
    const position = nextPosition
    const bytes = encodeRecord(event, Buffer.from(to.name), revision, position, Date.now())
    records.push({ position, revision, stream: to.name, type: event.type, frame: bytes })
    if (to.id === 0) {
      insertStream.run(lastStreamId + 1, to.name)
      to.id = ++lastStreamId
    }
    fault('write')
    insertEvent.run(position, to.id, revision, bytes, checksum(bytes, to.id, revision, position))
    nextPosition = position + 1
    to.head = revision
    if (isMetastream(to.name)) {
      const original = streams.get(originalOf(to.name))
      if (original) original.retention = undefined
    }
    if (recentIds) remember(recentIds, event.id, { stream: to.name, revision })
    return position
  }

  function committedAs(id: string) {
    if (!recentIds) {
      recentIds = new Map()
      const rows = findRecent.all(REMEMBERED_IDS) as { frame: Uint8Array }[]
      for (const { frame } of rows.reverse()) {
        const told = describe(Buffer.from(frame.buffer, frame.byteOffset, frame.length))
        remember(recentIds, told.id, { stream: told.stream, revision: told.revision })
      }
    }
    return recentIds.get(id)
  }

  const writer: Writer = { stream, retention, metadataBody, committedAs, append, readAt: readers.readAt }

  /** Everything that was written since the last commit becomes durable in one sync, and only then is anybody told. */
  function commitGroup(): void {
    scheduled = false
    const group = takeGroup()
    const started = performance.now()
    records = []
    inGroup = true
    let failure: Error | undefined
    try {
      for (const operation of group) operation.run(writer)
      if (records.length > 0) {
        fault('sync')
        database.exec('commit')
      }
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error))
      rollBack(failure)
    }
    inGroup = false
    const committed = records
    records = []
    if (committed.length > 0 && !failure) {
      end = nextPosition - 1
      commits++
      if (commitSeconds.length < 4096) commitSeconds.push((performance.now() - started) / 1000)
      noteEnd()
      if (trouble) log?.info('The event log can be written again.')
      trouble = undefined
      for (const listener of listeners) listener(committed)
    }
    for (const operation of group) tell(operation, failure)
    if (queue.length > 0) schedule()
    else closing?.()
  }

  /** One whose answer fails must not keep the others from theirs. */
  function tell(operation: Operation, failure: Error | undefined): void {
    try {
      operation.done(failure)
    } catch (error) {
      log?.error({ err: error }, 'A write could not be answered.')
    }
  }

  function takeGroup(): Operation[] {
    let size = 0
    let count = 0
    while (count < queue.length && (count === 0 || size < GROUP_BYTES)) size += queue[count++]!.sizeBytes
    const group = queue.slice(0, count)
    queue = queue.slice(count)
    return group
  }

  /** After a failed write or sync nothing of the group exists: what is in memory is forgotten and read again from the file. */
  function rollBack(failure: Error): void {
    records = []
    streams.clear()
    recentIds = undefined
    if (!trouble) log?.error({ err: failure }, 'The event log cannot be written; writes are refused until it can.')
    trouble = failure
    if (database.isTransaction) database.exec('rollback')
    lastStreamId = lastOf('streams', 'id')
    nextPosition = end + 1
  }

  /** The log itself is already safe here: a mark that cannot be written must not make a kept event look refused. */
  function noteEnd(): void {
    try {
      fault('mark')
      mark.write(end)
    } catch (error) {
      log?.warn({ err: error }, 'The end mark of the event log could not be written.')
    }
  }

  function schedule(): void {
    if (scheduled) return
    scheduled = true
    setImmediate(commitGroup)
  }

  return {
    ...readers,
    end: () => end,
    stream,
    retention,
    metadataBody,
    committedAs,
    enqueue(operation) {
      queue.push(operation)
      schedule()
    },
    forgetStreams: () => streams.clear(),
    onCommit: (listener) => void listeners.push(listener),
    state: () => ({
      writable: trouble === undefined,
      ...(trouble && { reason: trouble.message }),
      commits,
      commitSeconds: commitSeconds.splice(0),
    }),
    async close() {
      if (scheduled || queue.length > 0) await new Promise<void>((resolve) => (closing = resolve))
      try {
        database.exec('pragma wal_checkpoint(truncate)')
      } finally {
        database.close()
        mark.close()
        lock.release()
      }
    },
    database,
    file,
  }
}

function openOrRelease(file: string, lock: { release(): void }) {
  try {
    return openDatabase(file)
  } catch (error) {
    lock.release()
    throw error
  }
}

/** A map in the order of arrival that forgets the oldest. */
function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.set(key, value)
  if (map.size > REMEMBERED_IDS) map.delete(map.keys().next().value!)
}
