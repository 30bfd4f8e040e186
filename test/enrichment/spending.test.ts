import { deepStrictEqual, ok } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import type { NewEvent } from '../../schema/define.ts'
import { enrichmentEvents, type Spending, spendingEvents } from '../../schema/enrichment-events.ts'
import {
  answered,
  callBegun,
  callDeferred,
  completeEnrichment,
  failEnrichment,
  intendCall,
  pagesRead,
  requestEnrichment,
} from '../../src/enrichment/enrichment.ts'
import { enrichOnCreation, orderEnrichmentSources } from '../../src/enrichment/policy.ts'
import { FAILURES, recordFaltered, reserveCall, settleCall, spentSoFar } from '../../src/enrichment/spending.ts'
import { Refused } from '../../src/platform/refusal.ts'
import { contextWith, decide, given, id, rules, subject } from '../support/given.ts'

const limits = { dayMicroUsd: 1_000, dayCalls: 10, monthMicroUsd: 3_000, monthCalls: 20, concurrency: 3, perMinute: 60_000_000 }
const of = (callId: string, vendor: 'apify' | 'openai' = 'openai') => ({ callId, enrichmentId: id(500), vendor })
const at = (now: string) => ({ ...contextWith(), now })
const spentOf = (events: readonly NewEvent[]): Spending => (events.at(-1)!.data as { spending: Spending }).spending
const NOON = '2026-03-01T12:00:00.000Z'

/** Carries commands out one after the other, and gives the events. */
type Step = [command: Parameters<typeof decide>[0], body: object, now?: string]
function after(...steps: Step[]): NewEvent[] {
  let events: NewEvent[] = []
  for (const [command, body, now = NOON] of steps) {
    const decided = decide(command, body as never, events, at(now))
    if (decided instanceof Refused) throw decided
    events = [...events, ...decided]
  }
  return events
}
const reserve = (callId: string, microUsd: number, now = NOON, changes: object = {}): [typeof reserveCall, object, string] => [
  reserveCall,
  { ...of(callId), microUsd, limits: { ...limits, ...changes } },
  now,
]
const settle = (callId: string, microUsd: number, outcome = 'done', health = 'well', now = NOON): [typeof settleCall, object, string] => [
  settleCall,
  { ...of(callId), microUsd, outcome, health, pauseSeconds: 30 },
  now,
]
const refusal = (events: NewEvent[], [command, body, now = NOON]: ReturnType<typeof reserve>) => {
  const decided = decide(command, body as never, events, at(now))
  ok(decided instanceof Refused, 'it is refused')
  return decided
}

t.test('what may be spent', async (t) => {
  const rule = rules(t)
  rule('a call is reserved with what it may cost, and settled with what it cost', () => {
    const events = after(reserve(id(1), 400), settle(id(1), 150))
    deepStrictEqual(
      events.map(({ type }) => type),
      ['VendorCallReserved', 'VendorCallSettled'],
    )
    const { dayMicroUsd, monthMicroUsd, dayCalls, open, vendors } = spentOf(events)
    deepStrictEqual([dayMicroUsd, monthMicroUsd, dayCalls, open, vendors.openai.microUsd], [150, 150, 1, [], 150])
  })
  rule('the same call is reserved once, and settled once', () => {
    deepStrictEqual(decide(reserveCall, reserve(id(1), 400)[1] as never, after(reserve(id(1), 400)), at(NOON)), [])
    deepStrictEqual(decide(settleCall, settle(id(1), 9)[1] as never, after(reserve(id(1), 400), settle(id(1), 150)), at(NOON)), [])
    deepStrictEqual(decide(settleCall, settle(id(1), 9)[1] as never, [], at(NOON)), [], 'nor is what was never reserved')
  })
  rule('a call that was not taken costs nothing, and is none', () => {
    const { dayMicroUsd, dayCalls, monthCalls, vendors } = spentOf(after(reserve(id(1), 400), settle(id(1), 0, 'not-taken', 'same')))
    deepStrictEqual([dayMicroUsd, dayCalls, monthCalls, vendors.openai.calls], [0, 0, 0, 0])
  })
  rule('open calls count with what they may cost: no call may go beyond the day', () => {
    const refused = refusal(after(reserve(id(1), 400), reserve(id(2), 400)), reserve(id(3), 201))
    deepStrictEqual([refused.code, refused.retryAfterSeconds], ['budget-reached', undefined])
    after(reserve(id(1), 400), reserve(id(2), 400), reserve(id(3), 200))
  })
  rule('a new day begins with nothing spent, and the month goes on', () => {
    const events = after(reserve(id(1), 900), settle(id(1), 900))
    const next = '2026-03-02T00:00:00.000Z'
    const spent = spentOf([...events, ...after(reserve(id(1), 900), settle(id(1), 900), reserve(id(2), 900, next)).slice(2)])
    deepStrictEqual([spent.day, spent.dayMicroUsd, spent.monthMicroUsd], ['2026-03-02', 900, 1_800])
    deepStrictEqual(spentSoFar(spentOf(events), next).dayMicroUsd, 0)
  })
  rule('the month has a limit of its own; so have calls', () => {
    const day = (number: number) => `2026-03-0${number}T12:00:00.000Z`
    const spent = [1, 2, 3].flatMap((number) => [
      reserve(id(number), 900, day(number)),
      settle(id(number), 900, 'done', 'well', day(number)),
    ])
    deepStrictEqual(refusal(after(...spent), reserve(id(9), 301, day(4))).code, 'budget-reached')
    deepStrictEqual(refusal(after(reserve(id(1), 1)), reserve(id(2), 1, NOON, { dayCalls: 1 })).code, 'budget-reached')
    deepStrictEqual(refusal([], reserve(id(2), 1, NOON, { monthCalls: 0 })).code, 'budget-reached')
    deepStrictEqual(refusal([], reserve(id(2), 1, NOON, { dayMicroUsd: 0 })).code, 'budget-reached')
  })
  rule('a call that was reserved yesterday does not count today when it is settled', () => {
    const next = '2026-03-02T00:01:00.000Z'
    const spent = spentOf(after(reserve(id(1), 400), settle(id(1), 150, 'done', 'well', next)))
    deepStrictEqual([spent.dayMicroUsd, spent.dayCalls, spent.monthMicroUsd, spent.monthCalls], [0, 0, 150, 1])
  })
  rule('no more run at once than may, of each vendor by itself', () => {
    const three = [1, 2, 3].map((number) => reserve(id(number), 1))
    const refused = refusal(after(...three), reserve(id(4), 1))
    deepStrictEqual([refused.code, refused.retryAfterSeconds], ['vendor-busy', 1])
    after(...three, [reserveCall, { ...of(id(4), 'apify'), microUsd: 1, limits }, NOON])
    const later = '2026-03-01T13:00:01.000Z'
    after(...three, reserve(id(4), 1, later))
  })
  rule('no more are begun a minute than may, but for the first few', () => {
    const slow = { perMinute: 6, concurrency: 100 }
    const five = [1, 2, 3, 4, 5].map((number) => reserve(id(number), 1, NOON, slow))
    const refused = refusal(after(...five), reserve(id(6), 1, NOON, slow))
    deepStrictEqual([refused.code, refused.retryAfterSeconds], ['vendor-busy', 10])
    after(...five, reserve(id(6), 1, '2026-03-01T12:00:10.000Z', slow))
  })
  const fault = (number: number, now = NOON): Step[] => [reserve(id(number), 1, now), settle(id(number), 0, 'not-taken', 'fault', now)]
  const faults = Array.from({ length: FAILURES }, (_, index) => fault(index)).flat()
  rule('a vendor that failed five times in a row is left alone for a while, then tried by one call', () => {
    const refused = refusal(after(...faults), reserve(id(20), 1))
    deepStrictEqual([refused.code, refused.retryAfterSeconds], ['vendor-paused', 30])
    const later = '2026-03-01T12:00:30.000Z'
    const tried = after(...faults, reserve(id(20), 1, later))
    deepStrictEqual(refusal(tried, reserve(id(21), 1, later)).code, 'vendor-busy')
    const failedAgain = after(...faults, ...fault(20, later))
    deepStrictEqual(refusal(failedAgain, reserve(id(21), 1, later)).retryAfterSeconds, 60, 'twice as long')
    const well = after(...faults, reserve(id(20), 1, later), settle(id(20), 1, 'done', 'well', later))
    deepStrictEqual(spentOf(well).vendors.openai.failures, 0)
    after(
      ...faults,
      reserve(id(20), 1, later),
      settle(id(20), 1, 'done', 'well', later),
      reserve(id(21), 1, later),
      reserve(id(22), 1, later),
    )
  })
  rule('what succeeds in between begins the count anew, and what says nothing leaves it', () => {
    const four = faults.slice(0, -2)
    deepStrictEqual(
      spentOf(after(...four, reserve(id(20), 1), settle(id(20), 0, 'not-taken', 'same'))).vendors.openai.failures,
      FAILURES - 1,
    )
    after(...four, reserve(id(20), 1), settle(id(20), 1), ...fault(21), reserve(id(22), 1))
    const faltered = after(...four, [recordFaltered, { ...of(id(30)), code: 'vendor-away', pauseSeconds: 30 }])
    deepStrictEqual(refusal(faltered, reserve(id(22), 1)).code, 'vendor-paused')
  })
  rule('a vendor that says when to come back is left alone until then', () => {
    const told: [typeof settleCall, object] = [
      settleCall,
      { ...of(id(1)), microUsd: 0, outcome: 'not-taken', health: 'same', pauseSeconds: 30, retryAfterSeconds: 7 },
    ]
    const refused = refusal(after(reserve(id(1), 1), told), reserve(id(2), 1))
    deepStrictEqual([refused.code, refused.retryAfterSeconds], ['vendor-paused', 7])
  })
  rule('whatever is reserved and settled in whatever order, no limit is ever passed, and the sums are those of the calls', () => {
    const step = fc.record({
      call: fc.nat(7),
      cost: fc.nat(400),
      what: fc.constantFrom('reserve', 'done', 'unknown', 'not-taken'),
      minutes: fc.nat(900),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let events: NewEvent[] = []
        let now = Date.parse('2026-03-01T00:00:00Z')
        const cost = new Map<string, number>()
        const open = new Set<string>()
        for (const { call, cost: microUsd, what, minutes } of steps) {
          now = Math.min(now + minutes * 60_000, Date.parse('2026-03-31T23:59:00Z'))
          const time = new Date(now).toISOString()
          const decided =
            what === 'reserve'
              ? decide(reserveCall, reserve(id(call), microUsd)[1] as never, events, at(time))
              : decide(settleCall, settle(id(call), Math.floor(microUsd / 2), what, 'same')[1] as never, events, at(time))
          if (decided instanceof Refused || decided.length === 0) continue
          events = [...events, ...decided]
          const spent = spentOf(events)
          if (what === 'reserve') {
            open.add(id(call))
            cost.set(`${id(call)} ${events.length}`, microUsd)
            ok(spent.dayMicroUsd <= limits.dayMicroUsd && spent.monthMicroUsd <= limits.monthMicroUsd && spent.dayCalls <= limits.dayCalls)
          } else {
            const key = [...cost.keys()].findLast((name) => name.startsWith(id(call)))!
            cost.set(key, what === 'not-taken' ? 0 : Math.floor(microUsd / 2))
            open.delete(id(call))
          }
          ok(open.size === spent.open.length && open.size <= limits.concurrency + 8)
          deepStrictEqual(
            spent.monthMicroUsd,
            [...cost.values()].reduce((sum, one) => sum + one, 0),
          )
        }
      }),
      { numRuns: 200 },
    )
  })
})

const {
  EnrichmentRequested,
  EnrichmentCallIntended,
  EnrichmentCallBegun,
  EnrichmentCallDeferred,
  EnrichmentPagesRead,
  EnrichmentAnswered,
} = enrichmentEvents
const both = { enrichmentId: subject, contactId: id(1) }
const asked = { contactId: id(1), reason: 'asked', refresh: false, subject: id(1) }
const requested = EnrichmentRequested({ enrichmentId: subject, ...asked })
const call = (vendor: 'apify' | 'openai') => ({
  callId: vendor === 'apify' ? id(10) : id(11),
  vendor,
  spendingId: id(12),
  estimatedMicroUsd: 100,
  contentSha256: 'abc',
  sent: ['name'],
  addresses: [],
  sources: [],
})
const intended = (vendor: 'apify' | 'openai') => EnrichmentCallIntended({ ...both, ...call(vendor) })
const begun = EnrichmentCallBegun({ ...both, callId: id(10), remoteId: 'r1' })
const pages = { costMicroUsd: 4, asked: [], readAt: NOON, pages: [] }
const read = EnrichmentPagesRead({ ...both, callId: id(10), ...pages })
const found = EnrichmentAnswered({ ...both, callId: id(11), costMicroUsd: 5, inputTokens: 1, outputTokens: 1, values: [] })

t.test('an enrichment', async (t) => {
  const rule = rules(t)
  rule('is asked for', () => given().when(requestEnrichment, asked).then(requested))
  rule('and once', () => given(requested).when(requestEnrichment, asked).thenNothing())
  rule('a call is intended before it is begun', () => given(requested).when(intendCall, call('apify')).then(intended('apify')))
  rule('never two at once', () => given(requested, intended('apify')).when(intendCall, call('apify')).refused('enrichment-elsewhere'))
  rule('never what was read already', () =>
    given(requested, intended('apify'), begun, read).when(intendCall, call('apify')).refused('enrichment-elsewhere'),
  )
  rule('nor what was answered already', () =>
    given(requested, intended('apify'), begun, read, intended('openai'), found)
      .when(intendCall, call('openai'))
      .refused('enrichment-elsewhere'),
  )
  rule('its id is recorded', () =>
    given(requested, intended('apify'))
      .when(callBegun, { callId: id(10), remoteId: 'r1' })
      .then(begun),
  )
  rule('once', () =>
    given(requested, intended('apify'), begun)
      .when(callBegun, { callId: id(10), remoteId: 'r1' })
      .thenNothing(),
  )
  rule('and never another', () =>
    given(requested, intended('apify'), begun)
      .when(callBegun, { callId: id(10), remoteId: 'r2' })
      .refused('enrichment-elsewhere'),
  )
  rule('what surely was not taken can be intended again', () => {
    const deferred = EnrichmentCallDeferred({ ...both, callId: id(10), code: 'rate-limited' })
    given(requested, intended('apify'))
      .when(callDeferred, { callId: id(10), code: 'rate-limited' })
      .then(deferred)
    given(requested, intended('apify'), deferred).when(intendCall, call('apify')).then(intended('apify'))
  })
  rule('what was begun cannot be said not to have been', () =>
    given(requested, intended('apify'), begun)
      .when(callDeferred, { callId: id(10), code: 'x' })
      .refused('enrichment-elsewhere'),
  )
  rule('pages are read by a call', () =>
    given(requested, intended('apify'), begun)
      .when(pagesRead, { callId: id(10), ...pages })
      .then(read),
  )
  rule('or without one', () =>
    given(requested)
      .when(pagesRead, pages)
      .then(EnrichmentPagesRead({ ...both, ...pages })),
  )
  rule('but not beside one that is open', () => given(requested, intended('apify')).when(pagesRead, pages).refused('enrichment-elsewhere'))
  rule('an answer is that of the open call', () => {
    const body = { callId: id(11), costMicroUsd: 5, inputTokens: 1, outputTokens: 1, values: [] }
    given(requested, read, intended('openai')).when(answered, body).then(found)
    given(requested, read).when(answered, body).refused('enrichment-elsewhere')
  })
  rule('it ends as enriched when there is an answer', () => {
    given(requested, read, found)
      .when(completeEnrichment, {})
      .then(enrichmentEvents.EnrichmentCompleted({ ...both, values: 0 }))
    given(requested, read).when(completeEnrichment, {}).refused('enrichment-elsewhere')
    given(requested, read, found, enrichmentEvents.EnrichmentCompleted({ ...both, values: 0 }))
      .when(completeEnrichment, {})
      .thenNothing()
  })
  const why = { code: 'answer-refused', message: 'The model refused to answer.', costMicroUsd: 3 }
  const failed = enrichmentEvents.EnrichmentFailed({ ...both, ...why })
  rule('or as failed, for a reason', () => given(requested, intended('openai')).when(failEnrichment, why).then(failed))
  rule('once', () => given(requested, failed).when(failEnrichment, why).thenNothing())
  rule('and nothing comes after its end', () => {
    given(requested, failed).when(intendCall, call('apify')).refused('enrichment-over')
    given(requested, failed).when(pagesRead, pages).refused('enrichment-over')
    given(requested, failed).when(completeEnrichment, {}).refused('enrichment-over')
    given().when(intendCall, call('apify')).refused('enrichment-over')
  })
})

t.test('the policy', async (t) => {
  const rule = rules(t)
  rule('an order of sources is an event; the same again is none', () => {
    const order = ['mail', 'company-page', 'profile-page'] as ('mail' | 'company-page' | 'profile-page')[]
    const decided = decide(orderEnrichmentSources, { order }, [])
    deepStrictEqual(decided, [{ type: 'EnrichmentSourcesOrdered', data: { order } }])
    deepStrictEqual(decide(orderEnrichmentSources, { order }, decided as NewEvent[]), [])
  })
  rule('enriching on creation is off until somebody says otherwise', () => {
    deepStrictEqual(decide(enrichOnCreation, { onCreation: false }, []), [])
    deepStrictEqual(decide(enrichOnCreation, { onCreation: true }, []), [
      { type: 'EnrichmentOnCreationChanged', data: { onCreation: true } },
    ])
  })
  rule('there is one policy', () =>
    ok(orderEnrichmentSources.idOf!({ order: ['mail'] }, contextWith()) === enrichOnCreation.idOf!({ onCreation: true }, contextWith())),
  )
})

t.test('every event of the spending says all of it', (t) => {
  t.strictSame(Object.keys(spendingEvents), ['VendorCallReserved', 'VendorCallSettled', 'VendorFaltered'])
  for (const { schema } of Object.values(spendingEvents)) t.ok('spending' in schema.properties)
  t.end()
})
