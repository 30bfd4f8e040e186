/** One line of the table. @property ratio SmartCRM's by the peer's, where there is one */
export type Row = {
  readonly row: string
  readonly what: string
  readonly smartcrm: string
  readonly peer: string
  readonly ratio: number | null
  readonly target: string
  /** What it is made of, for the JSON file. */
  readonly numbers: object
}

export const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!
