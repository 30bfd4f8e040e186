import type { Choice, Chosen } from '../../schema/contact-events.ts'
import type { NewEvent } from '../../schema/define.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { comparePositions, type Position } from '../platform/position.ts'
import { Refused } from '../platform/refusal.ts'
import { fold, type Request, type Runner } from '../platform/runner.ts'
import { uuidv5 } from '../platform/uuid.ts'
import { everybody } from '../platform/viewer.ts'
import { active, contact, existing, isSeen, known } from './contact.ts'
import { absorb, mergeInto, release, unmerge } from './merge.ts'
import { isErased, isMergedHere, standingOf } from './merged-state.ts'
import { ancestorsOf, otherOf, settleMerge, streamOf, unmergeBodies, withSurvivor } from './merging.ts'

/** What came, or would come, of it: the events of each of the two. */
export type Merging = {
  readonly survivor: readonly RecordedEvent[]
  readonly from: readonly RecordedEvent[]
  readonly position: Position | null
}
export type Choose = { readonly [F in Chosen['field']]?: Choice }

type Asked = { readonly id: string; readonly from: string }

const notFound = () => new Refused('contact-not-found', 'There is no such contact.', 404)

/** @throws Refused where there is no such contact, or whoever asks does not see it */
async function look(runner: Runner, id: string, { viewer = everybody }: Pick<Request, 'viewer'>) {
  const events = await runner.load(streamOf(id))
  if (isErased(events)) throw new Refused('erased', 'What this was about was erased.', 410)
  const state = fold(contact, events)
  if (!isSeen(state, viewer)) throw notFound()
  return { id, events, state: existing(state) }
}

function checkRevision(events: readonly RecordedEvent[], ifMatch: Request['ifMatch']): void {
  if (ifMatch === undefined || ifMatch === '*' || ifMatch.includes(events.length - 1)) return
  throw new Refused('revision-mismatch', 'It has changed since the revision that If-Match names. Read it again and decide anew.', 412)
}

/** What the events of a command would be in the log. */
const asRecorded = (events: readonly RecordedEvent[], made: readonly NewEvent[], request: Request, at: string): RecordedEvent[] => [
  ...events,
  ...made.map((event, index): RecordedEvent => {
    const last = events.at(-1)!
    const meta = { ...last.meta, at, actor: request.actor, commandId: request.commandId }
    return { ...last, ...event, revision: last.revision + 1 + index, meta, created: at }
  }),
]

const contextOf = (id: string, request: Request, at: string) => ({
  id,
  params: {},
  actor: request.actor,
  viewer: request.viewer ?? everybody,
  commandId: request.commandId,
  now: at,
  newId: (index: number) => uuidv5(String(index), request.commandId),
})

/** A stream as this command left it, and how far that is in the log. */
async function left(runner: Runner, { id, from }: Asked, commandId: string): Promise<Merging> {
  const streams = await Promise.all([id, from].map((one) => runner.load(streamOf(one))))
  const cut = streams.map((events) => {
    const last = events.findLastIndex(({ meta }) => meta.commandId === commandId)
    return last === -1 ? events : events.slice(0, last + 1)
  })
  return { survivor: cut[0]!, from: cut[1]!, position: lastOf(...cut.map((events) => ({ events }))) }
}

const lastOf = (...of: { readonly events: readonly RecordedEvent[] }[]): Position | null =>
  of
    .flatMap(({ events }) => events.at(-1)?.position ?? [])
    .sort(comparePositions)
    .at(-1) ?? null

/**
 * Merges `from` into `id`; only tells what would come of it, where `dryRun`. Asked again for what is so already, it changes nothing.
 * @throws Refused; Unavailable
 */
export async function mergeContacts(
  runner: Runner,
  asked: Asked & { choose?: Choose; dryRun?: boolean },
  request: Request,
): Promise<Merging> {
  const { id, from, choose = {}, dryRun = false } = asked
  if (id === from) throw new Refused('contact-itself', 'A contact cannot be merged into itself.', 422)
  const mergeId = uuidv5('merge', request.commandId)
  const chosen = (Object.entries(choose) as [Chosen['field'], Choice][]).map(([field, choice]) => ({ field, choice }))
  const [survivor, other] = [await look(runner, id, request), await look(runner, from, request)]
  const isMine = ({ meta }: RecordedEvent) => meta.commandId === request.commandId
  if (survivor.events.some(isMine)) await runner.execute(absorb, {}, { id }, request)
  else if (!other.events.some(isMine)) {
    active(await withSurvivor(runner, survivor.state))
    const ancestors = await ancestorsOf(runner, other.state)
    if (ancestors.some((ancestor) => ancestor.id === id)) {
      await settleMerge(runner, from)
      if (await isPartOf(runner, id, from)) return left(runner, asked, request.commandId)
    }
    if (other.state.mergedInto) known(await withSurvivor(runner, other.state))
    checkRevision(survivor.events, request.ifMatch)
    const at = new Date().toISOString()
    // Refused here, it leaves no trace.
    const made = absorb.decide({ from, mergeId, chosen, other: otherOf(other.events) }, survivor.state, contextOf(id, request, at))
    if (dryRun) return { survivor: asRecorded(survivor.events, made, request, at), from: other.events, position: lastOf(survivor, other) }
  }
  if (!survivor.events.some(isMine))
    await runner.execute(mergeInto, { into: id, from, mergeId, chosen }, { id: from }, { ...request, ifMatch: undefined, fresh: false })
  await settleMerge(runner, from)
  const came = await left(runner, asked, request.commandId)
  if (standingOf(came.survivor, mergeId) !== 'merged')
    throw new Refused('merge-overtaken', 'One of the two was changed in the meantime so that they could not be merged. Look at them again.')
  return came
}

async function isPartOf(runner: Runner, id: string, from: string): Promise<boolean> {
  const { mergedInto } = existing(fold(contact, await runner.load(streamOf(from))))
  return mergedInto !== undefined && isMergedHere(existing(fold(contact, await runner.load(streamOf(id)))), mergedInto.mergeId)
}

/**
 * Takes `from`, which was merged into `id` or into one that is part of it, out again; only tells what would come of it, where `dryRun`.
 * @throws Refused; Unavailable
 */
export async function unmergeContacts(runner: Runner, asked: Asked & { dryRun?: boolean }, request: Request): Promise<Merging> {
  const { id, from, dryRun = false } = asked
  const survivor = await look(runner, id, request)
  if (survivor.events.some(({ meta }) => meta.commandId === request.commandId)) {
    // A repeat: another request with the same key is refused by the runner.
    await runner.execute(unmerge, {}, { id }, request)
    await settleMerge(runner, from, id)
    return left(runner, asked, request.commandId)
  }
  known(await withSurvivor(runner, survivor.state))
  await look(runner, from, request)
  await settleMerge(runner, from)
  const [now, other] = [await look(runner, id, request), await look(runner, from, request)]
  const { mergedInto } = other.state
  if (!mergedInto || !isMergedHere(now.state, mergedInto.mergeId)) {
    const wasHere = now.events.some(({ type, data }) => type === 'ContactUnmerged' && (data as { from: string }).from === from)
    if (!mergedInto && wasHere) return left(runner, asked, request.commandId)
    throw new Refused('not-merged-here', 'The one contact is not part of the other.', 409, mergedInto && { into: mergedInto.into })
  }
  checkRevision(now.events, request.ifMatch)
  const bodies = unmergeBodies(other, await ancestorsOf(runner, other.state), mergedInto.mergeId)
  const { body, would } = bodies.at(-1)!
  if (dryRun) {
    const at = new Date().toISOString()
    const released = release.decide({ mergeId: mergedInto.mergeId, withheld: would!.withheld }, other.state, contextOf(from, request, at))
    return {
      survivor: asRecorded(now.events, [{ type: 'ContactUnmerged', data: would }], request, at),
      from: asRecorded(other.events, released, request, at),
      position: lastOf(now, other),
    }
  }
  await runner.execute(unmerge, body, { id }, { ...request, fresh: false })
  await settleMerge(runner, from, id)
  return left(runner, asked, request.commandId)
}
