import { createHash } from 'node:crypto'
import { type Static, Type } from '@sinclair/typebox'
import type { FragmentSqlToken } from 'slonik'
import { sql } from './database.ts'
import { Invalid } from './refusal.ts'
import { isUuid } from './uuid.ts'

/** The parameters that every list takes. */
export const pageParameters = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 25, description: 'How many at most.' })),
  cursor: Type.Optional(
    Type.String({ maxLength: 2_000, description: '`nextCursor` of the page before. It is opaque, and belongs to its sort and filters.' }),
  ),
}
type PageParameters = Static<ReturnType<typeof Type.Object<typeof pageParameters>>>

type KeyKind = 'text' | 'instant' | 'integer' | 'uuid'

/** One column, or expression, of a sort. It must never be null (`coalesce` it, here and in the index): SQL cannot say what comes after a null. */
export type SortKey = {
  readonly sql: FragmentSqlToken
  readonly kind: KeyKind
  /** All rows have the same: it is only there so that a cursor has its place. */
  readonly constant?: true
}

type CursorRow = Record<`cursor_${number}`, unknown>

export type Paging = {
  /** To be selected beside the rows' own columns: where each row stands. */
  readonly columns: FragmentSqlToken
  /** A condition: only what comes after the cursor. */
  readonly after: FragmentSqlToken
  /** `order by … limit …`, by the names that `columns` gives, so that it also orders a union of such selects. */
  readonly order: FragmentSqlToken
  /** How many rows are selected for a page: one more than it shows, which tells whether there is a next one. */
  readonly count: number
  /** As `order`, with another number of rows. */
  first(count: number): FragmentSqlToken
  /** The page that the selected rows are. */
  page<R extends object, T>(rows: readonly R[], render: (row: R) => T): { data: T[]; nextCursor: string | null }
}

/**
 * Keyset pagination: a page begins after the last row of the one before, however many rows came or went in between. Rows with equal keys keep
 * their order because the last key is unique. It costs the same on every page where an index has the keys in this order.
 * @param keys what is sorted by, all in one direction; the last, or all together, must be unique
 * @param scope what the order and the choice of rows depend on (sort, filters): a cursor of another scope is refused
 * @throws Invalid when the cursor is none, or of another scope
 */
export function paging(
  { limit = 25, cursor }: PageParameters,
  { keys, descending, scope }: { keys: readonly SortKey[]; descending: boolean; scope: unknown },
): Paging {
  const digest = createHash('sha256').update(JSON.stringify(scope)).digest('base64url').slice(0, 12)
  const from = cursor === undefined ? null : readCursor(cursor, digest, keys)
  const direction = descending ? sql.fragment`desc` : sql.fragment`asc`
  const name = (index: number) => sql.identifier([`cursor_${index}`])
  const first = (count: number) =>
    sql.fragment`order by ${list(keys.map((_, index) => sql.fragment`${name(index)} ${direction}`))} limit ${count}`
  const telling = keys.filter(({ constant }) => !constant)
  return {
    columns: list(keys.map((key, index) => sql.fragment`${key.sql} as ${name(index)}`)),
    after: from
      ? sql.fragment`(${list(telling.map((key) => key.sql))}) ${descending ? sql.fragment`<` : sql.fragment`>`} (${list(from.filter((_, index) => !keys[index]!.constant))})`
      : sql.fragment`true`,
    order: first(limit + 1),
    count: limit + 1,
    first,
    page(rows, render) {
      const shown = rows.slice(0, limit)
      const last = shown.at(-1) as CursorRow | undefined
      const more = rows.length > limit && last
      return { data: shown.map(render), nextCursor: more ? writeCursor(digest, keys, last) : null }
    },
  }
}

const list = (fragments: readonly FragmentSqlToken[]) => sql.fragment`${sql.join([...fragments], sql.fragment`, `)}`

const writeCursor = (digest: string, keys: readonly SortKey[], row: CursorRow): string =>
  Buffer.from(JSON.stringify([digest, ...keys.map((_, index) => row[`cursor_${index}`])])).toString('base64url')

/** The keys' values in SQL. A cursor comes from outside, so each value is checked: Postgres must never meet one that it cannot cast. */
function readCursor(cursor: string, digest: string, keys: readonly SortKey[]): FragmentSqlToken[] {
  const parsed = parseCursor(cursor)
  if (!Array.isArray(parsed)) throw invalid('is no cursor of this API: use `nextCursor` of the page before as it is')
  const [scope, ...values] = parsed
  if (scope !== digest) throw invalid('belongs to another sort or other filters: keep them, or begin without a cursor')
  const isSound = values.length === keys.length && keys.every((key, index) => kinds[key.kind].holds(values[index]))
  if (!isSound) throw invalid('is damaged: use `nextCursor` of the page before as it is')
  return keys.map((key, index) => kinds[key.kind].cast(values[index]))
}

function parseCursor(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
  } catch {
    return null
  }
}

const invalid = (message: string) => new Invalid([{ path: '/querystring/cursor', message }])

const kinds: Record<KeyKind, { holds(value: unknown): boolean; cast(value: unknown): FragmentSqlToken }> = {
  text: { holds: (value) => typeof value === 'string' && !value.includes('\0'), cast: (value) => sql.fragment`${value as string}::text` },
  instant: { holds: isInstant, cast: (value) => sql.fragment`${value as string}::timestamptz` },
  integer: { holds: Number.isSafeInteger, cast: (value) => sql.fragment`${value as string}::bigint` },
  uuid: {
    holds: (value) => typeof value === 'string' && isUuid(value),
    cast: (value) => sql.fragment`${value as string}::uuid`,
  },
}

/** As this module wrote it: `toISOString`, in years that Postgres has too. */
function isInstant(value: unknown): boolean {
  if (typeof value !== 'string' || !/^\d{4}-/.test(value) || value.startsWith('0000')) return false
  const time = Date.parse(value)
  return !Number.isNaN(time) && new Date(time).toISOString() === value
}
