import { Readable } from 'node:stream'
import fc from 'fast-check'
import t from 'tap'
import { type MboxMessage, type MboxOptions, readMbox } from '../../src/import/mbox.ts'

const inPieces = (bytes: Buffer, pieceBytes: number): Readable =>
  Readable.from(
    Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, at) => bytes.subarray(at * pieceBytes, (at + 1) * pieceBytes)),
    { objectMode: true },
  )

const read = (text: string | Buffer, options: MboxOptions = {}, pieceBytes = 1 << 16): Promise<MboxMessage[]> =>
  Array.fromAsync(readMbox(inPieces(Buffer.from(text), pieceBytes), options))

const texts = (messages: MboxMessage[]): (string | undefined)[] => messages.map(({ raw }) => raw?.toString('latin1'))

const bodyLine = fc.constantFrom(
  'hello',
  '',
  'From here',
  'From ada Thu Nov 20 10:00:00 2008',
  '>From there',
  '>>From',
  'Subject: x',
  'Fro',
  'From',
  '  ',
)
const message = fc.array(bodyLine, { maxLength: 8 }).map((lines) => ['Subject: one', 'From: ada@people.example', '', ...lines, 'end'])
const mbox = fc.record({
  messages: fc.array(message, { minLength: 1, maxLength: 5 }),
  lineEnd: fc.constantFrom('\n', '\r\n'),
  finalEnd: fc.boolean(),
})

/** As mboxrd is written: lines of `>` and "From " get one `>` more. */
const writeMboxrd = (messages: string[][], lineEnd: string, finalEnd: boolean): string => {
  const written = messages.map((lines) =>
    ['From ada@people.example Thu Nov 20 10:00:00 2008', ...lines.map((line) => line.replace(/^(>*From )/, '>$1')), ''].join(lineEnd),
  )
  return written.join(lineEnd) + (finalEnd ? lineEnd : '')
}

t.test('what was written as mboxrd is read again, in whatever pieces it comes', async () => {
  await fc.assert(
    fc.asyncProperty(mbox, fc.integer({ min: 1, max: 300 }), async ({ messages, lineEnd, finalEnd }, pieceBytes) => {
      const read_ = await read(writeMboxrd(messages, lineEnd, finalEnd), {}, pieceBytes)
      const expected = messages.map((lines) => lines.join(lineEnd) + lineEnd)
      return JSON.stringify(texts(read_)) === JSON.stringify(expected) && read_.every(({ index }, at) => index === at)
    }),
    { numRuns: 500 },
  )
})

t.test('after any message, reading goes on where it ended', async () => {
  await fc.assert(
    fc.asyncProperty(mbox, fc.nat(), fc.integer({ min: 1, max: 100 }), async ({ messages, lineEnd, finalEnd }, pick, pieceBytes) => {
      const file = Buffer.from(writeMboxrd(messages, lineEnd, finalEnd))
      const all = await read(file)
      const last = all[pick % all.length]!
      const rest = await read(file.subarray(last.end), { from: last.end, firstIndex: last.index + 1 }, pieceBytes)
      return JSON.stringify(rest) === JSON.stringify(all.slice(last.index + 1)) && all.at(-1)!.end === file.length
    }),
  )
})

t.test('a line that only looks like the beginning of a message is text, although nobody quoted it', async (t) => {
  const messages = await read(
    'From a@b.example Thu Nov 20 10:00:00 2008\nSubject: 1\n\nIt comes\nFrom nowhere: see below\n\nFrom me to you\nand back\n\n' +
      'From b@c.example Fri Nov 21 10:00:00 2008\nSubject: 2\n\nyes\n',
  )
  t.equal(messages.length, 2)
  t.match(texts(messages)[0], 'From me to you\nand back\n')
})

t.test('messages without an empty line between them, and without a final line end', async (t) => {
  const messages = await read('From a Thu Nov 20 10:00:00 2008\nSubject: 1\n\none\nFrom b Fri Nov 21 10:00:00 2008\nSubject: 2\n\ntwo')
  t.same(texts(messages), ['Subject: 1\n\none\n', 'Subject: 2\n\ntwo'])
})

t.test('the date of the "From " line is given, but not that of the epoch', async (t) => {
  const messages = await read(
    'From 12@xxx Thu Nov 20 10:00:00 +0000 2008\nA: 1\n\nFrom - Thu Nov 20 11:00:00 2008\nA: 2\n\nFrom 1@xxx Thu Jan 01 00:00:00 +0000 1970\nA: 3\n\n',
  )
  t.same(
    messages.map(({ receivedAt }) => receivedAt),
    ['2008-11-20T10:00:00.000Z', '2008-11-20T11:00:00.000Z', undefined],
  )
})

t.test('a message that is too large is told with its place, and the others are read', async (t) => {
  const begin = 'From a Thu Nov 20 10:00:00 2008\n'
  const parts = [`${begin}Subject: 1\n\none\n\n`, `${begin}Subject: 2\n\n${'x'.repeat(80)}\n\n`, `${begin}Subject: 3\n\nthree\n`]
  for (const pieceBytes of [1, 7, 1000]) {
    const messages = await read(parts.join(''), { limitBytes: 60 }, pieceBytes)
    t.same(texts(messages), ['Subject: 1\n\none\n', undefined, 'Subject: 3\n\nthree\n'])
    const [start, end] = [parts[0]!.length, parts[0]!.length + parts[1]!.length]
    t.match(messages[1], { index: 1, offset: start, end, raw: null })
  }
})

t.test('a message without end costs no memory', async (t) => {
  const chunk = Buffer.alloc(1 << 20, 'x')
  const begin = 'From a Thu Nov 20 10:00:00 2008\nSubject: 1\n\n'
  let most = 0
  async function* endless() {
    yield Buffer.from(begin)
    for (let count = 0; count < 500; count++) {
      yield chunk
      most = Math.max(most, process.memoryUsage().arrayBuffers)
    }
  }
  const before = process.memoryUsage().arrayBuffers
  const messages = await Array.fromAsync(readMbox(endless(), { limitBytes: 1 << 22 }))
  t.match(messages, [{ raw: null, end: 500 * (1 << 20) + begin.length }])
  t.ok(most - before < 350 * (1 << 20), `${most - before} bytes more`)
})

t.test('what comes before the first "From " line is a message, unless it is blank; nothing gives nothing', async (t) => {
  t.same(texts(await read('Subject: 1\n\none\n\nFrom a Thu Nov 20 10:00:00 2008\nSubject: 2\n\ntwo\n')), [
    'Subject: 1\n\none\n',
    'Subject: 2\n\ntwo\n',
  ])
  t.same(texts(await read('\n\nFrom a Thu Nov 20 10:00:00 2008\nSubject: 2\n\ntwo\n')), ['Subject: 2\n\ntwo\n'])
  t.same(await read(''), [])
})

t.test('a reader that stops ends the stream', async (t) => {
  const stream = inPieces(Buffer.from(writeMboxrd([['A: 1'], ['A: 2'], ['A: 3']], '\n', true)), 10)
  for await (const _ of readMbox(stream)) break
  t.ok(stream.destroyed)
})
