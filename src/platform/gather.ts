import { setImmediate } from 'node:timers/promises'

export type Limits = { readonly events: number; readonly bytes: number }

/** How long from one batch to the next at the least, in milliseconds: what comes meanwhile is taken together. A full batch waits for nothing. */
export type Rest<T> = {
  readonly ms: number
  /** After a batch of `count` or more so long at the most: until something comes that is awaited, or nothing comes for `quietMs`. */
  readonly bulk?: { readonly ms: number; readonly quietMs: number; readonly count: number; isAwaited(item: T): boolean }
}

/**
 * Natural batching: reads ahead while the consumer works, and hands over all that has gathered meanwhile, but no more than the limits (and always one).
 * An idle consumer gets what comes at once, so nothing waits for a batch to fill, unless it is to rest. When as much as one batch waits, reading pauses.
 *
 * Leaving the loop stops reading at the source's next item; whoever owns the source ends one that is silent.
 * @throws what the source throws, after what came before it was handed over
 */
export async function* gather<T>(
  source: AsyncIterable<T>,
  sizeOf: (item: T) => number,
  limits: Limits,
  rest?: Rest<T>,
): AsyncGenerator<T[]> {
  let waiting: { item: T; size: number }[] = []
  let sizeBytes = 0
  let end: { error?: unknown } | null = null
  let left = false
  let wakeConsumer = () => {}
  let wakeReader = () => {}
  let wakeRested = () => {}
  let takenAt = Number.NEGATIVE_INFINITY
  let cameAt = 0
  let isBulk = false
  const isFull = () => waiting.length >= limits.events || sizeBytes >= limits.bytes

  const read = async () => {
    for await (const item of source) {
      if (left) return
      const size = sizeOf(item)
      waiting.push({ item, size })
      sizeBytes += size
      wakeConsumer()
      if (rest) cameAt = performance.now()
      const isAwaited = isBulk && rest?.bulk?.isAwaited(item)
      if (isAwaited) isBulk = false
      if (isAwaited || isFull()) wakeRested()
      while (!left && isFull()) await new Promise<void>((wake) => (wakeReader = wake))
    }
  }
  const finish = (how: { error?: unknown }) => {
    end = how
    wakeConsumer()
    wakeRested()
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
    takenAt = performance.now()
    const bulk = rest?.bulk
    isBulk = bulk !== undefined && taken >= bulk.count && !waiting.some(({ item }) => bulk.isAwaited(item))
    return batch.map(({ item }) => item)
  }

  const rested = async ({ ms, bulk }: Rest<T>) => {
    for (;;) {
      const bulkMs = bulk && isBulk ? Math.min(bulk.ms, cameAt + bulk.quietMs - takenAt) : 0
      const leftMs = takenAt + Math.max(ms, bulkMs) - performance.now()
      if (leftMs <= 0 || isFull() || end) return
      const { promise, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, leftMs)
      wakeRested = resolve
      await promise
      clearTimeout(timer)
    }
  }

  try {
    for (;;) {
      if (waiting.length > 0) {
        if (rest) await rested(rest)
        yield take()
      } else if (end) break
      else {
        await new Promise<void>((wake) => (wakeConsumer = wake))
        // What comes at the same moment is one batch.
        await setImmediate()
      }
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
