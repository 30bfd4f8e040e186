import { existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Fault } from '../platform/fault.ts'
import { TOMBSTONE } from './record.ts'

/** What stops the node from opening a log; the message is one sentence for the person who started it. */
export class EventStoreRefusal extends Fault {
  override name = 'EventStoreRefusal'
}

/** Another process has the log. */
export class LogInUse extends EventStoreRefusal {}

/** What is wrong in a log, and where, as far as it can be told. */
export type Damage = { what: string; stream?: string; revision?: number; position?: number }

/** The file is there and is not what was written. */
export class DamagedFile extends EventStoreRefusal {
  damages: Damage[]
  constructor(message: string, damages: Damage[] = [{ what: message }]) {
    super(message)
    this.damages = damages
  }
}

/** Raised with every change of the tables that an older node could not read. */
export const FORMAT_VERSION = 1

/** "smce": tells a log of ours from any other SQLite file. */
const APPLICATION_ID = 0x736d6365

const TABLES = `
  create table streams (
    id integer primary key,
    name text not null unique,
    first integer not null default 0 -- the lowest revision that compaction has left
  ) strict;
  create table events (
    position integer primary key,
    stream integer not null,
    revision integer not null,
    frame blob not null, -- the bytes that readers are sent (record.ts)
    checksum integer not null
  ) strict;
  create unique index events_by_stream on events (stream, revision);
  create index tombstones on events (stream) where revision = ${TOMBSTONE};
  -- Ranges of positions that compaction took out. Any other gap in the positions is damage.
  create table removed (first integer primary key, last integer not null) strict;
`

/**
 * Opens the log's SQLite file, and creates it where there is none. Every commit is synced before it returns (WAL,
 * synchronous=FULL). Throws EventStoreRefusal where the file is not a log or was written by a newer version.
 */
export function openDatabase(file: string, options: { readOnly?: boolean } = {}): DatabaseSync {
  if (!options.readOnly) mkdirSync(dirname(file), { recursive: true })
  else if (!existsSync(file)) throw new EventStoreRefusal(`There is no event log at ${file}.`)
  const database = new DatabaseSync(file, { readOnly: options.readOnly ?? false, timeout: 10_000 })
  try {
    prepareDatabase(database, file, options.readOnly ?? false)
  } catch (error) {
    database.close()
    if (error instanceof EventStoreRefusal || isDiskFull(error)) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new DamagedFile(`The event log ${file} cannot be opened (${reason}). Restore it from a backup, or start with another folder.`)
  }
  return database
}

/** SQLITE_FULL (https://www.sqlite.org/rescode.html#full): the log is sound, so it is not called unreadable. */
function isDiskFull(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === 13
}

function prepareDatabase(database: DatabaseSync, file: string, readOnly: boolean): void {
  const version = pragma(database, 'user_version')
  const owner = pragma(database, 'application_id')
  const { tables } = database.prepare('select count(*) as tables from sqlite_schema').get() as { tables: number }
  if (tables > 0 && owner !== APPLICATION_ID)
    throw new EventStoreRefusal(`${file} is a SQLite file, but not an event log. Name another file.`)
  if (version > FORMAT_VERSION)
    throw new EventStoreRefusal(
      `The event log ${file} has format ${version}, written by a newer SmartCRM; this one knows formats up to ${FORMAT_VERSION}. Start the newer version.`,
    )
  if (tables === 0 && !readOnly) {
    database.exec('pragma page_size = 8192; pragma journal_mode = wal; pragma synchronous = full')
    database.exec(`begin; ${TABLES} pragma application_id = ${APPLICATION_ID}; pragma user_version = ${FORMAT_VERSION}; commit`)
  } else if (!readOnly) database.exec('pragma journal_mode = wal; pragma synchronous = full')
  // A checkpoint holds up the commit that it falls to for some milliseconds: at 16 MiB it is one in a thousand.
  database.exec('pragma wal_autocheckpoint = 2000; pragma cache_size = -32768; pragma temp_store = memory')
}

export function pragma(database: DatabaseSync, name: string): number {
  const row = database.prepare(`pragma ${name}`).get() as Record<string, number>
  return Object.values(row)[0]!
}

/**
 * Makes this process the only one that has the log open, until `release`. The lock is the operating system's lock on a small
 * SQLite file beside the log, so it goes with the process, however that ends.
 */
export function lockFile(file: string): { release(): void } {
  mkdirSync(dirname(file), { recursive: true })
  const lock = new DatabaseSync(`${file}.lock`)
  try {
    lock.exec('pragma journal_mode = delete; begin exclusive')
  } catch (error) {
    lock.close()
    const busy = error instanceof Error && /locked|busy/.test(error.message)
    if (!busy) throw error
    throw new LogInUse(
      `The event log ${file} is in use by another process. Stop that one first, or start with another folder (SMARTCRM_DATA).`,
    )
  }
  return { release: () => lock.close() }
}
