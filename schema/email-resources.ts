import { type Static, Type } from '@sinclair/typebox'
import { Attachment, Party, PolicyHeaders } from './email.ts'
import { Id, Instant, nullable } from './shared.ts'

/** What the API answers about mails and threads. The examples end up in the OpenAPI document. */
export const EmailParty = Type.Object(
  {
    ...Party.properties,
    contact: Type.Optional(Type.Object({ id: Id, name: Type.String() }, { description: 'The contact that has this address now.' })),
  },
  {
    title: 'EmailParty',
    description: 'Somebody named in a header. `address` is in its normal form, and left out where what was written (`raw`) is no address.',
  },
)
export type EmailParty = Static<typeof EmailParty>

const TextPart = Type.Object({ text: Type.String(), found: Type.Boolean() })
export type TextPart = Static<typeof TextPart>
const Highlights = Type.Object(
  { subject: Type.Array(TextPart), text: Type.Array(TextPart) },
  {
    description:
      'With `q`: where it was found, in pieces that follow each other; `found` says which were searched for. Plain text, no HTML.',
  },
)

const visibility = Type.Optional(
  Type.Unsafe<'subject' | 'metadata'>({
    type: 'string',
    enum: ['subject', 'metadata'],
    description:
      'How much of it is shown, where its mailbox does not share all: no text and attachments, and with `metadata` no subject either; these are empty then. Left out where all is shown.',
  }),
)

const exampleSummary = {
  id: '0f3b9a52-6c0e-8a4b-9c38-0d7a5c2b9e11',
  threadId: '0f3b9a52-6c0e-8a4b-9c38-0d7a5c2b9e11',
  direction: 'received',
  date: '2026-03-01T09:30:00.000Z',
  subject: 'The engine',
  from: [{ address: 'ada@example.com', name: 'Ada', contact: { id: '6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11', name: 'Ada Lovelace' } }],
  to: [{ address: 'me@example.org' }],
  recipients: 1,
  preview: 'The drawings are finished.',
  hasAttachments: true,
}

const summary = {
  id: Id,
  threadId: Type.String({
    ...Id,
    description:
      'The smallest id of the mails of its thread. It may change as the thread grows; the id of any of its mails leads to it too.',
  }),
  direction: Type.Unsafe<'received' | 'sent'>({
    type: 'string',
    enum: ['received', 'sent'],
    description: '`sent`: by one of our own addresses.',
  }),
  date: nullable({ ...Instant, description: 'Null where the mail does not say when: it then stands in lists where it was recorded.' }),
  subject: Type.String(),
  from: Type.Array(EmailParty),
}

export const EmailSummary = Type.Object(
  {
    ...summary,
    from: Type.Array(EmailParty, { description: 'At most ten.' }),
    to: Type.Array(EmailParty, { description: 'At most ten.' }),
    recipients: Type.Integer({ minimum: 0, description: 'How many To, Cc and Bcc name.' }),
    preview: Type.String({ description: 'How its own text begins, without quotes and signature.' }),
    hasAttachments: Type.Boolean({ description: 'Pictures that stand in the text do not count.' }),
    highlights: Type.Optional(Highlights),
    visibility,
  },
  { title: 'EmailSummary', examples: [exampleSummary] },
)
export type EmailSummary = Static<typeof EmailSummary>

export const Email = Type.Object(
  {
    ...summary,
    sender: Type.Optional(EmailParty),
    replyTo: Type.Array(EmailParty),
    to: Type.Array(EmailParty),
    cc: Type.Array(EmailParty),
    bcc: Type.Array(EmailParty),
    text: Type.String({ description: 'The whole text; made from the HTML where there is no other.' }),
    textOwn: Type.String({ description: 'The text without quotes and signature.' }),
    hasHtml: Type.Boolean({ description: 'Whether `/html` has something to show.' }),
    sizeBytes: Type.Integer({ minimum: 0, description: 'Of the mail as it came.' }),
    attachments: Type.Array(Attachment),
    messageId: Type.Optional(Type.String()),
    inReplyTo: Type.Array(Type.String()),
    references: Type.Array(Type.String()),
    dateHeader: nullable(Type.String({ description: 'The Date header as it was written.' })),
    dateReceived: nullable({ ...Instant, description: 'When the last server on the way received it.' }),
    headers: PolicyHeaders,
    defects: Type.Array(Type.String({ description: 'What was wrong with it, as codes.' })),
    source: Type.String({ description: 'Where it came from first: `import:<id>`, `mailbox:<id>`.' }),
    visibility,
  },
  { title: 'Email' },
)
export type Email = Static<typeof Email>

const nextCursor = nullable(
  Type.String({ description: 'Send it as `cursor`, with the same sort and filters, for the page after this one. Null: this is the last.' }),
)

export const EmailPage = Type.Object(
  { data: Type.Array(EmailSummary), nextCursor },
  { title: 'EmailPage', examples: [{ data: [exampleSummary], nextCursor: null }] },
)

const thread = {
  id: summary.threadId,
  subject: Type.String({ description: 'Of its first mail.' }),
  emails: Type.Integer({ minimum: 1, description: 'How many mails it has.' }),
  firstEmailAt: Instant,
  lastEmailAt: Instant,
}

export const Thread = Type.Object(
  { ...thread, data: Type.Array(EmailSummary, { description: 'A page of its mails, the oldest first.' }), nextCursor },
  { title: 'Thread' },
)
export const ThreadSummary = Type.Object({ ...thread, lastEmail: EmailSummary }, { title: 'ThreadSummary' })
export const ThreadPage = Type.Object({ data: Type.Array(ThreadSummary), nextCursor }, { title: 'ThreadPage' })
