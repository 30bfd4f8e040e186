import type { ColumnKind, Row, Value } from './projection.ts'
import { remembered } from './remembered.ts'
import { isUuid } from './uuid.ts'

/** Normalises one value of a column: equal things become equal values, and whatever comes out can be stored. Null stays null. */
type Normalise = (value: unknown) => Value

/**
 * One spelling for each value, so that the fold in memory and the rows in Postgres compare alike:
 * uuids in lower case, instants in UTC as `toISOString` writes them, text and JSON without what Postgres cannot store.
 * @throws TypeError when the value is none of its kind
 */
export const normaliseValue: Record<ColumnKind, Normalise> = {
  uuid: nullable(uuid),
  text: nullable((value) => (typeof value === 'string' ? storableText(value) : fail('a text'))),
  integer: nullable(integer),
  boolean: nullable((value) => (typeof value === 'boolean' ? value : fail('true or false'))),
  instant: nullable(instant),
  json: nullable(storableJson),
  count: (value) => integer(value ?? 0),
  last: nullable(instant),
}

function nullable(normalise: Normalise): Normalise {
  return (value) => (value === null || value === undefined ? null : normalise(value))
}

/** Never with the value itself: it may be personal, and this ends up in logs. */
function fail(expected: string): never {
  throw new TypeError(`is not ${expected}`)
}

function uuid(value: unknown): string {
  if (typeof value === 'string' && isUuid(value)) return value
  const hex = typeof value === 'string' ? value.toLowerCase().replace(/[{}-]/g, '') : ''
  if (!/^[0-9a-f]{32}$/.test(hex)) fail('a uuid')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

function integer(value: unknown): number {
  if (!Number.isSafeInteger(value)) fail('a whole number below 2^53')
  // Minus zero would not come back from the table as it went in.
  return (value as number) + 0
}

const zoned = /^[+-]?\d{4,6}-\d\d-\d\d[Tt ]\d\d:\d\d.*([Zz]|[+-]\d\d:?\d\d)$/
const EARLIEST = Date.parse('0001-01-01T00:00:00.000Z')
const LATEST = Date.parse('9999-12-31T23:59:59.999Z')

/**
 * Without a zone it would mean another instant on another machine, so that is refused. RFC 3339 allows a leap second, `Date` does not: it
 * becomes the second before. Years that only one of JavaScript and Postgres can write (mails claim such) become the nearest that both can.
 */
function instant(value: unknown): string {
  return typeof value === 'string' ? instantOf(value) : fail('an instant with its time zone')
}
const instantOf = remembered((value) => {
  if (!zoned.test(value)) return fail('an instant with its time zone')
  const milliseconds = Date.parse(value.replace(/(:\d\d):60/, '$1:59'))
  if (Number.isNaN(milliseconds)) return fail('an instant')
  return new Date(Math.min(Math.max(milliseconds, EARLIEST), LATEST)).toISOString()
})

const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes('\0')

/** Text that Postgres takes: NUL and half a surrogate pair, which broken mails contain, become U+FFFD. */
export const storableText = (text: string): string => (isStorable(text) ? text : text.toWellFormed().replaceAll('\0', '\uFFFD'))

/** As nearly all is, so that nothing is made anew. */
function isStorableJson(value: unknown): boolean {
  if (typeof value === 'string') return isStorable(value)
  if (value === null || typeof value === 'boolean') return true
  if (typeof value === 'number') return Number.isFinite(value) && !Object.is(value, -0)
  if (Array.isArray(value)) return value.every(isStorableJson)
  if (typeof value !== 'object' || 'toJSON' in value) return false
  for (const name of Object.keys(value)) if (!isStorable(name) || !isStorableJson((value as Row)[name])) return false
  return true
}

function storableJson(value: unknown): Value {
  return isStorableJson(value) ? (value as Value) : madeStorable(value)
}

function madeStorable(value: unknown): Value {
  if (value === null || typeof value === 'boolean') return value
  if (typeof value === 'string') return storableText(value)
  if (typeof value === 'number') return Number.isFinite(value) ? value + 0 : null
  if (Array.isArray(value)) return value.map((item) => madeStorable(item ?? null))
  if (typeof value !== 'object') return fail('JSON')
  if ('toJSON' in value && typeof value.toJSON === 'function') return madeStorable(value.toJSON())
  const entries = Object.entries(value).filter(([, item]) => item !== undefined)
  return Object.fromEntries(entries.map(([name, item]) => [storableText(name), madeStorable(item)]))
}
