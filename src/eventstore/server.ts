import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { resolve } from 'node:path'
import gossipServices from '@eventstore/db-client/generated/gossip_grpc_pb.js'
import featureServices from '@eventstore/db-client/generated/serverfeatures_grpc_pb.js'
import streamServices from '@eventstore/db-client/generated/streams_grpc_pb.js'
import type { Logger } from 'pino'
import { noteAddress, removeAddress } from './address.ts'
import { createBatchAppends } from './batch-appends.ts'
import { type CompactResult, compact } from './compact.ts'
import { gossip, serverFeatures, unary } from './features.ts'
import { beginLog } from './fresh-log.ts'
import { createGrpcServer, type Handler, oneRequest, type Receiver } from './grpc.ts'
import type { Call } from './grpc-call.ts'
import { createPages } from './http.ts'
import { type Fault, openLog } from './log.ts'
import { createMetrics } from './metrics.ts'
import { createOnePort } from './one-port.ts'
import { parseRead } from './read-requests.ts'
import { failureOfRead, serveRead } from './reads.ts'
import { createSubscriptions } from './subscriptions.ts'
import { createWriteQueue, SHUTTING_DOWN } from './write-queue.ts'
import { appendOnce, remove } from './writes.ts'

export type EventStoreOptions = {
  /** The log's `.db` file; created where there is none. */
  file: string
  /** 127.0.0.1 by default. */
  host?: string
  /** 0 (the default): any free port. */
  port?: number
  log?: Logger
  /** 1 MiB by default, as on the server. */
  maxAppendBytes?: number
  /** How long a live subscriber may take nothing while events wait for it. 10 s by default. */
  slowConsumerMs?: number
  /** How often what is hidden is removed. A day by default; 0: never. */
  compactEveryMs?: number
  /** Whether a new log begins with what a real server writes to it first, so that `$all` is never empty. No by default. */
  systemEvents?: boolean
  /** For tests: called before each write and sync; what it throws is a failing disk. */
  fault?: Fault
}

export type EventStore = {
  host: string
  port: number
  /** For the official client: `esdb://127.0.0.1:PORT?tls=false`. */
  url: string
  /** Removes what `$maxCount`, `$maxAge`, `$tb` and deletes hide, while the node goes on. */
  compact(): Promise<CompactResult>
  /** Finishes what is being written, tells the clients to go, closes the log. */
  close(): Promise<void>
}

const DAY_MS = 24 * 60 * 60 * 1000

/**
 * The embedded event node: EventStoreDB's protocol (Streams, Gossip.Read, ServerFeatures) over a log in one SQLite file. Throws
 * EventStoreRefusal (one sentence) where the log is in use, is not one, or is of a newer format.
 */
export async function startEventStore(options: EventStoreOptions): Promise<EventStore> {
  const { host = '127.0.0.1', port = 0 } = options
  const log = openLog({ file: options.file, ...(options.log && { log: options.log }), ...(options.fault && { fault: options.fault }) })
  const metrics = createMetrics()
  log.onCommit((_records, seconds) => metrics.committed(seconds))
  const queue = createWriteQueue(log, metrics, options.maxAppendBytes ?? 1024 * 1024)
  const batches = createBatchAppends(queue)
  const subscriptions = createSubscriptions(log, metrics, { slowConsumerMs: options.slowConsumerMs ?? 10_000 })
  const instanceId = randomUUID()
  let address: AddressInfo

  function read(call: Call): Receiver {
    return oneRequest(call, (payload) => {
      try {
        const request = parseRead(payload, log)
        if (request.count === 'subscription') subscriptions.subscribe(call, request)
        else serveRead(call, log, request, metrics)
      } catch (error) {
        call.finish(failureOfRead(error))
      }
    })
  }

  const { StreamsService } = streamServices
  const handlers = new Map<string, Handler>()
  const offered: [path: string, handler: Handler][] = [
    [StreamsService.read.path, read],
    [StreamsService.append.path, (call) => appendOnce(queue, call)],
    [StreamsService.batchAppend.path, batches.handle],
    [StreamsService.delete.path, (call) => remove(queue, call, false)],
    [StreamsService.tombstone.path, (call) => remove(queue, call, true)],
    [gossipServices.GossipService.read.path, unary((call) => gossip(call, instanceId, address.port))],
    [featureServices.ServerFeaturesService.getSupportedMethods.path, unary(() => serverFeatures(handlers.keys()))],
  ]
  for (const [path, handler] of offered) handlers.set(path, (call) => (queue.isClosing() ? refuse(call) : handler(call)))
  const grpc = createGrpcServer(handlers)
  let compacting: Promise<CompactResult> | undefined
  const compactOnce = () => (compacting ??= compact(log, () => closed !== undefined).finally(() => (compacting = undefined)))
  const pages = createPages(log, metrics, { file: resolve(options.file), compact: compactOnce })

  const onePort = createOnePort(grpc.http2, pages)
  try {
    if (options.systemEvents) await beginLog(log)
    address = await onePort.listen(port, host)
  } catch (error) {
    subscriptions.close()
    await log.close()
    throw error
  }
  tellAddress()
  options.log?.info({ file: options.file, host, port: address.port, position: log.end() }, 'event store is ready')

  /** A convenience: a disk that is full must not keep the node from serving reads. */
  function tellAddress(): void {
    try {
      noteAddress(options.file, `http://${nameOf(host)}:${address.port}`)
    } catch (error) {
      options.log?.warn({ err: error }, 'The address of the event store could not be noted beside its log.')
    }
  }

  const compactEveryMs = options.compactEveryMs ?? DAY_MS
  const compactTimer = compactEveryMs > 0 ? setInterval(compactInBackground, compactEveryMs).unref() : undefined

  async function compactInBackground(): Promise<void> {
    try {
      const { removedEvents, streams } = await compactOnce()
      options.log?.info({ removedEvents, streams }, 'event log compacted')
    } catch (error) {
      options.log?.error({ err: error }, 'The event log could not be compacted.')
    }
  }

  let closed: Promise<void> | undefined
  async function close(): Promise<void> {
    onePort.stop()
    clearInterval(compactTimer)
    await compacting?.catch(() => {})
    await queue.close()
    batches.close()
    subscriptions.close()
    await grpc.close(1000)
    pages.closeAllConnections()
    onePort.cut()
    removeAddress(options.file)
    await log.close()
    options.log?.info('event store is closed')
  }

  return {
    host,
    port: address.port,
    url: `esdb://${nameOf(host)}:${address.port}?tls=false`,
    compact: compactOnce,
    close: () => (closed ??= close()),
  }
}

/** An address as it stands in a URL. */
function nameOf(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}

function refuse(call: Call): Receiver {
  call.finish(SHUTTING_DOWN)
  return { message() {}, end() {} }
}
