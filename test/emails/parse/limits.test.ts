import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import type { Limits, RefusalCode } from '../../../src/emails/parse/limits.ts'
import { createParser, type ParseResult, type Parser } from '../../../src/emails/parse/parser.ts'

const head = 'From: ada@people.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n'
const small = Buffer.from(`${head}Message-ID: <1@x.example>\r\n\r\nhello`)
const mixed = `${head}Content-Type: multipart/mixed; boundary=b\r\n\r\n`

const parserFor = (t: Test, limits: Partial<Limits> = {}): Parser => {
  const parser = createParser({ secret: Buffer.from('a secret of tests'), limits })
  t.teardown(() => parser.close())
  return parser
}

const reasonOf = (result: ParseResult): string => (result.ok ? `it was read: ${result.email.defects}` : result.reason.code)

/** Parses a mail beside others, and tells the longest that the event loop's thread worked between two turns: by its own clock, since on a busy machine anybody waits. */
async function underWatch(parser: Parser, raw: Buffer) {
  let [longestMicroseconds, since] = [0, process.threadCpuUsage()]
  const look = setInterval(() => {
    const { user, system } = process.threadCpuUsage(since)
    longestMicroseconds = Math.max(longestMicroseconds, user + system)
    since = process.threadCpuUsage()
  }, 10)
  const [result, ...others] = await Promise.all([parser.parse(raw), ...Array.from({ length: 5 }, () => parser.parse(small))])
  clearInterval(look)
  return { result, others: others.every(({ ok }) => ok), workedMilliseconds: Math.round(longestMicroseconds / 1000) }
}

const hostile: [string, RefusalCode, () => string, RegExp][] = [
  ['13 MB of a million empty parts', 'too-many-parts', () => mixed + '--b\r\n\r\n\r\n\r\n'.repeat(1_000_000), /more than 2,000 parts/],
  [
    'multiparts nested 10,000 deep',
    'too-many-parts',
    () => head + Array.from({ length: 10_000 }, (_, i) => `Content-Type: multipart/mixed; boundary=b${i}\r\n\r\n--b${i}\r\n`).join(''),
    /parts/,
  ],
  [
    'multiparts nested 1,000 deep',
    'nested-too-deep',
    () => head + Array.from({ length: 1000 }, (_, i) => `Content-Type: multipart/mixed; boundary=b${i}\r\n\r\n--b${i}\r\n`).join(''),
    /nested more than 64 deep/,
  ],
  ['a header of 50 MB', 'header-too-large', () => `${head}X-Long: ${'x'.repeat(50_000_000)}\r\n\r\nhi`, /headers are larger than 1 MB/],
  ['a million headers', 'header-too-large', () => `${head + 'X-Short: yyyyyyyyyyyyyyyy\r\n'.repeat(1_000_000)}\r\nhi`, /headers/],
  [
    'a part with headers of 30 MB',
    'header-too-large',
    () => `${mixed}--b\r\n${`X-A: ${'y'.repeat(100)}\r\n`.repeat(300_000)}\r\nhi`,
    /headers/,
  ],
  ['40 MB of empty lines', 'too-many-lines', () => `${head}\r\n${'\n'.repeat(40_000_000)}`, /more than 400,000 lines of text/],
  ['60 MB', 'too-large', () => `${head}\r\n${`${'x'.repeat(998)}\r\n`.repeat(60_000)}`, /57 MB; at most 50 MB are read/],
  [
    'a thousand attachments',
    'too-many-attachments',
    () => mixed + '--b\r\nContent-Type: image/png\r\n\r\nx\r\n'.repeat(1000),
    /more than 250 attachments/,
  ],
]

t.test('a mail over a limit is refused with its reason, others go on, and the event loop does not wait', async (t) => {
  const parser = parserFor(t)
  await Promise.all([parser.parse(small), parser.parse(small)])
  for (const [title, code, make, message] of hostile) {
    const raw = Buffer.from(make())
    const { result, others, workedMilliseconds } = await underWatch(parser, raw)
    t.equal(reasonOf(result), code, title)
    t.match(result.ok ? '' : result.reason.message, message)
    t.match(result, { emailId: /^[0-9a-f-]{36}$/, raw: { sizeBytes: raw.length } })
    t.ok(others, `others go on beside ${title}`)
    t.ok(workedMilliseconds < 200, `the event loop waited ${workedMilliseconds} ms for ${title}`)
  }
})

t.test('what is hostile but can be read is read, with what was left out said', async (t) => {
  const parser = parserFor(t)
  const cases: [string, string, RegExp][] = [
    [
      '15 MB of one quoted-printable line',
      `${head}Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n${'=3C'.repeat(5_000_000)}`,
      /html-cut/,
    ],
    [
      'a million quoted-printable lines',
      `${head}Content-Transfer-Encoding: quoted-printable\r\n\r\n${'=41=\r\n'.repeat(1_000_000)}`,
      /text-cut/,
    ],
    ['HTML nested 200,000 deep', `${head}Content-Type: text/html\r\n\r\n${'<div>'.repeat(200_000)}`, /html-unreadable|message-id/],
    ['a text on which the expressions for quotes would work for hours', `${head}\r\nAm ${'schrieb < '.repeat(3000)}`, /own-text-guessed/],
    [
      '40,000 recipients',
      `${head}To: ${Array.from({ length: 40_000 }, (_, i) => `a${i}@b.example`).join(', ')}\r\n\r\nx`,
      /recipients-cut/,
    ],
    [
      '30,000 references',
      `${head}References: ${Array.from({ length: 30_000 }, (_, i) => `<${i}@b.example>`).join(' ')}\r\n\r\nx`,
      /references-cut/,
    ],
    [
      'messages in messages, 10,000 deep',
      `${head}${'Content-Type: message/rfc822\r\n\r\nFrom: a@b.example\r\n'.repeat(10_000)}\r\n`,
      /message-id/,
    ],
  ]
  for (const [title, mail, defect] of cases) {
    const result = await parser.parse(Buffer.from(mail))
    t.match(result.ok ? result.email.defects.join() : reasonOf(result), defect, title)
  }
})

t.test('a mail that takes too long is given up, and another thread takes the place of the one that read it', async (t) => {
  const parser = parserFor(t, { cpuMilliseconds: 30 })
  await parser.parse(small)
  const slow = Buffer.from(`${head}Content-Type: text/html\r\n\r\n${'<table><tr><td style="color:red">x</td></tr></table>'.repeat(20_000)}`)
  const results = await Promise.all([parser.parse(slow), parser.parse(slow), parser.parse(slow)])
  t.same(results.map(reasonOf), ['too-slow', 'too-slow', 'too-slow'])
  t.match(results[0], { reason: { message: 'Reading the mail took more than 0.03 seconds of processor time, so it was given up.' } })
  t.equal(results[0]!.emailId, results[1]!.emailId, 'the same bytes get the same id')
})

t.test('a mail that takes too much memory is given up, and others are read after it', async (t) => {
  const parser = parserFor(t, { heapMegabytes: 48, cpuMilliseconds: 60_000 })
  const result = await parser.parse(Buffer.from(`${head}\r\n${'x\n'.repeat(399_000)}`))
  t.equal(reasonOf(result), 'too-much-memory')
  t.equal(reasonOf(await parser.parse(small)), 'it was read: date-missing')
})

t.test('a mail comes as bytes, as a stream or from a path', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'smartcrm-mail-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const path = join(folder, 'a.eml')
  await writeFile(path, small)
  const parser = parserFor(t, { sizeBytes: 2000 })
  const [bytes, file, stream] = await Promise.all([
    parser.parse(small),
    parser.parse(path),
    parser.parse(Readable.from([small.subarray(0, 9), small.subarray(9)], { objectMode: true })),
  ])
  t.same(file, bytes)
  t.same(stream, bytes)
  t.equal(small.toString().slice(-5), 'hello', 'the bytes stay the caller’s')

  const large = Buffer.concat([small, Buffer.alloc(3000, 'x')])
  await writeFile(path, large)
  const refused = await Promise.all([parser.parse(large), parser.parse(path), parser.parse(Readable.from([large], { objectMode: true }))])
  t.same(refused.map(reasonOf), ['too-large', 'too-large', 'too-large'])
  t.equal(new Set(refused.map(({ emailId }) => emailId)).size, 1)
  await t.rejects(parser.parse(join(folder, 'none.eml')), { code: 'ENOENT' })
})

t.test('after it was closed, a parser refuses to work', async (t) => {
  const parser = parserFor(t)
  const begun = t.rejects(parser.parse(small), /closed/)
  await parser.close()
  await begun
  await t.rejects(parser.parse(small), /closed/)
})
