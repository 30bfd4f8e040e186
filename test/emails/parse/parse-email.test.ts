import fc from 'fast-check'
import t from 'tap'
import { emailEvents } from '../../../schema/email-events.ts'
import { createCodec } from '../../../src/platform/codec.ts'
import { htmlOf, read } from './read.ts'

const mail = (headers: string, body = '', charset = 'utf8' as BufferEncoding): Buffer =>
  Buffer.concat([
    Buffer.from(`Message-ID: <1@x.example>\nDate: Thu, 4 Mar 2021 05:06:07 +0000\n${headers}\n\n`, charset),
    Buffer.from(body, charset),
  ])

t.test('people: names decoded, addresses in their normal form, what was written where it differs', async (t) => {
  const { email } = await read(
    mail(
      'From: =?utf-8?q?Ada_L=C3=B6velace?= <Ada@People.Example>\nSender: <bot@people.example>\nReply-To: "Love, Ada" <reply@people.example>\n' +
        "To: undisclosed-recipients:;\nCc: Team: bob@people.example, 'Cy' <cy@people.example>;, nobody at all\nBcc: d.e.f@people.example (Dee)",
    ),
  )
  t.same(email.from, [{ address: 'ada@people.example', name: 'Ada Lövelace', raw: 'Ada@People.Example' }])
  t.same(email.sender, { address: 'bot@people.example' })
  t.same(email.replyTo, [{ address: 'reply@people.example', name: 'Love, Ada' }])
  t.same(email.to, [])
  t.same(email.cc, [
    { address: 'bob@people.example' },
    { address: 'cy@people.example', name: 'Cy' },
    { name: 'nobody at all', raw: 'nobody at all' },
  ])
  t.same(email.bcc, [{ address: 'd.e.f@people.example', name: 'Dee' }])
  t.same(email.defects, [])
})

const addresses: [written: string, address: string | undefined][] = [
  ['<mailto:ada@people.example>', 'ada@people.example'],
  ['<@relay.example:ada@people.example>', 'ada@people.example'],
  ['<ada (work) @ people . example>', 'ada@people.example'],
  ['=?utf-8?q?ada=40people.example?= <ada@people.example>', 'ada@people.example'],
  ['<ada@münchen.example>', 'ada@xn--mnchen-3ya.example'],
  ['"evil@other.example" <ada@people.example>', 'ada@people.example'],
  ['<root@localhost>', undefined],
  ['MAILER-DAEMON', undefined],
]
for (const [written, address] of addresses) {
  t.test(`the sender ${written} is ${address ?? 'no address, and kept as written'}`, async (t) => {
    const [party, ...others] = (await read(mail(`From: ${written}`))).email.from
    t.equal(party?.address, address)
    if (!address) t.ok(party?.raw)
    t.same(others, [])
  })
}

const dates: [header: string, iso: string | null][] = [
  ['Thu, 4 Mar 2021 05:06:07 +0000', '2021-03-04T05:06:07.000Z'],
  ['4 Mar 2021 05:06 -0800 (PST)', '2021-03-04T13:06:00.000Z'],
  ['Thu, 4 Mar 21 05:06:07 EST', '2021-03-04T10:06:07.000Z'],
  ['4 mar 99 05:06:07 GMT', '1999-03-04T05:06:07.000Z'],
  ['Thu Mar  4 05:06:07 2021', '2021-03-04T05:06:07.000Z'],
  ['Thu Mar  4 05:06:07 CET 2021', '2021-03-04T04:06:07.000Z'],
  ['Mar 4, 2021 5:06:07 PM', '2021-03-04T17:06:07.000Z'],
  ['2021-03-04T05:06:07+01:00', '2021-03-04T04:06:07.000Z'],
  ['2021-03-04 05:06:07', '2021-03-04T05:06:07.000Z'],
  ['Thu, 04 Mar 2021 05.06.07 +0000', '2021-03-04T05:06:07.000Z'],
  ['Thu, 4 Mar 2021 05:06:60 GMT+0100', '2021-03-04T04:06:59.000Z'],
  ['4 Mar 2021', '2021-03-04T00:00:00.000Z'],
  ['Thu, 4 Mar 2021 05:06:07 XYZ', '2021-03-04T05:06:07.000Z'],
  ['Mon, 30 Feb 2021 05:06:07 +0000', null],
  ['Thu, 4 Foo 2021 05:06:07 +0000', null],
  ['Thu, 4 Mar 2021 25:06:07 +0000', null],
  ['yesterday', null],
  ['1 Jan 1970 00:00:00 +0000', null],
  ['4 Mar 2031 05:06:07 +0000', null],
]
for (const [header, iso] of dates) {
  t.test(`the date "${header}" is ${iso ?? 'none to go by'}`, async (t) => {
    const { email } = await read(`From: a@b.example\nDate: ${header}\n\nx`)
    t.equal(email.date, iso)
    t.equal(email.dateHeader, header.replace(/ +/g, ' '))
  })
}

t.test('where the date is missing or absurd, the last server’s counts, and then what the provider says', async (t) => {
  const received =
    'Received: by z.example; Fri, 5 Mar 2021 00:00:00 +0000\nReceived: by y.example with x; id; Thu, 4 Mar 2021 00:00:00 +0000\n'
  const provider = '2021-03-06T00:00:00.000Z'
  const missing = (await read(`${received}From: a@b.example\n\nx`, provider)).email
  t.match(missing, {
    date: '2021-03-05T00:00:00.000Z',
    dateHeader: null,
    dateReceived: '2021-03-05T00:00:00.000Z',
    defects: ['date-missing', 'message-id-missing'],
  })
  const absurd = (await read(`${received}Date: 1 Jan 3000 00:00:00 +0000\nFrom: a@b.example\n\nx`)).email
  t.match(absurd, { date: '2021-03-05T00:00:00.000Z', dateHeader: '1 Jan 3000 00:00:00 +0000' })
  t.match((await read('From: a@b.example\n\nx', provider)).email, { date: provider, dateReceived: null })
  t.match((await read('From: a@b.example\n\nx')).email, { date: null })
})

t.test('threads: ids with their brackets, each once, also where they are written badly', async (t) => {
  const { email } = await read(
    mail(
      'In-Reply-To: Your message of Monday <1@x.example>\nReferences: <0@x.example>\n <1@x.example>,<1@x.example> <2 @\n x.example>\nFrom: a@b.example',
    ),
  )
  t.match(email, {
    messageId: '<1@x.example>',
    inReplyTo: ['<1@x.example>'],
    references: ['<0@x.example>', '<1@x.example>', '<2@x.example>'],
  })
  t.same((await read('From: a@b.example\nIn-Reply-To: 7@x.example\nMessage-ID: weird\n\nx')).email.inReplyTo, ['<7@x.example>'])
})

const latin1: BufferEncoding = 'latin1'
const charsets: [title: string, raw: Buffer, text: string, ...defects: string[]][] = [
  ['UTF-8 without a name', mail('From: a@b.example', 'Grüße'), 'Grüße'],
  ['Latin 1 without a name', mail('From: a@b.example', 'Gr\xfc\xdfe', latin1), 'Grüße', 'charset-guessed'],
  ['Latin 1', mail('From: a@b.example\nContent-Type: text/plain; charset=iso-8859-1', 'Gr\xfc\xdfe', latin1), 'Grüße'],
  ['UTF-8 named as ASCII', mail('From: a@b.example\nContent-Type: text/plain; charset=us-ascii', 'Grüße'), 'Grüße', 'charset-guessed'],
  [
    'UTF-8 named as Latin 1',
    mail('From: a@b.example\nContent-Type: text/plain; charset="ISO-8859-1"', 'Grüße'),
    'Grüße',
    'charset-guessed',
  ],
  [
    'Latin 1 named as UTF-8',
    mail('From: a@b.example\nContent-Type: text/plain; charset=utf-8', 'Gr\xfc\xdfe', latin1),
    'Grüße',
    'charset-guessed',
  ],
  [
    'UTF-8 with one broken byte',
    mail('From: a@b.example', Buffer.concat([Buffer.from('Grüße ä'), Buffer.from([0xff])]).toString('latin1'), latin1),
    'Grüße ä\uFFFD',
    'charset-guessed',
  ],
  [
    'a charset that nobody knows',
    mail('From: a@b.example\nContent-Type: text/plain; charset=x-nobody', 'Gr\xfc\xdfe', latin1),
    'Grüße',
    'charset-unknown',
  ],
  ['a code page under another name', mail('From: a@b.example\nContent-Type: text/plain; charset=cp932', '\x82\xa0', latin1), 'あ'],
  ['JIS without a name', mail('From: a@b.example', '\x1b$B$\x22\x1b(B', latin1), 'あ'],
]
for (const [title, raw, text, ...defects] of charsets) {
  t.test(`text in ${title} is read`, async (t) => {
    const { email } = await read(raw)
    t.equal(email.text, text)
    t.same(email.defects, defects)
  })
}

t.test('headers in bytes that are not UTF-8 are read as the text’s charset, in parts too', async (t) => {
  const { email } = await read(
    mail(
      'From: J\xfcrgen <j@people.example>\nSubject: Gr\xfc\xdfe\nContent-Type: multipart/mixed; boundary=b',
      '--b\nContent-Type: text/plain; charset=iso-8859-1\n\nGr\xfc\xdfe\n--b\nContent-Type: image/png; name="B\xe4r.png"\n\nx\n--b--',
      latin1,
    ),
  )
  t.match(email, {
    subject: 'Grüße',
    from: [{ name: 'Jürgen' }],
    text: 'Grüße',
    attachments: [{ name: 'Bär.png' }],
    defects: ['header-charset-guessed'],
  })
})

const part = (type: string, content: string, more = '') => `--b\nContent-Type: ${type}\n${more}\n${content}\n`
const multipart = (kind: string, ...parts: string[]) =>
  mail(`From: a@b.example\nContent-Type: multipart/${kind}; boundary=b`, `${parts.join('')}--b--\n`)

t.test('of alternatives the text is taken, and the HTML', async (t) => {
  const parsed = await read(
    multipart(
      'alternative',
      part('text/plain', 'plain'),
      part('text/html', '<b>rich</b><script>x</script>'),
      part('text/calendar', 'BEGIN:VCALENDAR'),
    ),
  )
  t.match(parsed.email, { text: 'plain', attachments: [{ name: 'invitation.ics', type: 'text/calendar' }] })
  t.equal(htmlOf(parsed), '<b>rich</b>')
})

t.test('HTML alone gives the text, with quotes marked', async (t) => {
  const parsed = await read(
    mail(
      'From: a@b.example\nContent-Type: text/html',
      '<h1>Hi</h1><p>See <a href="https://x.example">this</a></p><blockquote>old</blockquote>',
    ),
  )
  t.equal(parsed.email.text, 'Hi\n\nSee this\n\n> old')
  t.equal(parsed.email.textOwn, 'Hi\n\nSee this')
})

t.test('text and HTML one after the other are all shown', async (t) => {
  const parsed = await read(multipart('mixed', part('text/html', '<p>one</p>'), part('image/png', 'x'), part('text/plain', 'two <2>')))
  t.equal(parsed.email.text, 'one\n\ntwo <2>')
  t.equal(htmlOf(parsed), '<p>one</p>\n<div>two &lt;2&gt;</div>')
})

t.test('nested messages, reports and what has no name are attachments, kept whole', async (t) => {
  const nested = 'From: c@d.example\nSubject: inner\n\n--b is no delimiter here'
  const parsed = await read(
    multipart(
      'mixed',
      part('text/plain', 'x'),
      part('message/rfc822', nested),
      part('message/delivery-status', 'Status: 5.0.0'),
      part('application/pdf', 'y'),
    ),
  )
  t.same(
    parsed.email.attachments.map(({ name, type }) => [name, type]),
    [
      ['message.eml', 'message/rfc822'],
      ['delivery-status.txt', 'message/delivery-status'],
      ['attachment-3.pdf', 'application/pdf'],
    ],
  )
  t.equal(Buffer.from(parsed.attachmentContents[0]!).toString(), nested)
  t.equal(new Set(parsed.email.attachments.map(({ id }) => id)).size, 3)
})

const names: [title: string, headers: string, name: string][] = [
  [
    'continued and encoded (RFC 2231)',
    'Content-Disposition: attachment;\n filename*0*=utf-8\'\'B%C3%A4;\n filename*1*=r%20;\n filename*2="1.pdf"',
    'Bär 1.pdf',
  ],
  ['in encoded words (RFC 2047)', 'Content-Disposition: attachment; filename="=?utf-8?q?B=C3=A4r?= =?utf-8?q?_1.pdf?="', 'Bär 1.pdf'],
  ['of the type', 'X: y', 'type.pdf'],
  ['with folders', 'Content-Disposition: attachment; filename="../../etc/passwd"', 'passwd'],
  ['with folders of Windows', 'Content-Disposition: attachment; filename="C:\\\\temp\\\\a.pdf"', 'a.pdf'],
  ['that is a folder', 'Content-Disposition: attachment; filename=".."', 'attachment-1.pdf'],
  ['that reads backwards', 'Content-Disposition: attachment; filename="invoice\u202efdp.exe"', 'invoicefdp.exe'],
  ['of 300 letters', `Content-Disposition: attachment; filename="${'x'.repeat(300)}.pdf"`, `${'x'.repeat(59)}…${'x'.repeat(16)}.pdf`],
]
for (const [title, headers, name] of names) {
  t.test(`an attachment’s name ${title}`, async (t) => {
    const { email } = await read(multipart('mixed', part('application/pdf; name=type.pdf', 'x', `${headers}\n`)))
    t.same(
      email.attachments.map(({ name }) => name),
      [name],
    )
  })
}

t.test('an attachment has the bytes that were sent', async (t) => {
  const bytes = Buffer.from([0, 13, 10, 255, 61, 10])
  const encoded = [
    `${part('application/x', bytes.toString('base64'), 'Content-Transfer-Encoding: base64\n')}`,
    part('application/x', '=00=0D=0A=FF=3D=0A', 'Content-Transfer-Encoding: Quoted-Printable\n'),
  ]
  const { attachmentContents, email } = await read(multipart('mixed', ...encoded))
  t.same(
    attachmentContents.map((content) => Buffer.from(content).toString('hex')),
    [bytes.toString('hex'), bytes.toString('hex')],
  )
  t.same(
    email.attachments.map(({ sizeBytes }) => sizeBytes),
    [6, 6],
  )
})

t.test('files in the text (uuencode) become attachments; what only begins like one stays text', async (t) => {
  const { email, attachmentContents } = await read(
    mail('From: a@b.example', 'before\n\nbegin 644 cat.txt\n#0V%T\n`\nend\n\nbegin 644 is how it starts\nafter'),
  )
  t.equal(email.text, 'before\n\n\nbegin 644 is how it starts\nafter')
  t.match(email, { attachments: [{ name: 'cat.txt' }], defects: ['uuencoded'] })
  t.equal(Buffer.from(attachmentContents[0]!).toString(), 'Cat')
})

t.test('winmail.dat is kept, and said to be', async (t) => {
  const { email } = await read(multipart('mixed', part('application/ms-tnef', 'x')))
  t.match(email, { attachments: [{ name: 'winmail.dat' }], defects: ['tnef-not-unpacked'] })
})

t.test('a multipart without its delimiters is text', async (t) => {
  const { email } = await read(mail('From: a@b.example\nContent-Type: multipart/mixed', 'hello'))
  t.match(email, { text: 'hello', defects: ['multipart-broken'] })
  t.match((await read(mail('From: a@b.example\nContent-Type: multipart/mixed; boundary=x', 'hello'))).email, { text: 'hello' })
})

t.test('own text is without quotes and signature', async (t) => {
  const { email } = await read(
    mail('From: a@b.example', 'Yes, gladly.\n\nOn Mon, 1 Mar 2021, Bob <b@b.example> wrote:\n> Will you?\n\n-- \nAda\n'),
  )
  t.equal(email.textOwn, 'Yes, gladly.')
  t.match(email.text, 'Will you?')
})

t.test('flowed text is joined (RFC 3676)', async (t) => {
  const { email } = await read(
    mail('From: a@b.example\nContent-Type: text/plain; format=flowed', 'one \ntwo\n>quoted \n>more\n From\n-- \nAda'),
  )
  t.equal(email.text, 'one two\n>quoted \n>more\nFrom\n-- \nAda')
})

t.test('what is no mail is refused in words', async (t) => {
  await t.rejects(read(''), { code: 'not-a-mail', message: 'It is empty.' })
  await t.rejects(read(' \r\n\r\n '), { code: 'not-a-mail' })
  await t.rejects(read('{"a": 1}\n\nx'), { code: 'not-a-mail', message: /none of the headers/ })
})

t.test('headers without a body, and a mail after a "From " line, are mails', async (t) => {
  t.match((await read('Subject: x')).email, { subject: 'x', text: '', defects: ['date-missing', 'from-missing', 'message-id-missing'] })
  t.match((await read('From a@b.example Thu Mar  4 05:06:07 2021\nSubject: x\n\ny')).email, { subject: 'x', text: 'y' })
})

t.test('headers by which automated senders are told are kept', async (t) => {
  const { email } = await read(
    mail('From: a@b.example\nList-Unsubscribe: <https://x.example/u>\nPrecedence: bulk\nAuto-Submitted: auto-replied\nReturn-Path: <>'),
  )
  t.same(email.headers, { listUnsubscribe: '<https://x.example/u>', precedence: 'bulk', autoSubmitted: 'auto-replied', returnPath: '<>' })
})

t.test('whatever a mail holds, its event fits its schema and stays below 850 kB when it is sealed', async (t) => {
  const wide = '\u0001漢\\"'.repeat(30_000)
  const people = Array.from({ length: 2000 }, (_, i) => `"${'漢'.repeat(10)}" <A${i}@b.example>`).join(', ')
  const attachments = Array.from({ length: 250 }, (_, i) =>
    part(
      `application/${'x'.repeat(200)}`,
      'x',
      `Content-ID: <${'漢'.repeat(300)}>\nContent-Disposition: attachment; filename="${i}${'漢'.repeat(300)}.pdf"\n`,
    ),
  )
  const headers = [
    `From: ${people}`,
    `To: ${people}`,
    `Subject: ${'漢'.repeat(9000)}`,
    `References: ${Array.from({ length: 3000 }, (_, i) => `<漢漢${i}@b.example>`).join(' ')}`,
    `List-Id: ${'漢'.repeat(9000)}`,
  ]
  const raw = Buffer.from(
    `${headers.join('\n')}\nMessage-ID: <${'漢'.repeat(9000)}>\nDate: ${'x'.repeat(9000)}\nContent-Type: multipart/mixed; boundary=b\n\n${part('text/plain; charset=utf-8', wide)}${attachments.join('')}--b--`,
  )
  const { email } = await read(raw)
  t.same(email.defects, ['date-unreadable', 'own-text-cut', 'recipients-cut', 'references-cut', 'subject-cut', 'text-cut'])
  t.equal(email.attachments.length, 250)
  const key = { id: '6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11', key: Buffer.alloc(32) }
  const codec = createCodec(emailEvents, { claim: async () => key, keys: async () => new Map() })
  const cause = { at: '', actor: '', commandId: '', request: '', $correlationId: '', $causationId: '' }
  const event = emailEvents.EmailReceived({ ...email, source: 'import:1' })
  const [encoded] = await codec.encode([event], `email-${email.emailId}`, { revision: -1, hash: null, key: null }, cause)
  const bytes = Buffer.byteLength(JSON.stringify(encoded))
  t.ok(bytes < 850_000 && bytes > 700_000, `${bytes} bytes`)
})

t.test('nothing that can be written makes the parser throw, and every result fits the schema', async () => {
  const { TypeCompiler } = await import('@sinclair/typebox/compiler')
  const schema = TypeCompiler.Compile(emailEvents.EmailReceived.schema)
  const token = fc.oneof(
    fc.constantFrom(
      '\n',
      '\r\n',
      '\n\n',
      '--b',
      '--b--',
      ' ',
      '\t',
      'From: ',
      'To: ',
      'Date: ',
      'Subject: ',
      'Content-Type: ',
      'multipart/mixed; boundary=b',
      'text/html',
    ),
    fc.constantFrom(
      'text/plain; charset=',
      'utf-7',
      'base64',
      'Content-Transfer-Encoding: ',
      '=?utf-8?q?',
      '?=',
      '=',
      '<',
      '>',
      '"',
      '(',
      ')',
      ':',
      ';',
      ',',
      '@',
      'a@b.example',
    ),
    fc.constantFrom(
      'message/rfc822',
      'begin 644 x',
      'end',
      '\0',
      '\ud800',
      'filename*0*=',
      "utf-8''%",
      'name="',
      'On x wrote:',
      '> ',
      '-- ',
      '<p>',
      '<img src=',
    ),
    fc.string({ maxLength: 6, unit: 'binary' }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(token, { maxLength: 60 }), async (tokens) => {
      const { email } = await read(`Subject: x\n${tokens.join('')}`)
      const plain = JSON.parse(JSON.stringify({ ...email, source: 'import:1' }))
      return schema.Check(plain) && JSON.stringify(plain).isWellFormed() && !JSON.stringify(plain).includes('\\u0000')
    }),
    { numRuns: 2000 },
  )
})
