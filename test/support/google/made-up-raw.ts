import { crc32, deflateSync } from 'node:zlib'
import { attached, encoded, inCharset, multipart, word, wrapped } from '../mime.ts'
import { createRandom, type Random } from '../soak/random.ts'
import type { Language, Person } from './made-up-people.ts'
import { tongues } from './made-up-texts.ts'

/** What a conversation is about, for the braces in its texts. */
export type Facts = {
  language: Language
  product: string
  number: string
  amount: string
  reference: string
  city: string
  company: string
}

type Party = { name: string; address: string; person?: Person }

/** All that is known of a message before it is written. */
export type Letter = {
  kind: 'mail' | 'draft' | 'away' | 'newsletter' | 'notice' | 'bounce' | 'spam'
  thread: number
  place: number
  /** Milliseconds since 1970, whole seconds. */
  at: number
  offset: string
  messageId: string
  from: Party
  to: Party[]
  cc: Party[]
  subject: string
  facts: Facts
  /** What it says, with braces; empty for a word of thanks; of a bounce, the address. */
  body: string
  answers?: Letter | undefined
  /** With whom the owner talks in this thread. */
  counterpart?: Person
  listId?: string
  file?: 'pdf' | 'csv' | 'png' | 'ics'
}

const locales: Record<Language, string> = { en: 'en-GB', de: 'de-DE', fr: 'fr-FR', es: 'es-ES', pl: 'pl-PL', ja: 'ja-JP' }
const days = new Map(
  Object.entries(locales).map(([language, locale]) => [
    language,
    new Intl.DateTimeFormat(locale, { weekday: 'long', day: 'numeric', month: 'long', timeZone: 'UTC' }),
  ]),
)
const dayMs = 86_400_000
const maxQuotes = 3

/** A text with its braces filled. @param at when it is written: days are a few after it @param to whom it greets */
export function filled(text: string, facts: Facts, at: number, to: string): string {
  return text.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    if (name === 'day') return days.get(facts.language)!.format(at + (2 + (at % 6)) * dayMs)
    return name === 'to' ? to : facts[name as keyof Facts]
  })
}

/** The whole message, with \r\n, as Gmail gives it. @param domain that it was delivered to */
export function rawOf(letter: Letter, domain: string): Buffer {
  const random = createRandom(letter.thread * 7_919 + letter.place)
  const { at, offset, from, to, cc, subject, messageId } = letter
  const date = dateOf(at, offset)
  const references = ancestors(letter).map((other) => other.messageId)
  const headers = [
    ...(letter.kind === 'draft'
      ? []
      : [`Received: from mail.${from.address.split('@')[1]} by mx.${domain} with ESMTPS;\n ${dateOf(at + 2_000, '+0000')}`]),
    `From: ${partyOf(from)}`,
    `To: ${to.map(partyOf).join(',\n ')}`,
    ...(cc.length > 0 ? [`Cc: ${cc.map(partyOf).join(',\n ')}`] : []),
    `Subject: ${word(subject)}`,
    `Date: ${date}`,
    `Message-ID: ${messageId}`,
    ...(references.length > 0 ? [`In-Reply-To: ${references.at(-1)}`, `References: ${references.join('\n ')}`] : []),
    ...automatic(letter),
    'MIME-Version: 1.0',
  ]
  return Buffer.from(`${headers.join('\n')}\n${contentOf(letter, random)}\n`.replaceAll('\n', '\r\n'))
}

/** Those it answers, oldest first. */
function ancestors({ answers }: Letter): Letter[] {
  const all: Letter[] = []
  for (let letter = answers; letter; letter = letter.answers) if (letter.kind !== 'away') all.unshift(letter)
  return all
}

/** The headers by which programs say that they are none of us (RFC 2369, RFC 2919, RFC 3834). */
function automatic({ kind, listId, from, thread }: Letter): string[] {
  const domain = from.address.split('@')[1]
  if (kind === 'newsletter')
    return [
      `List-Id: <${listId}>`,
      `List-Unsubscribe: <https://${domain}/unsubscribe/${thread}>, <mailto:unsubscribe@${domain}>`,
      'List-Unsubscribe-Post: List-Unsubscribe=One-Click',
      'Precedence: bulk',
    ]
  if (kind === 'notice') return ['Auto-Submitted: auto-generated', 'X-Auto-Response-Suppress: All']
  if (kind === 'away') return ['Auto-Submitted: auto-replied', 'Precedence: junk']
  if (kind === 'bounce') return ['Auto-Submitted: auto-replied', 'Return-Path: <>']
  return []
}

function contentOf(letter: Letter, random: Random): string {
  const { from, facts, kind, thread, place } = letter
  if (kind === 'bounce') return reportOf(letter)
  const person = from.person
  const taste = person ? hash(person.address) : thread
  const charset = person ? tongues[facts.language].charsets[taste % tongues[facts.language].charsets.length]! : 'utf-8'
  const text = textOf(letter)
  const whole = [text, ...quoteOf(letter, maxQuotes)].join('\n')
  const plain = encoded('text/plain', charset, inCharset(whole, charset), taste % 3 === 0 ? 'base64' : 'quoted-printable')
  const isRich = kind === 'newsletter' || (person !== undefined && taste % 5 < 3 && kind !== 'away')
  const html = () => encoded('text/html', 'utf-8', Buffer.from(htmlOf(letter, text)), 'quoted-printable')
  const isOnlyHtml = kind === 'newsletter' && thread % 3 === 0
  const body = isOnlyHtml ? html() : isRich ? multipart('alternative', `=_alt_${thread}_${place}`, [plain, html()]) : plain
  return letter.file ? multipart('mixed', `=_mix_${thread}_${place}`, [body, fileOf(letter, random)]) : body
}

/** What its author wrote, and how it is signed. */
function textOf(letter: Letter): string {
  const { from, to, cc, facts, at, body, thread, place, kind } = letter
  const random = createRandom(thread * 104_729 + place)
  const person = from.person
  const tongue = tongues[facts.language]
  if (!person)
    return `${wrapped(filled(body, facts, at, ''))}\n${kind === 'newsletter' ? `\nUnsubscribe: https://${from.address.split('@')[1]}/unsubscribe/${thread}` : ''}`
  const whom = to[0]?.person ?? person
  const all = facts.language === 'en' && cc.length > 0 ? 'all' : facts.language === 'ja' ? whom.lastName : whom.firstName
  const greeting = filled(random.pick(tongue.greetings), facts, at, all)
  const said = filled(body === '' ? random.pick(tongue.thanks) : body, facts, at, all)
  const sentence = /^[A-Z]/.test(said) || facts.language !== 'en' || place > 0 ? said : `${said[0]!.toUpperCase()}${said.slice(1)}`
  const isOnTheGo = place > 0 && random.chance(0.1)
  const signed = isOnTheGo ? [person.firstName, '', 'Sent from my phone'] : [random.pick(tongue.closings), signatureOf(person)]
  return [greeting, '', facts.language === 'ja' ? sentence : wrapped(sentence), '', ...signed].join('\n')
}

/** Everybody signs in the same way each time. */
function signatureOf({ name, firstName, title, company, phone, mobile, profile, address }: Person): string {
  const taste = hash(address) % 4
  if (taste === 0)
    return [firstName, '', '-- ', name, `${title}, ${company.name}`, `T ${phone}${mobile ? `  M ${mobile}` : ''}`, company.site].join('\n')
  if (taste === 1)
    return [
      '',
      name,
      title,
      `${company.name} | ${company.city}, ${company.country}`,
      `Phone: ${phone}`,
      `Web: ${company.site}`,
      profile,
    ].join('\n')
  if (taste === 2) return [name, '-- ', `${name} | ${title} | ${company.name}`, `${phone} | ${address}`].join('\n')
  return [
    '',
    name,
    title,
    company.name,
    `Tel. ${phone}`,
    ...(mobile ? [`Mobile ${mobile}`] : []),
    `${company.site} - ${company.about}`,
  ].join('\n')
}

/** What it answers, and what that answered, so deep. */
function quoteOf({ answers, facts, kind }: Letter, depth: number): string[] {
  if (!answers || depth === 0 || kind === 'away') return []
  const date = days.get(facts.language)!.format(answers.at)
  const text = [textOf(answers), ...quoteOf(answers, depth - 1)].join('\n')
  const quoted = text.split('\n').map((line) => (line.startsWith('>') ? `>${line}` : `> ${line}`.trimEnd()))
  return ['', tongues[facts.language].wrote(date, answers.from.name), ...quoted]
}

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
const paragraphs = (text: string) =>
  text
    .split(/\n\n/)
    .map((part) => `<p style="font-family:sans-serif;color:#222">${escaped(part).replaceAll('\n', '<br>')}</p>`)
    .join('')

function htmlOf(letter: Letter, text: string): string {
  const { answers, facts, kind, from, thread } = letter
  const domain = from.address.split('@')[1]
  const extra =
    kind === 'newsletter'
      ? `<p><a href="https://${domain}/unsubscribe/${thread}">Unsubscribe</a></p><img src="https://track.${domain}/open/${thread}.gif" width="1" height="1" alt="">`
      : ''
  const quote = answers
    ? `<div class="gmail_quote"><div>${escaped(tongues[facts.language].wrote(days.get(facts.language)!.format(answers.at), answers.from.name))}</div><blockquote style="margin:0 0 0 .8ex;border-left:1px solid #ccc;padding-left:1ex">${paragraphs(textOf(answers))}</blockquote></div>`
    : ''
  return `<!DOCTYPE html><html><head><style>p{margin:0 0 1em}</style></head><body>${paragraphs(text)}${extra}${quote}</body></html>`
}

/** A delivery status notification (RFC 3464). */
function reportOf({ body: address, thread, answers, at }: Letter): string {
  const text = `Your message to ${address} could not be delivered:\n\n550 5.1.1 The e-mail account that you tried to reach does not exist.\n`
  const status = `Reporting-MTA: dns; mx.${address.split('@')[1]}\nArrival-Date: ${dateOf(at, '+0000')}\n\nFinal-Recipient: rfc822; ${address}\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 No such user\n`
  const parts = [
    `Content-Type: text/plain; charset=utf-8\n\n${text}`,
    `Content-Type: message/delivery-status\n\n${status}`,
    `Content-Type: text/rfc822-headers\n\nFrom: ${partyOf(answers!.from)}\nTo: ${address}\nSubject: ${word(answers!.subject)}\nMessage-ID: ${answers!.messageId}\n`,
  ]
  return multipart('report; report-type=delivery-status', `=_dsn_${thread}`, parts)
}

function fileOf({ file, facts, thread, at, from, to, cc, subject }: Letter, random: Random): string {
  if (file === 'csv') {
    const rows = Array.from(
      { length: 30 },
      (_, row) => `${new Date(at - row * 3_600_000).toISOString()},${(random.between(180, 320) / 10).toFixed(1)},${facts.city}`,
    )
    return attached(
      'text/csv',
      `${facts.reference}-readings.csv`,
      Buffer.from(`time,celsius,site\n${rows.join('\n')}\n`),
      '; charset=utf-8',
    )
  }
  if (file === 'png') return attached('image/png', `IMG_${1000 + thread}.png`, pictureOf(random))
  if (file === 'ics') {
    const begin = at + (2 + (at % 6)) * dayMs
    const stamp = (time: number) => `${new Date(time).toISOString().replaceAll(/[-:]|\..*/g, '')}Z`
    const guests = [...to, ...cc].map(({ name, address }) => `ATTENDEE;CN=${name}:mailto:${address}`)
    const event = [
      'BEGIN:VEVENT',
      `UID:meeting-${thread}@${from.address.split('@')[1]}`,
      `DTSTAMP:${stamp(at)}`,
      `DTSTART:${stamp(begin)}`,
      `DTEND:${stamp(begin + 3_600_000)}`,
      `SUMMARY:${subject}`,
      `ORGANIZER;CN=${from.name}:mailto:${from.address}`,
      ...guests,
      'END:VEVENT',
    ]
    const calendar = ['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//made up//EN', 'METHOD:REQUEST', ...event, 'END:VCALENDAR', ''].join(
      '\r\n',
    )
    return attached('text/calendar', 'invite.ics', Buffer.from(calendar), '; charset=utf-8; method=REQUEST')
  }
  return attached(
    'application/pdf',
    `${facts.reference}.pdf`,
    pdfOf([facts.reference, `${facts.number} x ${facts.product}`, facts.amount, facts.city]),
  )
}

/** One page with a few lines. Its reader's letters are Latin 1: others become a ?. */
function pdfOf(lines: readonly string[]): Buffer {
  const shown = lines.map((line) => `(${line.replaceAll(/[^\x20-\xff]/g, '?').replaceAll(/[\\()]/g, '\\$&')}) Tj T*`).join('\n')
  const stream = `BT /F1 14 Tf 72 760 Td 20 TL\n${shown}\nET`
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>',
    `<< /Length ${stream.length} >>\nstream\n${stream}\nendstream`,
    '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>',
  ]
  let text = '%PDF-1.4\n'
  const offsets = objects.map((object, index) => {
    const offset = text.length
    text += `${index + 1} 0 obj\n${object}\nendobj\n`
    return `${offset}`.padStart(10, '0')
  })
  const table = `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${offsets.map((offset) => `${offset} 00000 n \n`).join('')}`
  return Buffer.from(`${text}${table}trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${text.length}\n%%EOF\n`, 'latin1')
}

/** A small picture of one colour. */
function pictureOf(random: Random): Buffer {
  const size = 16
  const colour = [0, 0, 0].map(() => Math.floor(random.between(40, 220)))
  const rows = Buffer.concat(Array.from({ length: size }, () => Buffer.from([0, ...Array.from({ length: size }, () => colour).flat()])))
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data])
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
    length.writeUInt32BE(data.length)
    sum.writeUInt32BE(crc32(body))
    return Buffer.concat([length, body, sum])
  }
  const header = Buffer.from([0, 0, 0, size, 0, 0, 0, size, 8, 2, 0, 0, 0])
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

/** @param offset as in a mail, +0100 */
function dateOf(at: number, offset: string): string {
  const minutes = Number(`${offset[0]}1`) * (Number(offset.slice(1, 3)) * 60 + Number(offset.slice(3)))
  return new Date(at + minutes * 60_000).toUTCString().replace('GMT', offset)
}

const partyOf = ({ name, address }: Party): string =>
  `${/^[\w ]*$/.test(name) ? name : /^[\x20-\x7e]*$/.test(name) ? `"${name}"` : word(name)} <${address}>`

function hash(text: string): number {
  let sum = 7
  for (const character of text) sum = (sum * 31 + character.charCodeAt(0)) % 1_000_003
  return sum
}
