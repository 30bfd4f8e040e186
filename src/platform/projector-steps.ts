import type { RecordedEvent, StoredEvent } from './event.ts'
import { Unavailable } from './refusal.ts'

/** An event and what it means; or why that cannot be told. */
export type Step<Work> = {
  readonly event: StoredEvent
  readonly work: readonly Work[]
  readonly sizeBytes: number
  /** This version knows events of its type. */
  readonly known: boolean
  readonly fault?: unknown
}

/** @throws Unavailable when it may work later; anything else is taken for a fault of one of the events */
export type Decode = (events: readonly StoredEvent[]) => Promise<RecordedEvent[]>

type Options<Work> = {
  readonly decode: Decode
  concerns?(type: string): boolean
  interpret(event: RecordedEvent): readonly Work[]
}

/**
 * Decodes events a batch at a time and finds what each means.
 * An event that cannot be decoded or that cannot be interpreted becomes a step with a fault, in its place.
 */
export function createSteps<Work>({ decode, concerns, interpret }: Options<Work>) {
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

  const toStep = (event: StoredEvent, decoded: RecordedEvent | { fault: unknown } | undefined): Step<Work> => {
    const step = { event, work: [], sizeBytes: sizeOf(event), known: true }
    if (!decoded) return step
    if ('fault' in decoded) return { ...step, fault: decoded.fault }
    try {
      return { ...step, known: decoded.known, work: interpret(decoded) }
    } catch (fault) {
      return { ...step, fault }
    }
  }

  return async function* steps(batches: AsyncIterable<StoredEvent[]>): AsyncGenerator<Step<Work>> {
    for await (const batch of batches) {
      const concerning = concerns ? batch.filter(({ type }) => concerns(type)) : batch
      const decoded = concerning.length > 0 ? await decodeEach(concerning) : []
      const results = new Map(concerning.map((event, index) => [event, decoded[index]!]))
      for (const event of batch) yield toStep(event, results.get(event))
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
