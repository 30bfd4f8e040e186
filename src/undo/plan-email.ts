import type { NewEvent } from '../../schema/define.ts'
import { type EmailEvent, emailEvents } from '../../schema/email-events.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { trackFields, verdictOf, type Write } from './fields.ts'
import { erased, isErased, type Plan } from './plan.ts'

/** Beside those of other removals (src/emails/email.ts): it stays away from mailboxes, and comes back with a file that somebody imports. */
const UNDONE = 'undone'

const stored =
  (value: boolean) =>
  (_data: unknown, { revision }: RecordedEvent): readonly Write[] => [{ field: 'stored', value, mark: { revision, place: 0 } }]
const writes: { [T in keyof typeof emailEvents]: (data: unknown, event: RecordedEvent) => readonly Write[] } = {
  EmailReceived: stored(true),
  EmailSent: stored(true),
  EmailRemoved: stored(false),
  // Whoever is masked stays so: what is read of a mail is without him, whenever it was recorded (src/emails/mask.ts).
  EmailPartiesMasked: () => [],
}

/**
 * What undoing some of a mail's events makes of it: one that they stored is taken away, one that they took away is stored again as it was. Whether its
 * contents are still there, and whether something else has brought it too, is for the caller to find out. Pure.
 */
export function planEmail(emailId: string, events: readonly RecordedEvent[], isUndone: (event: RecordedEvent) => boolean): Plan {
  if (isErased(events)) return erased(events)
  const track = trackFields(
    events,
    isUndone,
    (event) => writes[event.type as EmailEvent['type']](event.data, event),
    () => false,
  ).get('stored')
  const verdict = track ? verdictOf(track) : 'untouched'
  if (verdict === 'changed since')
    return {
      putBack: [],
      conflicts: [{ field: 'stored', code: 'changed-since', now: track!.value, by: track!.by }],
      events: [],
      merges: [],
    }
  if (verdict !== 'put back') return { putBack: [], conflicts: [], events: [], merges: [] }
  const { before } = track!.run!
  const last = before.mark && events.find(({ revision }) => revision === before.mark!.revision)
  const again: NewEvent =
    before.value && last
      ? { type: last.type, data: last.data }
      : emailEvents.EmailRemoved({ emailId, reason: last ? (last.data as { reason: string }).reason : UNDONE })
  return { putBack: [{ field: 'stored', from: track!.value, to: before.value }], conflicts: [], events: [again], merges: [] }
}
