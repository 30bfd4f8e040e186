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
