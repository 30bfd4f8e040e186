/** @property fillMs for so long a batch waits to become full, at the most: for whom it is no matter when an event comes; nothing waits unless given */
export type Limits = { readonly events: number; readonly bytes: number; readonly fillMs?: number }

/**
 * Natural batching: reads ahead while the consumer works, and hands over all that has gathered meanwhile, but no more than the limits (and always one).
 * An idle consumer gets what comes at once, and no batch waits to fill unless it is said how long. When as much as one batch waits, reading pauses.
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

  const isFull = () => waiting.length >= limits.events || sizeBytes >= limits.bytes

  const read = async () => {
    for await (const item of source) {
      if (left) return
      const size = sizeOf(item)
      waiting.push({ item, size })
      sizeBytes += size
      wakeConsumer()
      while (!left && isFull()) await new Promise<void>((wake) => (wakeReader = wake))
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

  const fill = async (ms: number) => {
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      wakeConsumer()
    }, ms)
    while (!isLate && !end && !isFull()) await new Promise<void>((wake) => (wakeConsumer = wake))
    clearTimeout(timer)
  }

  try {
    for (;;) {
      if (waiting.length > 0 && limits.fillMs !== undefined && !end && !isFull()) await fill(limits.fillMs)
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

/**
 * Holds batches back in which there is nothing to do, until one comes in which there is, or for so long at the most; then all are one.
 * @param ms counted from the first that is held back
 * @throws what the source throws; what is held back then is lost, and comes again
 */
export async function* holdBack<T>(source: AsyncIterable<T[]>, isIdle: (batch: readonly T[]) => boolean, ms: number, most: number) {
  const batches = source[Symbol.asyncIterator]()
  let held: T[] = []
  let next = batches.next()
  let timer: NodeJS.Timeout | undefined
  let late: Promise<'late'> | undefined
  try {
    for (;;) {
      const come = await (late ? Promise.race([next, late]) : next)
      if (come !== 'late' && !come.done) {
        held = held.length > 0 ? held.concat(come.value) : come.value
        next = batches.next()
        // Whoever waits for it hears of its failure.
        next.catch(() => {})
        if (isIdle(come.value) && held.length < most) {
          late ??= new Promise((resolve) => {
            timer = setTimeout(resolve, ms, 'late')
          })
          continue
        }
      }
      clearTimeout(timer)
      late = undefined
      if (held.length > 0) yield held
      held = []
      if (come !== 'late' && come.done) return
    }
  } finally {
    clearTimeout(timer)
    // It may be waiting for its source, which its owner ends.
    batches.return?.()?.catch(() => {})
  }
}
