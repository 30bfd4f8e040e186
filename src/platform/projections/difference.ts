/** What differs between two tables that should be one: where, never what stands there. */
export type TableDifference = {
  readonly table: string
  /** Rows that the first lacks. */
  readonly missing: number
  /** Rows that only the first has. */
  readonly extra: number
  /** Rows that are in both and are not the same. */
  readonly changed: number
  /** The first of them, in the order of their keys. */
  readonly first: readonly RowDifference[]
}

export type RowDifference = {
  /** `missing`, `extra` or `changed`. */
  readonly what: string
  /** A text in it, which may be an address, is given by the beginning of its MD5: `where md5(address) like '…%'` finds it. */
  readonly key: Readonly<Record<string, unknown>>
  /** That are not the same; none where the row is not in both. */
  readonly columns: readonly string[]
}

/** One line a table: how many rows differ, and where the first are. */
export const inWords = (difference: TableDifference): string => `${difference.table}: ${rowsInWords(difference)}`

export const rowsInWords = ({ missing, extra, changed, first }: Omit<TableDifference, 'table'>): string => {
  const counts = [missing > 0 && `${missing} missing`, extra > 0 && `${extra} too many`, changed > 0 && `${changed} changed`].filter(
    Boolean,
  )
  const rows = first.map(
    ({ what, key, columns }) => `${JSON.stringify(key)} ${what}${columns.length > 0 ? ` (${columns.join(', ')})` : ''}`,
  )
  return `rows ${counts.join(', ')}; first ${rows.join(', ')}`
}
