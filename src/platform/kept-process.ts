import type { ChildProcess } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from './log.ts'

type Options = {
  name: string
  log: Logger
  start: () => ChildProcess
  /** Told when it ended without being stopped. @returns whether to start it again */
  onEnd: (code: number | null) => boolean
  longestPauseMs?: number
}

/** A process that is started again when it ends. */
export type KeptProcess = {
  /** Asks it with SIGTERM to end; after the time it is killed. Resolves when it is gone; it stays gone. */
  stop(timeoutSeconds: number): Promise<void>
  kill(signal: NodeJS.Signals): void
}

const firstPauseMs = 100
/** A process that ran this long was well: the next time it is started again quickly. */
const wellAfterMs = 30_000

/** Starts a process, and again when it ends, after pauses that double from 0.1 s to 10 s, unless it says otherwise. */
export function keepRunning({ name, log, start, onEnd, longestPauseMs = 10_000 }: Options): KeptProcess {
  const stopping = new AbortController()
  let child: ChildProcess | undefined
  const kill = (signal: NodeJS.Signals) => void child?.kill(signal)

  async function keep() {
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      const startedAt = performance.now()
      child = start()
      const { code, signal } = await ended(child)
      if (stopping.signal.aborted || !onEnd(code)) return
      if (performance.now() - startedAt > wellAfterMs) pauseMs = firstPauseMs
      log.warn({ role: name, code, signal, pauseMs }, `${name} ended and is started again`)
      await delay(pauseMs, undefined, { signal: stopping.signal }).catch(() => {})
      if (stopping.signal.aborted) return
    }
  }
  const kept = keep()

  return {
    async stop(timeoutSeconds) {
      stopping.abort()
      kill('SIGTERM')
      const tooLate = setTimeout(() => {
        log.error(`${name} did not end in time and is killed`)
        // It may catch the first, to take others along.
        kill('SIGQUIT')
        setTimeout(kill, 500, 'SIGKILL').unref()
      }, timeoutSeconds * 1000)
      await kept.finally(() => clearTimeout(tooLate))
    },
    kill,
  }
}

type End = { code: number | null; signal: NodeJS.Signals | null }

/** Never rejects: a process that could not even be started has ended, too. */
const ended = (child: ChildProcess) =>
  new Promise<End>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
    child.on('error', () => child.pid === undefined && resolve({ code: null, signal: null }))
  })
