export type Limits = { readonly events: number; readonly bytes: number }

/**
 * Natural batching: reads ahead while the consumer works, and hands over all that has gathered meanwhile, but no more than the limits (and always one).
 * An idle consumer gets what comes at once, so nothing ever waits for a batch to fill. When as much as one batch waits, reading pauses.
 *
 * Leaving the loop stops reading at the source's next item; whoever owns the source ends one that is silent.
 * @throws what the source throws, after what came before it was handed over
 */
export async function* gather<T>(source: AsyncIterable<T>, sizeOf: (item: T) => number, limits: Limits): AsyncGenerator<T[]> {
  let waiting: { item: T; size: number }[] = []
  let sizeBytes = 0
  let end: { error?: unknown } | null = null
  let left = false
  let wakeConsumer = () => {}
  let wakeReader = () => {}

  const read = async () => {
    for await (const item of source) {
      if (left) return
      const size = sizeOf(item)
      waiting.push({ item, size })
      sizeBytes += size
      wakeConsumer()
      while (!left && (waiting.length >= limits.events || sizeBytes >= limits.bytes)) await new Promise<void>((wake) => (wakeReader = wake))
    }
  }
  const finish = (how: { error?: unknown }) => {
    end = how
    wakeConsumer()
  }
  read().then(
    () => finish({}),
    (error) => finish({ error }),
  )

  const take = (): T[] => {
    let taken = 0
    for (let bytes = 0; taken < waiting.length && taken < limits.events; taken += 1) {
      bytes += waiting[taken]!.size
      if (taken > 0 && bytes > limits.bytes) break
    }
    const batch = waiting.slice(0, taken)
    waiting = waiting.slice(taken)
    for (const { size } of batch) sizeBytes -= size
    wakeReader()
    return batch.map(({ item }) => item)
  }

  try {
    for (;;) {
      if (waiting.length > 0) yield take()
      else if (end) break
      else await new Promise<void>((wake) => (wakeConsumer = wake))
    }
    const { error } = end as { error?: unknown }
    if (error !== undefined) throw error
  } finally {
    left = true
    wakeReader()
  }
}
