import { createHash } from 'node:crypto'
import type { Static } from '@sinclair/typebox'
import type { Attachment, BlobReference } from '../../../schema/email.ts'
import type { emailEvents } from '../../../schema/email-events.ts'
import { uuidv5 } from '../../platform/uuid.ts'
import { storableText } from '../../platform/values.ts'
import { contentDigest, type EmailFacts, emailIdOf } from '../identity.ts'
import { attachmentName } from './attachment-name.ts'
import { type FoundAttachment, readBody } from './body.ts'
import { parseMailDate } from './dates.ts'
import type { Defect } from './defects.ts'
import { budgets, fitList, fitText } from './fit.ts'
import { decodedHeader, fittingIds, type HeaderValues, headerValues, messageIds, oneLine, partiesOf, policyHeaders } from './headers.ts'
import { safeHtml } from './html-text.ts'
import { type Limits, MailRefused, tooManyAttachments } from './limits.ts'
import { type MimePart, parseMime } from './mime-tree.ts'
import { ownText } from './own-text.ts'
import { checkCost, withoutEnvelope, withReadableHeaders } from './scan.ts'

/** What a mail says: the fields of EmailReceived, all but where it came from. */
export type EmailContent = Omit<Static<(typeof emailEvents)['EmailReceived']['schema']>, 'source' | 'providerThreadId'>

export type ParsedEmail = {
  readonly email: EmailContent
  /** What `email.html` refers to, as UTF-8. */
  readonly html: Uint8Array | null
  /** The bytes of `email.attachments`, in the same order. */
  readonly attachmentContents: readonly Uint8Array[]
}

export type ParseContext = {
  readonly limits: Limits
  /** For ids, see identity.ts. */
  readonly secret: Uint8Array
  /** Milliseconds since 1970: a mail cannot be from long after it came. */
  readonly now: number
  /** When the provider or the mailbox file says that it came; used only where the mail itself does not say when. */
  readonly fallbackDate?: string | undefined
}

const KNOWN_HEADERS = [
  ...['from', 'to', 'cc', 'bcc', 'subject', 'date', 'received', 'message-id', 'return-path', 'delivered-to', 'sender', 'reply-to'],
  ...['in-reply-to', 'references', 'mime-version', 'content-type'],
]

const EARLIEST = Date.UTC(1980, 0, 1)
const AHEAD_MILLISECONDS = 2 * 24 * 60 * 60 * 1000

/**
 * Reads a mail (RFC 5322, MIME, and what programs make of them). To be run where it may be slow: in a worker.
 * @throws MailRefused when it is over a limit or no mail
 */
export async function parseEmail(raw: Buffer, context: ParseContext): Promise<ParsedEmail> {
  const { limits, secret } = context
  const mail = withoutEnvelope(raw)
  if (/^\s*$/.test(mail.toString('latin1', 0, 1000)) && mail.every((byte) => byte <= 32)) {
    throw new MailRefused('not-a-mail', 'It is empty.')
  }
  checkCost(mail, limits)
  const readable = withReadableHeaders(mail)
  const { headers: list, root } = await parseMime(readable, limits)
  const headers = headerValues(list)
  if (!KNOWN_HEADERS.some((name) => headers.has(name))) {
    throw new MailRefused('not-a-mail', 'It is no mail: it begins with none of the headers of one (From, To, Subject, Date …).')
  }
  const defects = new Set<Defect>()
  if (readable !== mail) defects.add('header-charset-guessed')
  const body = readBody(root, defects)
  if (body.attachments.length > limits.attachments) throw tooManyAttachments(limits.attachments)

  const people = peopleOf(headers, defects)
  const dates = datesOf(headers, context, defects)
  const subject = decodedHeader(headers, 'subject')
  const messageId = messageIds(headers, 'message-id')[0] ?? decodedHeader(headers, 'message-id')
  if (!messageId) defects.add('message-id-missing')
  const emailId = emailIdOf(factsOf({ messageId, subject, dateHeader: dates.dateHeader, from: people.from }, root), secret)
  const text = storableText(body.text)
    .replace(/^\s*\n/, '')
    .trimEnd()
  const own = ownText(text, defects)
  const safe = body.html === null ? null : safeHtml(body.html, defects)
  const html = safe === null ? null : Buffer.from(storableText(safe))
  const attachments = body.attachments.map((attachment, index) => describe(attachment, index, emailId))

  const cut = (value: string, budgetBytes: number, defect: Defect): string => {
    const fitting = fitText(value, budgetBytes)
    if (fitting.length < value.length) defects.add(defect)
    return fitting
  }
  const ids = (name: string, budgetBytes: number): string[] => {
    const fitting = fittingIds(messageIds(headers, name), budgetBytes)
    if (fitting.cut) defects.add('references-cut')
    return fitting.ids
  }
  const email: Omit<EmailContent, 'defects'> = {
    emailId,
    ...(messageId && { messageId: fitText(messageId, budgets.messageId) }),
    ...people,
    ...dates,
    subject: cut(subject, budgets.subject, 'subject-cut'),
    text: cut(text, budgets.text, 'text-cut'),
    textOwn: cut(own, budgets.textOwn, 'own-text-cut'),
    html: html && reference(html),
    raw: reference(raw),
    inReplyTo: ids('in-reply-to', budgets.inReplyTo),
    references: ids('references', budgets.references),
    attachments,
    headers: policyHeaders(headers),
  }
  return { email: { ...email, defects: [...defects].sort() }, html, attachmentContents: body.attachments.map(({ content }) => content) }
}

type People = Pick<EmailContent, 'from' | 'sender' | 'replyTo' | 'to' | 'cc' | 'bcc'>

/** Who the mail names. Where a list is too long for an event, its beginning. */
function peopleOf(headers: HeaderValues, defects: Set<Defect>): People {
  let rest: number = budgets.parties
  const fitting = (name: string) => {
    const { items, ...left } = fitList(partiesOf(headers, name), rest)
    rest = left.rest
    if (left.cut) defects.add('recipients-cut')
    return items
  }
  const from = fitting('from')
  const sender = fitting('sender')[0]
  if (!/\S/.test(headers.get('from')?.join('') ?? '')) defects.add('from-missing')
  else if (!from.some(({ address }) => address)) defects.add('from-unreadable')
  return { from, ...(sender && { sender }), replyTo: fitting('reply-to'), to: fitting('to'), cc: fitting('cc'), bcc: fitting('bcc') }
}

/** The header's date is what we go by, unless there is none or it cannot be: then when the mail was received. */
function datesOf(
  headers: HeaderValues,
  { now, fallbackDate }: ParseContext,
  defects: Set<Defect>,
): Pick<EmailContent, 'date' | 'dateHeader' | 'dateReceived'> {
  const written = oneLine(headers.get('date')?.[0] ?? '')
  const believable = (time: number | null | undefined): time is number =>
    typeof time === 'number' && time >= EARLIEST && time <= now + AHEAD_MILLISECONDS
  const claimed = written ? parseMailDate(written) : null
  if (!written) defects.add('date-missing')
  else if (claimed === null) defects.add('date-unreadable')
  else if (!believable(claimed)) defects.add('date-absurd')
  // The date of a Received is what follows its last semicolon (RFC 5322 §3.6.7); every server puts its own above the others.
  const received = (headers.get('received') ?? []).map((value) => parseMailDate(value.slice(value.lastIndexOf(';') + 1))).find(believable)
  const time = believable(claimed) ? claimed : received
  return {
    date: time === undefined ? (fallbackDate ?? null) : new Date(time).toISOString(),
    dateHeader: written ? fitText(written, budgets.dateHeader) : null,
    dateReceived: received === undefined ? null : new Date(received).toISOString(),
  }
}

type Named = { messageId: string; subject: string; dateHeader: string | null; from: EmailContent['from'] }

function factsOf({ messageId, subject, dateHeader, from }: Named, root: MimePart): EmailFacts {
  const parts: string[] = []
  const visit = (part: MimePart) => {
    for (const child of part.children) visit(child)
    if (part.children.length > 0 || part.content.every((byte) => byte <= 32)) return
    parts.push(contentDigest(part.content, /^(?:text|message|multipart)\//.test(part.type)))
  }
  visit(root)
  const addresses = from.map(({ address, raw, name }) => address ?? raw ?? name ?? '')
  return { messageId, subject, from: addresses, date: parseMailDate(dateHeader ?? '') ?? dateHeader ?? '', parts }
}

function describe({ name, type, disposition, contentId, content }: FoundAttachment, index: number, emailId: string): Attachment {
  return {
    id: uuidv5(`attachment/${index}`, emailId),
    name: fitText(attachmentName(name, type, index), budgets.attachmentName),
    type: type.slice(0, 127),
    ...reference(content),
    disposition,
    ...(contentId !== undefined && { contentId: fitText(storableText(contentId), budgets.contentId) }),
  }
}

const reference = (bytes: Uint8Array): BlobReference => ({
  sha256: createHash('sha256').update(bytes).digest('hex'),
  sizeBytes: bytes.length,
})
