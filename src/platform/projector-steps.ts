import type { RecordedEvent, StoredEvent } from './event.ts'
import type { Projection, RowWrite } from './projection.ts'
import { Unavailable } from './refusal.ts'
import { createInterpreter } from './rows.ts'

/** An event and what it means for the tables; or why that cannot be told. */
export type Step = {
  readonly event: StoredEvent
  readonly writes: readonly RowWrite[]
  readonly sizeBytes: number
  /** This version knows events of its type. */
  readonly known: boolean
  readonly fault?: unknown
}

/** @throws Unavailable when it may work later; anything else is taken for a fault of one of the events */
export type Decode = (events: readonly StoredEvent[]) => Promise<RecordedEvent[]>

/**
 * Decodes events a batch at a time and asks the projections what each means.
 * An event that cannot be decoded or that a handler throws on becomes a step with a fault, in its place.
 */
export function createSteps(decode: Decode, projections: readonly Projection[]) {
  const interpret = createInterpreter(projections)

  const decodeEach = async (events: readonly StoredEvent[]): Promise<(RecordedEvent | { fault: unknown })[]> => {
    try {
      return await decode(events)
    } catch (fault) {
      if (fault instanceof Unavailable) throw fault
      if (events.length === 1) return [{ fault }]
      const each = []
      for (const event of events) each.push(...(await decodeEach([event])))
      return each
    }
  }

  const toStep = (event: StoredEvent, decoded: RecordedEvent | { fault: unknown }): Step => {
    const step = { event, writes: [], sizeBytes: sizeOf(event), known: true }
    if ('fault' in decoded) return { ...step, fault: decoded.fault }
    if (!decoded.known) return { ...step, known: false }
    try {
      return { ...step, writes: interpret(decoded) }
    } catch (fault) {
      return { ...step, fault }
    }
  }

  return async function* steps(batches: AsyncIterable<StoredEvent[]>): AsyncGenerator<Step> {
    for await (const batch of batches) {
      const decoded = await decodeEach(batch)
      for (const [index, event] of batch.entries()) yield toStep(event, decoded[index]!)
    }
  }
}

/** About how many bytes an event has, without writing it out. */
export function sizeOf({ data, metadata }: StoredEvent): number {
  return 200 + sizeOfValue(data) + sizeOfValue(metadata)
}

function sizeOfValue(value: unknown): number {
  if (typeof value === 'string') return value.length
  if (typeof value !== 'object' || value === null) return 8
  let size = 0
  for (const part of Object.values(value)) size += 8 + sizeOfValue(part)
  return size
}
