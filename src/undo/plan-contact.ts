import type { ContactEvent, Method } from '../../schema/contact-events.ts'
import { sameness } from '../contacts/methods.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { contactInitial, contactWrites, inTurn, kindOf, ofEnrichment, putBackContact } from './contact-fields.ts'
import { isSame, type Track, trackFields, verdictOf } from './fields.ts'
import { isOfMerge, mergeStepsOf } from './merge-fields.ts'
import { type Conflict, erased, isErased, type May, type Plan, type PutBack } from './plan.ts'

type Options = {
  readonly may: May
  /** Addresses, in their normal form, that somebody else has by now: they are not given back. */
  readonly taken?: readonly string[]
  /** What the undone events merged is taken for unmerged by now: to find out what would be done then. */
  readonly isReleased?: boolean
}

/**
 * What undoing some of a contact's events makes of it, field by field: what is still as they left it is put back to what it was before them; what somebody
 * changed since stays, and is named. That a contact was made is undone by archiving it, unless somebody changed anything of it since. Pure.
 * @param isUndone which of the events are to be undone
 */
export function planContact(
  contactId: string,
  events: readonly RecordedEvent[],
  isUndone: (event: RecordedEvent) => boolean,
  { may, taken = [], isReleased = false }: Options,
): Plan {
  if (isErased(events)) return erased(events)
  const merges = mergeStepsOf(events, isUndone)
  // What a merge did, its end takes back: that is more than fields.
  const isOfFields = (event: RecordedEvent) => isUndone(event) && !isOfMerge(event)
  const tracks = trackFields(events, isOfFields, contactWrites(events), contactInitial)
  const isMade = isUndone(events[0]!)
  const status = tracks.get('status')!
  const goes = status.run?.before.value === 'withdrawn'
  if (goes && isMade && status.value === 'withdrawn') return { putBack: [], conflicts: [], events: [], merges }
  if (goes) {
    // To go altogether, it must be just as the undone events left it.
    const madeAt = isMade ? -1 : events.findLast((event) => isUndone(event) && event.type === 'ContactRestored')!.revision
    const isEdited = ({ field, by, run, value }: Track) =>
      by !== null &&
      !isUndone(by) &&
      by.revision > madeAt &&
      (field === 'status' || !isSame(value, run ? run.after : contactInitial(field)))
    const edited = [...tracks.values()].filter(isEdited)
    if (edited.length > 0) return { putBack: [], conflicts: edited.map((track) => conflict(track, 'changed-since')), events: [], merges }
  }

  const putBack: Track[] = []
  const conflicts: Conflict[] = []
  for (const track of tracks.values()) {
    // It goes as it is, so that it can come back as it was.
    if (isMade && goes && track.field !== 'status') continue
    const verdict = verdictOf(track)
    if (verdict === 'changed since') conflicts.push(conflict(track, 'changed-since'))
    if (verdict !== 'put back') continue
    const isAllowed = may.enrichment || !ofEnrichment.has(kindOf(track.field))
    if (isAllowed) putBack.push(track)
    else conflicts.push(conflict(track, 'not-allowed'))
  }
  const merged = tracks.get('merged')
  const isFrozen = merged?.value && !(isReleased && isUndone(merged.by!))
  if (isFrozen && putBack.length > 0) return { putBack: [], conflicts: [conflict(merged, 'merged'), ...conflicts], events: [], merges }
  conflicts.push(...decidedSince(events, isUndone, tracks, putBack))
  // Phone numbers are told apart by reading them, which takes longer than all else: only where one is given back.
  const givesBack = putBack.some((track) => isMethod(track) && track.run!.before.value)
  const kept = givesBack ? tracks.values().filter((track) => isMethod(track) && track.value && !putBack.includes(track)) : []
  const stays = new Set([...kept].map(({ value }) => sameness(value as Method)))
  const done = putBack.filter((track) => {
    const to = isMethod(track) ? (track.run!.before.value as Method | null) : null
    const code = !to ? null : taken.includes(to.normalized ?? '') ? 'address-taken' : stays.has(sameness(to)) ? 'there-already' : null
    if (code) conflicts.push(conflict(track, code))
    return code === null
  })
  done.sort(inTurn)
  return {
    putBack: done.map(({ field, value, run }): PutBack => ({ field, from: value, to: run!.before.value })),
    conflicts,
    events: done.flatMap((track) => putBackContact(contactId, track)),
    merges,
  }
}

const isMethod = ({ field }: Track) => kindOf(field) === 'methods'
const conflict = ({ field, value, by }: Track, code: Conflict['code']): Conflict => ({ field, code, now: value, by })

/** Values of an enrichment that is undone which somebody accepted since: they stay, as they do when an enrichment is undone by itself. */
function decidedSince(
  events: readonly RecordedEvent[],
  isUndone: (event: RecordedEvent) => boolean,
  tracks: ReadonlyMap<string, Track>,
  putBack: readonly Track[],
): Conflict[] {
  const gone = new Map(
    putBack.flatMap(({ field, value, by }) => (kindOf(field) === 'enrichments' && value === true ? [[field, by!.revision] as const] : [])),
  )
  return (events as readonly (RecordedEvent & ContactEvent)[]).flatMap(({ type, data }) => {
    const since = type === 'ContactEnriched' ? gone.get(`enrichments/${data.enrichmentId}`) : undefined
    if (type !== 'ContactEnriched' || since === undefined) return []
    return data.values.flatMap(({ id }) => {
      const track = tracks.get(`decisions/${id}`)
      return track?.value === 'accepted' && track.by && track.by.revision > since && !isUndone(track.by)
        ? [conflict(track, 'changed-since')]
        : []
    })
  })
}
