import type { Static } from '@sinclair/typebox'
import t from 'tap'
import { projections, queries } from '../../projections/index.ts'
import type { Contact, TimelineEntry } from '../../schema/contact.ts'
import { contactEvents } from '../../schema/contact-events.ts'
import type { NewEvent } from '../../schema/define.ts'
import type { Email, EmailSummary, Thread, ThreadSummary } from '../../schema/email-resources.ts'
import { Invalid } from '../../src/platform/refusal.ts'
import { party, received, removed, sent } from './mail.ts'
import { idOf, minute, readTables, recorded } from './support.ts'

const { ContactCreated, ContactMethodAdded, ContactMethodRemoved, ContactArchived } = contactEvents
const endpoint = (id: string) => queries.find(({ operationId }) => operationId === id)!
type Page<T = EmailSummary> = { data: T[]; nextCursor: string | null }

const method = (value: string) => ({ id: idOf(value), type: 'email' as const, value, normalized: value })
const person = (name: string, ...addresses: string[]) => ContactCreated({ contactId: idOf(name), name, methods: addresses.map(method) })
const day = (n: number) => new Date(Date.UTC(2026, 0, n, 12)).toISOString()
const file = (name: string, disposition: 'attachment' | 'inline' = 'attachment') => ({
  id: idOf(name),
  name,
  type: 'application/pdf',
  sizeBytes: 5,
  sha256: 'b'.repeat(64),
  disposition,
})

const tables = await readTables(t, projections)

async function mailbox(...events: NewEvent[]) {
  await tables.empty()
  await tables.project(recorded(...events))
  const subjects = async (query: Record<string, unknown> = {}, id = 'listEmails', params = {}) =>
    (await tables.ask<Page>(endpoint(id), query, params)).data.map(({ subject }) => subject)
  const contact = (name: string) => tables.ask<Contact>(endpoint('getContact'), {}, { id: idOf(name) })
  return { ...tables, subjects, contact }
}

t.test('mails are listed the newest first, with the contacts that their addresses belong to now', async (t) => {
  const { ask } = await mailbox(
    person('Ada', 'ada@example.com'),
    received('one', {
      date: day(1),
      from: 'Countess <ada@example.com>',
      to: ['me@own.example', 'bob@example.com'],
      text: 'Hello  there.\n\nAda',
    }),
    sent('two', { date: day(2), to: 'ada@example.com', attachments: [file('plan.pdf')] }),
  )
  const { data, nextCursor } = await ask<Page>(endpoint('listEmails'))
  const contact = { id: idOf('Ada'), name: 'Ada' }
  t.equal(nextCursor, null)
  t.strictSame(data, [
    {
      id: idOf('two'),
      threadId: idOf('two'),
      direction: 'sent',
      date: day(2),
      subject: 'About two',
      from: [{ address: 'me@own.example' }],
      to: [{ address: 'ada@example.com', contact }],
      recipients: 1,
      preview: 'The text of two.',
      hasAttachments: true,
    },
    {
      id: idOf('one'),
      threadId: idOf('one'),
      direction: 'received',
      date: day(1),
      subject: 'About one',
      from: [{ address: 'ada@example.com', name: 'Countess', contact }],
      to: [{ address: 'me@own.example' }, { address: 'bob@example.com' }],
      recipients: 2,
      preview: 'Hello there. Ada',
      hasAttachments: false,
    },
  ])
})

t.test('filters keep what they say, together and by pages', async (t) => {
  const { ask, subjects } = await mailbox(
    person('Ada', 'ada@example.com', 'ada@home.example'),
    received('a', { date: day(1), subject: 'A', from: 'ada@example.com', cc: 'ada@home.example' }),
    received('b', { date: day(2), subject: 'B', from: 'bob@example.com', cc: 'ada@home.example', attachments: [file('b.pdf')] }),
    sent('c', {
      date: day(3),
      subject: 'C',
      to: 'bob@example.com',
      inReplyTo: ['<b@mail.example>'],
      attachments: [file('logo', 'inline')],
    }),
    received('d', { date: null, subject: 'D', from: 'ada@home.example' }),
  )
  for (const [query, expected] of [
    [{}, ['D', 'C', 'B', 'A']],
    [{ sort: 'date' }, ['A', 'B', 'C', 'D']],
    [{ contact: idOf('Ada') }, ['D', 'B', 'A']],
    [{ contact: idOf('nobody') }, []],
    [{ address: 'BOB@example.com' }, ['C', 'B']],
    [{ address: 'bob' + '@example.co' }, []],
    [{ address: 'me@own.example' }, ['D', 'B', 'A']],
    [{ thread: idOf('b') }, ['C', 'B']],
    [{ thread: idOf('c') }, ['C', 'B']],
    [{ thread: idOf('nothing') }, []],
    [{ hasAttachment: 'true' }, ['B']],
    [{ hasAttachment: 'false' }, ['D', 'C', 'A']],
    [{ dateAfter: day(1), dateBefore: day(3) }, ['B']],
    [{ dateAfter: '2026-01-02T12:59:59+01:00', dateBefore: day(9) }, ['C', 'B']],
    [{ contact: idOf('Ada'), address: 'bob@example.com' }, ['B']],
    [{ contact: idOf('Ada'), hasAttachment: 'false', dateBefore: day(9) }, ['A']],
    [{ thread: idOf('b'), address: 'me@own.example', hasAttachment: 'true', q: 'text' }, ['B']],
  ] as [Record<string, unknown>, string[]][]) {
    t.same(await subjects(query), expected, JSON.stringify(query))
    const paged: string[] = []
    let cursor: string | null = null
    do {
      const page: Page = await ask<Page>(endpoint('listEmails'), { ...query, limit: 1, ...(cursor && { cursor }) })
      paged.push(...page.data.map(({ subject }) => subject))
      cursor = page.nextCursor
    } while (cursor)
    t.same(paged, expected, `${JSON.stringify(query)} by pages`)
  }
  await t.rejects(subjects({ dateAfter: '2026-01-01T00:00:00', dateBefore: 'x' }), Invalid)
})

t.test('a search finds words by how they begin, in any language, and shows where', async (t) => {
  const { ask, subjects } = await mailbox(
    received('a', {
      date: day(1),
      subject: 'Die Entwürfe für José',
      text: "Bitte prüfen Sie die Zeichnungen. It's <b>urgent</b> & 100% final \\o/",
      from: 'José Pérez <jose.perez@mail.example>',
    }),
    received('b', { date: day(2), subject: 'Встреча', text: 'Договор подписан. drawings', attachments: [file('Rechnung-2026.pdf')] }),
  )
  for (const [q, expected] of [
    ['entwurfe', ['Die Entwürfe für José']],
    ['ZEICHN', ['Die Entwürfe für José']],
    ['zeichnungen jose', ['Die Entwürfe für José']],
    ['договор', ['Встреча']],
    ['rechnung', ['Встреча']],
    ['rechnung-2026.pdf', ['Встреча']],
    ['jose.perez@mail.example', ['Die Entwürfe für José']],
    ['perez', ['Die Entwürfe für José']],
    ['mail.example', ['Die Entwürfe für José']],
    ["it's", ['Die Entwürfe für José']],
    ['zeichnungen drawings', []],
    ["'; \\ :* a&b|!(", []],
    ['chnungen', []],
  ] as [string, string[]][]) {
    t.same(await subjects({ q }), expected, q)
  }
  const { data } = await ask<Page>(endpoint('listEmails'), { q: 'entwurfe urgent' })
  t.strictSame(data[0]!.highlights!.subject, [
    { text: 'Die ', found: false },
    { text: 'Entwürfe', found: true },
    { text: ' für José', found: false },
  ])
  t.match(
    data[0]!.highlights!.text.filter(({ found }) => found),
    [{ text: 'urgent' }],
  )
  for (const q of [' ', '-', '<>&']) await t.rejects(subjects({ q }), Invalid)
})

t.test('a word that nearly all mails have is found as well as a rare one', async (t) => {
  const mails = Array.from({ length: 5_100 }, (_, n) =>
    received(`mail ${n}`, { date: minute(n), subject: `S ${n}`, text: n % 1_000 ? 'common' : 'common rare' }),
  )
  const { subjects } = await mailbox(...mails)
  t.same(await subjects({ q: 'common', limit: 3 }), ['S 5099', 'S 5098', 'S 5097'])
  t.same(await subjects({ q: 'common', limit: 2, sort: 'date', address: 'ada@example.com' }), ['S 0', 'S 1'])
  t.same(await subjects({ q: 'rare' }), ['S 5000', 'S 4000', 'S 3000', 'S 2000', 'S 1000', 'S 0'])
  t.same(await subjects({ q: 'rare common', dateBefore: minute(1_500) }), ['S 1000', 'S 0'])
})

t.test('text of any length and characters is stored, searched and shown', async (t) => {
  const words = Array.from({ length: 200_000 }, (_, n) =>
    String.fromCodePoint(0x10400 + (n % 40), 0x10400 + (Math.floor(n / 40) % 40), 0x4e00 + (n % 19_000)),
  ).join(' ')
  const signs = Array.from({ length: 20_000 }, (_, n) => `㎯-${String.fromCodePoint(0x4e00 + n)}㎯/㎯.㎯`).join(' ')
  const texts = [
    signs,
    words,
    'x'.repeat(300_000),
    `${'a-b/c.d@e.f '.repeat(40_000)}`,
    '<a href="'.repeat(20_000),
    'nul\0 half\ud800 \uE0F0marked\uE0F1',
  ]
  const { ask, subjects } = await mailbox(
    ...texts.map((text, n) =>
      received(`mail ${n}`, { text, subject: `S ${n} ${text.slice(0, 2_000)}`, from: `${text.slice(0, 3_000)} <a@b.example>` }),
    ),
  )
  t.equal((await subjects({ q: 'S' })).length, texts.length)
  const [first] = (await ask<Page>(endpoint('listEmails'), { q: 'marked' })).data
  t.match(first!.highlights!.text.map(({ text }) => text).join(''), /marked/)
  t.equal((await ask<Email>(endpoint('getEmail'), {}, { id: idOf('mail 1') })).text, words)
})

t.test('a mail is shown whole, and what was removed is gone everywhere', async (t) => {
  const { ask, project, subjects, contact } = await mailbox(person('Ada', 'ada@example.com'))
  const mail = received('one', {
    date: day(1),
    sender: party('Secretary <sec@example.com>'),
    replyTo: 'ada@home.example',
    bcc: 'hidden@example.com',
    text: 'Fine.\n> What?',
    textOwn: 'Fine.',
    html: { sha256: 'c'.repeat(64), sizeBytes: 7 },
    attachments: [{ ...file('logo', 'inline'), contentId: 'logo@x' }, file('plan.pdf')],
    references: ['<zero@mail.example>'],
    inReplyTo: ['<zero@mail.example>'],
    dateHeader: 'Thu, 1 Jan 2026 12:00:00 +0000',
    headers: { precedence: 'bulk' },
    defects: ['no-such-charset'],
  })
  const history = recorded(mail, removed('one'))
  await project(history.slice(0, 1))
  t.strictSame(await ask<Email>(endpoint('getEmail'), {}, { id: idOf('one') }), {
    id: idOf('one'),
    threadId: idOf('one'),
    direction: 'received',
    date: day(1),
    subject: 'About one',
    from: [{ address: 'ada@example.com', contact: { id: idOf('Ada'), name: 'Ada' } }],
    sender: { name: 'Secretary', address: 'sec@example.com' },
    replyTo: [{ address: 'ada@home.example' }],
    to: [{ address: 'me@own.example' }],
    cc: [],
    bcc: [{ address: 'hidden@example.com' }],
    text: 'Fine.\n> What?',
    textOwn: 'Fine.',
    hasHtml: true,
    sizeBytes: 1_000,
    attachments: [{ ...file('logo', 'inline'), contentId: 'logo@x' }, file('plan.pdf')],
    messageId: '<one@mail.example>',
    inReplyTo: ['<zero@mail.example>'],
    references: ['<zero@mail.example>'],
    dateHeader: 'Thu, 1 Jan 2026 12:00:00 +0000',
    dateReceived: null,
    headers: { precedence: 'bulk' },
    defects: ['no-such-charset'],
    source: 'import:test',
  })
  t.match(await contact('Ada'), { emailsReceived: 1, emailsSent: 0, lastEmailAt: day(1) })
  await project(history.slice(1))
  t.equal(await ask(endpoint('getEmail'), {}, { id: idOf('one') }), null)
  t.equal(await ask(endpoint('getThread'), {}, { id: idOf('one') }), null)
  t.same(await subjects(), [])
  t.same(await subjects({ q: 'fine' }), [])
  t.match(await contact('Ada'), { emailsReceived: 0, emailsSent: 0, lastEmailAt: null })
})

t.test("a contact's mails and counts follow its addresses, at once and backwards", async (t) => {
  const { project, subjects, contact } = await mailbox(
    person('Ada', 'ada@example.com'),
    person('Bob', 'bob@example.com'),
    received('a', { date: day(1), subject: 'A', from: 'ada@home.example', to: 'me@own.example' }),
    sent('b', { date: day(2), subject: 'B', to: ['ada@home.example', 'ada@example.com', 'bob@example.com'] }),
    received('c', { date: day(3), subject: 'C', from: 'else@example.com', cc: ['ada@example.com'] }),
    received('d', { date: day(4), subject: 'D', from: 'form@example.com', replyTo: 'bob@example.com' }),
  )
  const of = (name: string) => subjects({}, 'listContactEmails', { id: idOf(name) })
  t.match(await contact('Ada'), { emailsReceived: 0, emailsSent: 1, lastEmailAt: day(2) })
  t.same(await of('Ada'), ['C', 'B'], 'where it was only copied is listed, though it counts for nothing')
  t.match(await contact('Bob'), { emailsReceived: 1, emailsSent: 1, lastEmailAt: day(4) })

  const home = method('ada@home.example')
  const changes = recorded(
    person('Ada'),
    ContactMethodAdded({ contactId: idOf('Ada'), method: home }),
    ContactMethodRemoved({ contactId: idOf('Ada'), methodId: home.id }),
    ContactMethodAdded({ contactId: idOf('Bob'), method: home }),
  )
  await project(changes.slice(1, 2))
  t.match(await contact('Ada'), { emailsReceived: 1, emailsSent: 1, lastEmailAt: day(2) }, 'a mail of two of its addresses counts once')
  t.same(await of('Ada'), ['C', 'B', 'A'])
  await project(changes.slice(2))
  t.match(await contact('Ada'), { emailsReceived: 0, emailsSent: 1, lastEmailAt: day(2) })
  t.match(await contact('Bob'), { emailsReceived: 2, emailsSent: 1, lastEmailAt: day(4) })
  t.same(await of('Bob'), ['D', 'B', 'A'])
})

t.test('contacts are sorted by when there was mail last; those without come last, or first', async (t) => {
  const { ask } = await mailbox(
    ...['Ada', 'Bob', 'Cyd', 'Dan'].map((name) => person(name, `${name.toLowerCase()}@example.com`)),
    received('a', { date: day(5), from: 'ada@example.com' }),
    received('b', { date: day(7), from: 'bob@example.com' }),
    sent('d', { date: day(6), to: 'dan@example.com' }),
    ContactArchived({ contactId: idOf('Dan') }),
  )
  const names = async (query: object) => (await ask<Page<Contact>>(endpoint('listContacts'), { ...query })).data.map(({ name }) => name)
  t.same(await names({ sort: '-lastEmailAt' }), ['Bob', 'Ada', 'Cyd'])
  t.same(await names({ sort: 'lastEmailAt' }), ['Cyd', 'Ada', 'Bob'])
  t.same(await names({ sort: '-lastEmailAt', archived: 'any' }), ['Bob', 'Dan', 'Ada', 'Cyd'])
  t.same(await names({ sort: '-lastEmailAt', q: 'example', archived: 'true' }), ['Dan'])
  const first = await ask<Page<Contact>>(endpoint('listContacts'), { sort: '-lastEmailAt', limit: 2 })
  t.same(await names({ sort: '-lastEmailAt', limit: 2, cursor: first.nextCursor }), ['Cyd'])
})

t.test('who is not there has no mails; who has none has an empty list', async (t) => {
  const { ask } = await mailbox(person('Ada', 'ada@example.com'))
  t.equal(await ask(endpoint('listContactEmails'), {}, { id: idOf('nobody') }), null)
  t.same(await ask(endpoint('listContactEmails'), {}, { id: idOf('Ada') }), { data: [], nextCursor: null })
})

t.test("a contact's timeline has its mails in between, in the order of time", async (t) => {
  const { ask } = await mailbox(
    received('before', { date: '2025-01-01T00:00:00.000Z', from: 'ada@example.com' }),
    person('Ada', 'ada@example.com', 'ada@home.example'),
    sent('after', { date: minute(90), to: ['ada@example.com', 'ada@home.example'] }),
    ContactArchived({ contactId: idOf('Ada') }),
  )
  const whole = await ask<Page<TimelineEntry>>(endpoint('getContactTimeline'), {}, { id: idOf('Ada') })
  t.match(whole.data, [
    { kind: 'email-sent', at: minute(90), emailId: idOf('after'), subject: 'About after', text: 'The text of after.', revision: undefined },
    { kind: 'archived', at: minute(3), revision: 1 },
    { kind: 'created', at: minute(1), revision: 0 },
    { kind: 'email-received', at: '2025-01-01T00:00:00.000Z', eventId: idOf('event 0'), actor: 'key:test' },
  ])
  const paged: TimelineEntry[] = []
  let cursor: string | null = null
  do {
    const page: Page<TimelineEntry> = await ask(
      endpoint('getContactTimeline'),
      { limit: 1, ...(cursor && { cursor }) },
      { id: idOf('Ada') },
    )
    paged.push(...page.data)
    cursor = page.nextCursor
  } while (cursor)
  t.same(paged, whole.data)
})

t.test('threads are listed by their newest mail, and found by the id of any of their mails', async (t) => {
  const { ask } = await mailbox(
    person('Ada', 'ada@example.com'),
    received('one', { date: day(1), subject: 'Plans' }),
    received('other', { date: day(3), subject: 'Other', from: 'bob@example.com' }),
    sent('two', { date: day(4), subject: 'Re: Plans', references: ['<ONE@mail.example>'] }),
    received('three', { date: day(2), subject: 'AW: Plans', messageId: '<3@x>', inReplyTo: ['two@mail.example'] }),
  )
  const id = ['one', 'two', 'three'].map(idOf).sort()[0]!
  const plans = { id, subject: 'Plans', emails: 3, firstEmailAt: day(1), lastEmailAt: day(4) }
  const { data } = await ask<Page<Static<typeof ThreadSummary>>>(endpoint('listThreads'))
  t.match(data, [
    { ...plans, lastEmail: { id: idOf('two'), date: day(4), direction: 'sent', threadId: id, to: [{ contact: { name: 'Ada' } }] } },
    { subject: 'Other', emails: 1, lastEmail: { subject: 'Other' } },
  ])
  const first = await ask<Page<Static<typeof ThreadSummary>>>(endpoint('listThreads'), { limit: 1 })
  const second = await ask<Page<Static<typeof ThreadSummary>>>(endpoint('listThreads'), { limit: 1, cursor: first.nextCursor })
  t.same([...first.data, ...second.data], data)
  for (const filter of [{ contact: idOf('Ada') }, { address: 'ada@example.com' }]) {
    t.match((await ask<Page<Static<typeof ThreadSummary>>>(endpoint('listThreads'), filter)).data, [plans])
  }
  for (const name of ['one', 'two', 'three']) {
    const thread = await ask<Static<typeof Thread>>(endpoint('getThread'), { limit: 2 }, { id: idOf(name) })
    t.match(thread, { ...plans, data: [{ subject: 'Plans' }, { subject: 'AW: Plans' }] })
    const rest = await ask<Static<typeof Thread>>(endpoint('getThread'), { limit: 2, cursor: thread.nextCursor }, { id: idOf(name) })
    t.match(rest, { ...plans, data: [{ subject: 'Re: Plans' }], nextCursor: null })
  }
  t.equal(await ask(endpoint('getThread'), {}, { id: idOf('nothing') }), null)
})
