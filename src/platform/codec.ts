import { hash, randomUUID } from 'node:crypto'
import { FormatRegistry } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import canonicalize from 'canonicalize'
import type { AnyEventType, NewEvent } from '../../schema/define.ts'
import type { Metadata, RecordedEvent, StoredEvent } from './event.ts'
import { Refused } from './refusal.ts'
import { seal, unseal } from './sealing.ts'
import { traceparent } from './tracing.ts'
import type { SubjectKey, Vault } from './vault.ts'

/** What the fold of a stream has learned of its last event: what the next one is chained to and sealed with. */
export type Head = { readonly revision: number; readonly hash: string | null; readonly key: string | null }
export const NO_HEAD: Head = { revision: -1, hash: null, key: null }

/** What is the same for every event of one decision. */
export type Cause = Pick<Metadata, 'at' | 'actor' | 'commandId' | 'request' | '$correlationId' | '$causationId'>

export type EncodedEvent = { readonly id: string; readonly type: string; readonly data: object; readonly metadata: Metadata }

export type Codec = {
  /**
   * Checks, seals and chains events for appending after `head`.
   * @param brought the subject's key where something was sealed with it before its first event; else one is claimed then
   * @throws Unfit when data does not fit its schema; OtherKey; Unavailable when no key can be had
   */
  encode(events: readonly NewEvent[], stream: string, head: Head, cause: Cause, brought?: SubjectKey): Promise<EncodedEvent[]>
  /** Upcasts and unseals; a batch at once, since keys are looked up together. @throws Corrupt; NewerVersion; Unavailable when keys cannot be looked up */
  decode(events: readonly StoredEvent[]): Promise<RecordedEvent[]>
}

/** An event is not what was written: its hash, its ciphertext or its form is wrong. Nothing may go on over it. */
export class Corrupt extends Error {
  constructor(event: Pick<StoredEvent, 'stream' | 'revision' | 'type'>, reason: string, options?: ErrorOptions) {
    super(`Event ${event.revision} of ${event.stream} (${event.type}) is corrupt: ${reason}.`, options)
    this.name = 'Corrupt'
  }
}

/** An event was written by a newer SmartCRM than this one. */
export class NewerVersion extends Error {
  constructor(event: Pick<StoredEvent, 'stream' | 'revision' | 'type'>, version: number) {
    super(
      `Event ${event.revision} of ${event.stream} is ${event.type} version ${version}, written by a newer SmartCRM. Start that version, or a newer one.`,
    )
    this.name = 'NewerVersion'
  }
}

/** What is to be stored does not fit its schema: a fault of ours, or an input that nobody had thought of. */
export class Unfit extends Error {
  constructor(type: string, wrong: string) {
    super(`${type} does not fit its schema: ${wrong}`)
    this.name = 'Unfit'
  }
}

/** The stream got another key meanwhile than the one that was brought for it: what was sealed with that could not be read by the stream's. */
export class OtherKey extends Error {
  constructor(stream: string) {
    super(`${stream} has another key than the one that was brought for it.`)
    this.name = 'OtherKey'
  }
}

/** SHA-256, in hex, over the canonical JSON (RFC 8785) of everything that an event says: what a chain is made of. */
export function hashOf(
  event: { stream: string; revision: number; id: string; type: string; data: unknown },
  metadata: Omit<Metadata, 'hash'>,
): string {
  const { stream, revision, id, type, data } = event
  const text = canonicalize({ type, version: metadata.v, stream, revision, id, data, metadata })
  return hash('sha256', text!, 'hex')
}

// TypeBox knows no formats by itself, and lets nothing pass that has one. An instant is as `toISOString` writes it (schema/shared.ts).
FormatRegistry.Set('date-time', (text) => {
  const milliseconds = Date.parse(text)
  return !Number.isNaN(milliseconds) && new Date(milliseconds).toISOString() === text
})

/** What JSON cannot carry must not get as far as the log, nor half a surrogate pair (mails have such), which RFC 8785 and Postgres refuse. */
const wellFormed = (_: string, value: unknown) => (typeof value === 'string' ? value.toWellFormed() : value)

function asJson(data: unknown) {
  const text = JSON.stringify(data)
  // Half a pair is written as `\ud…`: to look at every string by itself takes twice as long as all else.
  return JSON.parse(text.includes('\\ud') ? JSON.stringify(data, wellFormed) : text)
}

const boundTo = (stream: string, id: string) => `${stream}/${id}`

/** What is left of an event's data, where something in it is to be shown no more although its key is there. Pure, and gives the very data where nothing is. */
export type Conceal = (event: Pick<StoredEvent, 'type' | 'position' | 'data'>) => unknown

/** The one codec that every reader and writer of events uses. */
export function createCodec(
  types: Readonly<Record<string, AnyEventType>>,
  vault: Pick<Vault, 'claim' | 'keys'>,
  conceal: Conceal = ({ data }) => data,
): Codec {
  const checks = new Map<string, TypeCheck<AnyEventType['schema']>>()
  const check = (type: AnyEventType, data: unknown) => {
    const compiled = checks.get(type.type) ?? TypeCompiler.Compile(type.schema)
    checks.set(type.type, compiled)
    return compiled.Check(data) ? null : [...compiled.Errors(data)].map(({ path, message }) => `${path} ${message}`).join('; ')
  }

  return {
    async encode(events, stream, head, cause, brought) {
      const encoded: EncodedEvent[] = []
      let { revision, hash: prev, key: keyId } = head
      let key: Buffer | null = null
      const trace = traceparent()
      for (const { type: name, data } of events) {
        const type = types[name]
        if (!type) throw new Error(`${name} is not a declared event.`)
        const plain = asJson(data)
        const wrong = check(type, plain)
        if (wrong) throw new Unfit(name, wrong)
        if (type.personal.length > 0 && !key) ({ id: keyId, key } = await keyFor(vault, stream, keyId, brought))
        const id = randomUUID()
        const stored = type.personal.length > 0 ? sealPersonal(type, plain, key!, boundTo(stream, id)) : plain
        revision += 1
        const metadata = { v: type.version, ...cause, key: keyId, ...(trace && { traceparent: trace }), prev }
        const hash = hashOf({ stream, revision, id, type: name, data: stored }, metadata)
        encoded.push({ id, type: name, data: stored, metadata: { ...metadata, hash } })
        prev = hash
      }
      return encoded
    },

    async decode(events) {
      // Before anything else, or else a changed key id would pass for a key that is not to be had.
      checkHashes(types, events)
      const known = events.filter(({ type }) => types[type])
      const keys = await vault.keys(known.flatMap(({ metadata }) => (metadata as Metadata).key ?? []))
      return events.map((event) => {
        const type = types[event.type]
        const { metadata, ...rest } = event
        const meta = (metadata ?? {}) as Metadata
        if (!type) return { ...rest, meta, erased: false, known: false }
        const key = meta.key === null ? undefined : keys.get(meta.key)
        const erased = key === null && type.personal.length > 0
        const unsealed = key === undefined ? event.data : unsealPersonal(event, key)
        const upcasted = upcast(event, type, meta.v, unsealed, erased)
        const data = erased ? upcasted : conceal({ type: event.type, position: event.position, data: upcasted })
        return { ...rest, data, meta, erased, known: true }
      })
    },
  }
}

async function keyFor(
  vault: Pick<Vault, 'claim' | 'keys'>,
  stream: string,
  id: string | null,
  brought: SubjectKey | undefined,
): Promise<SubjectKey> {
  if (id === null) return brought ?? vault.claim()
  if (brought && brought.id !== id) throw new OtherKey(stream)
  const key = (await vault.keys([id])).get(id)
  if (!key) throw new Refused('erased', 'What this was about was erased: nothing personal can be added to it.', 410)
  return { id, key }
}

function sealPersonal(type: AnyEventType, data: Record<string, unknown>, key: Buffer, aad: string): object {
  const open = Object.fromEntries(Object.entries(data).filter(([field]) => !type.personal.includes(field)))
  const secret = Object.fromEntries(Object.entries(data).filter(([field]) => type.personal.includes(field)))
  return { ...open, sealed: seal(key, Buffer.from(JSON.stringify(secret)), aad).toString('base64') }
}

/** @param key null: destroyed, so that only what was never sealed is left */
function unsealPersonal(event: StoredEvent, key: Buffer | null): unknown {
  const { sealed, ...open } = event.data as { sealed?: string }
  if (sealed === undefined || key === null) return open
  try {
    return { ...open, ...JSON.parse(unseal(key, Buffer.from(sealed, 'base64'), boundTo(event.stream, event.id)).toString('utf8')) }
  } catch (cause) {
    throw new Corrupt(event, 'its sealed part does not open with its key', { cause })
  }
}

const OURS = ['v', 'at', 'actor', 'commandId', 'request', '$correlationId', '$causationId', 'key', 'prev', 'hash'] as const
/**
 * Other applications may share the log. With all of these fields it is an event of ours, whatever its type says: one of a type that is not known here
 * was written by another version of SmartCRM.
 */
export const isOurs = (metadata: unknown): metadata is Metadata =>
  typeof metadata === 'object' && metadata !== null && OURS.every((field) => Object.hasOwn(metadata, field))

/** That these events are what was written; those of other applications are passed over. @throws Corrupt */
export function checkHashes(types: Readonly<Record<string, AnyEventType>>, events: readonly StoredEvent[]): void {
  for (const event of events) if (types[event.type] || isOurs(event.metadata)) checkHash(event)
}

function checkHash(event: StoredEvent): void {
  if (!isOurs(event.metadata)) throw new Corrupt(event, 'its metadata is not ours')
  const { hash, ...others } = event.metadata
  if (hashIfAny(event, others) !== hash) throw new Corrupt(event, 'its hash does not match what it says')
}

/** Null for what has no canonical JSON (half a surrogate pair): we never wrote that. */
function hashIfAny(event: StoredEvent, metadata: Omit<Metadata, 'hash'>): string | null {
  try {
    return hashOf(event, metadata)
  } catch {
    return null
  }
}

function upcast(event: StoredEvent, type: AnyEventType, version: number, data: unknown, erased: boolean): unknown {
  if (version > type.version) throw new NewerVersion(event, version)
  if (version === type.version) return data
  if (!(Number.isInteger(version) && version > 0)) throw new Corrupt(event, 'it has no version')
  let upcasted = data as Readonly<Record<string, unknown>>
  try {
    for (const upcaster of type.upcasters.slice(version - 1)) upcasted = upcaster(upcasted)
  } catch (cause) {
    throw new Corrupt(event, `what it says cannot be made version ${type.version} of version ${version}`, { cause })
  }
  return erased ? Object.fromEntries(Object.entries(upcasted).filter(([field]) => !type.personal.includes(field))) : upcasted
}
