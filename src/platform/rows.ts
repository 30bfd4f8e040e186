import type { RecordedEvent } from './event.ts'
import type { ColumnKind, Projection, Row, RowWrite, Table, Value } from './projection.ts'
import { normaliseValue } from './values.ts'

/** A handler returned a write that its table cannot hold: a fault of the projection. The message names table and column, never the value. */
export class InvalidWrite extends Error {
  override readonly name = 'InvalidWrite'
}

/** What a normalised row is compared by: its key's values in one text. None of them is null or contains NUL, and those of a column are of one type. */
export function keyText({ key }: Table, row: Row): string {
  let text = String(row[key[0]!])
  for (let index = 1; index < key.length; index += 1) text += `\0${row[key[index]!]}`
  return text
}

/** Whether the write is about one row; otherwise it removes all rows that begin with what it names of the key. */
export const isOneRow = ({ key }: Table, { verb, row }: RowWrite): boolean => verb !== 'remove' || key.every((column) => column in row)

/** What normalising asks of a table again and again. */
type Shape = { readonly columns: readonly string[]; readonly normalise: Readonly<Record<string, (value: unknown) => Value>> }
const shapes = new WeakMap<Table, Shape>()
function shapeOf(table: Table): Shape {
  const known = shapes.get(table)
  if (known) return known
  const columns = Object.keys(table.columns)
  const shape = {
    columns,
    normalise: Object.assign(Object.create(null), Object.fromEntries(columns.map((name) => [name, normaliseValue[table.columns[name]!]]))),
  }
  shapes.set(table, shape)
  return shape
}

/**
 * The same write with every value in its one spelling; a `put` is complete, everywhere else what is undefined is left out.
 * @throws InvalidWrite when it names a column that is not there, lacks a part of the key, or holds a value of another kind
 */
export function normaliseWrite(table: Table, { verb, row }: RowWrite): RowWrite {
  const { columns, normalise } = shapeOf(table)
  const faulty = (column: string, what: string) => new InvalidWrite(`${verb} of ${table.name}: column ${column} ${what}`)
  const given: string[] = []
  for (const column of Object.keys(row)) {
    if (row[column] === undefined) continue
    if (!normalise[column]) throw faulty(column, 'is not declared')
    given.push(column)
  }
  for (const [index, column] of table.key.entries())
    if ((row[column] ?? null) === null && (verb !== 'remove' || index === 0 || given.length > index))
      throw faulty(column, 'is part of the key and has no value')
  if (verb === 'remove' && given.length > table.key.length)
    throw faulty(given.find((column) => !table.key.includes(column))!, 'is not part of the key')
  const normalised: Row = {}
  let column = ''
  try {
    for (column of verb === 'put' ? columns : given) normalised[column] = normalise[column]!(row[column])
  } catch (error) {
    throw faulty(column, (error as Error).message)
  }
  return { verb, table: table.name, row: normalised }
}

/**
 * The whole meaning of the verbs for one row: what it is after a normalised write about it. Null: there is no such row.
 * Which rows a `remove` by the first columns of a key is about, `createMemoryTable` decides.
 */
export function applyWrite(table: Table, before: Row | null, { verb, row }: RowWrite): Row | null {
  if (verb === 'remove') return null
  if (verb === 'put') return row
  if (verb === 'patch' && !before) return null
  const after = { ...(before ?? normaliseWrite(table, { verb: 'put', table: table.name, row: pick(row, table.key) }).row) }
  for (const column of Object.keys(row)) after[column] = combine(table.columns[column]!, after[column]!, row[column]!)
  return after
}

/** What combining means belongs to the column, so that a write is the same wherever a batch is cut. */
function combine(kind: ColumnKind, before: Value, given: Value): Value {
  if (kind === 'count') return (before as number) + (given as number)
  // Both are written in one spelling of one length, so that text order is time order.
  if (kind === 'last') return before === null || (given !== null && given > before) ? given : before
  return given
}

const pick = (row: Row, columns: readonly string[]): Row => Object.fromEntries(columns.map((column) => [column, row[column]!]))

/** A table's rows by their key, changed by normalised writes. The projector uses it for the part of a table that a batch is about. */
export type MemoryTable = {
  /** Puts a row that is stored already where writes will find it. */
  load(row: Row): void
  apply(write: RowWrite): void
  get(key: string): Row | undefined
  rows(): Row[]
}

export function createMemoryTable(table: Table): MemoryTable {
  const rows = new Map<string, Row>()
  const [first] = table.key as [string]
  /** Keys by their first column: removing by the first columns must not look at every row. Made when that is first asked for. */
  let groups: Map<Value, Set<string>> | null = null
  const group = (key: string, row: Row) => {
    const known = groups!.get(row[first]!)
    if (known) known.add(key)
    else groups!.set(row[first]!, new Set([key]))
  }
  const set = (key: string, row: Row) => {
    rows.set(key, row)
    if (groups) group(key, row)
  }
  const remove = (key: string, row: Row) => {
    rows.delete(key)
    if (groups?.get(row[first]!)?.delete(key) && groups.get(row[first]!)!.size === 0) groups.delete(row[first]!)
  }
  const inGroup = (value: Value) => {
    if (!groups) {
      groups = new Map()
      for (const [key, row] of rows) group(key, row)
    }
    return [...(groups.get(value) ?? [])]
  }
  return {
    load: (row) => set(keyText(table, row), row),
    apply(write) {
      if (!isOneRow(table, write)) {
        const columns = Object.keys(write.row)
        for (const key of inGroup(write.row[first]!))
          if (columns.every((column) => rows.get(key)![column] === write.row[column])) remove(key, write.row)
        return
      }
      const key = keyText(table, write.row)
      const after = applyWrite(table, rows.get(key) ?? null, write)
      if (after) set(key, after)
      else remove(key, write.row)
    },
    get: (key) => rows.get(key),
    rows: () => [...rows.values()],
  }
}

/**
 * The normalised row writes of an event in all of the projections. An erased event writes nothing but where a projection is of such, too.
 * @throws InvalidWrite, or whatever a handler throws
 */
export function createInterpreter(projections: readonly Projection[]): (event: RecordedEvent) => RowWrite[] {
  const tables = tablesByName(projections)
  const refreshed = new Set(projections.flatMap(refreshedTables))
  return (event) => {
    const concerned = event.erased ? projections.filter(({ ofErased }) => ofErased) : projections
    const writes = concerned.flatMap((projection) => projection.handle(event))
    const { traceparent } = event.meta
    return writes.map((write) => {
      if (refreshed.has(write.table)) throw new InvalidWrite(`${write.verb} of ${write.table}: the table follows from others`)
      const normalised = normaliseWrite(tables.get(write.table)!, write)
      return traceparent ? { ...normalised, traceparent } : normalised
    })
  }
}

/** The names of a projection's tables that no handler writes: they follow from others, in SQL alone. */
export const refreshedTables = ({ tables, refreshes }: Projection): string[] =>
  refreshes.flatMap(({ writes }) => writes.map((noun) => tables[noun]!.name))

export const tablesByName = (projections: readonly Projection[]): Map<string, Table> =>
  new Map(projections.flatMap(({ tables }) => Object.values(tables).map((table) => [table.name, table])))

export type MemoryTables<P extends Projection = Projection> = {
  /**
   * The rows of a table, by the name that the projection's file gives it (`contacts`), in the order in which they came.
   * @throws Error for a table that follows from others: those are kept in SQL alone, and are not there in memory
   */
  rows(table: keyof P['tables'] & string): Row[]
}

/**
 * The tables of a projection as they are after the events, without a database: what tests, answers about the past and replays use.
 * One event at a time, and so the model that the projector is held to.
 */
export function foldInMemory<P extends Projection>(projection: P, events: Iterable<RecordedEvent>): MemoryTables<P> {
  const tables = createMemoryTables(projection)
  for (const event of events) tables.apply(event)
  return tables
}

/** The same, for who looks at the tables after every event. */
export function createMemoryTables<P extends Projection>(projection: P): MemoryTables<P> & { apply(event: RecordedEvent): void } {
  const interpret = createInterpreter([projection])
  const tables = new Map(Object.values(projection.tables).map((table) => [table.name, createMemoryTable(table)]))
  const refreshed = refreshedTables(projection)
  return {
    apply(event) {
      for (const write of interpret(event)) tables.get(write.table)!.apply(write)
    },
    rows(noun) {
      const { name } = projection.tables[noun]!
      if (refreshed.includes(name)) throw new Error(`${name} follows from other tables and is not there in memory.`)
      return tables.get(name)!.rows()
    },
  }
}
