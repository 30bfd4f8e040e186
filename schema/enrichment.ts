import { type Static, type TUnsafe, Type } from '@sinclair/typebox'
import { Id, Instant, nullable, oneOf } from './shared.ts'

/** The reactor that begins enrichments, single ones and many at once. By this name it is known which job one has. */
export const ENRICHMENT_REACTOR = 'enrich-contact-on-requested'

/** What enrichment may say of a contact. Of a `single` field one value is shown, of the others all that hold. */
export const fields = {
  jobTitle: { single: true },
  company: { single: true },
  website: { single: true },
  location: { single: true },
  phones: { single: false },
  socialProfiles: { single: false },
  language: { single: true },
  summary: { single: true },
  interests: { single: false },
  lastTopics: { single: false },
  nextStep: { single: true },
} as const
export type Field = keyof typeof fields
export const fieldNames = Object.keys(fields) as Field[]

export const Field = oneOf(fieldNames, { examples: ['jobTitle'] })

/** Where a text comes from that a value was found in. */
export const sourceKinds = ['profile-page', 'company-page', 'mail'] as const
export type SourceKind = (typeof sourceKinds)[number]
export const SourceKind = oneOf(sourceKinds, { examples: ['company-page'] })

export const ValueSource = Type.Object({
  kind: SourceKind,
  vendor: Type.String({ description: 'Who brought the text: `apify`, or `mail` for our own mails.', examples: ['apify'] }),
  url: Type.Optional(Type.String({ description: 'The address of the page.', examples: ['https://example.com/about'] })),
  emailId: Type.Optional(Type.String({ ...Id, description: 'The mail.' })),
  readAt: Type.String({ ...Instant, description: 'When the text was fetched; when the mail was written.' }),
  model: Type.String({ description: 'The model that found the value in the text.', examples: ['gpt-5-mini'] }),
  promptVersion: Type.String({ description: 'The version of the instructions that it was given.', examples: ['1'] }),
})
export type ValueSource = Static<typeof ValueSource>

/** One value that an enrichment proposes. */
export const EnrichedValue = Type.Object({
  id: Id,
  field: Field,
  value: Type.String({ examples: ['Head of Operations'] }),
  confidence: Type.Number({ minimum: 0, maximum: 1, description: 'As the model gave it.' }),
  evidence: nullable(Type.String({ description: 'The words of the text that say so, as the model quoted them.' })),
  isSupported: Type.Boolean({ description: 'The evidence is in the text, and says the value. Only then is the value applied by itself.' }),
  source: ValueSource,
})
export type EnrichedValue = Static<typeof EnrichedValue>

export const enrichmentStates = ['waiting', 'running', 'enriched', 'failed'] as const
export type EnrichmentState = (typeof enrichmentStates)[number]

/** An enrichment, as the API shows it. */
export const Enrichment = Type.Object(
  {
    id: Id,
    contactId: Id,
    jobId: Type.String({ ...Id, description: 'The job that carries it out: /v1/jobs/{id}.' }),
    reason: Type.String({ description: '`asked`, `bulk` or `policy`.', examples: ['asked'] }),
    state: oneOf(enrichmentStates, { description: 'It ends as `enriched` or as `failed`.' }),
    code: nullable(Type.String({ description: 'Why it failed, for programs.', examples: ['budget-reached'] })),
    message: nullable(Type.String({ description: 'Why it failed, for people.' })),
    values: Type.Integer({ description: 'How many values it proposes.' }),
    undone: Type.Boolean(),
    usd: Type.Number({ description: 'What it cost, in US dollars.' }),
    calls: Type.Array(
      Type.Object({
        vendor: Type.String({ examples: ['openai'] }),
        sent: Type.Array(Type.String(), { description: 'What kinds of things were sent, for audit.', examples: [['name', 'page']] }),
        contentSha256: Type.String({ description: 'Of all that was sent, for audit.' }),
        model: nullable(Type.String()),
        usd: nullable(Type.Number()),
        at: Instant,
      }),
    ),
    actor: Type.String(),
    requestedAt: Instant,
    endedAt: nullable(Instant),
  },
  { title: 'Enrichment' },
)
export type Enrichment = Static<typeof Enrichment>

export const valueStates = ['proposed', 'applied', 'rejected'] as const
export type ValueState = (typeof valueStates)[number]

export const valueReasons = [
  'best',
  'accepted',
  'no-evidence',
  'own-value',
  'locked',
  'other-source',
  'superseded',
  'rejected',
  'rejected-before',
  'undone',
] as const
export type ValueReason = (typeof valueReasons)[number]

const shownValue = Type.Object({ ...EnrichedValue.properties })
export const ContactValue = Type.Object(
  {
    ...shownValue.properties,
    enrichmentId: Id,
    at: Type.String({ ...Instant, description: 'When it was proposed.' }),
    state: oneOf(valueStates),
    because: oneOf(valueReasons, {
      description:
        'Why it is in that state: `best` by the order of sources, `accepted` by somebody, `no-evidence` in the text, `own-value`: a person gave or removed one, `locked` field, an `other-source` goes before, `superseded` by a newer enrichment, `rejected` by somebody (or, as the same value, before), `undone` with its enrichment.',
    }),
  },
  { title: 'ContactValue' },
)
export type ContactValue = Static<typeof ContactValue>

export const ContactEnrichment = Type.Object(
  {
    contactId: Id,
    enrichable: Type.Boolean({ description: 'False: this contact is never enriched.' }),
    locked: Type.Array(Field, { description: 'Fields that take no new values.' }),
    values: Type.Array(ContactValue, { description: 'The newest first.' }),
    requests: Type.Array(Enrichment, { description: 'The newest first, 50 at most.' }),
  },
  { title: 'ContactEnrichment' },
)
export type ContactEnrichment = Static<typeof ContactEnrichment>

const shown = Type.Object({
  value: Type.String(),
  valueId: Type.Union([Id, Type.Null()], { description: 'Null: a person gave it.' }),
  by: oneOf(['person', 'enrichment']),
  source: nullable(ValueSource),
})
export type ShownValue = Static<typeof shown>

/** What is shown of each field, beside what people gave in the contact's own ones. */
export const Enriched = Type.Record(Type.String(), Type.Union([shown, Type.Array(shown)]), {
  title: 'Enriched',
  description: `By field: one value of ${fieldNames.filter((name) => fields[name].single).join(', ')}; a list of ${fieldNames.filter((name) => !fields[name].single).join(', ')}.`,
}) as unknown as TUnsafe<Enriched>
export type Enriched = { [F in Field]?: (typeof fields)[F]['single'] extends true ? ShownValue : ShownValue[] }
