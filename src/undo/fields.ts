import { isDeepStrictEqual } from 'node:util'
import type { RecordedEvent } from '../platform/event.ts'

/** Since when a value counts: where its order among others matters, it is put back with it. */
export type Mark = { readonly revision: number; readonly place: number }

/** What an event makes of a field. */
export type Write = { readonly field: string; readonly value: unknown; readonly mark: Mark }

type Valued = { readonly value: unknown; readonly mark: Mark | null }

/** How a field came to be what it is. */
export type Track = Valued & {
  readonly field: string
  /** The last event that made it another; null: none has. */
  readonly by: RecordedEvent | null
  /** What it was before the undone events changed it last, one after the other, and after them; null: they have not. */
  readonly run: { readonly before: Valued; readonly after: unknown } | null
}

export const isSame = (a: unknown, b: unknown): boolean => isDeepStrictEqual(a, b)

/**
 * Follows each field of a thing through its events. Pure.
 * @param isUndone which of the events are to be undone
 * @param writesOf what an event says of which fields
 * @param initialOf what a field is before anything is said of it
 */
export function trackFields(
  events: readonly RecordedEvent[],
  isUndone: (event: RecordedEvent) => boolean,
  writesOf: (event: RecordedEvent) => readonly Write[],
  initialOf: (field: string) => unknown,
): Map<string, Track> {
  const tracks = new Map<string, Track>()
  const ours = new Set<string>()
  for (const event of events) {
    const isOurs = isUndone(event)
    for (const { field, value, mark } of writesOf(event)) {
      const before: Track = tracks.get(field) ?? { field, value: initialOf(field), mark: null, by: null, run: null }
      if (isSame(before.value, value)) {
        tracks.set(field, { ...before, mark })
        continue
      }
      const began = ours.has(field) && before.run ? before.run.before : { value: before.value, mark: before.mark }
      tracks.set(field, { field, value, mark, by: event, run: isOurs ? { before: began, after: value } : before.run })
      if (isOurs) ours.add(field)
      else ours.delete(field)
    }
  }
  return tracks
}

/** What is to become of a field that the undone events changed: it is put back where it still is what they made of it. */
export function verdictOf({ run, value }: Track): 'untouched' | 'there already' | 'put back' | 'changed since' {
  if (!run) return 'untouched'
  if (isSame(value, run.before.value)) return 'there already'
  return isSame(value, run.after) ? 'put back' : 'changed since'
}
