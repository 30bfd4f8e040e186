/**
 * Waits for some work, but no longer than so many milliseconds. The work goes on; what comes of it then is nobody's.
 * @throws what the work throws; `late` when it took longer
 */
export async function within<T>(ms: number, work: Promise<T>, late: () => Error): Promise<T> {
  const { promise: isLate, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(late()), ms)
  work.catch(() => {})
  return Promise.race([work, isLate]).finally(() => clearTimeout(timer))
}
