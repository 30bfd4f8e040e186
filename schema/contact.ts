import { type Static, Type } from '@sinclair/typebox'
import { Method } from './contact-events.ts'
import { Enriched, Field } from './enrichment.ts'
import { Id, Instant, nullable } from './shared.ts'

/** What the API answers about contacts. The examples end up in the OpenAPI document. */
const exampleMethods = [
  {
    id: '0b5e4c1d-93c5-5a54-8f0e-5b1d0f6f7a11',
    type: 'email',
    value: 'Ada@example.com',
    label: 'work',
    normalized: 'ada@example.com',
  },
  { id: '4a0d8c55-7f5b-5c3e-9d7a-2f8f1a3c6b22', type: 'phone', value: '+442079460123', raw: '020 7946 0123' },
]

export const ContactMethod = Type.Object(Method.properties, {
  title: 'ContactMethod',
  description:
    '`value` is what to show and use: an e-mail address as written, a phone number in E.164 where it can be. ' +
    '`normalized` is the form that e-mail addresses are compared in; `raw` is a phone number as it was written.',
  examples: exampleMethods,
})

const exampleContact = {
  id: '6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11',
  name: 'Ada Lovelace',
  company: 'Analytical Engines Ltd',
  methods: exampleMethods,
  archived: false,
  createdAt: '2026-03-01T09:30:00.000Z',
  updatedAt: '2026-03-02T16:05:12.345Z',
  revision: 3,
  emailsReceived: 12,
  emailsSent: 7,
  lastEmailAt: '2026-03-02T11:20:00.000Z',
}

const untold = 'Left out where only the contact itself is asked: in the answer of a command.'

export const Contact = Type.Object(
  {
    id: Id,
    name: Type.String(),
    company: nullable(Type.String()),
    methods: Type.Array(ContactMethod, { description: 'In the order in which they were added.' }),
    archived: Type.Boolean(),
    createdAt: Instant,
    updatedAt: Instant,
    revision: Type.Integer({ minimum: 0, description: 'The number of the last event about the contact; the ETag begins with it.' }),
    owner: Type.Optional(Type.String({ description: "Whose it is. Left out where it is nobody's." })),
    team: Type.Optional(Type.String({ description: 'The team of its owner.' })),
    merged: Type.Optional(
      Type.Array(Id, { description: 'The contacts that were merged into it, in that order. Left out where there are none.' }),
    ),
    mergedInto: Type.Optional({
      ...Id,
      description: 'The contact that it was merged into: only where what was once is told of one that is now asked for under that id.',
    }),
    emailsReceived: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: `Mails that we received from any of its addresses (From, Sender or Reply-To). Those of others that it was only copied on do not count. ${untold}`,
      }),
    ),
    emailsSent: Type.Optional(
      Type.Integer({ minimum: 0, description: `Mails that we sent to any of its addresses (To, Cc or Bcc). ${untold}` }),
    ),
    lastEmailAt: Type.Optional(
      nullable({ ...Instant, description: `The date of the newest of those mails; null: there is none that is dated. ${untold}` }),
    ),
    enriched: Type.Optional(
      Type.Unsafe<Enriched>({
        ...Enriched,
        description: `${Enriched.description} What enrichment found and people said; left out where there is nothing. ${untold} And in lists.`,
      }),
    ),
  },
  { title: 'Contact', examples: [exampleContact] },
)
export type Contact = Static<typeof Contact>

const nextCursor = nullable(
  Type.String({ description: 'Send it as `cursor`, with the same sort and filters, for the page after this one. Null: this is the last.' }),
)

export const ContactPage = Type.Object(
  { data: Type.Array(Contact), nextCursor },
  { title: 'ContactPage', examples: [{ data: [exampleContact], nextCursor: null }] },
)

export const timelineKinds = [
  'created',
  'renamed',
  'company-changed',
  'method-added',
  'method-removed',
  'assigned',
  'archived',
  'restored',
  'note',
  'note-removed',
  'enriched',
  'value-accepted',
  'value-rejected',
  'value-reopened',
  'field-set',
  'field-released',
  'field-locked',
  'field-unlocked',
  'enrichment-undone',
  'enrichment-redone',
  'enrichable-changed',
  'merged',
  'merged-into',
  'unmerged',
  'unmerged-from',
  'email-received',
  'email-sent',
] as const

const exampleEntry = {
  kind: 'note',
  at: '2026-03-02T16:05:12.345Z',
  actor: 'key:7d1f0c9a',
  eventId: 'c1a7f2de-50a1-4a53-8a6e-1d0d3f1e9b33',
  revision: 3,
  noteId: 'b7a5b0a0-27a9-5d0f-a8f3-0d3c8e1f4c44',
  text: 'Met at the Royal Society.',
}

export const TimelineEntry = Type.Object(
  {
    kind: Type.Unsafe<(typeof timelineKinds)[number]>({ type: 'string', enum: [...timelineKinds] }),
    at: { ...Instant, description: "When it was done; a mail's date, or when it was recorded if it has none." },
    actor: Type.String({ description: 'Who did it: `key:<id>`, `user:<id>` or `system:<role>`; of a mail, who brought it in.' }),
    eventId: Id,
    revision: Type.Optional(Type.Integer({ minimum: 0, description: "The contact's; a mail has none." })),
    name: Type.Optional(Type.String({ description: 'The name that was given then (created, renamed).' })),
    company: Type.Optional(nullable(Type.String({ description: 'The company that was given then (created, company-changed).' }))),
    owner: Type.Optional(nullable(Type.String({ description: 'Whom it was given to then (created, assigned).' }))),
    team: Type.Optional(nullable(Type.String())),
    methods: Type.Optional(Type.Array(ContactMethod, { description: 'What the contact was created with.' })),
    method: Type.Optional(ContactMethod),
    methodId: Type.Optional(Id),
    noteId: Type.Optional(Id),
    text: Type.Optional(Type.String({ description: "The note's text (left out where it was removed since), or how a mail's begins." })),
    emailId: Type.Optional(Id),
    subject: Type.Optional(Type.String({ description: "The mail's." })),
    enrichmentId: Type.Optional(Id),
    valueId: Type.Optional({ ...Id, description: 'A value that an enrichment proposed.' }),
    fields: Type.Optional(Type.Array(Field, { description: 'Which fields it is about (enriched, field-…).' })),
    values: Type.Optional(Type.Array(Type.String(), { description: 'What the field was said to be (field-set).' })),
    enrichable: Type.Optional(Type.Boolean()),
    from: Type.Optional({ ...Id, description: 'The contact that was merged into this one, or lives again (merged, unmerged).' }),
    into: Type.Optional({
      ...Id,
      description: 'The contact that this one was merged into, or is no part of any more (merged-into, unmerged-from).',
    }),
    contactId: Type.Optional({ ...Id, description: 'Whose it is, where that is a contact that was merged into this one.' }),
  },
  { title: 'TimelineEntry', examples: [exampleEntry] },
)
export type TimelineEntry = Static<typeof TimelineEntry>

export const TimelinePage = Type.Object(
  { data: Type.Array(TimelineEntry), nextCursor },
  { title: 'TimelinePage', examples: [{ data: [exampleEntry], nextCursor: null }] },
)
