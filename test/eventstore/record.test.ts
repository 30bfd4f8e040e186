/** The bytes: what the node writes by hand is what the generated classes read, and the other way round. */
import streamMessages from '@eventstore/db-client/generated/streams_pb.js'
import fc from 'fast-check'
import t from 'tap'
import { createFilter } from '../../src/eventstore/filters.ts'
import { checksum, describe, encodeRecord, recordOf, resolvedFrame, TOMBSTONE, withStructuredIds } from '../../src/eventstore/record.ts'
import { readBatchPart } from '../../src/eventstore/requests.ts'
import { readUuid, structuredUuid } from '../../src/eventstore/uuid.ts'
import { exactVarint, nested, putVarint } from '../../src/eventstore/wire.ts'

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array))
const text = fc.string({ minLength: 1, maxLength: 200, unit: 'grapheme' }).filter((value) => value.isWellFormed())
const number = fc.oneof(fc.nat(300), fc.maxSafeNat())
const record = fc.record({
  event: fc.record({ id: fc.uuid(), type: text, json: fc.boolean(), data: bytes, metadata: bytes }),
  stream: text,
  revision: fc.oneof(number, fc.constant(TOMBSTONE)),
  position: number.filter((value) => value > 0),
  createdMs: fc.integer({ min: 1, max: 4102444800000 }),
})

t.test('a record is what the generated classes read', async (t) => {
  fc.assert(
    fc.property(record, ({ event, stream, revision, position, createdMs }) => {
      const frame = encodeRecord(event, Buffer.from(stream), revision, position, createdMs)
      const read = streamMessages.ReadResp.deserializeBinary(frame.subarray(5)).getEvent()!
      const told = read.getEvent()!
      const metadata = told.getMetadataMap()
      const wireRevision = revision === TOMBSTONE ? '9223372036854775807' : String(revision)
      const pairs: [unknown, unknown][] = [
        [frame.readUInt32BE(1), frame.length - 5],
        [told.getId()?.getString(), event.id],
        [Buffer.from(told.getStreamIdentifier()!.getStreamName_asU8()).toString(), stream],
        [told.getStreamRevision(), wireRevision],
        [told.getPreparePosition(), String(position)],
        [told.getCommitPosition(), String(position)],
        [read.getCommitPosition(), String(position)],
        [metadata.get('type'), event.type],
        [metadata.get('content-type'), event.json ? 'application/json' : 'application/octet-stream'],
        [metadata.get('created'), String(BigInt(createdMs) * 10000n)],
        [Buffer.from(told.getData_asU8()).toString('hex'), event.data.toString('hex')],
        [Buffer.from(told.getCustomMetadata_asU8()).toString('hex'), event.metadata.toString('hex')],
      ]
      for (const [is, wanted] of pairs) if (is !== wanted) throw new Error(`${is} instead of ${wanted}`)
    }),
  )
  t.pass()
})

t.test('a record tells what was written', async (t) => {
  fc.assert(
    fc.property(record, ({ event, stream, revision, position, createdMs }) => {
      const told = describe(encodeRecord(event, Buffer.from(stream), revision, position, createdMs))
      const { data, metadata, ...rest } = told
      const wanted = { id: event.id, stream, type: event.type, revision, position, json: event.json, createdMs }
      if (JSON.stringify(rest) !== JSON.stringify(wanted)) throw new Error(`${JSON.stringify(rest)} instead of ${JSON.stringify(wanted)}`)
      return event.data.equals(data) && event.metadata.equals(metadata)
    }),
  )
  t.pass()
})

t.test('ids go into the structured form and back', async (t) => {
  fc.assert(
    fc.property(fc.uuid(), record, (id, { event, stream, position }) => {
      const structured = structuredUuid(id)
      if (readUuid(structured, 0, structured.length) !== id) throw new Error(`${id} came back as another`)
      const frame = withStructuredIds(encodeRecord({ ...event, id }, Buffer.from(stream), 3, position, 0))
      const told = streamMessages.ReadResp.deserializeBinary(frame.subarray(5)).getEvent()!
      const half = told.getEvent()!.getId()!.getStructured()!.getMostSignificantBits()
      return (
        BigInt.asUintN(64, BigInt(half)) === BigInt(`0x${id.replaceAll('-', '').slice(0, 16)}`) &&
        told.getCommitPosition() === String(position)
      )
    }),
  )
  t.throws(() => readUuid(nested(2, Buffer.from('no id')), 0, 7), /is not a UUID/)
})

t.test('a link carries what it points to', async (t) => {
  const nothing = Buffer.alloc(0)
  const event = { id: crypto.randomUUID(), type: 'Happened', json: true, data: Buffer.from('{}'), metadata: nothing }
  const target = encodeRecord(event, Buffer.from('target'), 5, 10, 0)
  const link = encodeRecord({ ...event, type: '$>' }, Buffer.from('links'), 1, 20, 0)
  const both = streamMessages.ReadResp.deserializeBinary(resolvedFrame(link, target, 20).subarray(5)).getEvent()!
  const { RecordedEvent } = streamMessages.ReadResp.ReadEvent
  t.same(both.getEvent()!.toObject(), RecordedEvent.deserializeBinary(recordOf(target)).toObject())
  t.same(both.getLink()!.toObject(), RecordedEvent.deserializeBinary(recordOf(link)).toObject())
  t.equal(both.getEvent()!.getStreamRevision(), '5')
  t.equal(both.getCommitPosition(), '20')
  const alone = streamMessages.ReadResp.deserializeBinary(resolvedFrame(link, undefined, 20).subarray(5)).getEvent()!
  t.equal(alone.hasEvent(), false)
  t.equal(alone.hasLink(), true)
})

t.test('a checksum depends on every byte and on the place', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1 }), number, number, number, fc.nat(), (array, stream, revision, position, change) => {
      const kept = checksum(array, stream, revision, position)
      const other = Uint8Array.from(array)
      other[change % array.length]! ^= 1 + (change % 255)
      if (checksum(other, stream, revision, position) === kept) throw new Error('another byte')
      if (checksum(array, stream, revision, position + 1) === kept) throw new Error('another position')
      return checksum(array, stream, revision + 1, position) !== kept && checksum(array, stream + 1, revision, position) !== kept
    }),
  )
  t.pass()
})

t.test('numbers of any size are written as the protocol has them', async (t) => {
  fc.assert(
    fc.property(number, (value) => {
      const written = Buffer.alloc(10)
      putVarint(written, 0, value)
      return exactVarint(written, 0) === BigInt(value)
    }),
  )
  t.pass()
})

t.test('a deadline comes as an instant or as a duration', async (t) => {
  const time = (seconds: number) => Buffer.concat([Buffer.of(0x08), Buffer.of(seconds)])
  const options = (field: number, content: Buffer) =>
    nested(2, Buffer.concat([nested(1, nested(3, Buffer.from('a'))), nested(4, Buffer.alloc(0)), nested(field, content)]))
  const parse = (part: Buffer) => readBatchPart(part).options!.deadlineMs
  t.equal(parse(options(6, time(100))), 100_000)
  const soon = parse(options(7, time(100))) - Date.now()
  t.ok(soon > 90_000 && soon <= 100_000)
  t.equal(readBatchPart(options(8, Buffer.alloc(0))).options!.deadlineMs, Number.POSITIVE_INFINITY, 'or not at all')
  t.throws(() => parse(nested(2, nested(1, nested(3, Buffer.from('a'))))), /says no expected revision/)
  t.throws(() => parse(nested(2, nested(4, Buffer.alloc(0)))), /names no stream/)
})

t.test('filters read what clients write', async (t) => {
  const on = (regex: string, prefixes: string[] = []) =>
    createFilter({ on: 'type', regex, prefixes, maxSearchWindow: undefined, checkpointIntervalMultiplier: 2 })
  t.ok(on('^[^$].*').matches('', 'Happened'))
  t.notOk(on('^[^$].*').matches('', '$metadata'))
  t.ok(on('(?i)^happened$').matches('', 'HAPPENED'), 'the options of .NET at the start')
  t.ok(on('', ['a', 'b']).matches('a', 'bc'))
  t.notOk(on('', ['a']).matches('a', 'bc'))
  t.equal(on('').checkpointInterval, 64, '32 events, the window of the server, times two')
  t.throws(() => on('('), /Invalid regular expression/)
})
