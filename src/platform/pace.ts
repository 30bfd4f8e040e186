import { setTimeout as delay } from 'node:timers/promises'

/** How fast somebody may be asked. */
export type Limit = {
  /** So many units in any window. */
  readonly units: number
  readonly windowMs: number
}

/** To be called when what was asked is answered. @param wasTooFast the answer was that we ask too fast */
export type Turn = (wasTooFast?: boolean) => void

export type Pacing = {
  /** Milliseconds that only grow. */
  now?(): number
  sleep?(ms: number, signal?: AbortSignal): Promise<unknown>
}

/** What is never asked for, so that two clocks that differ a little, and what a new pace gives at once, do not make too much of it. */
const SPARED = 0.01
/** What may be asked for at once, after a time in which less was. */
const BURST = 0.25
/** What a new pace gives at once, for the question whether there is anything to do. */
const AT_ONCE = 0.003
const SLOWEST = 1 / 16

export type Pace = {
  /** Resolves when so many units may be used, in the order in which it is asked. @throws the signal's reason */
  take(units: number, signal?: AbortSignal): Promise<Turn>
  /** Nobody has used any in the window before: there is nothing to make up for. */
  rested(): void
}

/**
 * Gives turns so that no more units than the limit's are used in any window of the one who counts them, who does so at some moment between a turn and
 * its end: a turn's units are held against the limit until a window after its end. Beside that, a bucket fills evenly, and begins with a burst's worth of
 * debt: so also the last window of a process that was killed and the first one of its successor together keep the limit, whatever that one had used.
 *
 * After a refusal turns come half as often, and double again with every window without one.
 */
export function createPace({ units: limit, windowMs }: Limit, { now = () => performance.now(), sleep = pause }: Pacing = {}): Pace {
  const usable = limit * (1 - SPARED)
  const burst = usable * BURST
  const perMs = usable / windowMs
  let free = limit * AT_ONCE
  let level = -burst
  let filledAt = now()
  let speed = 1
  let refusedAt = Number.NEGATIVE_INFINITY
  /** Turns that count, in their order; `endedAt` is null while nobody has answered. */
  let turns: { units: number; startedAt: number; endedAt: number | null }[] = []
  let before: Promise<unknown> = Promise.resolve()

  /** A turn of which nobody says that it is over (somebody was killed in it) counts for two windows. */
  const freeAt = ({ startedAt, endedAt }: (typeof turns)[number]) => (endedAt === null ? startedAt + 2 * windowMs : endedAt + windowMs)

  const fill = () => {
    const at = now()
    if (speed < 1 && at - refusedAt >= windowMs) {
      speed = Math.min(1, speed * 2)
      refusedAt = at
    }
    level = Math.min(burst, level + (at - filledAt) * perMs * speed)
    filledAt = at
    turns = turns.filter((turn) => freeAt(turn) > at)
    return at
  }

  /** How long there is no room for so many units; 0: there is now. */
  const waitMs = (units: number): number => {
    const at = fill()
    // More than the bucket holds is given when it is full, and owed.
    const wanted = Math.min(units, burst)
    const forBucket = units <= free || level >= wanted ? 0 : (wanted - level) / (perMs * speed)
    let used = turns.reduce((sum, turn) => sum + turn.units, 0)
    if (used + Math.min(units, usable) <= usable) return Math.ceil(forBucket)
    for (const [end, turn] of turns.map((turn) => [freeAt(turn), turn] as const).sort(([a], [b]) => a - b)) {
      used -= turn.units
      // It may be over sooner than it seems by now.
      if (used + Math.min(units, usable) <= usable) return Math.ceil(Math.max(forBucket, Math.min(end - at, windowMs / 60), 1))
    }
    return Math.ceil(forBucket)
  }

  const take = (units: number): Turn => {
    const turn: (typeof turns)[number] = { units, startedAt: filledAt, endedAt: null }
    if (units <= free) free -= units
    else level -= units
    turns.push(turn)
    return (wasTooFast = false) => {
      if (turn.endedAt !== null) return
      turn.endedAt = now()
      if (!wasTooFast || turn.endedAt - refusedAt < windowMs / 20) return
      fill()
      speed = Math.max(SLOWEST, speed / 2)
      level = Math.min(level, 0)
      refusedAt = turn.endedAt
    }
  }

  return {
    take(units, signal) {
      const turn = before.then(async () => {
        for (let ms = waitMs(units); ms > 0; ms = waitMs(units)) {
          signal?.throwIfAborted()
          await sleep(ms, signal).catch(() => {})
        }
        signal?.throwIfAborted()
        return take(units)
      })
      before = turn.catch(() => {})
      return turn
    },
    rested() {
      level = Math.max(level, burst)
    },
  }
}

const pause = (ms: number, signal?: AbortSignal) => delay(ms, undefined, { signal })
