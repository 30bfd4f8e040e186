import type { Position } from './position.ts'

/** What goes with every event of the CRM, as it is stored. */
export type Metadata = {
  /** Version of the event's schema that the data was written by. */
  readonly v: number
  /** When it was decided, by the deciding process's clock: RFC 3339 in UTC. */
  readonly at: string
  /** Who caused it: `key:<id>`, `user:<id>` or `system:<role>`. */
  readonly actor: string
  readonly commandId: string
  /** HMAC of the request's path and body: tells a repeat from another request with the same Idempotency-Key. */
  readonly request: string
  readonly $correlationId: string
  readonly $causationId: string
  /** The subject's key in the vault; null where nothing is personal. */
  readonly key: string | null
  /** The trace and span in which it was made, by W3C Trace Context; only where they were recorded. */
  readonly traceparent?: string
  /** Hash of the event before it in the stream; null for the first. */
  readonly prev: string | null
  /** SHA-256 over the canonical JSON of everything else. */
  readonly hash: string
}

/** An event as the log gives it, still sealed. */
export type StoredEvent = {
  readonly id: string
  readonly type: string
  readonly stream: string
  readonly revision: number
  readonly position: Position
  /** When the server recorded it: RFC 3339 in UTC. */
  readonly created: string
  readonly data: unknown
  readonly metadata: unknown
}

/** An event decoded: upcast to the newest version of its schema and unsealed. */
export type RecordedEvent<D = unknown> = {
  readonly id: string
  readonly type: string
  readonly stream: string
  readonly revision: number
  readonly position: Position
  readonly created: string
  readonly data: D
  readonly meta: Metadata
  /** The subject's key was destroyed: the personal fields are gone from `data`. */
  readonly erased: boolean
  /**
   * False for a type that this version does not know: `data` and `meta` are then as stored. `isOurs(meta)` (codec.ts) tells one of another SmartCRM's
   * from one of another application that shares the log.
   */
  readonly known: boolean
}

/** `contact` of `contact-6f1c…`: what kind of thing the stream is about. */
export const categoryOf = (stream: string): string => stream.slice(0, stream.indexOf('-') === -1 ? undefined : stream.indexOf('-'))
