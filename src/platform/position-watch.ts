import { setTimeout as delay } from 'node:timers/promises'
import { type Checkpoint, channelOf, readCheckpoint } from './checkpoint.ts'
import type { Pool } from './database.ts'
import { listen } from './listener.ts'
import type { Logger } from './log.ts'
import { comparePositions, type Position, parsePosition, START } from './position.ts'

export type PositionWatch = {
  /** How far the read tables are, as far as this process knows: never further than they are. */
  current(): Position
  /**
   * Waits until the read tables have come as far as `position`.
   * @returns false when they had not after `timeoutMs`, or the signal aborted; never later than that, whatever is away
   */
  waitFor(position: Position, timeoutMs: number, signal?: AbortSignal): Promise<boolean>
  /** False while tables that are built anew still lack something that they had before. */
  isComplete(): boolean
  /** Whether what `current` says can be trusted: the checkpoint was read, or heard of, in the last seconds. */
  healthy(): { readonly ok: boolean; readonly listening: boolean; readonly reason: string | null }
  /** Ends the waiting: all of them are answered with false. */
  close(): Promise<void>
}

const STALE_MS = 5_000

/**
 * Follows the position of the read tables: by one LISTEN connection, and by reading the checkpoint now and then, should that connection be broken
 * without anybody noticing.
 * @param pollMs how often it is read
 */
export function watchPosition(pool: Pool, log: Logger, { checkpoint = 'live', pollMs = 1_000 } = {}): PositionWatch {
  const closing = new AbortController()
  const { signal } = closing
  const waiting = new Set<{ position: Position; end(isReached: boolean): void }>()
  let known: Checkpoint = { position: START, epoch: -1, completeAt: START }
  let heard: number | null = null
  let reason: string | null = 'the position of the read tables has not been read yet'
  const pause = (ms: number) => delay(ms, undefined, { signal }).catch(() => {})

  const learn = (checkpoint: Checkpoint) => {
    heard = performance.now()
    reason = null
    // Only a new epoch may begin again at the start (tables built anew); otherwise what is lower is an answer that was overtaken.
    const isNews =
      checkpoint.epoch > known.epoch || (checkpoint.epoch === known.epoch && comparePositions(checkpoint.position, known.position) > 0)
    if (!isNews) return
    known = checkpoint
    for (const wait of waiting) if (comparePositions(wait.position, known.position) <= 0) wait.end(true)
  }

  const read = async () => {
    try {
      const stored = await readCheckpoint(pool, checkpoint)
      if (stored) learn(stored)
      else reason = 'there are no read tables yet'
    } catch (error) {
      if (!signal.aborted) reason = `the position of the read tables cannot be read: ${(error as Error).message}`
    }
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
    [channelOf(checkpoint)],
    (_channel, payload) => {
      const position = parsePosition(payload)
      if (!position) return
      if (comparePositions(position, known.position) > 0) learn({ ...known, position })
      else void read()
    },
    // What was told before the LISTEN was not heard.
    () => void read(),
  )

  return {
    current: () => known.position,
    isComplete: () => comparePositions(known.position, known.completeAt) >= 0,
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
