/**
 * Asks once for all who ask at about the same time: an answer is good for `freshMs` from when it was asked for, a failure for nobody else.
 * @returns asks; given true it asks anew, because what the answer is about was just changed
 */
export function sharedAnswer<T>(ask: () => Promise<T>, freshMs: number): (isChanged?: boolean) => Promise<T> {
  let last: { at: number; answer: Promise<T> } | null = null
  return (isChanged = false) => {
    if (isChanged || !last || performance.now() - last.at > freshMs) {
      const answer = ask()
      last = { at: performance.now(), answer }
      answer.catch(() => {
        if (last?.answer === answer) last = null
      })
    }
    return last.answer
  }
}
