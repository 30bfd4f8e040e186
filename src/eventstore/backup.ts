import { closeSync, copyFileSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DamagedFile, EventStoreRefusal, lockFile, openDatabase } from './database.ts'
import { removeEndMark } from './end-mark.ts'
import { verify } from './verify.ts'

export type Backup = { events: number; lastPosition: number; sizeBytes: number }

/**
 * Writes a consistent copy of the log to `target`, while appends go on: what was committed when it begins. The copy is a log of
 * its own, compact, synced, and verified before it gets its name. Throws EventStoreRefusal where there is no log or the target exists.
 */
export function backup(file: string, target: string): Backup {
  if (existsSync(target)) throw new EventStoreRefusal(`${target} exists already. Name a file that does not.`)
  mkdirSync(dirname(target), { recursive: true })
  const partial = `${target}.part`
  rmSync(partial, { force: true })
  const database = openDatabase(file, { readOnly: true })
  try {
    database.prepare('vacuum into ?').run(partial)
  } finally {
    database.close()
  }
  const { events, lastPosition, damages } = verify(partial)
  if (damages[0]) {
    rmSync(partial, { force: true })
    throw new DamagedFile(`The log is damaged, so there is no backup: ${damages[0].what} Run "smartcrm eventstore verify".`, damages)
  }
  syncFile(partial)
  renameSync(partial, target)
  syncFile(dirname(target))
  return { events, lastPosition, sizeBytes: statSync(target).size }
}

/** Far more positions than were given between a backup and its restore. */
const JUMP = 1_000_000_000

/**
 * Makes the backup the log. A log that is there already is kept beside it (`.replaced`). New events get positions far beyond
 * all that were given before, so that nobody's stored position hides them. Throws EventStoreRefusal where the log is in use or the backup is damaged.
 */
export function restore(source: string, file: string): Backup {
  const { events, lastPosition, damages } = verify(source)
  if (damages[0]) throw new DamagedFile(`The backup ${source} is damaged: ${damages[0].what} Take another one.`, damages)
  const lock = lockFile(file)
  try {
    const partial = `${file}.part`
    copyFileSync(source, partial)
    const database = openDatabase(partial)
    database.prepare('insert into removed (first, last) values (?, ?)').run(lastPosition + 1, lastPosition + JUMP)
    database.exec('pragma wal_checkpoint(truncate)')
    database.close()
    syncFile(partial)
    setAside(file)
    renameSync(partial, file)
    syncFile(dirname(file))
    return { events, lastPosition, sizeBytes: statSync(file).size }
  } finally {
    lock.release()
  }
}

/** The log with what belongs to it: the write-ahead log may hold its newest events. */
function setAside(file: string): void {
  for (const suffix of ['', '-wal', '-shm', '.end']) {
    rmSync(`${file}.replaced${suffix}`, { force: true })
    if (existsSync(file + suffix)) renameSync(file + suffix, `${file}.replaced${suffix}`)
  }
  removeEndMark(file)
}

function syncFile(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
