import { isDeepStrictEqual } from 'node:util'
import type { Method } from '../../../schema/contact-events.ts'
import type { Codec } from '../../../src/platform/codec.ts'
import type { RecordedEvent } from '../../../src/platform/event.ts'
import type { EventStore } from '../../../src/platform/event-store.ts'
import { comparePositions, formatPosition, type Position } from '../../../src/platform/position.ts'
import type { Faults } from './faults.ts'
import type { Sent } from './load.ts'

const PAGE = 1_000

/** The whole log, decoded (and so each event's own hash checked), without the server's own events. */
export async function readLog(store: EventStore, codec: Codec): Promise<RecordedEvent[]> {
  const events: RecordedEvent[] = []
  for (let after: Position | null = null; ; ) {
    const page = await store.readAll(after, PAGE)
    if (page.length === 0) return events
    after = page.at(-1)!.position
    events.push(...(await codec.decode(page.filter(({ type }) => !type.startsWith('$')))))
  }
}

/** Every stream is whole: its revisions follow each other (but for what the heartbeat's stream no longer keeps), each event chained to the one before. */
export function checkStreams(events: readonly RecordedEvent[], faults: Faults): void {
  const ids = new Set(events.map(({ id }) => id))
  if (ids.size !== events.length) faults.add('a double event', `${events.length - ids.size} ids are in the log twice`)
  let before: Position | null = null
  for (const { position, stream, revision } of events) {
    if (before && comparePositions(position, before) <= 0) faults.add('a log out of order', `${stream} ${revision}`)
    before = position
  }
  for (const [stream, own] of Map.groupBy(events, ({ stream }) => stream)) {
    for (const [index, event] of own.entries()) {
      const previous = own[index - 1]
      if (!previous) {
        if (event.revision > 0 && event.type !== 'HeartbeatRecorded')
          faults.add('a stream with a gap', `${stream} begins at ${event.revision}`)
      } else if (event.revision !== previous.revision + 1)
        faults.add('a stream with a gap', `${stream}: ${event.revision} after ${previous.revision}`)
      else if (event.meta.prev !== previous.meta.hash) faults.add('a broken chain', `${stream} at ${event.revision}`)
    }
  }
}

/** At no point of the log did an address have two owners. */
export function checkOwners(events: readonly RecordedEvent[], faults: Faults): void {
  const owners = new Map<string, string>()
  const methods = new Map<string, string>()
  const take = (contactId: string, { id, type, normalized }: Method) => {
    if (type !== 'email' || !normalized) return
    const owner = owners.get(normalized)
    if (owner && owner !== contactId) faults.add('an address with two owners', `${normalized}: ${owner} and ${contactId}`)
    owners.set(normalized, contactId)
    methods.set(`${contactId} ${id}`, normalized)
  }
  for (const { type, data } of events) {
    const { contactId, methodId, ...of } = data as { contactId: string; methodId: string; methods: Method[]; method: Method }
    if (type === 'ContactCreated') for (const method of of.methods) take(contactId, method)
    if (type === 'ContactMethodAdded') take(contactId, of.method)
    if (type === 'ContactMethodRemoved') owners.delete(methods.get(`${contactId} ${methodId}`) ?? '')
  }
}

/**
 * Each command's events are there once where it was acknowledged, and not at all where it was refused.
 * @param others correlation ids of commands of which no more is known than that they were sent
 */
export function checkCommands(events: readonly RecordedEvent[], sent: readonly Sent[], others: ReadonlySet<string>, faults: Faults): void {
  const byCorrelation = Map.groupBy(
    events.filter(({ stream }) => stream.startsWith('contact-')),
    ({ meta }) => meta.$correlationId,
  )
  for (const { kind, method, path, correlationId, answer, made } of sent) {
    const found = byCorrelation.get(correlationId) ?? []
    const what = `${kind}: ${method} ${path} ${correlationId} (${answer ? answer.status : 'no answer'}): ${found.map(({ type, stream }) => `${type} of ${stream}`).join(', ')}`
    if (answer && answer.status >= 400 && found.length > 0) faults.add('a refused command that left a trace', what)
    if (!answer || !made) continue
    const wanted = Object.fromEntries(made)
    const there = Object.fromEntries(
      [...Map.groupBy(found, ({ stream }) => stream.replace('contact-', ''))].map(([id, own]) => [id, own.map(({ type }) => type)]),
    )
    for (const [id, types] of made) {
      if (types.length > 0 && there[id] === undefined) faults.add('a false success, or a loss', what)
      if ((there[id]?.length ?? 0) > types.length) faults.add('a double', what)
    }
    const isLike = isDeepStrictEqual(there, Object.fromEntries(Object.entries(wanted).filter(([, types]) => types.length > 0)))
    if (!isLike) faults.add('events that are not what was acknowledged', `${what}; wanted ${JSON.stringify(wanted)}`)
    const last = found.at(-1)
    if (last && answer.position !== formatPosition(last.position)) {
      faults.add('a position that is not of the command', `${what}: ${answer.position}, not ${formatPosition(last.position)}`)
    }
    if (last && answer.etag && !answer.etag.startsWith(`"${last.revision}.`))
      faults.add('an ETag that is not of the command', `${what}: ${answer.etag}`)
  }
  const known = others.union(new Set(sent.map(({ correlationId }) => correlationId)))
  for (const [correlationId, [event]] of byCorrelation) {
    if (event!.meta.actor === 'key:admin' && !known.has(correlationId))
      faults.add('events that nobody asked for', `${event!.type} of ${event!.stream}`)
  }
}

/** The live journals told of every event of the journal once, in order. */
export function checkJournal(name: string, events: readonly RecordedEvent[], positions: readonly string[], faults: Faults): void {
  const wanted = events.filter(({ known, type }) => known && type !== 'HeartbeatRecorded').map(({ position }) => formatPosition(position))
  if (isDeepStrictEqual(wanted, positions)) return
  const at = wanted.findIndex((position, index) => position !== positions[index])
  faults.add('a live journal that is not the log', `${name}: ${positions.length} events, not ${wanted.length}; from ${wanted[at]} on`)
}
