import { type Static, Type } from '@sinclair/typebox'
import { CreationPolicy, Label, Visibility } from './mailbox-events.ts'
import { Id, Instant, nullable } from './shared.ts'
import { SyncStatus } from './sync.ts'

/** What the API answers about mailboxes, and takes. The examples end up in the OpenAPI document. */

const list = (description: string, examples: string[]) =>
  Type.Array(Type.String({ minLength: 1, maxLength: 320 }), { maxItems: 1_000, description, examples: [examples] })

export const MailboxRules = Type.Object(
  {
    addresses: list('No mail in which one of these addresses takes part.', ['press@example.org']),
    domains: list('No mail in which somebody at one of these domains, or below one, takes part.', ['bank.example']),
    labels: Type.Array(Type.String({ minLength: 1, maxLength: 200 }), {
      maxItems: 1_000,
      description: 'No message that has one of these labels, by their ids.',
      examples: [['Label_7']],
    }),
    ownDomain: Type.Boolean({ description: 'No mail among people of the mailbox’s own domain alone.' }),
  },
  { title: 'MailboxRules' },
)

export const MailboxCreationPolicy = Type.Object(
  {
    create: Type.Union(CreationPolicy.properties.create.anyOf, {
      description: 'Of whom contacts are made by themselves: of nobody, of those that the mailbox wrote to, of everyone in its mails.',
    }),
    skipFreeMail: Type.Boolean({ description: 'Not of addresses at providers of free mail.' }),
    blockedAddresses: list('Never of these.', ['press@example.org']),
    blockedDomains: list('Never of addresses there, or below.', ['example.net']),
  },
  { title: 'MailboxCreationPolicy' },
)

const found = (description: string) =>
  Type.Object(
    {
      count: Type.Integer({ minimum: 0 }),
      examples: Type.Array(
        Type.Object({
          messageId: Type.String({ description: "The provider's id." }),
          emailId: nullable(Id),
          rule: Type.String({ description: 'By which it stays out then, or stayed out until now.' }),
          by: nullable(Type.String({ description: 'The address, domain or label that the rule names.' })),
        }),
        { description: 'Ten at most.' },
      ),
    },
    { description },
  )

/** What other rules would come to. */
export const RulesPreview = Type.Object(
  {
    hides: found('Messages whose mails are here and would stay out. A mail that something else has brought, too, stays here all the same.'),
    brings: found('Messages that stay out and may come: they are fetched then, and another rule may still keep them out.'),
    isComplete: Type.Boolean({ description: 'False: only the first 100,000 messages were looked through.' }),
  },
  {
    title: 'RulesPreview',
    examples: [
      {
        hides: {
          count: 1,
          examples: [
            { messageId: '18c2f0a1b2c3d4e5', emailId: '0f3b9a52-6c0e-8a4b-9c38-0d7a5c2b9e11', rule: 'domain', by: 'bank.example' },
          ],
        },
        brings: { count: 0, examples: [] },
        isComplete: true,
      },
    ],
  },
)

const states = ['connected', 'consent-needed', 'disconnected'] as const
export type MailboxState = (typeof states)[number]

const example = {
  id: '6f1c1a52-7d0e-8a4b-9c38-0d7a5c2b9e11',
  provider: 'google',
  address: 'ada@example.com',
  owner: 'key:0d7a5c2b9e11',
  state: 'connected',
  consent: null,
  aliases: ['countess@example.com'],
  labels: [{ id: 'Label_7', name: 'Engines' }],
  rules: { addresses: [], domains: ['bank.example'], labels: [], ownDomain: false },
  creationPolicy: { create: 'written-to', skipFreeMail: false, blockedAddresses: [], blockedDomains: [] },
  visibility: 'metadata',
  connectedAt: '2026-03-01T09:30:00.000Z',
  updatedAt: '2026-03-02T16:05:12.345Z',
  revision: 3,
}

export const Mailbox = Type.Object(
  {
    id: Id,
    provider: Type.String({ examples: ['google'] }),
    address: Type.String(),
    owner: Type.String({
      description: 'Who connected it first: sees all of its mails, whatever its visibility, and alone says what others see.',
    }),
    state: Type.Unsafe<MailboxState>({
      type: 'string',
      enum: [...states],
      description: '`consent-needed`: the provider takes our consent no longer. Nothing is fetched until somebody connects it again.',
    }),
    consent: nullable(
      Type.Object(
        { code: Type.String({ description: 'What the provider answered.', examples: ['invalid_grant'] }), since: Instant },
        { description: 'Why consent is needed, and since when.' },
      ),
    ),
    aliases: Type.Array(Type.String(), { description: 'The other addresses that it sends as.' }),
    labels: Type.Array(Label, { description: 'Those that its provider has, so that rules can name them.' }),
    rules: MailboxRules,
    creationPolicy: MailboxCreationPolicy,
    visibility: {
      ...Visibility,
      description: 'What others than its owner see of its mails: everything; no bodies and attachments; neither these nor subjects.',
    },
    connectedAt: nullable({ ...Instant, description: 'When consent was given last.' }),
    updatedAt: Instant,
    revision: Type.Integer({ minimum: 0, description: 'The number of the last event about the mailbox; the ETag begins with it.' }),
    sync: Type.Optional({ ...SyncStatus, description: 'How far it is, and what became of its messages. Not in the answer of a command.' }),
  },
  { title: 'Mailbox', examples: [example] },
)
export type Mailbox = Static<typeof Mailbox>

const nextCursor = nullable(Type.String({ description: 'Send it as `cursor`, with the same filters, for the page after this one.' }))
export const MailboxPage = Type.Object({ data: Type.Array(Mailbox), nextCursor }, { title: 'MailboxPage' })

/** The queue of what is to be done after a mailbox was disconnected. */
export const DISCONNECT_QUEUE = 'disconnect-mailbox'
