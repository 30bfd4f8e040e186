/** Google's time, which may run faster than ours. Everything that expires there, and all of its quota, goes by it. */
export type Clock = {
  /** Milliseconds since 1970. */
  now(): number
  readonly speed: number
  /** From now on time runs so many times as fast as ours. */
  setSpeed(speed: number): void
  set(at: number): void
  advance(seconds: number): void
}

export type ClockOptions = {
  /** Unless given, ours. */
  startAt?: number
  /** 1 unless given; 60 makes a minute of a second. */
  speed?: number
}

export function createClock({ startAt = Date.now(), speed = 1 }: ClockOptions = {}): Clock {
  let base = startAt
  let since = performance.now()
  const now = () => base + (performance.now() - since) * speed
  const set = (at: number) => {
    base = at
    since = performance.now()
  }
  return {
    now,
    get speed() {
      return speed
    },
    setSpeed(factor) {
      set(now())
      speed = factor
    },
    set,
    advance: (seconds) => set(now() + seconds * 1000),
  }
}
