import { setTimeout as delay } from 'node:timers/promises'
import { POSITION_CHANNEL } from './checkpoint.ts'
import type { Pool } from './database.ts'
import { listen } from './listener.ts'
import type { Logger } from './log.ts'
import { comparePositions, type Position, parsePosition, START } from './position.ts'
import { type Answered, readAnswered } from './projections/answers.ts'

export type PositionWatch = {
  /** How far the read tables are, as far as this process knows: never further than they are. */
  current(): Position
  /**
   * Waits until the read tables have come as far as `position`.
   * @returns false when they had not after `timeoutMs`, or the signal aborted; never later than that, whatever is away
   */
  waitFor(position: Position, timeoutMs: number, signal?: AbortSignal): Promise<boolean>
  /** Whether what `current` says can be trusted: the checkpoint was read, or heard of, in the last seconds. */
  healthy(): { readonly ok: boolean; readonly listening: boolean; readonly reason: string | null }
  /** Ends the waiting: all of them are answered with false. */
  close(): Promise<void>
}

const STALE_MS = 5_000

/**
 * Follows the position of the read tables, that of the one that is furthest behind: by one LISTEN connection, and by reading the checkpoint now and then, should that connection be broken
 * without anybody noticing.
 * @param pollMs how often it is read
 */
export function watchPosition(pool: Pool, log: Logger, { pollMs = 1_000 } = {}): PositionWatch {
  const closing = new AbortController()
  const { signal } = closing
  const waiting = new Set<{ position: Position; end(isReached: boolean): void }>()
  let known: Answered = { position: START, epoch: -1, parkedVersion: 0, isOne: false }
  let heard: number | null = null
  let reason: string | null = 'the position of the read tables has not been read yet'
  const pause = (ms: number) => delay(ms, undefined, { signal }).catch(() => {})

  const learn = (answered: Answered) => {
    heard = performance.now()
    reason = null
    // Only in a new epoch may they go back (to tables that are kept); otherwise what is lower is an answer that was overtaken.
    const isNews =
      answered.epoch > known.epoch || (answered.epoch === known.epoch && comparePositions(answered.position, known.position) > 0)
    if (!isNews) {
      if (answered.epoch === known.epoch) known = { ...known, isOne: answered.isOne }
      return
    }
    known = answered
    for (const wait of waiting) if (comparePositions(wait.position, known.position) <= 0) wait.end(true)
  }

  const read = async () => {
    try {
      learn(await readAnswered(pool))
    } catch (error) {
      if (!signal.aborted) reason = `the position of the read tables cannot be read: ${(error as Error).message}`
    }
  }

  /** Until that is done, what is told of the live position says nothing of the others. */
  const readAnew = () => {
    known = { ...known, isOne: false }
    void read()
  }

  const poll = async () => {
    while (!signal.aborted) {
      await read()
      await pause(pollMs)
    }
  }

  const polling = poll()
  const listener = listen(
    pool,
    log,
    [POSITION_CHANNEL],
    (_channel, payload) => {
      const position = parsePosition(payload)
      // What is told is how far the live tables are; where others are behind, that is to be asked for.
      if (position && known.isOne && comparePositions(position, known.position) > 0) learn({ ...known, position })
      else readAnew()
    },
    // What was told before the LISTEN was not heard.
    readAnew,
  )

  return {
    current: () => known.position,
    waitFor(position, timeoutMs, waitSignal) {
      if (comparePositions(position, known.position) <= 0) return Promise.resolve(true)
      if (signal.aborted || waitSignal?.aborted) return Promise.resolve(false)
      return new Promise((resolve) => {
        const end = (isReached: boolean) => {
          clearTimeout(timer)
          waiting.delete(wait)
          waitSignal?.removeEventListener('abort', giveUp)
          resolve(isReached)
        }
        const giveUp = () => end(false)
        const wait = { position, end }
        const timer = setTimeout(giveUp, timeoutMs)
        waiting.add(wait)
        waitSignal?.addEventListener('abort', giveUp)
      })
    },
    healthy() {
      const isStale = heard !== null && performance.now() - heard > STALE_MS
      return {
        ok: heard !== null && !isStale,
        listening: listener.isConnected(),
        reason: reason ?? (isStale ? 'the position of the read tables has not been heard of for a while' : null),
      }
    },
    async close() {
      closing.abort()
      for (const wait of waiting) wait.end(false)
      await Promise.race([Promise.all([polling, listener.close()]), delay(2_000, undefined, { ref: false })])
    },
  }
}
