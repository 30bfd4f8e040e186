import { setTimeout as delay } from 'node:timers/promises'

/** Does one piece of work at a time, in the order of asking; others wait in line. */
export type Turns = <T>(work: () => Promise<T>) => Promise<T>

const REST_AT_MOST_MS = 100

/** After each piece of work comes a rest as long as it took (a tenth of a second at most), so that what else this process does gets on meanwhile. */
export function createTurns(): Turns {
  let line: Promise<unknown> = Promise.resolve()
  return (work) => {
    let startedMs = 0
    const done = line.then(() => {
      startedMs = performance.now()
      return work()
    })
    const rest = () => delay(Math.min(performance.now() - startedMs, REST_AT_MOST_MS))
    line = done.then(rest, rest)
    return done
  }
}
