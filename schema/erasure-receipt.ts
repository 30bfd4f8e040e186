import { type Static, Type } from '@sinclair/typebox'
import { Id, Instant, nullable } from './shared.ts'

/** A few words, so that a reason never says who. */
export const ErasureReason = Type.Union(
  [Type.Literal('requested-by-person'), Type.Literal('consent-withdrawn'), Type.Literal('retention'), Type.Literal('other')],
  { description: 'Why: one of a few words, so that the reason never says who it is about.', examples: ['requested-by-person'] },
)
export type ErasureReason = Static<typeof ErasureReason>

const count = (description: string) => Type.Integer({ minimum: 0, description })

/** Where something of the person was found by the search after an erasure. */
export const Finding = Type.Object({
  place: Type.String({ description: 'A table, a queue, a file.', examples: ['read.email_texts_v1'] }),
  times: count('How often.'),
})
export type Finding = Static<typeof Finding>

/** What an erasure came to: nothing in it says who it was about. What is signed is all of it but the ids of mails, which `emailsSha256` stands for. */
export const Receipt = Type.Object(
  {
    erasureId: Id,
    contactId: Id,
    reason: ErasureReason,
    requestedBy: Type.String({ description: 'Who asked for it, as an actor is written.' }),
    requestedAt: Instant,
    confirmedBy: nullable(Type.String()),
    completedAt: Instant,
    destroyed: Type.Object({
      contacts: count('The contact, and those that were merged into it.'),
      keys: count('Without them nobody reads in the log what they had sealed.'),
      emails: count('Mails in which nobody else took part.'),
      blobs: count('Contents of mails and attachments.'),
      enrichments: count('What was found of the person, and the pages that were read for it.'),
      uploads: count('Files of contacts that the person was imported from.'),
    }),
    suppressed: count('Addresses that mails, imports and enrichment cannot bring back until that is lifted.'),
    stays: Type.Object({
      emails: count('Mails with other people. The address and the name are masked in them; their texts stay, and the mails as they came.'),
      emailsSha256: Type.String({ description: 'SHA-256, in hex, of their ids in order, each followed by a line feed.' }),
      uploads: Type.Array(Id, { description: 'Imports whose file of contacts the person is still in, sealed, since they have not ended.' }),
      notes: Type.Array(Type.String({ description: 'What else stays, and why: a sentence for people.' })),
    }),
    scan: nullable(
      Type.Object(
        {
          at: Instant,
          places: count('How many tables, queues and files were searched.'),
          found: Type.Array(Finding),
        },
        { description: 'What searching everything for what was known of the person found afterwards; null where it was not searched.' },
      ),
    ),
    physical: Type.Boolean({ description: 'What was deleted is gone from the disk by now, too; else the nightly rewriting does that.' }),
  },
  { title: 'ErasureReceipt' },
)
export type Receipt = Static<typeof Receipt>
