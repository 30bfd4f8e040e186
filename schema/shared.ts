import { type TUnsafe, Type } from '@sinclair/typebox'

/** Lower case only, so that one id has one spelling in streams, tables and comparisons. */
export const Id = Type.String({
  pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$',
  examples: ['6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11'],
})

/** RFC 3339 in UTC with milliseconds, as `Date.prototype.toISOString` writes it. */
export const Instant = Type.String({ format: 'date-time', examples: ['2026-03-01T09:30:00.000Z'] })

/** A place in the log: `<commit>.<prepare>`. It grows strictly. */
export const PositionText = Type.String({ pattern: '^[0-9]{1,19}\\.[0-9]{1,19}$', examples: ['8471.8471'] })

/** Text that has something to read in it. */
export const line = (maxLength: number, examples: string[] = []) => Type.String({ minLength: 1, maxLength, pattern: '\\S', examples })

/** The value, or null where there is none. */
export const nullable = <S extends Parameters<typeof Type.Union>[0][number]>(schema: S) => Type.Union([schema, Type.Null()])

/** One of a few words. */
export const oneOf = <const V extends string>(values: readonly V[], options: object = {}) =>
  Type.Union(
    values.map((value) => Type.Literal(value)),
    options,
  ) as unknown as TUnsafe<V>
