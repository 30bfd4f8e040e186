import { setTimeout as delay } from 'node:timers/promises'
import type { NewEvent } from '../../schema/define.ts'
import { type Pool, sql } from '../../src/platform/database.ts'
import type { RecordedEvent, StoredEvent } from '../../src/platform/event.ts'
import type { Logger } from '../../src/platform/log.ts'
import { comparePositions, type Position } from '../../src/platform/position.ts'
import { type Projection, type Row, snake, type Table } from '../../src/platform/projection.ts'
import { join } from '../../src/platform/projections/join.ts'
import { readRows, settle } from '../../src/platform/projections/states.ts'
import { indexStatements } from '../../src/platform/projections/tables.ts'
import { createInterpreter } from '../../src/platform/rows.ts'
import { createTableStore } from '../../src/platform/table-store.ts'

const id = (number: number) => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`

/**
 * Events as a reader of the log gets them: at growing positions, a second apart, caused by one command.
 * @param first number of the first one; its position, id and time follow from it
 */
export function recorded(events: readonly NewEvent[], first = 1, stream = `thing-${id(0)}`): RecordedEvent[] {
  return events.map((event, index) => {
    const number = first + index
    const at = new Date(Date.UTC(2026, 0, 1, 0, 0, number)).toISOString()
    const cause = { actor: 'key:test', commandId: id(1), request: 'request', $correlationId: id(1), $causationId: id(1) }
    const meta = { v: 1, at, ...cause, key: null, prev: null, hash: String(number) }
    const position = { commit: BigInt(number * 10), prepare: BigInt(number * 10) }
    return { ...event, id: id(number), stream, revision: number - 1, position, created: at, meta, erased: false, known: true }
  })
}

/** The tables of projections, empty and live in epoch 1: what a projector makes of a log that has no event. */
export async function liveTables(pool: Pool, projections: readonly Projection[], log: Logger): Promise<void> {
  await settle(pool, projections, log)
  const building = (await readRows(pool)).filter(({ place }) => place === 'building')
  for (const table of projections.flatMap(({ tables }) => Object.values(tables)))
    for (const statement of indexStatements(table, 'building')) await pool.rows(statement)
  const term = { epoch: 0, signal: new AbortController().signal }
  await join({ pool, checkpoint: building[0]!.checkpoint, term, readAll: async () => [], apply: async () => {} })
}

/** Creates the projections' tables, and applies the events to them in one transaction. */
export async function project(pool: Pool, projections: readonly Projection[], events: readonly RecordedEvent[], log: Logger) {
  await liveTables(pool, projections, log)
  const writes = events.flatMap(createInterpreter(projections))
  await pool.transaction((db) => createTableStore(projections).apply(db, writes))
}

/** All rows of a table as it is in Postgres, by the names of the declaration. */
export async function storedRows(pool: Pool, table: Table): Promise<Row[]> {
  const columns = Object.keys(table.columns)
  const rows = await pool.rows<Row>(sql.unsafe`select * from ${table.sql}`)
  return rows.map((row) => Object.fromEntries(columns.map((column) => [column, row[snake(column)]!])))
}

/** Rows in an order that does not depend on how they came. */
export const inOrder = (rows: readonly Row[], { key }: Pick<Table, 'key'>): Row[] => {
  const text = (row: Row) => JSON.stringify(key.map((column) => row[column]))
  return rows.toSorted((a, b) => (text(a) < text(b) ? -1 : 1))
}

/** A log that lives in memory, for the projector to follow; every event is as `recorded` makes it. */
export function memoryLog() {
  const events: RecordedEvent[] = []
  const byId = new Map<string, RecordedEvent>()
  const subscribers = new Set<() => void>()
  const stored = (event: RecordedEvent): StoredEvent => ({ ...event, metadata: event.meta })
  const next = (after: Position | null) => (after ? events.findLastIndex(({ position }) => comparePositions(position, after) <= 0) + 1 : 0)
  const appendTo = (stream: string, ...added: NewEvent[]) => {
    for (const event of recorded(added, events.length + 1, stream)) {
      const own = { ...event, revision: events.filter((before) => before.stream === stream).length }
      events.push(own)
      byId.set(own.id, own)
    }
    for (const wake of subscribers) wake()
  }
  const append = (...added: NewEvent[]) => {
    for (const event of recorded(added, events.length + 1)) {
      events.push(event)
      byId.set(event.id, event)
    }
    for (const wake of subscribers) wake()
  }
  async function* subscribe(after: Position | null, signal: AbortSignal): AsyncGenerator<StoredEvent> {
    let index = next(after)
    while (!signal.aborted) {
      const event = events[index]
      if (event) {
        index += 1
        yield stored(event)
        continue
      }
      await new Promise<void>((resolve) => {
        const wake = () => {
          subscribers.delete(wake)
          signal.removeEventListener('abort', wake)
          resolve()
        }
        subscribers.add(wake)
        signal.addEventListener('abort', wake)
      })
    }
  }
  /** What the codec would make of them. */
  const decode = async (stored: readonly StoredEvent[]): Promise<RecordedEvent[]> => stored.map(({ id }) => byId.get(id)!)
  return {
    events,
    append,
    appendTo,
    subscribe,
    decode,
    source: {
      subscribe,
      decode,
      tail: async () => events.at(-1)?.position ?? null,
      readAll: async (after: Position | null, limit: number) => events.slice(next(after), next(after) + limit).map(stored),
      readStream: async (stream: string) => events.filter((event) => event.stream === stream).map(stored),
    },
  }
}

/** Waits for a condition, asking again and again; the test's own time limit ends it when it never holds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await delay(5)
}
