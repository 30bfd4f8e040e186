/** What was found wrong, by its kind: the first ones in full, the others counted. */
export type Faults = {
  add(kind: string, what: string): void
  count(): number
  lines(): string[]
}

const NAMED = 5

export function createFaults(): Faults {
  const kinds = new Map<string, string[]>()
  const all = () => [...kinds.values()].flat()
  return {
    add(kind, what) {
      const found = kinds.get(kind) ?? []
      kinds.set(kind, found)
      found.push(`${new Date().toISOString()} ${what}`)
    },
    count: () => all().length,
    lines: () =>
      [...kinds].flatMap(([kind, found]) => [
        `${kind} (${found.length} times):`,
        ...found.slice(0, NAMED).map((what) => `  ${what.slice(0, 2_000)}`),
      ]),
  }
}
