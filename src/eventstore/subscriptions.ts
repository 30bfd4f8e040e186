import { randomUUID } from 'node:crypto'
import { readAnswers, streamDeleted } from './answers.ts'
import { isTombstoned } from './appends.ts'
import { type Call, STATUS } from './grpc-call.ts'
import type { Committed, Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import type { ReadRequest } from './read-requests.ts'
import { failureOfRead, pump } from './reads.ts'
import { allSource, type Source, streamSource } from './subscription-sources.ts'
import { SHUTTING_DOWN } from './write-queue.ts'

/** The server's live buffer: one who is further behind than this is not live any more. */
const LIVE_BUFFER_EVENTS = 32

type Subscriber = { call: Call; source: Source; live: boolean; blockedSince: number | undefined }

/**
 * Subscriptions keep no events: one that does not take them is simply behind, and reads on from the log when it does. So the memory
 * that one costs is what its connection buffers, and a slow one slows nobody.
 */
export function createSubscriptions(log: Log, metrics: Metrics, options: { slowConsumerMs: number }) {
  const everything = new Set<Subscriber>()
  const byStream = new Map<string, Set<Subscriber>>()
  const all = new Set<Subscriber>()

  log.onCommit((records) => {
    for (const subscriber of everything) deliver(subscriber, records)
    if (byStream.size === 0) return
    const grouped = Map.groupBy(records, (record) => record.stream)
    for (const [name, group] of grouped) for (const subscriber of byStream.get(name) ?? []) deliver(subscriber, group)
  })

  function deliver(subscriber: Subscriber, records: Committed[]): void {
    if (!subscriber.live || subscriber.blockedSince !== undefined || !subscriber.call.isOpen()) return
    try {
      const parts = records.flatMap((record) => subscriber.source.live(record))
      if (parts.length === 0 || !subscriber.call.isOpen()) return
      metrics.sent(parts.length)
      if (!subscriber.call.send(parts.length === 1 ? parts[0]! : Buffer.concat(parts))) block(subscriber)
    } catch (error) {
      subscriber.call.finish(failureOfRead(error))
    }
  }

  /** The client's connection is full: what comes now waits in the log. */
  function block(subscriber: Subscriber): void {
    subscriber.blockedSince = Date.now()
    subscriber.call.onDrain = () => {
      subscriber.blockedSince = undefined
      const behind = subscriber.source.behind()
      if (behind === 0) return
      subscriber.live = false
      if (behind > LIVE_BUFFER_EVENTS) subscriber.call.sendMessage(readAnswers.fellBehind())
      run(subscriber, behind > LIVE_BUFFER_EVENTS)
    }
  }

  /** Reads on until there is no more; then, in the same turn, goes live: no commit can come in between. */
  function run(subscriber: Subscriber, announce: boolean): void {
    const { call, source } = subscriber
    pump(call, () => {
      const bytes = source.catchUp()
      if (bytes !== undefined || !call.isOpen()) return bytes
      subscriber.live = true
      if (announce && !call.sendMessage(readAnswers.caughtUp())) block(subscriber)
      return undefined
    })
  }

  /** As the server does with one that was live and does not take its events: ABORTED, and the client subscribes again. */
  const watch = setInterval(
    () => {
      for (const subscriber of all) {
        const { blockedSince, source, call } = subscriber
        if (blockedSince === undefined || Date.now() - blockedSince < options.slowConsumerMs) continue
        if (source.behind() <= LIVE_BUFFER_EVENTS) continue
        metrics.dropped()
        forget(subscriber)
        call.finish({
          code: STATUS.aborted,
          message: 'Operation timed out: Consumer too slow to handle event while live. Client resubscription required.',
        })
      }
    },
    Math.min(1000, options.slowConsumerMs),
  )
  watch.unref()

  function forget(subscriber: Subscriber, stream?: string): void {
    all.delete(subscriber)
    everything.delete(subscriber)
    if (stream === undefined) return
    byStream.get(stream)?.delete(subscriber)
    if (byStream.get(stream)?.size === 0) byStream.delete(stream)
  }

  return {
    subscribe(call: Call, request: ReadRequest): void {
      const { stream } = request
      const source = stream === undefined ? allSource(log, request, metrics) : streamSource(log, call, stream, request, metrics)
      const subscriber: Subscriber = { call, source, live: false, blockedSince: undefined }
      metrics.subscribed(1)
      all.add(subscriber)
      if (stream === undefined) everything.add(subscriber)
      else byStream.set(stream, (byStream.get(stream) ?? new Set()).add(subscriber))
      call.onClose = () => {
        metrics.subscribed(-1)
        forget(subscriber, stream)
      }
      if (stream !== undefined && isTombstoned(log, log.stream(stream))) call.finish(streamDeleted(stream))
      else {
        call.sendMessage(readAnswers.confirmation(randomUUID()))
        run(subscriber, true)
      }
    },
    close() {
      clearInterval(watch)
      for (const { call } of all) call.finish(SHUTTING_DOWN)
    },
  }
}
