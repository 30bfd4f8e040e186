import { crc32 } from 'node:zlib'
import { structuredUuid } from './uuid.ts'
import { eachField, frame, nested, putVarint, varintSize } from './wire.ts'

/** An event as a writer proposes it. */
export type Proposed = { id: string; type: string; json: boolean; data: Uint8Array; metadata: Uint8Array }

/** What an event says of itself, read back from its frame. */
export type Described = Proposed & { stream: string; revision: number; position: number; createdMs: number }

/** The revision that stands for "deleted for good" (in the protocol: the largest 64-bit number). */
export const TOMBSTONE = Number.MAX_SAFE_INTEGER

const WIRE_TOMBSTONE = Buffer.from('ffffffffffffffff7f', 'hex')
const NOTHING = new Uint8Array(0)
const JSON_ENTRY = mapEntry('content-type', 'application/json')
const BINARY_ENTRY = mapEntry('content-type', 'application/octet-stream')

function mapEntry(key: string, value: string): Buffer {
  return nested(6, Buffer.concat([nested(1, Buffer.from(key)), nested(2, Buffer.from(value))]))
}

/**
 * An event as every reader is sent it: the gRPC frame of a ReadResp with this event in it. The log keeps these bytes, so that
 * serving a read is copying. The order of the fields is fixed: `identify` below counts on it.
 */
export function encodeRecord(event: Proposed, streamName: Buffer, revision: number, position: number, createdMs: number): Buffer {
  const type = Buffer.from(event.type)
  const created = `${createdMs}0000`
  const typeEntrySize = 6 + 1 + varintSize(type.length) + type.length
  const createdEntrySize = 9 + 2 + created.length
  const contentEntry = event.json ? JSON_ENTRY : BINARY_ENTRY
  const nameSize = 1 + varintSize(streamName.length) + streamName.length
  const revisionSize = revision === 0 ? 0 : revision === TOMBSTONE ? 10 : 1 + varintSize(revision)
  const positionSize = varintSize(position)
  const { data, metadata } = event
  const recordSize =
    40 +
    (1 + varintSize(nameSize) + nameSize) +
    revisionSize +
    2 * (1 + positionSize) +
    (1 + varintSize(typeEntrySize) + typeEntrySize) +
    (2 + createdEntrySize) +
    contentEntry.length +
    (metadata.length === 0 ? 0 : 1 + varintSize(metadata.length) + metadata.length) +
    (data.length === 0 ? 0 : 1 + varintSize(data.length) + data.length)
  const eventSize = 1 + varintSize(recordSize) + recordSize + 1 + positionSize
  const size = 1 + varintSize(eventSize) + eventSize
  const target = Buffer.allocUnsafe(5 + size)
  target[0] = 0
  target.writeUInt32BE(size, 1)
  target[5] = 0x0a
  let at = putVarint(target, 6, eventSize)
  target[at++] = 0x0a
  at = putVarint(target, at, recordSize)
  target[at++] = 0x0a
  target[at++] = 38
  target[at++] = 0x12
  target[at++] = 36
  at += target.write(event.id, at, 'latin1')
  target[at++] = 0x12
  at = putVarint(target, at, nameSize)
  target[at++] = 0x1a
  at = putVarint(target, at, streamName.length)
  target.set(streamName, at)
  at += streamName.length
  if (revision === TOMBSTONE) {
    target[at++] = 0x18
    target.set(WIRE_TOMBSTONE, at)
    at += 9
  } else if (revision > 0) {
    target[at++] = 0x18
    at = putVarint(target, at, revision)
  }
  target[at++] = 0x20
  at = putVarint(target, at, position)
  target[at++] = 0x28
  at = putVarint(target, at, position)
  target[at++] = 0x32
  at = putVarint(target, at, typeEntrySize)
  at += target.write('\n\x04type\x12', at, 'latin1')
  at = putVarint(target, at, type.length)
  target.set(type, at)
  at += type.length
  target[at++] = 0x32
  target[at++] = createdEntrySize
  at += target.write('\n\x07created\x12', at, 'latin1')
  target[at++] = created.length
  at += target.write(created, at, 'latin1')
  target.set(contentEntry, at)
  at += contentEntry.length
  if (metadata.length > 0) {
    target[at++] = 0x3a
    at = putVarint(target, at, metadata.length)
    target.set(metadata, at)
    at += metadata.length
  }
  if (data.length > 0) {
    target[at++] = 0x42
    at = putVarint(target, at, data.length)
    target.set(data, at)
    at += data.length
  }
  target[at++] = 0x18
  at = putVarint(target, at, position)
  if (at !== target.length) throw new Error(`An event of ${target.length} bytes was written as ${at}.`)
  return target
}

/** Where the RecordedEvent lies in a frame. */
function recordRange(bytes: Buffer): [from: number, to: number] {
  let from = 0
  let to = 0
  eachField(bytes, 5, bytes.length, (_resp, _size, start, end) => {
    eachField(bytes, start, end, (field, _inner, innerStart, innerEnd) => {
      if (field === 1) [from, to] = [innerStart, innerEnd]
    })
  })
  return [from, to]
}

/** Everything that a frame says. */
export function describe(bytes: Buffer): Described {
  const [from, to] = recordRange(bytes)
  const told: Described = {
    id: '',
    stream: '',
    type: '',
    revision: 0,
    position: 0,
    json: false,
    createdMs: 0,
    data: NOTHING,
    metadata: NOTHING,
  }
  eachField(bytes, from, to, (field, value, start, end) => {
    if (field === 1) told.id = bytes.toString('latin1', start + 2, end)
    else if (field === 2) told.stream = nameIn(bytes, start, end)
    else if (field === 3) told.revision = Math.min(value, TOMBSTONE)
    else if (field === 5) told.position = value
    else if (field === 7) told.metadata = bytes.subarray(start, end)
    else if (field === 8) told.data = bytes.subarray(start, end)
    else if (field === 6) {
      let key = ''
      eachField(bytes, start, end, (part, _size, a, b) => {
        if (part === 1) key = bytes.toString('latin1', a, b)
        else if (key === 'type') told.type = bytes.toString('utf8', a, b)
        else if (key === 'created') told.createdMs = Number(bytes.toString('latin1', a, b - 4))
        else if (key === 'content-type') told.json = b - a === 16
      })
    }
  })
  return told
}

function nameIn(bytes: Buffer, from: number, to: number): string {
  let name = ''
  eachField(bytes, from, to, (_field, _size, start, end) => {
    name = bytes.toString('utf8', start, end)
  })
  return name
}

/** The record alone, without the frame and the messages around it. */
export function recordOf(bytes: Buffer): Buffer {
  return bytes.subarray(...recordRange(bytes))
}

/** The frame of a link with the event that it points to; without one (deleted, truncated) the link alone, as the server does it. */
export function resolvedFrame(link: Buffer, target: Buffer | undefined, position: number): Buffer {
  const place = Buffer.allocUnsafe(1 + varintSize(position))
  place[0] = 0x18
  putVarint(place, 1, position)
  const event = target ? nested(1, recordOf(target)) : NOTHING
  return frame(nested(1, Buffer.concat([event, nested(2, recordOf(link)), place])))
}

/** The same frame with every event id in the structured form. */
export function withStructuredIds(bytes: Buffer): Buffer {
  const parts: Uint8Array[] = []
  eachField(bytes, 5, bytes.length, (_resp, _size, start, end) => {
    eachField(bytes, start, end, (field, value, from, to) => {
      if (field <= 2) {
        const id = bytes.toString('latin1', from + 4, from + 40)
        parts.push(nested(field, Buffer.concat([nested(1, structuredUuid(id)), bytes.subarray(from + 40, to)])))
      } else {
        const place = Buffer.allocUnsafe(1 + varintSize(value))
        place[0] = 0x18
        putVarint(place, 1, value)
        parts.push(place)
      }
    })
  })
  return frame(nested(1, Buffer.concat(parts)))
}

/** A checksum over the bytes and the place that they are kept at, so that a record in a wrong place is found too. */
export function checksum(bytes: Uint8Array, streamId: number, revision: number, position: number): number {
  const seed = Math.imul(streamId, 0x9e3779b1) ^ Math.imul(revision % 4294967296, 0x85ebca6b) ^ (position % 4294967296)
  return crc32(bytes, seed >>> 0)
}
