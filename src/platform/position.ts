/** A place in the log. Both halves are stored and compared, because servers have sent one of them wrong. */
export type Position = { readonly commit: bigint; readonly prepare: bigint }

/** Before the first event. */
export const START: Position = { commit: 0n, prepare: 0n }

/** As it stands in headers, cursors and tables: `<commit>.<prepare>`. */
export const formatPosition = ({ commit, prepare }: Position): string => `${commit}.${prepare}`

/** Reads `<commit>.<prepare>`; null when the text is no position. */
export function parsePosition(text: string): Position | null {
  const match = /^(\d{1,19})\.(\d{1,19})$/.exec(text)
  return match ? { commit: BigInt(match[1]!), prepare: BigInt(match[2]!) } : null
}

/** Negative when a comes before b, zero when they are the same place, positive when a comes after b. */
export function comparePositions(a: Position, b: Position): number {
  if (a.commit !== b.commit) return a.commit < b.commit ? -1 : 1
  if (a.prepare !== b.prepare) return a.prepare < b.prepare ? -1 : 1
  return 0
}
