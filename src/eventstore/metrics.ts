import type { Log } from './log.ts'

export type Metrics = ReturnType<typeof createMetrics>

const BOUNDS_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]

/** Counts, rates and latencies of the node, as Prometheus reads them. */
export function createMetrics() {
  const counters = new Map<string, number>()
  const add = (name: string, amount = 1) => void counters.set(name, (counters.get(name) ?? 0) + amount)
  const writes = histogram()
  const commits = histogram()
  const reads = histogram()
  return {
    wrote(result: string, milliseconds: number) {
      add(`eventstore_writes_total{result="${result}"}`)
      writes.observe(milliseconds / 1000)
    },
    appended(events: number, sizeBytes: number) {
      add('eventstore_appended_events_total', events)
      add('eventstore_appended_bytes_total', sizeBytes)
    },
    sent(events: number) {
      add('eventstore_sent_events_total', events)
    },
    committed: (seconds: number) => commits.observe(seconds),
    /** A read (not a subscription) is over. */
    readEnded: (milliseconds: number) => reads.observe(milliseconds / 1000),
    subscribed: (change: 1 | -1) => add('eventstore_subscriptions', change),
    dropped: () => add('eventstore_subscriptions_dropped_total'),
    /** The page at /metrics. */
    page(log: Log): string {
      const lines = [...counters].map(([name, value]) => `${name} ${value}`)
      lines.push(`eventstore_last_position ${log.end()}`, `eventstore_writable ${log.trouble() ? 0 : 1}`)
      lines.push(
        ...writes.lines('eventstore_write_seconds'),
        ...commits.lines('eventstore_commit_seconds'),
        ...reads.lines('eventstore_read_seconds'),
      )
      lines.push(`process_resident_memory_bytes ${process.memoryUsage.rss()}`)
      return `${lines.join('\n')}\n`
    },
  }
}

function histogram() {
  const buckets = BOUNDS_SECONDS.map(() => 0)
  let count = 0
  let sum = 0
  return {
    observe(seconds: number) {
      count++
      sum += seconds
      for (const [index, bound] of BOUNDS_SECONDS.entries()) if (seconds <= bound) buckets[index]!++
    },
    lines(name: string): string[] {
      const steps = BOUNDS_SECONDS.map((bound, index) => `${name}_bucket{le="${bound}"} ${buckets[index]}`)
      return [...steps, `${name}_bucket{le="+Inf"} ${count}`, `${name}_sum ${sum}`, `${name}_count ${count}`]
    },
  }
}
