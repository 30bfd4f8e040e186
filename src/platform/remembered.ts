/**
 * The same pure function of a text, which gives again what it gave for those that it was given before: the same addresses, subjects and instants come in
 * many events. What it holds is bounded.
 */
export function remembered<T>(make: (text: string) => T, most = 1_000): (text: string) => T {
  const known = new Map<string, T>()
  return (text) => {
    const before = known.get(text)
    if (before !== undefined) return before
    const made = make(text)
    if (known.size >= most) known.clear()
    known.set(text, made)
    return made
  }
}
