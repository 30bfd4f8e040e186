import { setTimeout as delay } from 'node:timers/promises'
import { allEvents } from '../schema/events.ts'
import { concealParties } from './emails/mask.ts'
import { sourceOf } from './master-key.ts'
import { checkHashes, createCodec } from './platform/codec.ts'
import { openConcealed } from './platform/concealed.ts'
import { openPool } from './platform/database.ts'
import type { Metadata, RecordedEvent, StoredEvent } from './platform/event.ts'
import { openEventStore } from './platform/event-store.ts'
import { gather } from './platform/gather.ts'
import { createKeyLookup } from './platform/key-lookup.ts'
import { createLogger, type Logger } from './platform/log.ts'
import { openMasterKeys } from './platform/master-keys.ts'
import { formatPosition, parsePosition } from './platform/position.ts'
import { sizeOf } from './platform/projector-steps.ts'
import { Unavailable } from './platform/refusal.ts'
import { readSecret } from './platform/vault.ts'
import { masterKey } from './settings.ts'

/*
 * `smartcrm/consumer`, for programs outside the service that may see the events: the service's own subscription and codec. The package holds it built,
 * because Node strips no types below node_modules; what is exported here needs no types of packages that a consumer would not have.
 */

export type ConsumerOptions = {
  /** The service's EVENTSTORE_URL. */
  readonly eventStoreUrl: string
  /** What unseals the personal fields. Left out: every event is delivered as it is stored, sealed. */
  readonly keys?: {
    /** The service's DATABASE_URL. Its user need do no more than read schema `vault`. */
    readonly databaseUrl: string
    /** As in SMARTCRM_MASTER_KEY, or the content of the file `master.key`. */
    readonly masterKey: string
    /** Where a key of AWS KMS wraps the master key. */
    readonly aws?: { readonly accessKeyId: string; readonly secretAccessKey: string }
  }
  /** Told of what passes by itself, such as a lost connection; pino fits, and console nearly. Left out: nobody is. */
  readonly log?: Readonly<Record<'debug' | 'info' | 'warn' | 'error', (detail: object, message?: string) => void>>
}

type Declared = Omit<typeof allEvents, 'HeartbeatRecorded'>
export type EventType = keyof Declared
type Data<T extends EventType> = ReturnType<Declared[T]>['data']
type Recorded<T> = {
  readonly id: string
  readonly type: T
  readonly stream: string
  readonly revision: number
  /** `<commit>.<prepare>`: its place in the log. */
  readonly position: string
  /** When the log took it: RFC 3339 in UTC. */
  readonly created: string
  readonly meta: Metadata
}

/** An event of the CRM. */
export type ConsumedEvent = {
  [T in EventType]: Recorded<T> &
    (
      | { readonly state: 'open'; readonly data: Data<T> }
      /** The subject's key was destroyed, and its personal fields with it. */
      | { readonly state: 'erased'; readonly data: Partial<Data<T>> }
      /** As it is stored, by version `meta.v` of its schema: ids in the clear, the personal fields in `sealed`. */
      | { readonly state: 'sealed'; readonly data: Readonly<Record<string, unknown>> & { readonly sealed?: string } }
    )
}[EventType]

/** What has gathered while the one before was worked on. It may have no events; then the log went on without any that were asked for. */
export type Batch = {
  readonly events: readonly ConsumedEvent[]
  /** How far this is. Keep it when the batch is done with, and pass it as `after` to go on right behind it. */
  readonly position: string
}

export type Consumer = {
  /**
   * Every event of the CRM after a position, in order, once each, for ever: connections that are lost are made again, and keys that cannot be had are
   * waited for. Leaving the loop, or aborting the signal, ends it.
   * @param options.after a batch's `position`; left out: from the first event on
   * @param options.types only these
   * @throws an error whose `name` is `Corrupt` or `NewerVersion`, naming the event: nothing may go on over it. `KeyDamaged`: the vault needs mending
   */
  batches(options?: {
    readonly after?: string | null | undefined
    readonly types?: readonly EventType[]
    readonly signal?: AbortSignal
  }): AsyncGenerator<Batch, void, undefined>
  close(): Promise<void>
}

const LIMITS = { events: 500, bytes: 4 * 2 ** 20 }
const MAX_BACKOFF_MS = 10_000
const LOOK_MS = 5_000

/** @throws when the master key is not the vault's, in words; a connection error when the vault's Postgres is away */
export async function openConsumer({ eventStoreUrl, keys, log: given }: ConsumerOptions): Promise<Consumer> {
  const log = (given ?? createLogger('silent', 'consumer')) as Logger
  const vault = keys ? await openKeys(keys, log) : null
  const codec = vault && createCodec(allEvents, vault, vault.conceal)
  const store = openEventStore(eventStoreUrl, log)
  const skipped = new Set<string>()

  const decode = async (events: readonly StoredEvent[], signal: AbortSignal): Promise<ConsumedEvent[]> => {
    if (!codec) return sealed(events)
    for (let failures = 1; ; failures += 1) {
      try {
        await vault!.look()
        return (await codec.decode(events)).filter(isKnown).map(opened)
      } catch (err) {
        if (!(err instanceof Unavailable)) throw err
        log.warn({ err, failures }, 'the keys cannot be had now; trying again')
        await delay(Math.random() * Math.min(100 * 2 ** failures, MAX_BACKOFF_MS), undefined, { signal })
      }
    }
  }

  const isKnown = ({ type, known }: Pick<RecordedEvent, 'type' | 'known'>) => {
    if (!known && !skipped.has(type)) log.warn({ type }, 'events of this type are skipped: this version does not know it')
    if (!known) skipped.add(type)
    return known
  }

  const sealed = (events: readonly StoredEvent[]): ConsumedEvent[] => {
    checkHashes(allEvents, events)
    const known = events.filter(({ type }) => isKnown({ type, known: Object.hasOwn(allEvents, type) }))
    return known.map((event) => consumed(event, event.metadata as Metadata, 'sealed'))
  }

  return {
    async *batches({ after, types, signal } = {}) {
      const from = after == null ? null : parsePosition(after)
      if (after != null && !from) throw new TypeError(`${JSON.stringify(after)} is no position, like 8471.8471.`)
      const wanted = types && new Set<string>(types)
      const leaving = new AbortController()
      const ending = signal ? AbortSignal.any([signal, leaving.signal]) : leaving.signal
      try {
        for await (const batch of gather(store.subscribe({ after: from, signal: ending }), sizeOf, LIMITS)) {
          const asked = batch.filter(({ type }) => (wanted ? wanted.has(type) : type !== 'HeartbeatRecorded'))
          const events = await decode(asked, ending)
          if (ending.aborted) return
          yield { events, position: formatPosition(batch.at(-1)!.position) }
        }
      } catch (error) {
        if (!ending.aborted) throw error
      } finally {
        leaving.abort()
      }
    },
    async close() {
      await store.close()
      await vault?.close()
    },
  }
}

async function openKeys({ databaseUrl, masterKey: text, aws }: NonNullable<ConsumerOptions['keys']>, log: Logger) {
  const source = sourceOf(masterKey(text.trim()), { s3AccessKeyId: aws?.accessKeyId, s3SecretAccessKey: aws?.secretAccessKey }, 'masterKey')
  const pool = openPool(databaseUrl, log, 2)
  try {
    const masters = await openMasterKeys(pool, source)
    const { keys } = createKeyLookup(pool, masters)
    const claim = () => Promise.reject(new Error('A consumer writes nothing.'))
    const secret = await readSecret(pool, masters, 'claims')
    const concealed = secret && (await openConcealed(pool, secret))
    let lookedAt = performance.now()
    return {
      keys,
      claim,
      conceal: concealed ? concealParties(concealed) : ({ data }: { data: unknown }) => data,
      /** Whoever takes part in mails may have been erased meanwhile. */
      async look() {
        if (performance.now() - lookedAt < LOOK_MS) return
        await concealed?.look()
        lookedAt = performance.now()
      },
      close: pool.close,
    }
  } catch (error) {
    await pool.close()
    throw error
  }
}

const opened = (event: RecordedEvent) => consumed(event, event.meta, event.erased ? 'erased' : 'open')

/** That data fits its type is the codec's promise. */
function consumed(event: Omit<StoredEvent, 'metadata'>, meta: Metadata, state: ConsumedEvent['state']): ConsumedEvent {
  const { id, type, stream, revision, position, created, data } = event
  return { id, type, stream, revision, position: formatPosition(position), created, meta, state, data } as ConsumedEvent
}
