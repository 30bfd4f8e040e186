import type { DatabaseSync } from 'node:sqlite'
import type { Logger } from 'pino'
import { DamagedFile, lockFile, openDatabase } from './database.ts'
import { type EndMark, openEndMark } from './end-mark.ts'
import { createReaders, type Readers } from './log-reads.ts'
import { checksum, encodeRecord, type Proposed } from './record.ts'
import { createStreams, type Stream, type Streams } from './streams.ts'

/** A committed event, as those who follow the log are told of it. */
export type Committed = { position: number; revision: number; stream: string; type: string; frame: Buffer }

type Known = Pick<Streams, 'stream' | 'retention' | 'metadataBody' | 'committedAs'>

/** What an operation may do inside the group's transaction. */
export type Writer = Known & {
  readAt: Readers['readAt']
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

export type Log = Readers &
  Known & {
    /** The position of the last committed event; 0 in an empty log. */
    end(): number
    enqueue(operation: Operation): void
    /** What is known of streams is read again: for who changed the file beside the log. */
    forgetStreams(): void
    /** Called after each commit, before those who wrote are told. */
    onCommit(listener: (records: Committed[], seconds: number) => void): void
    /** Why the last write could not be kept; undefined: the log can be written. */
    trouble(): string | undefined
    /** Waits for what was enqueued, then closes. */
    close(): Promise<void>
    database: DatabaseSync
  }

/** Bounds how long readers wait for one commit: 4 MiB take some 50 ms. */
const GROUP_BYTES = 4 * 1024 * 1024

export type Fault = (call: 'write' | 'sync' | 'mark') => void

/**
 * Opens the log in `file` for this process alone. `fault` is for tests: called before each write and sync, it may throw. Throws
 * EventStoreRefusal (a sentence) where the log is in use, of a newer format, no log at all, or has lost its tail.
 */
export function openLog(options: { file: string; log?: Logger; fault?: Fault }): Log {
  const { log, fault = () => {} } = options
  const { database, mark, release } = openParts(options.file)
  const streams = createStreams(database)
  const readers = createReaders(database, () => end)
  const insertEvent = database.prepare('insert into events (position, stream, revision, frame, checksum) values (?, ?, ?, ?, ?)')
  const listeners: ((records: Committed[], seconds: number) => void)[] = []
  let end = lastOf(database, 'events', 'position')
  let nextPosition = freePosition()
  let queue: Operation[] = []
  let scheduled = false
  let drained: (() => void) | undefined
  let records: Committed[] = []
  let trouble: Error | undefined

  /** Positions that compaction or a restore took out are never given again. */
  function freePosition(): number {
    return Math.max(end, lastOf(database, 'removed', 'last')) + 1
  }

  function append(to: Stream, event: Proposed, revision: number): number {
    if (records.length === 0) database.exec('begin immediate')
    const position = nextPosition
    const bytes = encodeRecord(event, Buffer.from(to.name), revision, position, Date.now())
    records.push({ position, revision, stream: to.name, type: event.type, frame: bytes })
    fault('write')
    if (to.id === 0) streams.register(to)
    insertEvent.run(position, to.id, revision, bytes, checksum(bytes, to.id, revision, position))
    nextPosition = position + 1
    streams.written(to, event.id, revision)
    return position
  }

  const { stream, retention, metadataBody, committedAs } = streams
  const known: Known = { stream, retention, metadataBody, committedAs }
  const writer: Writer = { ...known, readAt: readers.readAt, append }

  /** Everything that was written since the last commit becomes durable in one sync, and only then is anybody told. */
  function commitGroup(): void {
    scheduled = false
    const group = takeGroup()
    const started = performance.now()
    records = []
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
    if (records.length > 0) committed(records, (performance.now() - started) / 1000)
    records = []
    for (const operation of group) tell(operation, failure)
    streams.trim()
    if (queue.length > 0) schedule()
    else drained?.()
  }

  function takeGroup(): Operation[] {
    let size = 0
    let count = 0
    while (count < queue.length && (count === 0 || size < GROUP_BYTES)) size += queue[count++]!.sizeBytes
    const group = queue.slice(0, count)
    queue = queue.slice(count)
    return group
  }

  function committed(written: Committed[], seconds: number): void {
    end = nextPosition - 1
    noteEnd()
    if (trouble) log?.info('The event log can be written again.')
    trouble = undefined
    for (const listener of listeners) listener(written, seconds)
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

  /** After a failed write or sync nothing of the group exists: what is in memory is forgotten and read again from the file. */
  function rollBack(failure: Error): void {
    records = []
    streams.forget()
    if (!trouble) log?.error({ err: failure }, 'The event log cannot be written; writes are refused until it can.')
    trouble = failure
    try {
      if (database.isTransaction) database.exec('rollback')
      nextPosition = freePosition()
    } catch (error) {
      // Neither written nor taken back: nothing may be acknowledged any more, so the process ends here.
      log?.fatal({ err: error }, 'The event log can neither be written nor read; stopping.')
      throw error
    }
  }

  /** One whose answer fails must not keep the others from theirs. */
  function tell(operation: Operation, failure: Error | undefined): void {
    try {
      operation.done(failure)
    } catch (error) {
      log?.error({ err: error }, 'A write could not be answered.')
    }
  }

  function schedule(): void {
    if (scheduled) return
    scheduled = true
    setImmediate(commitGroup)
  }

  return {
    ...readers,
    ...known,
    end: () => end,
    enqueue(operation) {
      queue.push(operation)
      schedule()
    },
    forgetStreams: streams.forgetStreams,
    onCommit: (listener) => void listeners.push(listener),
    trouble: () => trouble?.message,
    async close() {
      if (scheduled) await new Promise<void>((resolve) => (drained = resolve))
      try {
        // Somebody's backup may hold the write-ahead log: then it stays for the next start.
        database.exec('pragma busy_timeout = 500; pragma wal_checkpoint(truncate)')
      } finally {
        release()
      }
    },
    database,
  }
}

function lastOf(database: DatabaseSync, table: string, key: string): number {
  return (database.prepare(`select coalesce(max(${key}), 0) as last from ${table}`).get() as { last: number }).last
}

/** The lock first, then the file, then the mark; what fails gives back what it has. */
function openParts(file: string): { database: DatabaseSync; mark: EndMark; release(): void } {
  const lock = lockFile(file)
  const opened: { close(): void }[] = [{ close: lock.release }]
  const release = () => {
    for (const part of opened.reverse()) part.close()
  }
  try {
    const database = openDatabase(file)
    opened.push(database)
    const mark = openEndMark(file)
    opened.push(mark)
    const end = lastOf(database, 'events', 'position')
    if (mark.read() > end)
      throw new DamagedFile(
        `The event log ${file} ends at position ${end}, but position ${mark.read()} was acknowledged: its tail is lost. Restore a backup, or delete ${file}.end to go on without the lost events.`,
      )
    return { database, mark, release }
  } catch (error) {
    release()
    throw error
  }
}
