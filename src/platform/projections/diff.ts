import { setTimeout as delay } from 'node:timers/promises'
import { type Database, sql } from '../database.ts'
import { holdLease } from '../lease.ts'
import type { Logger } from '../log.ts'
import type { Position } from '../position.ts'
import type { Projection, Table } from '../projection.ts'
import { build, type Log } from './build.ts'
import { compareTables } from './compare.ts'
import type { TableDifference } from './difference.ts'
import { dropSnapshots, keepUsed, makeScratch, readSnapshot } from './snapshots.ts'
import { readRows } from './states.ts'
import { beside, livePosition, NotVerifiable, type Verifying } from './verify-tables.ts'

/** What a changed projection would make of a table. */
export type TableChange = {
  /** By the name that the file gives it. */
  readonly table: string
  /** It has it now. */
  readonly rows: number
  /** `new`, `gone`, or of another key: its rows cannot be compared one by one. */
  readonly kind: 'same' | 'changed' | 'new' | 'gone' | 'rekeyed'
  /** What it has now lacks, has too many of, or has otherwise. */
  readonly difference: TableDifference | null
  /** Columns that only the changed one has, and that it has no more. */
  readonly added: readonly string[]
  readonly dropped: readonly string[]
}

export type Diffing = Omit<Verifying, 'projections' | 'source'> & {
  readonly log: Logger
  readonly source: Log & Verifying['source']
  /** The one whose tables answer. */
  readonly live: Projection
  readonly changed: Projection
  /** Every type of event that is declared. */
  readonly declared: ReadonlySet<string>
}

const LOOK_MS = 250
const KEEP_MS = 30_000

/**
 * Reads the whole log through a changed projection, into tables of its own that are dropped after, and compares them with those that answer. It is read
 * here, since nobody else has that code; nothing else notices.
 * @throws NotVerifiable when the live one is not live, or the changed one cannot apply an event
 */
export async function diffProjection(diffing: Diffing): Promise<{ position: Position; tables: TableChange[] }> {
  const { pool, log, live, changed, owner, signal, progress } = diffing
  const from = await livePosition({ ...diffing, projections: [live] })
  const place = await makeScratch(pool, [changed], 'trial', from, owner)
  const keeping = setInterval(() => keepUsed(pool, place).catch(() => {}), KEEP_MS)
  const { checkpoint } = (await readRows(pool)).find((row) => row.place === place)!
  const lease = holdLease({ pool, log, owner, checkpoint }, (term) => build({ ...diffing, projections: [changed], checkpoint }, term))
  try {
    for (;;) {
      const trial = await readSnapshot(pool, place)
      if (!trial || trial.state === 'halted') throw new NotVerifiable(trial?.reason ?? 'The tables were dropped.')
      if (trial.state === 'ready') break
      progress(trial.progress, 'reads the log')
      await delay(LOOK_MS, undefined, { signal })
    }
    return await beside({ ...diffing, projections: [changed], place, from }, async (db, position) => {
      const tables: TableChange[] = []
      for (const noun of new Set([...Object.keys(live.tables), ...Object.keys(changed.tables)])) {
        progress(1, `compares ${noun}`)
        tables.push(await changeOf(db, noun, live.tables[noun], changed.tables[noun], place))
      }
      return { position, tables }
    })
  } finally {
    clearInterval(keeping)
    await lease.close()
    await dropSnapshots(pool, [place]).catch(() => {})
  }
}

async function changeOf(
  db: Database,
  noun: string,
  now: Table | undefined,
  then: Table | undefined,
  place: Parameters<typeof compareTables>[2]['place'],
): Promise<TableChange> {
  const names = (table: Table | undefined) => (table ? [...Object.keys(table.columns), ...Object.keys(table.computed ?? {})] : [])
  const added = names(then).filter((column) => !names(now).includes(column))
  const dropped = names(now).filter((column) => !names(then).includes(column))
  const told = { table: noun, difference: null, added, dropped }
  const count = async (place: string, { name }: Table) =>
    (await db.rows<{ rows: number }>(sql.unsafe`select count(*) as rows from ${sql.identifier([place, name])}`))[0]!.rows
  if (!now) return { ...told, kind: 'new', rows: await count(place, then!) }
  if (!then) return { ...told, kind: 'gone', rows: await count('read', now) }
  if (now.key.join() !== then.key.join()) return { ...told, kind: 'rekeyed', rows: await count(place, then) }
  const { rows, difference } = await compareTables(db, { place: 'read', table: now }, { place, table: then })
  const isSame = difference === null && added.length === 0 && dropped.length === 0
  return { ...told, kind: isSame ? 'same' : 'changed', rows, difference }
}
