import { type DuplicateEvent, duplicateEvents } from '../../schema/duplicate-events.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { trackFields, verdictOf, type Write } from './fields.ts'
import { erased, isErased, type Plan } from './plan.ts'

const write =
  (value: boolean) =>
  ({ revision }: RecordedEvent): readonly Write[] => [{ field: 'dismissed', value, mark: { revision, place: 0 } }]
const writes: { [T in DuplicateEvent['type']]: (event: RecordedEvent) => readonly Write[] } = {
  DuplicateDismissed: write(true),
  DuplicateReconsidered: write(false),
}

/** What undoing makes of the word that two contacts are not the same. Pure. */
export function planDuplicate(events: readonly RecordedEvent[], isUndone: (event: RecordedEvent) => boolean): Plan {
  if (isErased(events)) return erased(events)
  const track = trackFields(
    events,
    isUndone,
    (event) => writes[event.type as DuplicateEvent['type']](event),
    () => false,
  ).get('dismissed')
  const verdict = track ? verdictOf(track) : 'untouched'
  const conflicts =
    verdict === 'changed since' ? [{ field: 'dismissed', code: 'changed-since', now: track!.value, by: track!.by } as const] : []
  if (verdict !== 'put back') return { putBack: [], conflicts, events: [], merges: [] }
  const { value, mark } = track!.run!.before
  const last = events[value ? mark!.revision : 0]!.data as ReturnType<typeof duplicateEvents.DuplicateDismissed>['data']
  const { pairId, contactId, otherId } = last
  const again = value ? duplicateEvents.DuplicateDismissed(last) : duplicateEvents.DuplicateReconsidered({ pairId, contactId, otherId })
  return { putBack: [{ field: 'dismissed', from: track!.value, to: value }], conflicts: [], events: [again], merges: [] }
}
