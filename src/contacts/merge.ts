import { isDeepStrictEqual } from 'node:util'
import { type Static, Type } from '@sinclair/typebox'
import { Brought, Chosen, contactEvents, MergedValue, MergedWord, Method } from '../../schema/contact-events.ts'
import type { Field } from '../../schema/enrichment.ts'
import { Id, nullable } from '../../schema/shared.ts'
import { internalCommand } from '../platform/decider.ts'
import { Refused } from '../platform/refusal.ts'
import { active, contact, existing, isKnown, known } from './contact.ts'
import { notEnriched } from './enriched-state.ts'
import {
  heirOf,
  isMergedHere,
  type Known,
  type Merge,
  type Ownership,
  said,
  type Taking,
  taken,
  takings,
  wordsHeirOf,
} from './merged-state.ts'
import { sameness } from './methods.ts'

/*
 * Two contacts become one in two steps, each an append at a folded revision: `from` says that it is merged, by which it is frozen, so that what it has can't
 * change any more (mergeInto); then the survivor takes that (absorb). Whether the merge came about is decided on the survivor's stream alone: it is
 * ContactMerged or ContactUnmerged, whichever is there first (unmerge; or drop, where the survivor can't take it). After the latter the other lives
 * again (release). merging.ts goes these ways, and goes on where somebody was killed on them.
 */
const { ContactMergedInto, ContactMerged, ContactUnmerged, ContactUnmergedFrom } = contactEvents
const strict = { additionalProperties: false }

/** What a contact has that another may take. */
export const Other = Type.Object({
  name: Type.String(),
  company: nullable(Type.String()),
  owner: nullable(Type.String()),
  team: nullable(Type.String()),
  methods: Type.Array(Method),
  brought: Type.Array(Brought),
  values: Type.Array(MergedValue),
  words: Type.Array(MergedWord),
  enrichable: Type.Boolean(),
})
export type Other = Static<typeof Other>

/** A contact's own events are numbered below this, so that what is moved by it is before all of them. */
const SHIFT = 1_000_000

export const mergeInto = internalCommand(contact, 'merge-into', {
  body: Type.Object({ into: Id, mergeId: Id, chosen: Type.Array(Chosen) }, strict),
  decide: ({ into, mergeId, chosen }, state, { id }) => {
    if (into === id) throw new Refused('contact-itself', 'A contact cannot be merged into itself.', 422)
    known(state)
    return [ContactMergedInto({ contactId: id, into, mergeId, chosen })]
  },
})

/** What is missing in `there` of these ways to reach somebody, each once. */
function missing(methods: readonly Method[], there: readonly Method[]): Method[] {
  const seen = new Set(there.map(sameness))
  return methods.filter((method) => {
    const isNew = !seen.has(sameness(method))
    seen.add(sameness(method))
    return isNew
  })
}

export const absorb = internalCommand(contact, 'absorb', {
  body: Type.Object({ from: Id, mergeId: Id, chosen: Type.Array(Chosen), other: Other }, strict),
  decide: ({ from, mergeId, chosen, other }, state, { id }) => {
    if (isKnown(state) && (isMergedHere(state, mergeId) || state.settled?.includes(mergeId))) return []
    const contact = active(state)
    const enriched = contact.enriched ?? notEnriched
    const choice = (field: Chosen['field']) => chosen.find((one) => one.field === field)?.choice
    const methods = missing(other.methods, contact.methods)
    const by = SHIFT * (1 + (contact.merges?.length ?? 0) + (contact.settled?.length ?? 0))
    const isTaken = (field: Field) => choice(field) === 'from'
    const noWords = chosen.find(
      ({ field, choice }) =>
        choice === 'from' &&
        field !== 'name' &&
        field !== 'owner' &&
        field !== 'company' &&
        !other.words.some((word) => word.field === field),
    )
    if (noWords) throw new Refused('nothing-to-choose', `Nobody said what ${noWords.field} is of the one that is merged.`, 422, noWords)
    const hasCompany =
      choice('company') === 'from' || (contact.company === null && choice('company') !== 'survivor' && other.company !== null)
    const isNobodys = contact.owner === null && contact.team === null
    const hasOwner = choice('owner') === 'from' || (isNobodys && choice('owner') !== 'survivor' && (other.owner ?? other.team) !== null)
    return [
      ContactMerged({
        contactId: id,
        from,
        mergeId,
        brought: other.brought,
        methods,
        known: other.methods.filter((method) => !methods.includes(method)),
        ...(choice('name') === 'from' && { name: other.name }),
        ...(hasCompany && { company: other.company }),
        ...(hasOwner && { owner: other.owner, team: other.team }),
        // What is locked no merge changes, unless somebody chose it.
        values: other.values
          .filter(({ field }) => isTaken(field) || !enriched.locked.includes(field))
          .map(({ order, decidedIn, ...value }) => ({
            ...value,
            order: order - by,
            ...(decidedIn !== undefined && { decidedIn: decidedIn - by }),
          })),
        words: other.words
          .filter(
            ({ field }) =>
              isTaken(field) || (enriched.own[field] === undefined && choice(field) !== 'survivor' && !enriched.locked.includes(field)),
          )
          .map(({ order, ...word }) => ({ ...word, ...(!isTaken(word.field) && order !== undefined && { order: order - by }) })),
        ...(!other.enrichable && { enrichable: false as const }),
      }),
    ]
  },
})

const asColumns = ({ ownership, ...rest }: { name?: string; company?: string | null; ownership?: Ownership }) => ({ ...rest, ...ownership })

/** What is put back of what a merge took, and what is kept since somebody changed it. Where a later merge took the same again, neither. */
function putBack(contact: Known, merges: readonly Merge[], index: number): { back: object; fields: Field[]; kept: string[] } {
  const merge = merges[index]!
  const now = taken(contact)
  const own = (contact.enriched ?? notEnriched).own
  const ours = takings.filter((what) => merge.took[what] !== undefined && heirOf(merges, index, what) === -1)
  const words = (Object.keys(merge.words) as Field[]).filter((field) => wordsHeirOf(merges, index, field) === -1)
  const isSame = (what: keyof Taking) => isDeepStrictEqual(now[what], merge.took[what]!.became)
  const isSaid = (field: Field) => isDeepStrictEqual(own[field], merge.words[field]!.became)
  return {
    back: asColumns(Object.fromEntries(ours.filter(isSame).map((what) => [what, merge.took[what]!.was]))),
    fields: words.filter(isSaid),
    kept: [...ours.filter((what) => !isSame(what)).map(nameOf), ...words.filter((field) => !isSaid(field))],
  }
}

/** What somebody who asks calls it. */
const nameOf = (what: keyof Taking): string => (what === 'ownership' ? 'owner' : what)

/** What came of the one that is unmerged where it was part of one that is part of this: see `below`. */
const Below = Type.Object({
  name: Type.Optional(Type.String()),
  company: Type.Optional(nullable(Type.String())),
  owner: Type.Optional(nullable(Type.String())),
  team: Type.Optional(nullable(Type.String())),
  methods: Type.Array(Method),
  fields: Type.Array(Type.String()),
})
export type Below = Static<typeof Below>

export const unmerge = internalCommand(contact, 'unmerge', {
  body: Type.Object(
    {
      from: Id,
      mergeId: Id,
      /** What it has, by which is told what came with it. */
      methodIds: Type.Array(Id),
      valueIds: Type.Array(Id),
      /** Those that are part of it, and so go with it. */
      parts: Type.Array(Id),
      /** Of those methods, which were removed where it was part of one that is part of this. */
      withheld: Type.Array(Id),
      below: Type.Optional(Below),
    },
    strict,
  ),
  decide: ({ from, mergeId, methodIds, valueIds, parts, withheld, below }, state, { id }) => {
    const contact = existing(state)
    const merges = contact.merges ?? []
    if (!isMergedHere(contact, mergeId)) return []
    const index = merges.findIndex((merge) => merge.mergeId === mergeId)
    const leaving = contact.methods.filter((method) => methodIds.includes(method.id))
    const staying = contact.methods.filter((method) => !methodIds.includes(method.id))
    const lost = new Set(leaving.map(sameness))
    const stillKnown = [...(below?.methods ?? []), ...merges.flatMap((merge, other) => (other === index ? [] : merge.known))].filter(
      (method) => lost.has(sameness(method)) && !methodIds.includes(method.id) && !contact.removed.includes(method.id),
    )
    const { back, fields, kept } = index === -1 ? fromBelow(contact, merges, mergeId, below) : putBack(contact, merges, index)
    const { wasEnrichable } = merges[index] ?? {}
    const keepsOff = merges.some((merge, other) => other !== index && merge.wasEnrichable !== undefined)
    const { enrichable, values } = contact.enriched ?? notEnriched
    return [
      ContactUnmerged({
        contactId: id,
        from,
        mergeId,
        gone: [from, ...parts],
        methodIds: leaving.map((method) => method.id),
        withheld: methodIds.filter((methodId) => withheld.includes(methodId) || contact.removed.includes(methodId)),
        valueIds: valueIds.filter((valueId) => values[valueId] !== undefined),
        methods: missing(stillKnown, staying),
        ...back,
        fields,
        ...(wasEnrichable && !enrichable && !keepsOff && { enrichable: true as const }),
        kept,
      }),
    ]
  },
})

/** What this one took from the one in between is what that one has now, unless somebody changed it here. */
function fromBelow(contact: Known, merges: readonly Merge[], mergeId: string, below: Below | undefined) {
  const merge = merges.find(({ brought }) => brought.some((one) => one.mergeId === mergeId))!
  const now = taken(contact)
  const changed = below ? said(below) : {}
  const ours = takings.filter((what) => merge.took[what] !== undefined && changed[what] !== undefined)
  const isSame = (what: keyof Taking) => isDeepStrictEqual(now[what], merge.took[what]!.became)
  return {
    back: asColumns(Object.fromEntries(ours.filter(isSame).map((what) => [what, changed[what]]))),
    fields: [],
    kept: [...ours.filter((what) => !isSame(what)).map(nameOf), ...(below?.fields ?? []).filter((field) => merge.words[field as Field])],
  }
}

/** The survivor can't take it: the merge has not come about. */
export const drop = internalCommand(contact, 'drop-merge', {
  body: Type.Object({ from: Id, mergeId: Id }, strict),
  decide: ({ from, mergeId }, state, { id }) => {
    const contact = existing(state)
    if (isMergedHere(contact, mergeId) || contact.settled?.includes(mergeId)) return []
    const nothing = { gone: [], methodIds: [], withheld: [], valueIds: [], methods: [], fields: [], kept: [] }
    return [ContactUnmerged({ contactId: id, from, mergeId, ...nothing })]
  },
})

/** The one that was merged lives again. What it had is taken out of its state; what was removed from the survivor in the meantime does not come back. */
export const release = internalCommand(contact, 'release', {
  body: Type.Object({ mergeId: Id, withheld: Type.Array(Id) }, strict),
  decide: ({ mergeId, withheld }, state, { id }) => {
    const { mergedInto, status, name, company, methods } = existing(state)
    if (mergedInto?.mergeId !== mergeId) return []
    return [
      ContactUnmergedFrom({
        contactId: id,
        into: mergedInto.into,
        mergeId,
        archived: status !== 'active',
        withheld: methods.map((method) => method.id).filter((methodId) => withheld.includes(methodId)),
        name,
        ...(company !== null && { company }),
        methods: methods.filter((method) => !withheld.includes(method.id)),
      }),
    ]
  },
})
