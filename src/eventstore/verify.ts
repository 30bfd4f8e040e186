import { existsSync, readFileSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'
import { type Damage, DamagedFile, openDatabase } from './database.ts'
import { readEndMark } from './end-mark.ts'
import { damageOf } from './log-reads.ts'
import { checksum, describe, TOMBSTONE } from './record.ts'

export type Verification = { events: number; streams: number; lastPosition: number; damages: Damage[] }

/** More than this many damages are counted on one line: the rest of the file is no better. */
export const MAX_DAMAGES = 100

/**
 * Reads the whole log and compares every event with its checksum and its place, every stream with its revisions, the positions
 * with each other and the end with what was acknowledged. Works beside a running node. Throws EventStoreRefusal where there is no log.
 */
export function verify(file: string): Verification {
  // Before the snapshot: the mark is behind the log or level with it, so what it says must be there.
  const acknowledged = existsSync(`${file}.end`) ? readEndMark(readFileSync(`${file}.end`)) : 0
  const result: Verification = { events: 0, streams: 0, lastPosition: 0, damages: [] }
  const report = (damage: Damage) => {
    if (result.damages.length < MAX_DAMAGES) result.damages.push(damage)
  }
  const database = openToRead(file, report)
  if (!database) return result
  try {
    database.exec('begin')
    for (const check of [checkStructure, checkEvents, checkRevisions]) {
      try {
        check(database, report, result)
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error)
        report({ what: `The file cannot be read on: ${message}.`, position: result.lastPosition })
      }
    }
  } finally {
    database.close()
  }
  if (acknowledged > result.lastPosition)
    report({ what: `The tail is missing: position ${acknowledged} was acknowledged.`, position: result.lastPosition })
  return result
}

function openToRead(file: string, report: (damage: Damage) => void): DatabaseSync | undefined {
  try {
    return openDatabase(file, { readOnly: true })
  } catch (error) {
    if (!(error instanceof DamagedFile)) throw error
    report({ what: error.message })
    return undefined
  }
}

type Check = (database: DatabaseSync, report: (damage: Damage) => void, result: Verification) => void

/** SQLite's own check: pages, cells, and that every index entry has its row and the other way round. */
const checkStructure: Check = (database, report) => {
  const rows = database.prepare(`pragma integrity_check(${MAX_DAMAGES})`).all() as { integrity_check: string }[]
  for (const { integrity_check } of rows) if (integrity_check !== 'ok') report({ what: `The file's structure: ${integrity_check}.` })
}

type EventRow = { position: number; stream: number; revision: number; frame: Uint8Array; checksum: number; name: string | null }

const checkEvents: Check = (database, report, result) => {
  const events = database.prepare(`
    select position, stream, revision, frame, checksum, name from events left join streams on streams.id = events.stream order by position`)
  const removed = database.prepare('select first, last from removed order by first').all() as { first: number; last: number }[]
  let expected = 1
  for (const row of events.iterate() as Iterable<EventRow>) {
    while (removed[0] && removed[0].first === expected && removed[0].last < row.position) expected = removed.shift()!.last + 1
    if (row.position !== expected) report({ what: `Events are missing from position ${expected}.`, position: expected })
    checkEvent(row, report)
    result.events++
    result.lastPosition = row.position
    expected = row.position + 1
  }
}

function checkEvent({ position, stream, revision, frame, checksum: kept, name }: EventRow, report: (damage: Damage) => void): void {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.length)
  const place = { revision, position, ...(name !== null && { stream: name }) }
  if (checksum(bytes, stream, revision, position) !== kept) {
    report({ what: damageOf(bytes, revision, position), ...place })
    return
  }
  const told = describe(bytes)
  if (told.stream !== name || told.revision !== revision || told.position !== position)
    report({ what: `The event says it is revision ${told.revision} of stream "${told.stream}" at position ${told.position}.`, ...place })
}

const checkRevisions: Check = (database, report, result) => {
  const streams = database.prepare('select count(*) as count, coalesce(max(id), 0) as last from streams')
  const counted = streams.get() as { count: number; last: number }
  result.streams = counted.count
  // Ids are given one after the other, and streams are never taken out.
  if (counted.count !== counted.last) report({ what: `${counted.last - counted.count} streams are missing.` })
  const rows = database.prepare(`
    select events.stream as id, name, streams.first as first, revision, position from events left join streams on streams.id = events.stream
    order by events.stream, revision`)
  let current = 0
  let expected = 0
  type Row = { id: number; name: string | null; first: number | null; revision: number; position: number }
  for (const { id, name, first, revision, position } of rows.iterate() as Iterable<Row>) {
    if (id !== current) expected = first ?? 0
    current = id
    if (revision !== expected && revision !== TOMBSTONE)
      report({ what: `Revision ${expected} is missing.`, revision, position, ...(name !== null && { stream: name }) })
    expected = revision + 1
  }
}
