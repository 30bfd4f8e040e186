/**
 * Runs work at once, but work that shares a key one after the other, in the order in which it was given, so that a repeat gives the same end.
 * How much runs at a time is the caller's affair.
 */
export function inOrder(): <T>(keys: readonly string[], work: () => Promise<T>) => Promise<T> {
  const latest = new Map<string, Promise<unknown>>()
  return (keys, work) => {
    const before = keys.flatMap((key) => latest.get(key) ?? [])
    const result = before.length > 0 ? Promise.allSettled(before).then(work) : work()
    const settled = result.then(
      () => forget(),
      () => forget(),
    )
    for (const key of keys) latest.set(key, settled)
    const forget = () => {
      for (const key of keys) if (latest.get(key) === settled) latest.delete(key)
    }
    return result
  }
}

/**
 * Runs the work for a key once for all who ask while the run before it is under way, since that one may have looked before they asked.
 * @returns what the run gives that began after the asking; it fails with that run alone
 */
export function sharedByKey<T>(work: (key: string) => Promise<T>): (key: string) => Promise<T> {
  const running = new Map<string, Promise<T>>()
  const next = new Map<string, Promise<T>>()
  const begin = (key: string) => {
    next.delete(key)
    const run = work(key).finally(() => running.get(key) === run && running.delete(key))
    running.set(key, run)
    return run
  }
  return (key) => {
    const before = running.get(key)
    if (!before) return begin(key)
    const after = () => begin(key)
    const shared = next.get(key) ?? before.then(after, after)
    next.set(key, shared)
    return shared
  }
}
