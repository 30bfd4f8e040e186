/** Asks once for all who ask at about the same time: an answer is good for `freshMs` from when it was asked for, a failure for nobody else. */
export function sharedAnswer<T>(ask: () => Promise<T>, freshMs: number): () => Promise<T> {
  let last: { at: number; answer: Promise<T> } | null = null
  return () => {
    if (!last || performance.now() - last.at > freshMs) {
      const answer = ask()
      last = { at: performance.now(), answer }
      answer.catch(() => {
        last = null
      })
    }
    return last.answer
  }
}
