import type { Static, TObject, TSchema } from '@sinclair/typebox'
import { type FragmentSqlToken, type IdentifierSqlToken, sql } from 'slonik'
import type { AnyEventType } from '../../schema/define.ts'
import type { Database } from './database.ts'
import type { RecordedEvent } from './event.ts'
import type { Position } from './position.ts'
import type { Traced } from './tracing.ts'
import type { Viewer } from './viewer.ts'

/** What a column holds. A `count` adds what it is given, a `last` (instant) keeps the latest; every other kind takes what it is given. */
export type ColumnKind = 'uuid' | 'text' | 'integer' | 'boolean' | 'instant' | 'json' | 'count' | 'last'
type ValueOf = {
  uuid: string
  text: string
  integer: number
  boolean: boolean
  instant: string
  json: unknown
  count: number
  last: string
}
type Columns = Record<string, ColumnKind>
export type Value = string | number | boolean | null | object
export type Row = Record<string, Value>

/** The state of one row to be, as data. Left-out columns of a `put` are null or zero. */
export type RowWrite = Traced & { readonly verb: 'put' | 'patch' | 'merge' | 'remove'; readonly table: string; readonly row: Row }

type RowOf<C extends Columns, K extends keyof C> = { [N in K]: ValueOf[C[N]] } & { [N in Exclude<keyof C, K>]?: ValueOf[C[N]] | null }

export type TableDeclaration<C extends Columns = Columns, K extends keyof C = keyof C> = {
  readonly key: readonly (K & string)[]
  readonly columns: C
  /** Index expressions in SQL over the snake_case columns, e.g. `created_at desc, contact_id desc` or `using gin (…)`. */
  readonly indexes: readonly string[]
  /** Columns that Postgres computes of the row's others and keeps, as SQL after their name: no handler knows them, queries and indexes do. */
  readonly computed?: Readonly<Record<string, string>>
  /** A row may be written by the events of several streams. */
  readonly shared?: boolean
}

/** The row writes of one table, to be used by a projection's handlers. */
export type Table<C extends Columns = Columns, K extends keyof C = keyof C> = TableDeclaration<C, K> & {
  /** Its versioned name, e.g. `contacts_v1` in schema `read`. */
  readonly name: string
  /** Its qualified name for SQL. */
  readonly sql: IdentifierSqlToken
  /** The same, also where a past moment is asked about: of how it is now. What decides who sees something is asked of this. */
  readonly now: FragmentSqlToken
  /** The row is now exactly this. */
  put(row: RowOf<C, K>): RowWrite
  /** These columns change, if there is such a row. */
  patch(row: RowOf<C, K>): RowWrite
  /** These columns change, in a new row if there is none. */
  merge(row: RowOf<C, K>): RowWrite
  /** No such row; with the first columns of the key alone: none that has them. */
  remove(key: { [N in K]?: ValueOf[C[N]] }): RowWrite
}

/** Declares a table: its key, the kind of each column, its indexes beside the primary key. */
export function table<const C extends Columns, const K extends keyof C & string>(
  key: K | readonly K[],
  columns: C,
  ...indexes: string[]
): TableDeclaration<C, K> {
  return { key: (typeof key === 'string' ? [key] : key) as readonly K[], columns, indexes }
}

/** The same table with columns that Postgres computes, e.g. `{ words: 'tsvector generated always as (…) stored' }`. */
export const computing = <D extends TableDeclaration>(declaration: D, computed: Readonly<Record<string, string>>): D => ({
  ...declaration,
  computed,
})

/**
 * The same table, of which a row may be written by events of several streams. Of every other table that has no `count` or `last` column a row is made by
 * one stream alone, so that a sample of streams, folded again, proves what is in it.
 */
export const shared = <D extends TableDeclaration>(declaration: D): D => ({ ...declaration, shared: true })

/** A question that the read tables answer, and the endpoint that asks it. */
export type QueryEndpoint<P extends TObject = TObject, Q extends TObject = TObject, R extends TSchema = TSchema> = {
  readonly operationId: string
  /** As OpenAPI writes it, below `/v1`: `/contacts/{id}`. Always GET. */
  readonly path: string
  readonly summary: string
  readonly description?: string
  readonly params: P
  readonly querystring: Q
  readonly response: R
  /** What it asks about may be found under another id by now: then it throws `Moved`. */
  readonly moves?: true
  /** Null means: there is no such thing (404), or the viewer does not see it. @param input.actor who asks, as it stands in events; nobody, unless given */
  run(db: Database, input: { params: Static<P>; query: Static<Q>; viewer: Viewer; actor?: string }): Promise<Static<R> | null>
  /**
   * The same as of a past position, where there are no tables of it: what the log alone can tell, to whom it may be told now. Left out, or `undefined` as its
   * answer: it needs such tables.
   * @param db the live tables, which have come at least that far
   */
  runFromLog?(
    db: Database,
    position: Position,
    input: { params: Static<P>; query: Static<Q>; viewer: Viewer; actor?: string },
  ): Promise<Static<R> | null | undefined>
}

/** Declares a query; only fixes its types. */
export const query = <P extends TObject, Q extends TObject, R extends TSchema>(endpoint: QueryEndpoint<P, Q, R>) =>
  endpoint as unknown as QueryEndpoint

// biome-ignore lint/suspicious/noExplicitAny: tables of every kind; what a table has is inferred from each
type Declarations = Record<string, TableDeclaration<any, any>>

/** The tables of a projection as its handlers get them. */
export type TablesOf<T extends Declarations> = {
  [N in keyof T]: T[N] extends TableDeclaration<infer C, infer K> ? Table<C, K> : never
}

/** The keys of the rows of a table that a batch wrote or removed: of a removal by the first columns of a key, those that it met. */
export type Touched<N extends string = string> = (table: N) => readonly Row[]

/**
 * Keeps tables that follow from others, which no handler writes. `run` comes after the batch's writes, in their transaction, and at most once a
 * batch. It computes anew, from what the sources hold by now, every row that the touched keys may be about, and never adds to what is there, so that
 * once a batch equals once an event. What it joins by must be found by the keys of the sources: a row's other columns before the batch are not known.
 */
export type Refresh<T extends Record<string, Table> = Record<string, Table>> = {
  /** The tables that it keeps. */
  readonly writes: readonly (keyof T & string)[]
  /** The tables that they follow from; `run` is left out when a batch touched none of these. */
  readonly from: readonly (keyof T & string)[]
  /** Those of them whose keys together lead to every row; all of them unless given. What makes the tables from nothing goes through these. */
  readonly anewFrom?: readonly (keyof T & string)[]
  /** Fills its tables, while they are empty, with what `run` makes of all keys, in one go. Left out: `run` is given the keys, so many at a time. */
  anew?(db: Database, tables: T): Promise<void>
  run(db: Database, tables: T, touched: Touched<keyof T & string>): Promise<void>
}

type EventTypes = Record<string, AnyEventType>
type Handlers<E extends EventTypes, T extends Record<string, TableDeclaration>> = {
  [N in keyof E]: (tables: TablesOf<T>, data: ReturnType<E[N]>['data'], event: RecordedEvent) => RowWrite[]
}

/** A read model: its tables, one handler an event, the queries it answers. */
export type Projection = {
  readonly name: string
  /** Grows with every change of tables or handlers: it is part of the tables' names. */
  readonly version: number
  readonly tables: Record<string, Table>
  /** The row writes of one event; none for a type that it does not handle. */
  handle(event: RecordedEvent): RowWrite[]
  /** In their order: a later one may read what an earlier one keeps. */
  readonly refreshes: readonly Refresh[]
  readonly eventTypes: ReadonlySet<string>
  /** It shows events whose subject was erased too: by what is around them, for what they said is not there. No other projection does. */
  readonly ofErased: boolean
}

/**
 * Declares a projection.
 * @param on one handler an event type that it follows; what it returns is applied by the projector
 * @param refresh keeps the tables that follow from the others
 */
export function projection<const T extends Declarations, const E extends EventTypes>(declared: {
  name: string
  version: number
  tables: T
  events: E
  on: Handlers<E, T>
  refresh?: readonly Refresh<TablesOf<T> & Record<string, Table>>[]
  ofErased?: true
}): Projection & { readonly tables: TablesOf<T> } {
  const { name, version, on } = declared
  const tables = Object.fromEntries(
    Object.entries(declared.tables).map(([noun, declaration]) => [noun, bind(`${snake(noun)}_v${version}`, declaration)]),
  ) as TablesOf<T>
  const handlers = on as Record<string, (tables: unknown, data: unknown, event: RecordedEvent) => RowWrite[]>
  return {
    name,
    version,
    tables: tables as TablesOf<T> & Record<string, Table>,
    handle: (event) => handlers[event.type]?.(tables, event.data, event) ?? [],
    refreshes: (declared.refresh ?? []) as readonly Refresh[],
    eventTypes: new Set(Object.keys(on)),
    ofErased: declared.ofErased ?? false,
  }
}

function bind(name: string, declaration: TableDeclaration): Table {
  const write = (verb: RowWrite['verb']) => (row: object) => ({ verb, table: name, row: row as Row })
  return {
    ...declaration,
    name,
    sql: sql.identifier(['read', name]),
    now: { ...sql.fragment``, sql: `"read"/* as it is now */."${name}"` },
    put: write('put'),
    patch: write('patch'),
    merge: write('merge'),
    remove: write('remove'),
  }
}

/** `lastEmailAt` → `last_email_at`: how a column is called in SQL. */
export const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
