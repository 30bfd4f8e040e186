import type { gmail_v1 } from '@googleapis/gmail'
import { invalidArgument, notFound } from './errors.ts'
import type { Mailbox, Stored } from './mailbox.ts'
import type { Pages } from './pages.ts'
import { attachmentOf, payloadOf, snippetOf } from './payload.ts'
import { asksFor, searchOf } from './search.ts'

/*
 * The resources messages, threads and attachments: https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages
 */
export const most = 500
const usual = 100

/** A number of a query, or what is usual. Gmail takes too large a one for the largest. */
export function maxResultsOf(query: URLSearchParams): number {
  const text = query.get('maxResults') ?? `${usual}`
  if (!/^\d+$/.test(text) || text === '0') throw invalidArgument(`Invalid value at 'max_results' (TYPE_UINT32), "${text}"`)
  return Math.min(Number(text), most)
}

/** @param quirks what of each page comes again at the beginning of the next, as happens when a mailbox changes meanwhile; and how large a page is at most */
export function listMessages(
  mailbox: Mailbox,
  query: URLSearchParams,
  pages: Pages,
  { repeatedOnPages, largestPage }: { repeatedOnPages: number; largestPage: number },
): gmail_v1.Schema$ListMessagesResponse {
  const q = query.get('q') ?? ''
  const labelIds = query.getAll('labelIds')
  const asked = asksFor(q)
  const withSpamAndTrash = query.get('includeSpamTrash') === 'true' || asked.includes('anywhere')
  const isHidden = ({ labelIds: own }: Stored) =>
    ['SPAM', 'TRASH'].some((label) => own.includes(label) && !labelIds.includes(label) && !asked.includes(label.toLowerCase()))
  const matches = searchOf(q)
  const found = mailbox
    .all()
    .filter(
      (message) =>
        (withSpamAndTrash || !isHidden(message)) && labelIds.every((label) => message.labelIds.includes(label)) && matches(message),
    )

  const about = JSON.stringify([q, labelIds, withSpamAndTrash])
  const after = pages.read(query.get('pageToken'), about)
  const begin = after === null ? 0 : found.findIndex((message) => isAfter(message, after))
  const start = begin === -1 ? found.length : begin
  const size = Math.min(maxResultsOf(query), largestPage)
  const page = found.slice(Math.max(0, start - (after === null ? 0 : repeatedOnPages)), start + size)
  const last = found[start + size - 1]
  const hasMore = start + size < found.length
  return {
    ...(page.length > 0 && { messages: page.map(({ id, threadId }) => ({ id, threadId })) }),
    ...(hasMore && last && { nextPageToken: pages.next(`${last.internalDate} ${last.id}`, about) }),
    resultSizeEstimate: Math.min(found.length, 201),
  }
}

/** In the order of the list, newest first. */
function isAfter({ internalDate, id }: Stored, place: string): boolean {
  const [date, otherId = ''] = place.split(' ')
  return internalDate < Number(date) || (internalDate === Number(date) && id < otherId)
}

const formats = ['minimal', 'full', 'raw', 'metadata']

export function messageOf(message: Stored, query: URLSearchParams): gmail_v1.Schema$Message {
  const format = (query.get('format') ?? 'full').toLowerCase()
  if (!formats.includes(format))
    throw invalidArgument(`Invalid value at 'format' (type.googleapis.com/gmail.v1.MessageFormat), "${format}"`)
  const raw = message.raw()
  let parsed: ReturnType<typeof payloadOf> | undefined
  const payload = () => (parsed ??= payloadOf(raw))
  const all = {
    id: message.id,
    threadId: message.threadId,
    ...(message.labelIds.length > 0 && { labelIds: [...message.labelIds] }),
    // Read only where it is sent: to take a message apart is most of the work.
    get snippet() {
      return snippetOf(payload())
    },
    historyId: `${message.historyId}`,
    internalDate: `${message.internalDate}`,
    sizeEstimate: raw.length,
  } satisfies gmail_v1.Schema$Message
  if (format === 'raw') return Object.assign(all, { raw: raw.toString('base64url') })
  if (format === 'full') return Object.assign(all, { payload: payload() })
  if (format === 'minimal') return all
  const names = query.getAll('metadataHeaders').map((name) => name.toLowerCase())
  const headers = payload().headers.filter(({ name }) => names.length === 0 || names.includes(`${name}`.toLowerCase()))
  return Object.assign(all, { payload: { mimeType: payload().mimeType ?? 'text/plain', headers } })
}

export function threadOf(mailbox: Mailbox, threadId: string, query: URLSearchParams): gmail_v1.Schema$Thread {
  if (query.get('format')?.toLowerCase() === 'raw') throw invalidArgument('Invalid value at \'format\', "raw"')
  const messages = mailbox.thread(threadId)
  if (messages.length === 0) throw notFound()
  const historyId = Math.max(...messages.map((message) => message.historyId))
  return { id: threadId, historyId: `${historyId}`, messages: messages.map((message) => messageOf(message, query)) }
}

export function attachmentOfMessage(message: Stored, attachmentId: string): gmail_v1.Schema$MessagePartBody {
  const bytes = attachmentOf(message.raw(), attachmentId)
  if (!bytes) throw invalidArgument('Invalid attachment token')
  return { size: bytes.length, data: bytes.toString('base64url') }
}
