import { randomUUID } from 'node:crypto'
import type { Writer } from './log.ts'
import { DELETED_METADATA, isMetastream, isSoftDeleted, METADATA_TYPE, metastreamOf, originalOf, undeletedMetadata } from './metadata.ts'
import { describe, type Proposed, TOMBSTONE } from './record.ts'
import type { Stream } from './streams.ts'

/** What a writer expects of a stream: its last revision, or one of the three words. */
export type Expected = number | 'any' | 'no-stream' | 'stream-exists'

/** -1 as a revision: no stream; 0 as a position: none. */
export type WriteOutcome =
  | { kind: 'written'; revision: number; position: number }
  | { kind: 'wrong-expected-version'; current: number }
  | { kind: 'stream-deleted' }

type Check = { kind: 'go'; softDeleted: boolean } | WriteOutcome

const NOTHING = new Uint8Array(0)

/**
 * Whether a write may go on, by the rules of EventStoreDB 23.10 (IndexWriter.CheckCommit): a repeat of the same event
 * ids at the same expected revision is answered as the first time; at "any" and "stream exists" as long as the ids are remembered.
 */
function check(writer: Writer, stream: Stream, expected: Expected, ids: string[]): Check {
  const wrong: WriteOutcome = { kind: 'wrong-expected-version', current: stream.head }
  if (isTombstoned(writer, stream)) return { kind: 'stream-deleted' }
  if (isMetastream(stream.name) && isMetastream(originalOf(stream.name))) return wrong
  const softDeleted = () => isSoftDeleted(writer.retention(stream))
  if (expected === 'stream-exists') {
    if (softDeleted()) return { kind: 'stream-deleted' }
    if (stream.head < 0 && writer.stream(metastreamOf(stream.name)).head < 0) return wrong
  }
  if (expected === 'any' || expected === 'stream-exists') {
    let last = -1
    for (const id of ids) {
      const earlier = writer.committedAs(id)
      if (earlier?.stream !== stream.name) return last < 0 ? { kind: 'go', softDeleted: softDeleted() } : wrong
      last = earlier.revision
    }
    return last < 0 ? { kind: 'go', softDeleted: softDeleted() } : { kind: 'written', revision: last, position: 0 }
  }
  const after = expected === 'no-stream' ? -1 : expected
  if (after > stream.head) return wrong
  if (after === stream.head) return { kind: 'go', softDeleted: softDeleted() }
  for (const [index, id] of ids.entries()) {
    const there = writer.readAt(stream, after + 1 + index)
    if (there && describe(there.frame).id === id) continue
    if (index === 0 && after === -1 && softDeleted()) return { kind: 'go', softDeleted: true }
    return wrong
  }
  return ids.length === 0 ? wrong : { kind: 'written', revision: after + ids.length, position: 0 }
}

/** A tombstone covers the metadata stream too. */
export function isTombstoned(log: Pick<Writer, 'stream'>, stream: Stream): boolean {
  return stream.head === TOMBSTONE || (isMetastream(stream.name) && log.stream(originalOf(stream.name)).head === TOMBSTONE)
}

/** Appends the events to the stream if it is as expected. Runs inside a group commit. */
export function appendEvents(writer: Writer, streamName: string, expected: Expected, events: Proposed[]): WriteOutcome {
  const stream = writer.stream(streamName)
  const checked = check(
    writer,
    stream,
    expected,
    events.map((event) => event.id),
  )
  if (checked.kind === 'written') return { ...checked, position: writer.readAt(stream, checked.revision)?.position ?? 0 }
  if (checked.kind !== 'go') return checked
  // Read before the append, which replaces it.
  const originalDeleted = isMetastream(streamName) && isSoftDeleted(writer.retention(writer.stream(originalOf(streamName))))
  const start = stream.head + 1
  let position = 0
  for (const event of events) position = writer.append(stream, event, stream.head + 1)
  const outcome: WriteOutcome = { kind: 'written', revision: stream.head, position }
  if (events.length === 0) return outcome
  if (checked.softDeleted) undelete(writer, streamName, start)
  if (originalDeleted) undelete(writer, originalOf(streamName), writer.stream(originalOf(streamName)).head + 1)
  return outcome
}

/** Writing to a softly deleted stream shows it again from the new revision on. */
function undelete(writer: Writer, streamName: string, revision: number): void {
  const body = writer.metadataBody(streamName)
  if (body) appendMetadata(writer, streamName, changed(body, revision))
}

function changed(body: Uint8Array, revision: number): Uint8Array {
  try {
    return undeletedMetadata(body, revision)
  } catch {
    return body
  }
}

function appendMetadata(writer: Writer, streamName: string, data: Uint8Array): number {
  const meta = writer.stream(metastreamOf(streamName))
  return writer.append(meta, { id: randomUUID(), type: METADATA_TYPE, json: true, data, metadata: NOTHING }, meta.head + 1)
}

/** Deletes a stream: softly (its metadata hides it), or for good, with a tombstone. Runs inside a group commit. */
export function deleteStream(writer: Writer, streamName: string, expected: Expected, forGood: boolean): WriteOutcome {
  const stream = writer.stream(streamName)
  const id = randomUUID()
  const checked = check(writer, stream, expected, [id])
  if (checked.kind !== 'go') return checked
  if (forGood) {
    const tombstone = { id, type: '$streamDeleted', json: false, data: NOTHING, metadata: NOTHING }
    return { kind: 'written', revision: TOMBSTONE, position: writer.append(stream, tombstone, TOMBSTONE) }
  }
  if (stream.head < 0 && writer.stream(metastreamOf(streamName)).head < 0) return { kind: 'wrong-expected-version', current: -1 }
  return { kind: 'written', revision: stream.head, position: appendMetadata(writer, streamName, DELETED_METADATA) }
}
