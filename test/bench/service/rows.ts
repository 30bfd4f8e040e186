/** Processor time in microseconds for each thing that was done, by process. */
export type Cost = Readonly<Record<string, number>>

/** One line of the table. @property ratio SmartCRM's by the peer's, where there is one */
export type Row = {
  readonly row: string
  readonly what: string
  readonly smartcrm: string
  readonly peer: string
  readonly ratio: number | null
  readonly target: string
  /** What it took of the processor, and its peer: what limits both, once the processors are busy. Linux only; 0 elsewhere. */
  readonly cost?: { readonly smartcrm: Cost; readonly peer?: Cost }
  /** What it is made of, for the JSON file. */
  readonly numbers: object
}

/** What was used between two looks, which tell seconds by process, for each of so many. */
export const costOf = (before: Readonly<Record<string, number>>, after: Readonly<Record<string, number>>, count: number): Cost =>
  Object.fromEntries(Object.entries(after).map(([process, seconds]) => [process, Math.round(((seconds - before[process]!) * 1e6) / count)]))

/** The costs of the rows as a table, the dearest process first; and how many a second that leaves room for, were so many cores all that limits them. */
export function costTable(rows: readonly Row[], cores: number): Record<string, Record<string, string | number>> {
  const lines = rows.flatMap(({ row, what, cost }) =>
    Object.entries(cost ?? {}).map(([side, cost]) => {
      const sum = Object.values(cost).reduce((sum, one) => sum + one, 0)
      const parts = Object.entries(cost).sort(([, a], [, b]) => b - a)
      const of = parts.map(([process, microseconds]) => `${process} ${microseconds}`).join(', ')
      return [`${row} ${what}, ${side}`, { 'µs each': sum, of, 'at most': `${Math.round((cores * 1e6) / sum)}/s` }] as const
    }),
  )
  return Object.fromEntries(lines)
}

export const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

/** The median of each process. */
export const medianCost = (costs: readonly Cost[]): Cost =>
  Object.fromEntries(Object.keys(costs[0]!).map((process) => [process, median(costs.map((cost) => cost[process]!))]))
