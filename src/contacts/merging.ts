import { enrichment } from '../../projections/enrichment.ts'
import type { Chosen, contactEvents, MergedValue } from '../../schema/contact-events.ts'
import type { EnrichedValue, Field } from '../../schema/enrichment.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { Refused } from '../platform/refusal.ts'
import { foldInMemory } from '../platform/rows.ts'
import { fold, type Outcome, type Request, type Runner } from '../platform/runner.ts'
import { uuidv5 } from '../platform/uuid.ts'
import { contact, existing } from './contact.ts'
import { absorb, type Below, drop, type Other, release, unmerge } from './merge.ts'
import { isErased, isMergedHere, type Known, standingOf } from './merged-state.ts'

type Unmerged = ReturnType<typeof contactEvents.ContactUnmerged>['data']

export const streamOf = (contactId: string) => `contact-${contactId}`

/** What a contact has that another may take, by its events. */
export function otherOf(events: readonly RecordedEvent[]): Other {
  const { name, company, owner, team, methods, merges = [], enriched } = existing(fold(contact, events))
  const tables = foldInMemory(enrichment, events)
  const undone = enriched?.undone ?? []
  const rows = tables.rows('enrichmentValues') as unknown as (Omit<EnrichedValue, 'id'> & ValueRow)[]
  const values = rows
    .filter(({ decision, enrichmentId }) => decision === 'accepted' || !undone.includes(enrichmentId))
    .toSorted((a, b) => a.proposedIn - b.proposedIn || a.place - b.place)
    .map(
      ({ valueId, field, details, enrichmentId, proposedAt, proposedIn, decision, decidedIn }): MergedValue => ({
        ...details,
        id: valueId,
        field,
        enrichmentId,
        proposedAt: new Date(proposedAt).toISOString(),
        order: proposedIn,
        ...(decision !== null && { decision }),
        ...(decidedIn !== null && { decidedIn }),
      }),
    )
  const said = [...tables.rows('enrichmentFields'), ...tables.rows('enrichmentMergedWords')] as unknown as WordRow[]
  const own = Object.entries(enriched?.own ?? {}) as [Field, readonly string[]][]
  return {
    name,
    company,
    owner,
    team,
    methods: [...methods],
    brought: partsOf({ merges }),
    values,
    words: own.map(([field, values]) => {
      const orders = said.filter((row) => row.field === field && row.own !== null).map(({ ownIn }) => ownIn)
      return { field, values: [...values], order: Math.max(...orders) }
    }),
    enrichable: enriched?.enrichable ?? true,
  }
}

/** All that are part of a contact, and by which merges they came to be. */
export const partsOf = ({ merges = [] }: Pick<Known, 'merges'>) =>
  merges.flatMap(({ from, mergeId, brought }) => [{ contactId: from, mergeId }, ...brought])

type ValueRow = {
  valueId: string
  enrichmentId: string
  details: Omit<EnrichedValue, 'id' | 'field'>
  proposedAt: string
  proposedIn: number
  place: number
  decision: 'accepted' | 'rejected' | null
  decidedIn: number | null
}
type WordRow = { field: Field; own: string[] | null; ownIn: number }

/**
 * By whom and by which command something is done that follows from an event: by the same; so whoever does it again, by whatever way, changes nothing.
 * @param another where it comes back to a stream in which that command is already: this one of it
 */
const requestAfter = ({ id, meta }: RecordedEvent, another?: string): Request => ({
  actor: meta.actor,
  commandId: another ? uuidv5(another, meta.commandId) : meta.commandId,
  request: meta.request,
  correlationId: meta.$correlationId,
  causationId: id,
})

type Ancestor = { readonly id: string; readonly events: readonly RecordedEvent[]; readonly state: Known }

/** Those that a contact is part of: the one that it was merged into, the one that this was merged into, and so on to the one that lives. */
export async function ancestorsOf(runner: Pick<Runner, 'load'>, state: Known): Promise<Ancestor[]> {
  const found: Ancestor[] = []
  for (let at = state; at.mergedInto; at = found.at(-1)!.state) {
    const id = at.mergedInto.into
    const events = await runner.load(streamOf(id))
    if (isErased(events)) break
    found.push({ id, events, state: existing(fold(contact, events)) })
  }
  return found
}

/** The body of `unmerge` for each of those that a contact is part of, the lowest first: what comes of one is needed for the next. */
export function unmergeBodies(from: { readonly id: string; readonly state: Known }, ancestors: readonly Ancestor[], mergeId: string) {
  const methodIds = from.state.methods.map(({ id }) => id)
  const parts = partsOf(from.state).map(({ contactId }) => contactId)
  const valueIds = Object.keys(from.state.enriched?.values ?? {})
  const bodies: { ancestor: Ancestor; body: Parameters<typeof unmerge.decide>[0]; would: Unmerged | undefined }[] = []
  let below: Below | undefined
  let withheld: string[] = []
  for (const ancestor of ancestors) {
    const body = { from: from.id, mergeId, methodIds, valueIds, parts, withheld, ...(below && { below }) }
    const [event] = unmerge.decide(body, ancestor.state, { id: ancestor.id } as never)
    const would = event?.data as Unmerged | undefined
    bodies.push({ ancestor, body, would })
    if (!would) continue
    const { name, company, owner, team, methods, fields } = would
    below = { name, company, owner, team, methods, fields } as Below
    withheld = would.withheld
  }
  return bodies
}

/**
 * Goes on with a merge, or with its end, from wherever it stands; where nothing is left to do, it does nothing. Asked by whoever merges, and by the job
 * that is there for one who was killed (src/reactors/settle-merge-on-begun.ts).
 * @param unmergedBy a contact that may have decided that `from` is no part of it any more
 */
export async function settleMerge(runner: Runner, from: string, unmergedBy?: string): Promise<void> {
  for (;;) {
    const events = await runner.load(streamOf(from))
    if (events.length === 0 || isErased(events)) return
    const state = existing(fold(contact, events))
    if (!state.mergedInto) return
    const { into, mergeId } = state.mergedInto
    const begun = events.findLast(({ type, data }) => type === 'ContactMergedInto' && (data as { mergeId: string }).mergeId === mergeId)!
    const survivor = await runner.load(streamOf(into))
    const standing = standingOf(survivor, mergeId)
    if (standing === 'begun') {
      await take(runner, begun, otherOf(events))
      continue
    }
    const ancestors = await ancestorsOf(runner, state)
    const decider = unmergedBy === undefined ? [] : await runner.load(streamOf(unmergedBy))
    const ends = [...ancestors.map(({ events }) => events), survivor, decider].flatMap((stream) => endsOf(stream, mergeId))
    if (standing === 'merged' && ends.length === 0) return
    const end = ends.at(-1)
    const after = end ? requestAfter(end) : requestAfter(begun, 'release')
    // From the one that lives downwards, so that what was decided there is known to whoever finds it half done.
    const bodies = unmergeBodies({ id: from, state }, ancestors, mergeId)
    for (const { ancestor, body } of bodies.toReversed())
      if (isMergedHere(ancestor.state, mergeId)) await runner.execute(unmerge, body, { id: ancestor.id }, after)
    const told = (await Promise.all(ancestors.map(({ id }) => runner.load(streamOf(id))))).flatMap((stream) => endsOf(stream, mergeId))
    const withheld = [...new Set([...ends, ...told].flatMap(({ data }) => (data as Unmerged).withheld))]
    await runner.execute(release, { mergeId, withheld }, { id: from }, after)
    return
  }
}

const endsOf = (events: readonly RecordedEvent[], mergeId: string) =>
  events.filter(({ type, data }) => type === 'ContactUnmerged' && (data as Unmerged).mergeId === mergeId)

/** The survivor takes what is frozen; if it can't, this is recorded there, so that nobody else who comes later takes it after all. */
async function take(runner: Runner, begun: RecordedEvent, other: Other): Promise<Outcome | null> {
  const { contactId: from, into, mergeId, chosen } = begun.data as { contactId: string; into: string; mergeId: string; chosen: Chosen[] }
  try {
    return await runner.execute(absorb, { from, mergeId, chosen, other }, { id: into }, requestAfter(begun))
  } catch (error) {
    if (!(error instanceof Refused) || error.retryAfterSeconds !== undefined) throw error
    if (error.code !== 'erased') await runner.execute(drop, { from, mergeId }, { id: into }, requestAfter(begun, 'drop'))
    return null
  }
}

/** With the one that lives in the place of the one that it was merged into: so that a refusal names that. */
export async function withSurvivor(runner: Pick<Runner, 'load'>, state: Known): Promise<Known> {
  if (!state.mergedInto) return state
  const ancestors = await ancestorsOf(runner, state)
  return { ...state, mergedInto: { ...state.mergedInto, into: ancestors.at(-1)?.id ?? state.mergedInto.into } }
}
