import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { contentDigest, emailIdOf, rawIdentity } from '../../src/emails/identity.ts'
import { defaultLimits } from '../../src/emails/parse/limits.ts'
import { parseEmail } from '../../src/emails/parse/parse-email.ts'
import { madeUpMail } from '../support/made-up-mail.ts'
import { type Mail, plainWriting, type Writing, write } from './compose.ts'

const secret = Buffer.from('a secret of tests')
const context = { limits: defaultLimits, secret, now: Date.UTC(2026, 0, 1) }
const idOf = async (raw: Buffer): Promise<string> => (await parseEmail(raw, context)).email.emailId

const word = fc.stringMatching(/^[a-zäöüß漢字🎉0-9.,!]{1,12}$/u)
const words = fc.array(word, { minLength: 1, maxLength: 8 }).map((words) => words.join(' '))
const textLine = fc.oneof(words, fc.constantFrom('', 'From here on', '>From there', '>> quoted', '-- ', '--b1x', '.', ' indented'))

const mail: fc.Arbitrary<Mail> = fc.record({
  messageId: fc.stringMatching(/^[a-z0-9]{1,20}$/).map((local) => `<${local}@mail.example>`),
  from: fc.stringMatching(/^[a-z]{1,10}$/).map((local) => `${local}@people.example`),
  date: fc
    .date({ min: new Date('1990-01-01'), max: new Date('2025-01-01'), noInvalidDate: true })
    .map((date) => new Date(date.setMilliseconds(0))),
  subject: words,
  text: fc.tuple(words, fc.array(textLine, { maxLength: 10 })).map(([first, more]) => [first, ...more].join('\n')),
  attachment: fc.option(
    fc.record({
      name: fc.constant('a.bin'),
      content: fc.uint8Array({ minLength: 1, maxLength: 200 }).map((bytes) => new Uint8Array([65, ...bytes, 66])),
    }),
    { nil: undefined },
  ),
})

const writing: fc.Arbitrary<Writing> = fc.record({
  lineEnd: fc.constantFrom('\n', '\r\n'),
  textEncoding: fc.constantFrom('8bit', 'base64', 'quoted-printable'),
  attachmentEncoding: fc.constantFrom('base64', 'quoted-printable'),
  headerEncoding: fc.constantFrom('B', 'Q', 'raw'),
  folded: fc.boolean(),
  transport: fc.subarray([
    'Received: from a.example by b.example; Fri, 1 Jan 2021 10:00:00 +0000',
    'Delivered-To: somebody@people.example',
    'X-Spam-Score: 3',
    'Return-Path: <bounce@people.example>',
    'Authentication-Results: mx.example; spf=pass',
  ]),
  boundary: fc.constantFrom('b1', 'another=_boundary'),
  quoted: fc.boolean(),
})

t.test('the same mail has one id, however it came and was encoded on the way', async () => {
  await fc.assert(
    fc.asyncProperty(mail, writing, writing, async (mail, one, other) => {
      const [a, b] = [write(mail, one), write(mail, other)]
      return (await idOf(a)) === (await idOf(b))
    }),
    { numRuns: 300 },
  )
})

t.test('a mail that says something else has another id, also with the same Message-ID', async () => {
  const changes: ((mail: Mail) => Mail)[] = [
    (mail) => ({ ...mail, messageId: '<other@mail.example>' }),
    (mail) => ({ ...mail, from: `x${mail.from}` }),
    (mail) => ({ ...mail, date: new Date(mail.date.getTime() + 1000) }),
    (mail) => ({ ...mail, subject: `${mail.subject}?` }),
    (mail) => ({ ...mail, text: `${mail.text}\nx` }),
    (mail) => ({ ...mail, attachment: { name: 'a.bin', content: new Uint8Array([...(mail.attachment?.content ?? []), 67]) } }),
  ]
  await fc.assert(
    fc.asyncProperty(mail, fc.constantFrom(...changes), writing, async (mail, change, writing) => {
      return (await idOf(write(mail, writing))) !== (await idOf(write(change(mail), writing)))
    }),
    { numRuns: 300 },
  )
})

t.test('ids stay what they are, for ever', async (t) => {
  const mail = {
    messageId: '<1@mail.example>',
    from: 'ada@people.example',
    date: new Date('2021-03-04T05:06:07Z'),
    subject: 'Grüße',
    text: 'Hello\nFrom me',
  }
  const attachment = { name: 'a.bin', content: new Uint8Array([0, 13, 10, 255, 10]) }
  t.equal(await idOf(write(mail, plainWriting)), '89ca1274-ae79-8984-aaff-5f79039c43af')
  t.equal(await idOf(write({ ...mail, attachment }, plainWriting)), '1e6a5949-818e-86a6-b03e-26a780a0b7cd')
  t.equal(emailIdOf({ messageId: '', from: [], date: '', subject: '', parts: [] }, secret), '297144cd-028c-824b-84a2-2807a3fa21d4')
  t.equal(contentDigest(Buffer.from('a\r\n'), true), contentDigest(Buffer.from('a'), true))
})

t.test('so do mails with HTML, attachments and other charsets', async (t) => {
  const hash = createHash('sha256')
  for (let index = 0; index < 200; index += 1) hash.update(await idOf(madeUpMail(index).raw))
  t.equal(hash.digest('hex'), 'c30d967d44b75b6e38c82375655a18bd998bd336d79e80fe0d6e09fb2853e378')
})

t.test('another secret gives other ids', async (t) => {
  const raw = write({ messageId: '<1@a.example>', from: 'a@b.example', date: new Date(0), subject: 's', text: 't' }, plainWriting)
  const other = await parseEmail(raw, { ...context, secret: Buffer.from('another') })
  t.not(other.email.emailId, await idOf(raw))
})

t.test('what cannot be parsed has one id whatever its line ends and pieces, and its own hash', (t) => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('\n', '\r', 'a', 'bc'), { maxLength: 40 }), fc.integer({ min: 1, max: 7 }), (tokens, size) => {
      const text = tokens.join('').replace(/\r+\n/g, '\n')
      const identify = (content: string, pieceBytes: number) => {
        const identity = rawIdentity(secret)
        const bytes = Buffer.from(content)
        for (let at = 0; at < bytes.length; at += pieceBytes) identity.add(bytes.subarray(at, at + pieceBytes))
        return identity.result()
      }
      const lf = identify(text, 1000)
      const crlf = identify(text.replaceAll('\n', '\r\n'), size)
      if (lf.emailId !== crlf.emailId) throw new Error(`${lf.emailId} is not ${crlf.emailId}`)
      if (identify(`${text}x`, size).emailId === lf.emailId) throw new Error('another content has the same id')
      if (text.includes('\n') && lf.raw.sha256 === crlf.raw.sha256) throw new Error('other bytes have the same hash')
    }),
  )
  t.end()
})
