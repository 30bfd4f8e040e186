/** A piece of work among many. */
export type Piece = { readonly sizeBytes: number; work(): Promise<unknown> }

export type Done<P extends Piece> = { readonly piece: P; readonly outcome: Awaited<ReturnType<P['work']>> }

type Bounds = {
  /** How many are worked on at a time. */
  readonly atOnce: number
  /** Of those that are worked on, in memory; a single one may be larger. */
  readonly bytesAtOnce: number
}

const OUTCOMES_AT_ONCE = 500
/** Below what the event store takes in one append, sealed and in base64. */
const OUTCOME_BYTES = 300_000
/** What a killed run has to do again at most. */
const RECORD_EVERY_MS = 2_000

/**
 * Works on several pieces at a time, in bounded memory, and hands over what became of them, in their order and without gaps. On a signal it takes no
 * more of them. When one throws, what was done before it is handed over all the same.
 */
export async function inWindows<P extends Piece>(
  pieces: AsyncIterable<P> | Iterable<P>,
  { atOnce, bytesAtOnce }: Bounds,
  signal: AbortSignal,
  record: (settled: readonly Done<P>[]) => Promise<void>,
): Promise<void> {
  const pending: { piece: P; outcome: Promise<unknown> }[] = []
  let bytes = 0
  let settled: Done<P>[] = []
  let settledBytes = 0
  let recordedAt = performance.now()

  const hand = async () => {
    if (settled.length > 0) await record(settled)
    settled = []
    settledBytes = 0
    recordedAt = performance.now()
  }
  const settleOne = async () => {
    const { piece, outcome } = pending.shift()!
    const known = (await outcome) as Done<P>['outcome']
    bytes -= piece.sizeBytes
    settled.push({ piece, outcome: known })
    settledBytes += Buffer.byteLength(JSON.stringify(known))
    const isDue = settled.length === OUTCOMES_AT_ONCE || settledBytes > OUTCOME_BYTES || performance.now() - recordedAt > RECORD_EVERY_MS
    if (isDue) await hand()
  }

  try {
    for await (const piece of pieces) {
      while (pending.length > 0 && (pending.length >= atOnce || bytes + piece.sizeBytes > bytesAtOnce)) await settleOne()
      if (signal.aborted) break
      const outcome = piece.work()
      // Whoever waits for those before it learns of it when its turn comes.
      outcome.catch(() => {})
      pending.push({ piece, outcome })
      bytes += piece.sizeBytes
    }
    while (pending.length > 0) await settleOne()
  } finally {
    // What was done is recorded also when the next could not be; and nothing goes on behind the back of the next run.
    await Promise.allSettled(pending.map(({ outcome }) => outcome))
    await hand()
  }
}
