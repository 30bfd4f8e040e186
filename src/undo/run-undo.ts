import { audit } from '../../projections/audit.ts'
import { contacts } from '../../projections/contacts.ts'
import { emails } from '../../projections/emails.ts'
import { imports } from '../../projections/imports.ts'
import { mailboxMessages } from '../../projections/mailbox-messages.ts'
import { countStreams, streamsOf } from '../../projections/undo-scope.ts'
import type { UndoCounts, UndoCursor, UndoOutcome, undoEvents } from '../../schema/undo-events.ts'
import { completeTables } from '../complete-tables.ts'
import { FailedForGood, type JobRun } from '../platform/jobs.ts'
import { formatPosition } from '../platform/position.ts'
import { fold } from '../platform/runner.ts'
import { type Done, inWindows } from '../platform/windows.ts'
import type { Services } from '../services.ts'
import { settleStream } from './settle-stream.ts'
import { endUndo, recordUndone, undo } from './undo.ts'
import { undoCommands } from './undo-stream.ts'
import { toldTypes, wordOf } from './words.ts'

type Started = ReturnType<typeof undoEvents.UndoStarted>['data']

const BOUNDS = { atOnce: 16, bytesAtOnce: Number.POSITIVE_INFINITY }
const PAGE = 500

/**
 * Carries out an undo, or goes on with it: from what its stream's newest event says. Which streams it is about, the trail's table tells, once that holds
 * all that the log said when the undo was asked for; what is to be put back in each, its own events. What is done and not recorded is done again by the
 * same commands, and changes nothing.
 */
export async function runUndo(undoId: string, run: JobRun<Services>): Promise<UndoCounts> {
  const { services, signal, execute, progress } = run
  const stream = `undo-${undoId}`
  const [first, last] = await Promise.all([services.store.readFirst(stream), services.store.readLast(stream)])
  if (!first || !last) throw new FailedForGood('undo-not-found', 'There is no such undo.')
  const [begun, newest] = await services.codec.decode([first, last])
  if (begun!.erased) throw new FailedForGood('undo-erased', 'Whose undo this is was erased.')
  const state = fold(undo, [newest!])
  if (state.status === 'unknown') throw new Error('an undo without a state')
  if (state.status === 'finished') return state.counts

  const { commandId, correlationId, dryRun, may, viewer } = begun!.data as Started
  const of = { commandId, correlationId, before: begun!.position }
  const types = toldTypes(commandId !== undefined)
  const tables = await completeTables(services, [audit, contacts, emails, imports, mailboxMessages], { signal })
  const total = await countStreams(tables, of, types)
  const settling = {
    services,
    asked: { commandId, correlationId, before: formatPosition(begun!.position), may },
    viewer,
    dryRun,
    // It is the work of who asked for the undo, and follows from that.
    requestOf: (stream: string) => ({
      ...run.requestOf(stream, undoCommands.contact),
      actor: begun!.meta.actor,
      correlationId: undoId,
      causationId: begun!.id,
    }),
  }

  const running = new Set<Promise<unknown>>()
  const work = (stream: string) => {
    const earlier = [...running]
    const done = settleStream(settling, stream, () => Promise.allSettled(earlier))
    const forget = () => void running.delete(done)
    running.add(done)
    done.then(forget, forget)
    return done
  }
  async function* pieces(): AsyncGenerator<Piece> {
    for (let after = state.status === 'running' ? state.cursor : null; ; ) {
      const page = await streamsOf(tables, of, types, after, PAGE)
      for (const { stream, type, cursor } of page) {
        const word = wordOf(type)
        const settle = async (): Promise<UndoOutcome> =>
          word === 'fields' ? { stream, ...(await work(stream)) } : { stream, outcome: 'kept', fields: [], conflicts: [], code: word }
        yield { cursor, sizeBytes: 0, work: settle }
      }
      if (page.length < PAGE) return
      after = page.at(-1)!.cursor
    }
  }

  let { done, counts } = state
  const record = async (settled: readonly Done<Piece>[]) => {
    const outcomes = settled.map(({ outcome }) => outcome)
    const body = { from: done, cursor: settled.at(-1)!.piece.cursor, outcomes }
    const { repeated, events } = await execute(`progress ${done}`, recordUndone, body, { id: undoId })
    // An earlier run's, of which this one had not heard: begin anew from there.
    if (repeated) throw new Error('another run of this undo recorded the same')
    ;({ done, counts } = events.at(-1)!.data as { done: number; counts: UndoCounts })
    progress(done, total)
  }
  await inWindows(pieces(), BOUNDS, signal, record)
  signal.throwIfAborted()
  await execute('end', endUndo, { done }, { id: undoId })
  return counts
}

type Piece = { readonly cursor: UndoCursor; readonly sizeBytes: number; work(): Promise<UndoOutcome> }
