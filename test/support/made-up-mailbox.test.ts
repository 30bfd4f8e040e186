import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { defaultLimits } from '../../src/emails/parse/limits.ts'
import { parseEmail } from '../../src/emails/parse/parse-email.ts'
import { madeUpMailbox } from './google/made-up-mailbox.ts'
import { messagesIn } from './google/mail-folder.ts'
import { startNode } from './processes.ts'

/* The mailbox of the demo, held to the parser that will read it, and the simulated Google as a process that serves it. */
const now = Date.UTC(2026, 10, 26, 12)
const mailbox = madeUpMailbox({ now })
/** A quarter of them, and all of the rare ones, for what takes long. */
const sample = mailbox.messages.filter(({ from, kind }, index) => index % 4 === 0 || kind === 'bounce' || /kitayama|wisniewo/.test(from))
const context = { limits: defaultLimits, secret: Buffer.from('a secret of tests'), now }
const digest = (options: Parameters<typeof madeUpMailbox>[0]) => {
  const hash = createHash('sha256')
  for (const { raw, labelIds, internalDate } of madeUpMailbox(options).messages) hash.update(raw()).update(`${labelIds} ${internalDate}`)
  return hash.digest('hex')
}

t.test('it has as many messages, threads and people as it is to have, of the two years before, the same each time', async (t) => {
  const { messages, people, companies, owner } = mailbox
  t.equal(messages.length, 2_000)
  t.equal(new Set(messages.map(({ thread }) => thread)).size, 400)
  t.equal(new Set(messages.map(({ messageId }) => messageId)).size, 2_000)
  t.equal(people.length, 120)
  t.equal(companies.length, 25)
  const written = new Set(messages.filter(({ kind }) => kind === 'mail' || kind === 'away').map(({ from }) => from))
  const received = new Set(messages.flatMap(({ to }) => to))
  for (const { address } of people) t.ok(written.has(address) || received.has(address), `${address} takes part`)
  t.ok(people.filter(({ address }) => written.has(address)).length > 100, 'and nearly all write')
  const times = messages.map(({ internalDate }) => internalDate)
  t.strictSame(
    times,
    times.toSorted((a, b) => a - b),
  )
  t.ok(times[0]! > now - 2.1 * 365 * 86_400_000 && times.at(-1)! <= now && times.at(-1)! > now - 7 * 86_400_000)
  t.equal(new Set([owner.address, ...owner.aliases, ...people.map(({ address }) => address)]).size, 123)

  const small = { now, messages: 90, threads: 30, people: 10 }
  t.equal(digest(small), digest(small))
  t.not(digest(small), digest({ ...small, seed: 2 }))
  t.equal(madeUpMailbox({ now, messages: 10_000, threads: 2_000, people: 600 }).messages.length, 10_000)
  t.throws(() => madeUpMailbox({ now, messages: 100, threads: 40, people: 60 }), /too few/)
})

t.test('there is everything that a mailbox of years has', async (t) => {
  const { messages, people } = mailbox
  const kinds = new Set(messages.map(({ kind }) => kind))
  t.strictSame([...kinds].sort(), ['away', 'bounce', 'draft', 'mail', 'newsletter', 'notice', 'spam'])
  const labels = new Set(messages.flatMap(({ labelIds }) => labelIds))
  for (const label of ['INBOX', 'SENT', 'DRAFT', 'SPAM', 'TRASH', 'UNREAD', 'STARRED', 'Label_1']) t.ok(labels.has(label), label)
  t.ok(
    messages.some(({ isSent, from }) => isSent && from === 'sales@fairhaven.example'),
    'an alias writes, too',
  )
  t.strictSame([...new Set(people.map(({ language }) => language))].sort(), ['de', 'en', 'es', 'fr', 'ja', 'pl'])
  for (const { address, company, phone } of people) {
    t.match(address, new RegExp(`@${company.domain}$`))
    t.match(phone, /^\+(1 206 555 01|33 1 99 00|44 20 7946 0|46 8 465 004|49 30 23125)/, 'of the numbers that are kept for fiction')
  }
})

t.test('every message is read without a defect, and says what its author is said to', async (t) => {
  const seen = { attachments: new Map<string, number>(), html: 0, charsets: new Set<string>(), answers: 0, signed: 0 }
  const known = new Map(mailbox.messages.map((message) => [message.messageId, message]))
  const people = new Map([mailbox.owner, ...mailbox.people].map((person) => [person.address, person]))
  const beginnings: Record<string, RegExp> = {
    'application/pdf': /^%PDF-1/,
    'image/png': /^\x89PNG/,
    'text/calendar': /^BEGIN:VCALENDAR/,
    'text/csv': /^time,celsius/,
    'message/delivery-status': /^Reporting-MTA/,
    'text/rfc822-headers': /^From: /,
  }
  for (const message of sample) {
    const raw = message.raw()
    const { email, attachmentContents } = await parseEmail(raw, context)
    const { messageId, from, kind, subject, internalDate } = message
    const what = `${kind} ${messageId}`
    const wrong = {
      ...(email.defects && email.defects.length > 0 && { defects: email.defects }),
      ...(email.messageId !== messageId && { messageId: email.messageId }),
      ...(email.from[0]?.address !== from && { from: email.from }),
      ...(email.subject !== subject && { subject: email.subject }),
      ...(Date.parse(email.date ?? '') !== internalDate && { date: email.date }),
      ...(email.text.includes('\ufffd') && { text: email.text }),
      ...(/[{}]/.test(`${email.subject}${email.text}`) && { braces: email.text }),
      ...((email.references ?? []).some((id) => known.get(id)?.thread !== message.thread) && { references: email.references }),
    }
    if (Object.keys(wrong).length > 0) t.fail(what, wrong)
    if (email.html) seen.html += 1
    if (email.references?.length) seen.answers += 1
    for (const charset of raw.toString('latin1').matchAll(/text\/plain; charset=([\w-]+)/g)) seen.charsets.add(charset[1]!)
    email.attachments?.forEach(({ type }, index) => {
      seen.attachments.set(type, (seen.attachments.get(type) ?? 0) + 1)
      const beginning = Buffer.from(attachmentContents[index]!.slice(0, 16)).toString('latin1')
      if (!beginnings[type]!.test(beginning)) t.fail(`${what} has no ${type}`, { beginning })
    })
    const author = people.get(from)
    if (author && kind === 'mail' && email.text.includes(author.phone) && email.text.includes(author.title)) seen.signed += 1
  }
  t.ok(seen.html > 100 && seen.answers > 250, 'many with HTML, most are answers')
  t.ok(seen.signed > 300, 'and are signed with title and telephone')
  t.strictSame([...seen.attachments.keys()].sort(), Object.keys(beginnings).sort())
  for (const charset of ['utf-8', 'windows-1252', 'iso-8859-1', 'iso-8859-2', 'shift_jis']) t.ok(seen.charsets.has(charset), charset)
})

t.test('what comes from programs says so', async (t) => {
  const headersOf = (kind: string) =>
    mailbox.messages.filter((message) => message.kind === kind).map(({ raw }) => raw().toString('latin1').split('\r\n\r\n')[0]!)
  for (const headers of headersOf('newsletter')) t.match(headers, /\r\nList-Id: [\s\S]*\r\nList-Unsubscribe: [\s\S]*\r\nPrecedence: bulk/)
  for (const headers of headersOf('notice'))
    t.match(headers, /From: .*<(no-?reply|do-not-reply|notifications)@[\s\S]*\r\nAuto-Submitted: auto-generated/)
  for (const headers of headersOf('away')) t.match(headers, /\r\nAuto-Submitted: auto-replied/)
  for (const headers of headersOf('bounce')) t.match(headers, /From: .*<mailer-daemon@[\s\S]*multipart\/report/)
  for (const headers of headersOf('mail')) t.notMatch(headers, /\r\n(Auto-Submitted|List-|Precedence)/)
})

t.test('the simulated Google is a process, too, with this mailbox', async (t) => {
  const main = join(import.meta.dirname, 'google/main.ts')
  const process = startNode(t, [main, '--auto', '--now', `${now}`, '--speed', '60', '--clock-start', `${now}`, '--quota-limit', '100'])
  const url = /http:\S+/.exec(await process.line(/simulated at/))![0]
  const ask = async (path: string) => (await fetch(`${url}/_control/${path}`)).json()
  t.strictSame(await ask('accounts'), [mailbox.account.address])
  const messages = (await ask(`accounts/${mailbox.account.address}/messages`)) as { internalDate: number; labelIds: string[] }[]
  t.strictSame(
    messages.map(({ internalDate, labelIds }) => ({ internalDate, labelIds })).toReversed(),
    mailbox.messages.map(({ internalDate, labelIds }) => ({ internalDate, labelIds })),
  )
  t.match(await ask('clock'), { speed: 60 })
  process.child.kill('SIGTERM')
  t.equal(await process.ended, 0)
})

const samples = join(import.meta.dirname, '../../../shared/data/mail')
t.test('files of mail make a mailbox, too', { skip: existsSync(samples) ? false : '../shared/data/mail is not here' }, async (t) => {
  const messages = messagesIn(samples, now)
  t.equal(messages.length, 103)
  t.ok(messages.every(({ internalDate }) => internalDate! > 0))
})
