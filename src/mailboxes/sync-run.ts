import { type Static, Type } from '@sinclair/typebox'
import { ListedMessage, MessageChange, SyncOutcome, syncEvents } from '../../schema/sync-events.ts'
import { decider, internalCommand } from '../platform/decider.ts'
import { Refused } from '../platform/refusal.ts'

const { SyncStarted, SyncListed, SyncChanged, SyncSettled, SyncFinished } = syncEvents
export type Started = ReturnType<typeof SyncStarted>['data']

/** @property listed everything that this run listed, by id @property pending what of it has no outcome yet, in the order of the listing */
export type Running = {
  readonly status: 'running' | 'finished'
  readonly started: Started
  readonly listed: ReadonlySet<string>
  readonly pending: ReadonlyMap<string, ListedMessage>
  readonly counts: Readonly<Record<SyncOutcome['outcome'], number>>
  /** The listing has come to its end. */
  readonly isListed: boolean
  /** The provider's token of the page that comes next. */
  readonly next?: string | undefined
  /** Where the mailbox's changes are listed from on when this run is over. */
  readonly cursor?: string | undefined
  readonly fault?: string | undefined
}
export type SyncRun = { readonly status: 'unknown' } | Running

/** A stream tells the order: only what was started goes on. */
const going = (run: SyncRun): Running => {
  if (run.status === 'unknown') throw new Error('a sync run that was not started')
  return run
}

/**
 * A run of fetching from a mailbox. A long one lists hundreds of thousands of messages, so its sets are changed in place rather than copied with every
 * event; each fold begins with new ones.
 */
export const syncRun = decider<SyncRun, typeof syncEvents>(
  'sync',
  syncEvents,
  { status: 'unknown' },
  {
    SyncStarted: (_, started) => ({
      status: 'running',
      started,
      listed: new Set(),
      pending: new Map(),
      counts: { stored: 0, known: 0, excluded: 0, failed: 0 },
      isListed: false,
    }),
    SyncListed: (state, { messages, next, cursor }) => {
      const run = going(state)
      for (const message of messages) {
        ;(run.listed as Set<string>).add(message.id)
        ;(run.pending as Map<string, ListedMessage>).set(message.id, message)
      }
      return { ...run, next, isListed: next === undefined, cursor: cursor ?? run.cursor }
    },
    SyncChanged: (state) => state,
    SyncSettled: (state, { outcomes }) => {
      const run = going(state)
      const counts = { ...run.counts }
      for (const { id, outcome } of outcomes) {
        ;(run.pending as Map<string, ListedMessage>).delete(id)
        counts[outcome] += 1
      }
      return { ...run, counts }
    },
    SyncFinished: (state, { cursor, fault }) => ({ ...going(state), status: 'finished', cursor, fault }),
  },
)

const strict = { additionalProperties: false }
const { syncId: _id, ...started } = SyncStarted.schema.properties

/** Begins a run; one that is there already is gone on with. */
export const startSync = internalCommand(syncRun, 'start', {
  body: Type.Object(started, strict),
  decide: (body, { status }, { id }) => (status === 'unknown' ? [SyncStarted({ syncId: id, ...body })] : []),
})

const running = (state: SyncRun): Running => {
  if (state.status !== 'running') throw new Refused('sync-not-running', 'This sync run is not under way.')
  return state
}

const MAX = 500
/** In as few as there may be; at least one where `atLeast` says so. */
function chunks<T>(items: readonly T[], atLeast: 0 | 1 = 0): T[][] {
  const all: T[][] = []
  for (let at = 0; at < items.length; at += MAX) all.push(items.slice(at, at + MAX))
  return all.length === 0 && atLeast === 1 ? [[]] : all
}

const Page = Type.Object(
  {
    messages: Type.Array(ListedMessage),
    changes: Type.Array(MessageChange),
    /** Outcomes of messages of this page that need no fetching. */
    outcomes: Type.Array(SyncOutcome),
    next: Type.Optional(Type.String()),
    cursor: Type.Optional(Type.String()),
  },
  strict,
)
export type Page = Static<typeof Page>

/** Records a page of the listing. What this run listed before is left out: a provider gives messages on two pages, and a listing may begin anew. */
export const recordPage = internalCommand(syncRun, 'list', {
  body: Page,
  decide: ({ messages, changes, outcomes, next, cursor }, state, { id }) => {
    const { started, listed } = running(state)
    const about = { syncId: id, mailboxId: started.mailboxId }
    const fresh = new Map(messages.filter((message) => !listed.has(message.id)).map((message) => [message.id, message]))
    const pages = chunks([...fresh.values()], 1)
    const tokens = { ...(next !== undefined && { next }), ...(cursor !== undefined && { cursor }) }
    return [
      // Only with the last of them has the page been listed: until then its own token is what comes next.
      ...pages.map((messages, index) =>
        SyncListed({ ...about, messages, ...(index === pages.length - 1 ? tokens : { next: going(state).next ?? '' }) }),
      ),
      // What is listed is there; that it is gone by now is told after it.
      ...chunks(changes).map((changes) => SyncChanged({ ...about, changes })),
      ...chunks(outcomes.filter((outcome) => fresh.has(outcome.id))).map((outcomes) => SyncSettled({ ...about, outcomes })),
    ]
  },
})

/** Records what became of messages that are pending; of others there is nothing to tell. */
export const recordOutcomes = internalCommand(syncRun, 'settle', {
  body: Type.Object({ outcomes: Type.Array(SyncOutcome) }, strict),
  decide: ({ outcomes }, state, { id }) => {
    const { started, pending } = running(state)
    const due = new Map(outcomes.filter((outcome) => pending.has(outcome.id)).map((outcome) => [outcome.id, outcome]))
    return chunks([...due.values()]).map((outcomes) => SyncSettled({ syncId: id, mailboxId: started.mailboxId, outcomes }))
  },
})

/**
 * Ends a run when everything that it listed has its outcome.
 * @param fault why the listing came to no end, as a code; then the mailbox's cursor stays where it was
 */
export const finishSync = internalCommand(syncRun, 'finish', {
  body: Type.Object({ fault: Type.Optional(Type.String()) }, strict),
  decide: ({ fault }, state, { id }) => {
    if (state.status === 'finished') return []
    const { started, pending, isListed, cursor } = running(state)
    if (pending.size > 0 || (!isListed && fault === undefined)) {
      throw new Refused('sync-unsettled', 'This run has messages without an outcome, or has not listed all of them.', 409, {
        pending: pending.size,
      })
    }
    const end = fault === undefined ? { ...(cursor !== undefined && { cursor }) } : { fault }
    return [SyncFinished({ syncId: id, mailboxId: started.mailboxId, ...end })]
  },
})
