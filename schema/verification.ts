import { type Static, Type } from '@sinclair/typebox'
import { PositionText } from './shared.ts'

const RowDifference = Type.Object({
  what: Type.Union(['missing', 'extra', 'changed'].map((what) => Type.Literal(what))),
  key: Type.Record(Type.String(), Type.Unknown(), { description: 'Of texts in it only the beginning of their MD5 is told.' }),
  columns: Type.Array(Type.String()),
})

/** How a table differs from what the log makes anew. */
export const TableDifference = Type.Object({
  table: Type.String({ examples: ['contacts_v1'] }),
  missing: Type.Integer(),
  extra: Type.Integer(),
  changed: Type.Integer(),
  first: Type.Array(RowDifference),
})

/** What comes of comparing the read tables with the log: the result of the job `verify`. */
export const VerifyResult = Type.Object({
  position: PositionText,
  rows: Type.Integer({ description: 'How many were compared.' }),
  differences: Type.Array(TableDifference),
})
export type VerifyResult = Static<typeof VerifyResult>

/** What vouches for the log up to a position. */
export const Seal = Type.Object(
  { position: PositionText, digest: Type.String({ pattern: '^[0-9a-f]{64}$' }) },
  { additionalProperties: false },
)

/** What comes of an audit of the log: the result of the job `audit`. */
export const AuditResult = Type.Object({
  events: Type.Integer(),
  streams: Type.Integer(),
  unknown: Type.Integer({ description: 'Events of types that this version does not know: only their hashes were checked.' }),
  found: Type.Integer({ description: 'How much is not as it was written; the first 1,000 are named.' }),
  findings: Type.Array(
    Type.Object({
      what: Type.String(),
      stream: Type.Optional(Type.String()),
      revision: Type.Optional(Type.Integer()),
      position: Type.Optional(PositionText),
    }),
  ),
  seal: { ...Seal, description: 'Kept elsewhere and given to a later audit, it proves that the log up to there is still what it is now.' },
})
export type AuditResult = Static<typeof AuditResult>

export const VerifyInput = Type.Object(
  { names: Type.Optional(Type.Array(Type.String({ maxLength: 100, examples: ['contacts'] }), { minItems: 1, maxItems: 100 })) },
  { additionalProperties: false },
)
export const AuditInput = Type.Object({ seal: Type.Optional(Seal) }, { additionalProperties: false })
