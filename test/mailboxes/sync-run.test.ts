import fc from 'fast-check'
import t from 'tap'
import { mailboxMessages } from '../../projections/mailbox-messages.ts'
import type { NewEvent } from '../../schema/define.ts'
import { type SyncOutcome, syncEvents } from '../../schema/sync-events.ts'
import { nextTryAt } from '../../src/mailboxes/settle-message.ts'
import { finishSync, type Page, recordOutcomes, recordPage, type SyncRun, startSync, syncRun } from '../../src/mailboxes/sync-run.ts'
import { findRuns, syncIdOf } from '../../src/mailboxes/sync-runs.ts'
import type { Command } from '../../src/platform/decider.ts'
import { foldInMemory } from '../../src/platform/rows.ts'
import { decide, given, id, rules, subject } from '../support/given.ts'
import { recorded } from '../support/projections.ts'

const { SyncStarted, SyncListed, SyncChanged, SyncSettled, SyncFinished } = syncEvents
const about = { syncId: subject, mailboxId: id(7) }
const started = SyncStarted({ ...about, number: 1, kind: 'full', cursor: '1000', open: [] })
const listed = (ids: readonly string[], more: { next?: string; cursor?: string } = {}) =>
  SyncListed({ ...about, messages: ids.map((id) => ({ id })), ...more })
const stored = (message: string, emailId = id(50)): SyncOutcome => ({ id: message, outcome: 'stored', emailId })
const settled = (...outcomes: SyncOutcome[]) => SyncSettled({ ...about, outcomes })
const page = (ids: readonly string[], more: Partial<Page> = {}): Page => ({
  messages: ids.map((id) => ({ id })),
  changes: [],
  outcomes: [],
  ...more,
})
const { syncId: _, ...start } = started.data

t.test('the rules of a sync run', async (t) => {
  const rule = rules(t)
  rule('a run begins', () => given().when(startSync, start).then(started))
  rule('one that has begun is gone on with', () => given(started).when(startSync, start).thenNothing())
  rule('a page is recorded with the token of the next', () =>
    given(started)
      .when(recordPage, page(['a', 'b'], { next: 'token' }))
      .then(listed(['a', 'b'], { next: 'token' })),
  )
  rule('what was listed before is not listed again, nor what is twice on a page', () =>
    given(started, listed(['a'], { next: 'token' }))
      .when(recordPage, page(['a', 'b', 'b']))
      .then(listed(['b'])),
  )
  rule('what is gone by now is told after it was listed', () =>
    given(started)
      .when(recordPage, page(['a'], { changes: [{ id: 'a', deleted: true }], cursor: '2000' }))
      .then(listed(['a'], { cursor: '2000' }), SyncChanged({ ...about, changes: [{ id: 'a', deleted: true }] })),
  )
  rule('what needs no fetching comes to its outcome with its page, and nothing else does', () =>
    given(started)
      .when(recordPage, page(['a'], { outcomes: [stored('a'), stored('z')] }))
      .then(listed(['a']), settled(stored('a'))),
  )
  rule('a page of more than an event holds is several, of which the last has the token', () => {
    const ids = Array.from({ length: 501 }, (_, n) => `m${n}`)
    given(started, listed([], { next: 'this' }))
      .when(recordPage, page(ids, { next: 'that' }))
      .then(listed(ids.slice(0, 500), { next: 'this' }), listed(ids.slice(500), { next: 'that' }))
  })
  rule('outcomes of what is pending are recorded, of others not, and each once', () =>
    given(started, listed(['a', 'b']), settled(stored('a')))
      .when(recordOutcomes, { outcomes: [stored('a'), stored('b'), stored('z')] })
      .then(settled(stored('b'))),
  )
  rule('with none of them nothing is', () =>
    given(started, listed([]))
      .when(recordOutcomes, { outcomes: [stored('a')] })
      .thenNothing(),
  )
  rule('a run ends when all that it listed has its outcome', () =>
    given(started, listed(['a'], { cursor: '2000' }), settled(stored('a')))
      .when(finishSync, {})
      .then(SyncFinished({ ...about, cursor: '2000' })),
  )
  rule('not before', () =>
    given(started, listed(['a']))
      .when(finishSync, {})
      .refused('sync-unsettled'),
  )
  rule('nor before all is listed', () =>
    given(started, listed([], { next: 'token' }))
      .when(finishSync, {})
      .refused('sync-unsettled'),
  )
  rule('a listing that comes to no end ends the run with a fault, and moves no cursor', () =>
    given(started, listed([], { next: 'token', cursor: '2000' }))
      .when(finishSync, { fault: 'cursor-expired' })
      .then(SyncFinished({ ...about, fault: 'cursor-expired' })),
  )
  rule('also then what is pending comes first', () =>
    given(started, listed(['a'], { next: 'token' }))
      .when(finishSync, { fault: 'x' })
      .refused('sync-unsettled'),
  )
  const over = [started, listed([]), SyncFinished(about)]
  rule('a run that is over stays so', () =>
    given(...over)
      .when(finishSync, {})
      .thenNothing(),
  )
  rule('and takes nothing more', () => {
    given(...over)
      .when(recordPage, page(['a']))
      .refused('sync-not-running')
    given(...over)
      .when(recordOutcomes, { outcomes: [stored('a')] })
      .refused('sync-not-running')
    given().when(finishSync, {}).refused('sync-not-running')
  })
})

t.test('a failed message is tried again after pauses that grow', async (t) => {
  const minutes = [1, 2, 3, 4, 20].map((attempts) => (Date.parse(nextTryAt(attempts, 0)) - 0) / 60_000)
  t.strictSame(minutes, [10, 40, 160, 640, 30 * 24 * 60])
})

/** A log in memory, as findRuns reads it. */
function logOf(runs: ReadonlyMap<number, readonly NewEvent[]>, mailboxId: string) {
  let looks = 0
  const streams = new Map([...runs].map(([number, events]) => [`sync-${syncIdOf(mailboxId, number)}`, recorded(events)]))
  const read = (at: 0 | -1) => async (stream: string) => {
    looks += 1
    return (streams.get(stream)?.at(at) ?? null) as never
  }
  return {
    needs: { store: { readFirst: read(0), readLast: read(-1) }, codec: { decode: async (events: never) => events } },
    looks: () => looks,
  }
}

t.test('how the runs stand is told by the log, whatever is known of them', async (t) => {
  const mailboxId = id(7)
  const run = (number: number, kind: 'full' | 'increment', more: { open?: number[]; cursor?: string }, ...rest: NewEvent[]) =>
    [number, [SyncStarted({ ...about, number, kind, open: [], ...more }), ...rest]] as const
  const many = new Map(
    Array.from({ length: 700 }, (_, index) =>
      run(index + 1, 'increment', { cursor: `${index}` }, SyncFinished({ ...about, cursor: `${index + 1}` })),
    ),
  )
  for (const known of [0, 1, 350, 699, 700]) {
    const { needs, looks } = logOf(many, mailboxId)
    t.match(await findRuns(needs, mailboxId, known), { newest: 700, open: [], cursor: '700' })
    t.ok(looks() <= 30, `${looks()} looks from ${known}`)
  }
  const found = (...runs: (readonly [number, readonly NewEvent[]])[]) => findRuns(logOf(new Map(runs), mailboxId).needs, mailboxId, 0)
  t.match(await found(), { newest: 0, open: [], cursor: undefined })
  const backfill = run(1, 'full', { cursor: '10' }, listed(['a']))
  t.match(await found(backfill), { newest: 1, open: [1], cursor: '10' })
  const first = run(2, 'increment', { open: [1], cursor: '10' }, listed([], { cursor: '20' }))
  t.match(await found(backfill, first), { newest: 2, open: [1, 2], cursor: '10' }, 'the cursor does not move before it is over')
  const ended = run(2, 'increment', { open: [1], cursor: '10' }, listed([], { cursor: '20' }), SyncFinished({ ...about, cursor: '20' }))
  t.match(await found(backfill, ended), { newest: 2, open: [1], cursor: '20' })
  const later = run(3, 'full', { open: [1, 2], cursor: '10' })
  t.match(await found(backfill, ended, later), { newest: 3, open: [1, 3], cursor: '20' }, 'of a run that was open when a later one began')
  const expired = run(2, 'increment', { open: [1], cursor: '10' }, SyncFinished({ ...about, fault: 'cursor-expired' }))
  t.equal((await found(backfill, expired)).cursor, undefined, 'everything is to be listed anew')
})

/** What a worker may do next: list, settle, end; be killed in between, so that what it meant to record is not, or is and is done again. */
type Step = { verb: 'page' | 'settle' | 'finish'; ids: number[]; outcome: SyncOutcome['outcome']; isLast: boolean; again: boolean }

t.test('whatever happens in whatever order: the counts add up, and each message has one outcome', async (t) => {
  const step: fc.Arbitrary<Step> = fc.record({
    verb: fc.constantFrom('page', 'page', 'settle', 'settle', 'settle', 'finish'),
    ids: fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 8 }),
    outcome: fc.constantFrom('stored', 'known', 'excluded', 'failed'),
    isLast: fc.boolean(),
    again: fc.boolean(),
  })
  const outcomeOf = (n: number, outcome: SyncOutcome['outcome']): SyncOutcome =>
    outcome === 'stored' || outcome === 'known'
      ? { id: `m${n}`, outcome, emailId: id(n + 1) }
      : outcome === 'excluded'
        ? { id: `m${n}`, outcome, rule: 'spam' }
        : { id: `m${n}`, outcome, code: 'x', reason: 'It failed.', attempts: 1 }
  fc.assert(
    fc.property(fc.array(fc.array(step, { maxLength: 12 }), { minLength: 1, maxLength: 4 }), (runs) => {
      const events = runs.flatMap((steps, number) => {
        const syncId = syncIdOf(id(7), number + 1)
        const own: NewEvent[] = [SyncStarted({ ...about, syncId, number: number + 1, kind: 'full', open: [] })]
        for (const { verb, ids, outcome, isLast, again } of steps) {
          const body =
            verb === 'page'
              ? page(
                  ids.map((n) => `m${n}`),
                  isLast ? {} : { next: 'token' },
                )
              : verb === 'settle'
                ? { outcomes: ids.map((n) => outcomeOf(n, outcome)) }
                : {}
          const command = { page: recordPage, settle: recordOutcomes, finish: finishSync }[verb] as Command<SyncRun>
          for (let times = again ? 2 : 1; times > 0; times -= 1) {
            const made = decide(command, body as never, own)
            if (Array.isArray(made)) own.push(...made.map((event) => ({ ...event, data: { ...(event.data as object), syncId } })))
          }
        }
        return own
      })
      const tables = foldInMemory(mailboxMessages, recorded(events))
      const messages = tables.rows('mailboxMessages')
      const everListed = new Set(
        events.flatMap(({ type, data }) =>
          type === 'SyncListed' ? (data as { messages: { id: string }[] }).messages.map(({ id }) => id) : [],
        ),
      )
      if (messages.length !== everListed.size) throw new Error(`${messages.length} rows, ${everListed.size} messages`)
      for (const run of tables.rows('mailboxRuns')) {
        const { listed, stored, known, excluded, failed, finishedAt } = run as Record<string, number>
        const sum = stored! + known! + excluded! + failed!
        if (sum > listed! || (finishedAt && sum !== listed)) throw new Error(`a run listed ${listed}, and ${sum} came to something`)
      }
      for (const { outcome, emailId, storedBy } of messages) {
        if ((outcome === 'stored' || outcome === 'known') !== (emailId !== null)) throw new Error(`${outcome} with the mail ${emailId}`)
        if (outcome === 'stored' && storedBy === null) throw new Error('stored by nobody')
      }
    }),
    { numRuns: 300 },
  )
  t.pass('they do')
  t.equal(syncRun.category, 'sync')
})
