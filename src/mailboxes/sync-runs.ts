import { syncEvents } from '../../schema/sync-events.ts'
import type { Codec } from '../platform/codec.ts'
import type { RecordedEvent } from '../platform/event.ts'
import type { EventStore } from '../platform/event-store.ts'
import { uuidv5 } from '../platform/uuid.ts'
import type { Started } from './sync-run.ts'

/** The id of a mailbox's run of this number: so where the next one is, nobody has to be asked. */
export const syncIdOf = (mailboxId: string, number: number): string => uuidv5(String(number), mailboxId)

/** How a mailbox's runs stand. */
export type Runs = {
  /** Of the newest; 0: there was none. */
  readonly newest: number
  readonly newestStartedAt: string | undefined
  /** Another one whenever anything was recorded: whatever is, is in runs that are not over. */
  readonly standing: string
  /** When anything was recorded last. */
  readonly recordedAt: string | undefined
  /** The numbers of those that are not over. */
  readonly open: readonly number[]
  /** Where changes are listed from on; undefined: everything is to be listed. */
  readonly cursor: string | undefined
}

type OpenRun = { readonly number: number; readonly revision: number }

export const standingOf = (newest: number, open: readonly OpenRun[]): string =>
  [newest, ...open.toSorted((a, b) => a.number - b.number).map(({ number, revision }) => `${number}@${revision}`)].join(' ')

type Needs = { readonly store: Pick<EventStore, 'readFirst' | 'readLast'>; readonly codec: Pick<Codec, 'decode'> }

/**
 * How a mailbox's runs stand, by the log alone: no two have one number and none is left out, so the newest is found by looking where the next ones would
 * be; and what is open, and where changes are listed from on, the newest tells.
 * @param known the number of one that is there, to begin with; 0 costs a few looks more
 */
export async function findRuns({ store, codec }: Needs, mailboxId: string, known: number): Promise<Runs> {
  const stream = (number: number) => `sync-${syncIdOf(mailboxId, number)}`
  const newest = await newestNumber(known, async (number) => (await store.readFirst(stream(number))) !== null)
  if (newest === 0)
    return { newest, newestStartedAt: undefined, standing: standingOf(0, []), recordedAt: undefined, open: [], cursor: undefined }

  const ends = async (number: number) => {
    const [first, last] = await Promise.all([store.readFirst(stream(number)), store.readLast(stream(number))])
    return codec.decode([first!, last!]) as Promise<[RecordedEvent, RecordedEvent]>
  }
  const [begin] = await ends(newest)
  const started = begin.data as Started
  let { cursor } = started
  let recordedAt = begin.meta.at
  const open: OpenRun[] = []
  for (const number of [...(started.open ?? []), newest]) {
    const [first, last] = await ends(number)
    if (last.meta.at > recordedAt) recordedAt = last.meta.at
    if (last.type !== syncEvents.SyncFinished.type) open.push({ number, revision: last.revision })
    else if ((first.data as Started).kind === 'increment') {
      // At most one run of changes is open at a time, so none of these is overtaken by another.
      const end = last.data as { cursor?: string; fault?: string }
      cursor = end.fault === undefined ? (end.cursor ?? cursor) : undefined
    }
  }
  return {
    newest,
    newestStartedAt: begin.meta.at,
    standing: standingOf(newest, open),
    recordedAt,
    open: open.map(({ number }) => number),
    cursor,
  }
}

/** By ever longer steps, and then by halving the last one. */
async function newestNumber(known: number, isThere: (number: number) => Promise<boolean>): Promise<number> {
  let newest = known
  let step = 1
  for (; await isThere(newest + step); step *= 2) newest += step
  for (step /= 2; step >= 1; step /= 2) if (await isThere(newest + step)) newest += step
  return newest
}
