import { type Static, Type } from '@sinclair/typebox'
import { type EventOf, events, personal } from './define.ts'
import { EnrichedValue, SourceKind } from './enrichment.ts'
import { Id, Instant, nullable } from './shared.ts'

export const vendors = ['apify', 'openai'] as const
export type Vendor = (typeof vendors)[number]
const Vendor = Type.Union([Type.Literal('apify'), Type.Literal('openai')])

/** A page's text, as it was fetched and cut. */
export const FetchedPage = Type.Object({
  url: Type.String(),
  title: Type.Optional(Type.String()),
  text: Type.String(),
  fetchedAt: Instant,
  /** The address that was asked for and led to it. */
  asked: Type.String(),
  /** It was fetched by an earlier enrichment, and is used again without a call. */
  cachedFrom: Type.Optional(Id),
})
export type FetchedPage = Static<typeof FetchedPage>

/** What a source of the material that a model is given is called there, and where its text is found again. */
export const SourceReference = Type.Object({
  id: Type.String({ examples: ['s1'] }),
  kind: SourceKind,
  url: Type.Optional(Type.String()),
  emailId: Type.Optional(Id),
  readAt: Instant,
})
export type SourceReference = Static<typeof SourceReference>

/** Money is counted in millionths of a US dollar, in whole numbers. */
const microUsd = Type.Integer({ minimum: 0 })
const of = { enrichmentId: Id, contactId: Id }

/**
 * One enrichment of one contact, sealed with the contact's own key. Each paid call has an intent before it (`…Intended`), its id at the vendor as soon
 * as that is known (`…Begun`), and its result.
 */
// Stored for ever: a field may be added as optional, never renamed or retyped.
export const enrichmentEvents = events({
  /** `reason`: asked, bulk or policy. `refresh`: pages are fetched anew, however young those in the cache are. */
  EnrichmentRequested: {
    ...of,
    reason: Type.String(),
    bulkId: Type.Optional(Id),
    refresh: Type.Boolean(),
    /** What the subject is; there so that the stream is sealed with the contact's key from its first event on. */
    subject: personal(Type.String()),
  },
  EnrichmentCallIntended: {
    ...of,
    callId: Id,
    vendor: Vendor,
    /** Which month's spending it was reserved in. */
    spendingId: Id,
    estimatedMicroUsd: microUsd,
    /** SHA-256 of all that is to be sent. */
    contentSha256: Type.String(),
    /** What kinds of things are sent. */
    sent: Type.Array(Type.String()),
    model: Type.Optional(Type.String()),
    promptVersion: Type.Optional(Type.String()),
    /** The addresses that are to be read. */
    addresses: personal(Type.Array(Type.String())),
    /** What the model is given. */
    sources: personal(Type.Array(SourceReference)),
  },
  EnrichmentCallBegun: { ...of, callId: Id, remoteId: Type.String() },
  /** The vendor surely did not take it, and it is to be tried again: a code such as `rate-limited`. */
  EnrichmentCallDeferred: { ...of, callId: Id, code: Type.String() },
  /** What the pages came to; `fault` says why there are not as many as there might be. Without a `callId` nothing was called. */
  EnrichmentPagesRead: {
    ...of,
    callId: Type.Optional(Id),
    costMicroUsd: microUsd,
    /** The addresses that were asked for in the call, also those where nothing was. */
    asked: personal(Type.Array(Type.String())),
    readAt: Instant,
    pages: personal(Type.Array(FetchedPage)),
    fault: Type.Optional(Type.String()),
  },
  /** What the model answered, as far as it fits what was asked for. */
  EnrichmentAnswered: {
    ...of,
    callId: Id,
    costMicroUsd: microUsd,
    inputTokens: Type.Integer({ minimum: 0 }),
    outputTokens: Type.Integer({ minimum: 0 }),
    values: personal(Type.Array(EnrichedValue)),
  },
  /** The contact's own stream has it now (`ContactEnriched`). */
  EnrichmentCompleted: { ...of, values: Type.Integer({ minimum: 0 }) },
  /** `costMicroUsd`: of the call that it failed at, where that was paid. */
  EnrichmentFailed: { ...of, code: Type.String(), message: Type.String(), costMicroUsd: microUsd },
  /** The contact was erased, and what this learned of it with its key. */
  EnrichmentErased: of,
})
export type EnrichmentEvent = EventOf<typeof enrichmentEvents>

/** A call that was reserved and has not been settled. */
export const OpenCall = Type.Object({ callId: Id, vendor: Vendor, microUsd, at: Instant })
export type OpenCall = Static<typeof OpenCall>

/**
 * How one vendor does. `nextAt`: before when no more calls are begun, by its rate. `failures`: how many of its calls failed one after the other; while
 * `pausedUntil` is to come none is begun.
 */
export const VendorState = Type.Object({
  calls: Type.Integer({ minimum: 0 }),
  microUsd,
  nextAt: Type.Optional(Instant),
  failures: Type.Integer({ minimum: 0 }),
  pausedUntil: Type.Optional(Instant),
})
export type VendorState = Static<typeof VendorState>

/** What a month has cost so far, open calls at what they may cost. Each event says all of it, so that the newest alone is the state. */
export const Spending = Type.Object({
  /** `2026-03-01`, in UTC. */
  day: Type.String(),
  dayMicroUsd: microUsd,
  dayCalls: Type.Integer({ minimum: 0 }),
  monthMicroUsd: microUsd,
  monthCalls: Type.Integer({ minimum: 0 }),
  open: Type.Array(OpenCall),
  vendors: Type.Object({ apify: VendorState, openai: VendorState }),
})
export type Spending = Static<typeof Spending>
const spending = { spendingId: Id, month: Type.String(), callId: Id, enrichmentId: Id, vendor: Vendor, spending: Spending }

/** One stream a month: before a call is begun its cost is reserved here, so that no number of workers goes beyond the budget. */
export const spendingEvents = events({
  VendorCallReserved: { ...spending, microUsd },
  /** `outcome`: `done`, `not-taken` (costs nothing), `failed`, or `unknown`, which counts as paid. */
  VendorCallSettled: { ...spending, microUsd, outcome: Type.String() },
  /** The vendor was asked about a call, and did not answer as it should. */
  VendorFaltered: { ...spending, code: Type.String() },
})
export type SpendingEvent = EventOf<typeof spendingEvents>

/** How enrichment is to go; one stream. */
export const enrichmentPolicyEvents = events({
  /** The best source first. */
  EnrichmentSourcesOrdered: { order: Type.Array(SourceKind) },
  EnrichmentOnCreationChanged: { onCreation: Type.Boolean() },
})
export type EnrichmentPolicyEvent = EventOf<typeof enrichmentPolicyEvents>

const BulkFilter = Type.Object({
  company: Type.Optional(Type.String()),
  createdAfter: Type.Optional(Instant),
  createdBefore: Type.Optional(Instant),
  contactIds: Type.Optional(Type.Array(Id)),
  notEnrichedForDays: Type.Optional(Type.Integer({ minimum: 0 })),
})
export type BulkFilter = Static<typeof BulkFilter>

export const bulkEnrichmentEvents = events({
  BulkEnrichmentRequested: {
    bulkId: Id,
    filter: personal(BulkFilter),
    /** How many it was to be about, and what it was to cost at most, when it was asked for. */
    contacts: Type.Integer({ minimum: 0 }),
    estimatedMicroUsd: microUsd,
    /** Who asked sees these rows alone, and it is about none but those. */
    viewer: personal(
      Type.Optional(
        Type.Object({
          sees: Type.Union([Type.Literal('all'), Type.Literal('team'), Type.Literal('own')]),
          owner: nullable(Type.String()),
          team: nullable(Type.String()),
        }),
      ),
    ),
  },
  BulkEnrichmentSpread: { bulkId: Id, requested: Type.Integer({ minimum: 0 }), refused: Type.Integer({ minimum: 0 }) },
})
export type BulkEnrichmentEvent = EventOf<typeof bulkEnrichmentEvents>
