/** What of a mail goes into its event, in bytes of JSON. All together, sealed and in base64, it stays below 850 kB of the server's 1 MiB. */
export const budgets = {
  text: 192 * 1024,
  textOwn: 64 * 1024,
  subject: 4 * 1024,
  messageId: 2 * 1024,
  dateHeader: 1024,
  parties: 96 * 1024,
  references: 32 * 1024,
  inReplyTo: 8 * 1024,
  attachmentName: 255,
  contentId: 255,
} as const

export const jsonBytes = (value: unknown): number => Buffer.byteLength(JSON.stringify(value))

/** The longest beginning of a text that takes no more than so many bytes as JSON, and no half character at its end. */
export function fitText(text: string, budgetBytes: number): string {
  // A character takes a byte at least, two more are the quotes.
  let high = Math.min(text.length, budgetBytes - 2)
  if (high === text.length && jsonBytes(text) <= budgetBytes) return text
  let low = 0
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (jsonBytes(text.slice(0, middle).toWellFormed()) <= budgetBytes) low = middle
    else high = middle - 1
  }
  const lastUnit = text.charCodeAt(low - 1)
  return text.slice(0, lastUnit >= 0xd800 && lastUnit < 0xdc00 ? low - 1 : low)
}

/** As many of the first items as fit, and no more are made; `rest` is what is left of the budget. */
export function fitList<T>(items: Iterable<T>, budgetBytes: number): { items: T[]; rest: number; cut: boolean } {
  const kept: T[] = []
  let rest = budgetBytes
  for (const item of items) {
    const bytes = jsonBytes(item) + 1
    if (bytes > rest) return { items: kept, rest, cut: true }
    rest -= bytes
    kept.push(item)
  }
  return { items: kept, rest, cut: false }
}
