import type { Expected } from './appends.ts'
import type { Proposed } from './record.ts'
import { readUuid } from './uuid.ts'
import { eachField } from './wire.ts'

/** Where a write goes, and what it expects there; the same fields in the requests of both kinds of append. */
export type WriteOptions = { stream: string; expected: Expected; deadlineMs: number }

/** A part of a batch append: the options come with the first part of a batch. */
export type BatchPart = { correlation: Buffer; options?: WriteOptions & { identifier: Buffer }; events: Proposed[]; final: boolean }

/** What an append is charged for an event, against the limit (as the server counts: two bytes a letter of the type). */
export function sizeOf(event: Proposed): number {
  return event.data.length + event.metadata.length + event.type.length * 2
}

const NOTHING = new Uint8Array(0)

/** A proposed event; throws a sentence about what is missing. */
export function readProposed(bytes: Buffer, from: number, to: number): Proposed {
  const event: Proposed = { id: '', type: '', json: false, data: NOTHING, metadata: NOTHING }
  const told = new Map<string, string>()
  eachField(bytes, from, to, (field, _size, start, end) => {
    if (field === 1) event.id = readUuid(bytes, start, end)
    else if (field === 3) event.metadata = bytes.subarray(start, end)
    else if (field === 4) event.data = bytes.subarray(start, end)
    else if (field === 2) {
      let key = ''
      let value = ''
      eachField(bytes, start, end, (part, _length, a, b) => {
        if (part === 1) key = bytes.toString('latin1', a, b)
        else if (part === 2) value = bytes.toString('utf8', a, b)
      })
      told.set(key, value)
    }
  })
  for (const required of ['type', 'content-type']) if (!told.has(required)) throw new MissingProperty(required)
  if (event.id === '') throw new RangeError('An event has no id.')
  event.type = told.get('type')!
  if (event.type === '') throw new RangeError('An event has no type.')
  event.json = told.get('content-type') === 'application/json'
  return event
}

export class MissingProperty extends Error {
  override name = 'MissingProperty'
  property: string
  constructor(property: string) {
    super(`Required Metadata Property '${property}' is missing`)
    this.property = property
  }
}

/** The name in a stream identifier message. */
export function readStreamName(bytes: Buffer, from: number, to: number): string {
  let name = ''
  eachField(bytes, from, to, (field, _size, start, end) => {
    if (field === 3) name = bytes.toString('utf8', start, end)
  })
  return name
}

export function readWriteOptions(bytes: Buffer, from: number, to: number): WriteOptions & { identifier: Buffer } {
  const options: WriteOptions & { identifier: Buffer } = {
    stream: '',
    expected: 'any',
    deadlineMs: Number.POSITIVE_INFINITY,
    identifier: Buffer.alloc(0),
  }
  let expects = false
  eachField(bytes, from, to, (field, value, start, end) => {
    if (field === 1) {
      options.stream = readStreamName(bytes, start, end)
      options.identifier = bytes.subarray(start, end)
    } else if (field === 2) options.expected = Math.min(value, Number.MAX_SAFE_INTEGER - 1)
    else if (field === 3) options.expected = 'no-stream'
    else if (field === 4) options.expected = 'any'
    else if (field === 5) options.expected = 'stream-exists'
    // Two forms of the deadline: an instant (clients before 22.10, the Node one too) or a duration.
    else if (field === 6) options.deadlineMs = readTime(bytes, start, end)
    else if (field === 7) options.deadlineMs = Date.now() + readTime(bytes, start, end)
    if (field >= 2 && field <= 5) expects = true
  })
  if (options.stream === '') throw new RangeError('The request names no stream.')
  if (!expects) throw new RangeError('The request says no expected revision.')
  return options
}

/** Timestamp and Duration have the same two fields: seconds and nanoseconds. In milliseconds. */
function readTime(bytes: Buffer, from: number, to: number): number {
  let milliseconds = 0
  eachField(bytes, from, to, (field, value) => {
    // A negative number arrives as one beyond 2^63.
    const signed = value >= 2 ** 63 ? value - 2 ** 64 : value
    milliseconds += field === 1 ? signed * 1000 : field === 2 ? signed / 1e6 : 0
  })
  return milliseconds
}

export function readBatchPart(bytes: Buffer): BatchPart {
  const part: BatchPart = { correlation: Buffer.alloc(0), events: [], final: false }
  eachField(bytes, 0, bytes.length, (field, value, start, end) => {
    if (field === 1) part.correlation = bytes.subarray(start, end)
    else if (field === 2) part.options = readWriteOptions(bytes, start, end)
    else if (field === 3) part.events.push(readProposed(bytes, start, end))
    else if (field === 4) part.final = value !== 0
  })
  return part
}
