import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'

/** A lock that this process holds. */
export type Lock = { release(): void }

/** Reachable from here, so that the garbage collector does not close one whose holder forgot it, and give the lock back. */
const held = new Set<DatabaseSync>()

/**
 * Takes a lock that the operating system gives back when the process ends, however it ends; a pid in a file would stay behind, and
 * its number be given to somebody else. It is SQLite's lock of an empty database: Node itself has none.
 * @returns null when another process (or another call in this one) holds it
 */
export function tryLock(file: string): Lock | null {
  mkdirSync(dirname(file), { recursive: true })
  const db = new DatabaseSync(file)
  try {
    // Without a journal's file, since nothing is ever written.
    db.exec('pragma journal_mode = memory; begin exclusive')
    held.add(db)
    return { release: () => held.delete(db) && db.close() }
  } catch (error) {
    db.close()
    if ((error as { errcode?: number }).errcode === 5) return null // SQLITE_BUSY
    throw error
  }
}

/** Takes the lock as soon as it is free. @returns null when it was not within the time */
export async function waitForLock(file: string, timeoutSeconds: number): Promise<Lock | null> {
  for (const end = Date.now() + timeoutSeconds * 1000; ; await delay(50)) {
    const lock = tryLock(file)
    if (lock || Date.now() >= end) return lock
  }
}
