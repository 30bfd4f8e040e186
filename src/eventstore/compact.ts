import { type Log, openLog } from './log.ts'
import { firstVisible, isMetastream, isSoftDeleted, metastreamOf, originalOf } from './metadata.ts'
import { describe, TOMBSTONE } from './record.ts'

export type CompactResult = { removedEvents: number; streams: number }

/** Short transactions, so that appends wait a few milliseconds for one at most. */
const STEP_EVENTS = 500

/**
 * Removes what readers cannot see any more: events hidden by `$maxCount`, `$maxAge`, `$tb` and deletes. Always a stream's oldest
 * events, and never its last one: it says at which revision the stream goes on. Goes on in small steps between other work, until it is
 * through or `isOver`.
 */
export async function compact(log: Log, isOver: () => boolean = () => false): Promise<CompactResult> {
  const result: CompactResult = { removedEvents: 0, streams: 0 }
  // Loads the recent ids where they are not known yet: a repeat is still recognised when its event is gone.
  log.committedAs('')
  let after = METASTREAMS_FROM
  for (;;) {
    const names = candidates(log, after)
    if (names.length === 0) break
    for (const name of names) if (!isOver()) await compactOne(log, name, result)
    after = names.at(-1)!
  }
  for (const name of tombstoned(log)) if (!isOver()) await compactOne(log, name, result)
  return result
}

const METASTREAMS_FROM = '$$'

/** Only metadata hides events, so only streams that have some are looked at: the next ones in the order of their names. */
function candidates(log: Log, after: string): string[] {
  const page = log.database.prepare("select name from streams where name > ? and name < '$%' order by name limit 200")
  return (page.all(after) as { name: string }[]).map(({ name }) => name)
}

function tombstoned(log: Log): string[] {
  const all = log.database.prepare(`select name from events join streams on streams.id = events.stream where revision = ${TOMBSTONE}`)
  return (all.all() as { name: string }[]).map(({ name }) => name)
}

async function compactOne(log: Log, name: string, result: CompactResult): Promise<void> {
  const names = isMetastream(name) ? [name, originalOf(name)] : [name]
  for (const one of names) {
    const removed = await compactStream(log, one)
    result.removedEvents += removed
    if (removed > 0) result.streams++
  }
  await nextTurn()
}

/** The same on a log that no node has open; afterwards the file has given its free space back. */
export async function compactFile(file: string): Promise<CompactResult> {
  const log = openLog({ file })
  try {
    const result = await compact(log)
    log.database.exec('vacuum')
    return result
  } finally {
    await log.close()
  }
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

async function compactStream(log: Log, name: string): Promise<number> {
  const { database } = log
  const { id } = log.stream(name)
  const hidden = database.prepare('select position, revision from events where stream = ? and revision < ? order by revision limit ?')
  let removed = 0
  for (;;) {
    const bound = keepFrom(log, name)
    const rows = hidden.all(id, bound, STEP_EVENTS) as { position: number; revision: number }[]
    if (rows.length === 0) return removed
    removeRows(log, id, rows)
    removed += rows.length
    await nextTurn()
  }
}

/** The lowest revision of the stream that stays. */
function keepFrom(log: Log, name: string): number {
  const stream = log.stream(name)
  if (stream.head === TOMBSTONE) return TOMBSTONE
  // A tombstone hides the metadata too; the last of it stays, like the last event of every stream.
  if (isMetastream(name)) return stream.head
  if (log.stream(metastreamOf(name)).head < 0) return 0
  const retention = log.retention(stream)
  if (isSoftDeleted(retention)) return stream.head
  const visible = Math.max(firstVisible(retention, stream.head), stream.first)
  if (retention.maxAgeMs === undefined) return Math.min(visible, stream.head)
  return Math.min(firstYoung(log, name, visible, Date.now() - retention.maxAgeMs), stream.head)
}

/** No further than a step: what is older still is found by the next one. */
function firstYoung(log: Log, name: string, from: number, oldestMs: number): number {
  for (let revision = from; ; ) {
    if (revision >= from + STEP_EVENTS) return revision
    const rows = log.readStream(log.stream(name), revision, 'forwards', 256)
    const young = rows.find((row) => describe(row.frame).createdMs >= oldestMs)
    if (young) return young.revision
    const last = rows.at(-1)
    if (!last) return revision
    revision = last.revision + 1
  }
}

function removeRows(log: Log, streamId: number, rows: { position: number; revision: number }[]): void {
  const { database } = log
  const remove = database.prepare('delete from events where position = ?')
  const before = database.prepare('select first, last from removed where first < ? order by first desc limit 1')
  const after = database.prepare('delete from removed where first = ? + 1 returning last')
  const note = database.prepare('insert into removed (first, last) values (?, ?) on conflict (first) do update set last = excluded.last')
  const next = (rows.at(-1)?.revision ?? 0) + 1
  database.exec('begin immediate')
  try {
    for (const { position } of rows) {
      remove.run(position)
      const lower = before.get(position) as { first: number; last: number } | undefined
      const upper = after.get(position) as { last: number } | undefined
      note.run(lower?.last === position - 1 ? lower.first : position, upper?.last ?? position)
    }
    database.prepare('update streams set first = max(first, ?) where id = ?').run(next, streamId)
    database.exec('commit')
  } catch (error) {
    if (database.isTransaction) database.exec('rollback')
    throw error
  }
  log.forgetStreams()
}
