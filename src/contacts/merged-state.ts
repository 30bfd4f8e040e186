import { isDeepStrictEqual } from 'node:util'
import type { Brought, contactEvents, Method } from '../../schema/contact-events.ts'
import type { Field } from '../../schema/enrichment.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { type EnrichedState, notEnriched } from './enriched-state.ts'

type Taken<T> = { readonly was: T; readonly became: T }
export type Ownership = { readonly owner: string | null; readonly team: string | null }

/** What of a contact a merge may take from the other one. */
export type Taking = { readonly name?: Taken<string>; readonly company?: Taken<string | null>; readonly ownership?: Taken<Ownership> }
export const takings = ['name', 'company', 'ownership'] as const

/** One that is part of a contact, and what was taken of it. */
export type Merge = {
  readonly from: string
  readonly mergeId: string
  readonly brought: readonly Brought[]
  readonly took: Taking
  /** Of people's words; undefined: nobody had said anything. */
  readonly words: Readonly<Partial<Record<Field, Taken<readonly string[] | undefined>>>>
  readonly known: readonly Method[]
  /** There where it was not to be enriched: whether the survivor was, until then. */
  readonly wasEnrichable?: boolean
}

/** What decisions need to know of merges; each is there from the first event of its kind on. */
export type MergedState = {
  /** The one that it is part of. */
  mergedInto?: { readonly into: string; readonly mergeId: string }
  merges?: readonly Merge[]
  /** The merges that are over, or never came about. */
  settled?: readonly string[]
}

export type Known = MergedState & {
  /** `withdrawn`: archived because an undo took back that it was made. */
  status: 'active' | 'archived' | 'withdrawn'
  name: string
  company: string | null
  methods: readonly Method[]
  removed: readonly string[]
  owner: string | null
  team: string | null
  enriched?: EnrichedState
}

type Data<T extends keyof typeof contactEvents> = ReturnType<(typeof contactEvents)[T]>['data']

/** What a contact has of what merges may take, under the names that `Taking` has. */
export const taken = ({ name, company, owner, team }: Pick<Known, 'name' | 'company' | 'owner' | 'team'>) => ({
  name,
  company,
  ownership: { owner, team },
})

/** The same of an event: only what it says. */
export const said = ({ name, company, owner, team }: { [N in 'name' | 'company' | 'owner' | 'team']?: string | null | undefined }) => ({
  ...(typeof name === 'string' && { name }),
  ...(company !== undefined && { company }),
  ...(owner !== undefined && team !== undefined && { ownership: { owner, team } }),
})

const columnsOf = ({ ownership, ...rest }: { name?: string; company?: string | null; ownership?: Ownership }) => ({ ...rest, ...ownership })

export const isMergedHere = ({ merges = [] }: MergedState, mergeId: string): boolean =>
  merges.some((merge) => merge.mergeId === mergeId || merge.brought.some((one) => one.mergeId === mergeId))

/** The first after a merge that took the same again: what it had before is what this merge made of it, unless somebody changed it in between. */
export function heirOf(merges: readonly Merge[], index: number, what: keyof Taking): number {
  const became = merges[index]!.took[what]?.became
  return merges.findIndex(
    ({ took }, later) => later > index && took[what] !== undefined && became !== undefined && isDeepStrictEqual(took[what].was, became),
  )
}

/** The same of people's words. */
export function wordsHeirOf(merges: readonly Merge[], index: number, field: Field): number {
  const became = merges[index]!.words[field]?.became
  return merges.findIndex(({ words }, later) => later > index && words[field] !== undefined && isDeepStrictEqual(words[field].was, became))
}

function merged(known: Known, data: Data<'ContactMerged'>): Partial<Known> {
  // Of an event that was erased what it took is not there any more.
  const { from, mergeId, brought, methods = [], known: there = [], values = [], words = [], enrichable } = data
  const before = taken(known)
  const now = said(data)
  const took = Object.fromEntries(
    takings.flatMap((what) => (now[what] === undefined ? [] : [[what, { was: before[what], became: now[what] }]])),
  ) as Taking
  const state = known.enriched ?? notEnriched
  const own = { ...state.own, ...Object.fromEntries(words.map((word) => [word.field, word.values])) }
  const merge: Merge = {
    from,
    mergeId,
    brought,
    took,
    words: Object.fromEntries(words.map((word) => [word.field, { was: state.own[word.field], became: word.values }])),
    known: there,
    ...(enrichable === false && { wasEnrichable: state.enrichable }),
  }
  const ids = values.map(({ enrichmentId }) => enrichmentId).filter((id) => !state.enrichments.includes(id))
  const isTold = values.length > 0 || words.length > 0 || enrichable === false
  return {
    ...columnsOf(now),
    methods: [...known.methods, ...methods],
    merges: [...(known.merges ?? []), merge],
    ...(isTold && {
      enriched: {
        ...state,
        own,
        ...(enrichable === false && { enrichable }),
        enrichments: [...state.enrichments, ...new Set(ids)],
        values: {
          ...state.values,
          ...Object.fromEntries(
            values.map(({ id, field, enrichmentId, decision }) => [id, { field, enrichmentId, decision: decision ?? 'none' }]),
          ),
        },
      },
    }),
  }
}

/** Without a merge; those after it that took the same had before them what it had found. */
function withoutMerge(merges: readonly Merge[], index: number): Merge[] {
  const relinked = merges.map((merge) => ({ ...merge }))
  const { took, wasEnrichable } = merges[index]!
  for (const what of takings) {
    const heir = relinked[heirOf(merges, index, what)]
    if (heir) heir.took = { ...heir.took, [what]: { ...heir.took[what], was: took[what]!.was } }
  }
  for (const [field, word] of Object.entries(merges[index]!.words) as [Field, Taken<readonly string[] | undefined>][]) {
    const heir = relinked[wordsHeirOf(merges, index, field)]
    if (heir) heir.words = { ...heir.words, [field]: { ...heir.words[field], was: word.was } }
  }
  const next = relinked.find((merge, other) => other !== index && merge.wasEnrichable !== undefined)
  if (wasEnrichable && next) next.wasEnrichable = true
  return relinked.filter((_, other) => other !== index)
}

function unmerged(known: Known, data: Data<'ContactUnmerged'>): Partial<Known> {
  const { mergeId, gone, methodIds, valueIds, methods = [], fields, enrichable } = data
  const merges = known.merges ?? []
  const index = merges.findIndex((merge) => merge.mergeId === mergeId)
  const now = said(data)
  const state = known.enriched
  // One that came along with another: what that one had of it is taken for what it was itself.
  const withoutBrought = merges.map((merge) =>
    merge.brought.some((one) => one.mergeId === mergeId)
      ? {
          ...merge,
          brought: merge.brought.filter(({ contactId }) => !gone.includes(contactId)),
          took: Object.fromEntries(
            Object.entries(merge.took).map(([what, { was, became }]) => [
              what,
              { was, became: what in now ? now[what as keyof Taking] : became },
            ]),
          ) as Taking,
        }
      : merge,
  )
  const own = { ...state?.own }
  const words = merges[index]?.words ?? {}
  for (const field of fields) {
    const was = words[field]?.was
    if (was === undefined) delete own[field]
    else own[field] = was
  }
  const enrichmentIds = new Set(valueIds.map((id) => state?.values[id]?.enrichmentId))
  const values = Object.fromEntries(Object.entries(state?.values ?? {}).filter(([id]) => !valueIds.includes(id)))
  const left = new Set(Object.values(values).map(({ enrichmentId }) => enrichmentId))
  return {
    ...columnsOf(now),
    methods: [...known.methods.filter(({ id }) => !methodIds.includes(id)), ...methods],
    merges: index === -1 ? withoutBrought : withoutMerge(merges, index),
    settled: [...(known.settled ?? []), mergeId],
    ...(state && {
      enriched: {
        ...state,
        own,
        values,
        enrichments: state.enrichments.filter((id) => !enrichmentIds.has(id) || left.has(id)),
        ...(enrichable !== undefined && { enrichable }),
      },
    }),
  }
}

/** What each event makes of a contact that there is. */
export const mergedState = {
  ContactMergedInto: <K extends Known>(known: K, { into, mergeId }: Data<'ContactMergedInto'>): K => ({
    ...known,
    mergedInto: { into, mergeId },
  }),
  ContactMerged: <K extends Known>(known: K, data: Data<'ContactMerged'>): K => ({ ...known, ...merged(known, data) }),
  ContactUnmerged: <K extends Known>(known: K, data: Data<'ContactUnmerged'>): K => ({ ...known, ...unmerged(known, data) }),
  ContactUnmergedFrom: <K extends Known>({ mergedInto: _, ...known }: K, { methods = [], withheld }: Data<'ContactUnmergedFrom'>) => ({
    ...known,
    methods,
    removed: [...known.removed, ...withheld],
  }),
}

/** Whether a contact was erased, whether or not its key is gone yet. */
export const isErased = (events: readonly RecordedEvent[]): boolean =>
  events.some(({ erased }) => erased) || events.at(-1)?.type === 'ContactErased'

/**
 * How it stands with a merge, by the events of the contact that was to take it; also where they were erased. `begun`: this one does not know of it yet.
 * Where the one in question left with another of which it is part, this one knows nothing of it any more.
 */
export function standingOf(events: readonly RecordedEvent[], mergeId: string): 'begun' | 'merged' | 'unmerged' {
  const last = events.findLast(({ type, data }) => {
    if (type === 'ContactUnmerged') return (data as Data<'ContactUnmerged'>).mergeId === mergeId
    return type === 'ContactMerged' && (data as Data<'ContactMerged'>).mergeId === mergeId
  })
  return last ? (last.type === 'ContactMerged' ? 'merged' : 'unmerged') : isErased(events) ? 'unmerged' : 'begun'
}
