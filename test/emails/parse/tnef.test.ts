import fc from 'fast-check'
import t from 'tap'
import { readTnef } from '../../../src/emails/parse/tnef.ts'
import { htmlOf, read } from './read.ts'

const u16 = (value: number) => Buffer.from([value & 255, value >> 8])
const u32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
const padded = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)])
const sum = (bytes: Buffer) => bytes.reduce((total, byte) => (total + byte) & 0xffff, 0)

/** MS-OXTNEF §2.1.3.2 */
const attribute = (level: 1 | 2, id: number, data: Buffer) =>
  Buffer.concat([Buffer.from([level]), u32(id), u32(data.length), data, u16(sum(data))])
const variable = (type: number, id: number, value: Buffer) => Buffer.concat([u16(type), u16(id), u32(1), u32(value.length), padded(value)])
const properties = (...list: Buffer[]) => Buffer.concat([u32(list.length), ...list])
const named = Buffer.concat([
  u16(0x1f),
  u16(0x8001),
  Buffer.alloc(16),
  u32(1),
  u32(6),
  padded(Buffer.from('ab\0', 'utf16le')),
  u32(1),
  u32(4),
  Buffer.from('x\0', 'utf16le'),
])
const many = Buffer.concat([u16(0x1003), u16(0x6001), u32(2), u32(7), u32(8)])
const stream = (...attributes: Buffer[]) => Buffer.concat([u32(0x223e9f78), u16(1), ...attributes])
const unicode = (text: string) => Buffer.from(`${text}\0`, 'utf16le')

const winmail = stream(
  attribute(1, 0x89006, u32(0x10000)),
  attribute(1, 0x69007, Buffer.concat([u32(1251), u32(0)])),
  attribute(
    1,
    0x69003,
    properties(variable(0x102, 0x1013, Buffer.from('<p>rich</p>')), named, many, variable(0x1e, 0x1000, Buffer.from([0xcf, 0xf0, 0]))),
  ),
  attribute(2, 0x69002, Buffer.alloc(14)),
  attribute(2, 0x18010, Buffer.from('LONGNA~1.PDF\0')),
  attribute(2, 0x6800f, Buffer.from('%PDF')),
  attribute(
    2,
    0x69005,
    properties(variable(0x1f, 0x3707, unicode('long näme.pdf')), variable(0x1e, 0x370e, Buffer.from('application/pdf\0'))),
  ),
  attribute(2, 0x69002, Buffer.alloc(14)),
  attribute(2, 0x18010, Buffer.from('b.txt\0')),
  attribute(2, 0x6800f, Buffer.from('bee')),
)

const mailWith = (content: Buffer, text = '') =>
  `From: a@b.example\nMessage-ID: <1@b.example>\nDate: 4 Mar 2021 05:06:07 +0000\nContent-Type: multipart/mixed; boundary=b\n\n` +
  `--b\nContent-Type: text/plain\n\n${text}\n--b\nContent-Type: application/ms-tnef; name=winmail.dat\nContent-Transfer-Encoding: base64\n\n${content.toString('base64')}\n--b--\n`

t.test('the attachments in a winmail.dat are unpacked beside it, and its text where there is no other', async (t) => {
  const parsed = await read(mailWith(winmail))
  t.same(
    parsed.email.attachments.map(({ name, type, sizeBytes }) => [name, type, sizeBytes]),
    [
      ['winmail.dat', 'application/ms-tnef', winmail.length],
      ['long näme.pdf', 'application/pdf', 4],
      ['b.txt', 'application/octet-stream', 3],
    ],
  )
  t.equal(Buffer.from(parsed.attachmentContents[1]!).toString(), '%PDF')
  t.equal(parsed.email.text, 'Пр')
  t.equal(htmlOf(parsed), '<p>rich</p>')
  t.same(parsed.email.defects, [])
  t.equal((await read(mailWith(winmail, 'own'))).email.text, 'own')
})

t.test('a damaged one is kept as it is', async (t) => {
  for (const damaged of [winmail.subarray(0, 60), Buffer.from('x'), Buffer.concat([winmail.subarray(0, 40), Buffer.alloc(60, 0xff)])]) {
    t.match((await read(mailWith(damaged))).email, { defects: ['tnef-not-unpacked'], attachments: [{ name: 'winmail.dat' }] })
  }
})

t.test('no bytes make the reader throw', (t) => {
  fc.assert(
    fc.property(fc.nat(winmail.length), fc.uint8Array({ maxLength: 8 }), (at, bytes) => {
      readTnef(Buffer.concat([winmail.subarray(0, at), bytes, winmail.subarray(at + bytes.length)]))
    }),
    { numRuns: 2000 },
  )
  t.end()
})
