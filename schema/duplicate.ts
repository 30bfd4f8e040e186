import { type Static, Type } from '@sinclair/typebox'
import { Id, nullable } from './shared.ts'

/** Why two contacts may be the same, and how much each reason says by itself: between 0 and 1. */
export const duplicateReasons = {
  'alias-address': 0.9,
  'same-profile': 0.8,
  'same-name-and-company': 0.75,
  'same-phone': 0.7,
  'same-website': 0.4,
  'same-name': 0.3,
  'same-local-part': 0.3,
} as const
export type DuplicateReason = keyof typeof duplicateReasons

const Person = Type.Object({ id: Id, name: Type.String(), company: nullable(Type.String()), archived: Type.Boolean() })

const example = {
  contacts: [
    { id: '6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11', name: 'Ada Lovelace', company: 'Analytical Engines Ltd', archived: false },
    { id: '7a2d9c10-3f4b-4c5d-8e6f-1a2b3c4d5e6f', name: 'Lovelace, Ada', company: 'Analytical Engines', archived: false },
  ],
  score: 0.925,
  reasons: ['same-name-and-company', 'same-phone'],
}

export const Duplicate = Type.Object(
  {
    contacts: Type.Array(Person, { minItems: 2, maxItems: 2 }),
    score: Type.Number({
      minimum: 0,
      maximum: 1,
      description: 'How much speaks for it: what is left of doubt after each of the reasons, taken from 1.',
    }),
    reasons: Type.Array(Type.Unsafe<DuplicateReason>({ type: 'string', enum: Object.keys(duplicateReasons) }), {
      description:
        '`alias-address`: addresses that one mailbox has (what is behind a plus; dots and googlemail at Gmail). `same-local-part` is weak: the same before the @, at domains that differ in their endings alone.',
    }),
  },
  { title: 'Duplicate', examples: [example] },
)
export type Duplicate = Static<typeof Duplicate>

export const DuplicatePage = Type.Object(
  {
    data: Type.Array(Duplicate),
    nextCursor: nullable(
      Type.String({ description: 'Send it as `cursor`, with the same filters, for the page after this one. Null: this is the last.' }),
    ),
  },
  { title: 'DuplicatePage', examples: [{ data: [example], nextCursor: null }] },
)
