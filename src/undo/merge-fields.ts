import type { ContactEvent, contactEvents } from '../../schema/contact-events.ts'
import type { Field } from '../../schema/enrichment.ts'
import { contact, existing } from '../contacts/contact.ts'
import { notEnriched } from '../contacts/enriched-state.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { fold } from '../platform/runner.ts'
import type { Write } from './fields.ts'

type Data<T extends ContactEvent['type']> = ReturnType<(typeof contactEvents)[T]>['data']

/** A merge or its end that is to be taken back, which takes more than fields: as one asks for it (src/contacts/merge-requests.ts). */
export type MergeStep = { readonly mergeId: string; readonly from: string; readonly act: 'unmerge' | 'merge' }

/**
 * What a merge, or its end, makes of a contact's fields. Some of it only the state after it tells, such as what is put back of people's words.
 * @param events of the contact, up to this one
 */
export function mergeWrites(event: RecordedEvent, events: readonly RecordedEvent[]): Write[] {
  const { revision } = event
  const write = (field: string, value: unknown, place = 0): Write => ({ field, value, mark: { revision, place } })
  if (event.type === 'ContactMergedInto') return [write('merged', (event.data as Data<'ContactMergedInto'>).into)]
  if (event.type === 'ContactUnmergedFrom') {
    const { withheld } = event.data as Data<'ContactUnmergedFrom'>
    return [write('merged', null), ...withheld.map((id) => write(`methods/${id}`, null, 1))]
  }
  const isMerge = event.type === 'ContactMerged'
  const data = event.data as Data<'ContactMerged'> & Partial<Data<'ContactUnmerged'>>
  const { name, company, owner, team, enriched = notEnriched } = existing(fold(contact, events))
  const fields: readonly Field[] = isMerge ? data.words.map(({ field }) => field) : data.fields!
  const values = isMerge ? data.values : data.valueIds!.map((id) => ({ id, decision: undefined }))
  return [
    write(`merges/${data.mergeId}`, isMerge ? data.from : null),
    ...(data.name === undefined ? [] : [write('name', name)]),
    ...(data.company === undefined ? [] : [write('company', { company, said: company !== null })]),
    ...(data.owner === undefined ? [] : [write('assigned', { owner, team })]),
    ...(isMerge ? [] : data.methodIds!.map((id) => write(`methods/${id}`, null))),
    ...data.methods.map((method, place) => write(`methods/${method.id}`, method, place)),
    ...fields.map((field) => write(`own/${field}`, enriched.own[field] ?? null)),
    ...values.map(({ id, decision }) => write(`decisions/${id}`, decision ?? 'none')),
    ...(data.enrichable === undefined ? [] : [write('enrichable', enriched.enrichable)]),
  ]
}

const isMergeType = (type: string) => type === 'ContactMerged' || type === 'ContactUnmerged'
export const isOfMerge = ({ type }: RecordedEvent): boolean =>
  isMergeType(type) || type === 'ContactMergedInto' || type === 'ContactUnmergedFrom'

/** Which merges into a contact are to be taken back or made again, the last first: those whose last word is one of the undone events. */
export function mergeStepsOf(events: readonly RecordedEvent[], isUndone: (event: RecordedEvent) => boolean): MergeStep[] {
  const mergeIdOf = ({ data }: RecordedEvent) => (data as { mergeId: string }).mergeId
  const words = new Map<string, RecordedEvent[]>()
  for (const event of events.filter(({ type }) => isMergeType(type)))
    words.set(mergeIdOf(event), [...(words.get(mergeIdOf(event)) ?? []), event])
  return [...words.entries()]
    .flatMap(([mergeId, told]): (MergeStep & { at: number })[] => {
      const last = told.at(-1)!
      // A merge that came to nothing, or was made and unmade by the undone events alone, is as it was.
      const wasMerged = told.findLast((event) => !isUndone(event))?.type === 'ContactMerged'
      const isMerged = last.type === 'ContactMerged'
      if (!isUndone(last) || isMerged === wasMerged) return []
      return [{ mergeId, from: (last.data as { from: string }).from, act: isMerged ? 'unmerge' : 'merge', at: last.revision }]
    })
    .toSorted((a, b) => b.at - a.at)
    .map(({ at: _, ...step }) => step)
}
