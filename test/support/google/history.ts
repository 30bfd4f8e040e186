import type { gmail_v1 } from '@googleapis/gmail'
import { invalidArgument } from './errors.ts'
import type { Change, HistoryEntry, Mailbox } from './mailbox.ts'
import { maxResultsOf } from './messages.ts'
import type { Pages } from './pages.ts'

/** What is asked for in the singular is answered in the plural. */
const types: Record<string, Change> = {
  messageAdded: 'messagesAdded',
  messageDeleted: 'messagesDeleted',
  labelAdded: 'labelsAdded',
  labelRemoved: 'labelsRemoved',
}

/** https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.history/list */
export function listHistory(mailbox: Mailbox, query: URLSearchParams, pages: Pages): gmail_v1.Schema$ListHistoryResponse {
  const start = query.get('startHistoryId') ?? ''
  if (!/^\d+$/.test(start))
    throw invalidArgument(start ? `Invalid value at 'start_history_id' (TYPE_UINT64), "${start}"` : 'Missing startHistoryId')
  const asked = query.getAll('historyTypes')
  const wrong = asked.find((type) => !types[type])
  if (wrong !== undefined)
    throw invalidArgument(`Invalid value at 'history_types' (type.googleapis.com/gmail.v1.ListHistoryRequest.HistoryType), "${wrong}"`)
  const labelId = query.get('labelId')
  const about = JSON.stringify([start, asked, labelId])
  const after = Number(pages.read(query.get('pageToken'), about) ?? start)
  const changes = asked.map((type) => types[type]!)
  const found = mailbox
    .historyAfter(Number(start))
    .filter(
      ({ id, change, message, labelIds }) =>
        id > after &&
        (changes.length === 0 || changes.includes(change)) &&
        (labelId === null || message.labelIds.includes(labelId) || labelIds.includes(labelId)),
    )
  const page = found.slice(0, maxResultsOf(query))
  const hasMore = found.length > page.length
  return {
    ...(page.length > 0 && { history: page.map(recordOf) }),
    ...(hasMore && { nextPageToken: pages.next(`${page.at(-1)!.id}`, about) }),
    historyId: `${mailbox.historyId()}`,
  }
}

function recordOf({ id, change, message, labelIds, onlyMessages }: HistoryEntry): gmail_v1.Schema$History {
  const record = { id: `${id}`, messages: [{ id: message.id, threadId: message.threadId }] }
  if (onlyMessages) return record
  const changed = {
    message: { id: message.id, threadId: message.threadId, ...(message.labelIds.length > 0 && { labelIds: [...message.labelIds] }) },
  }
  if (change === 'messagesAdded') return { ...record, messagesAdded: [changed] }
  if (change === 'messagesDeleted') return { ...record, messagesDeleted: [changed] }
  const labels = { ...changed, labelIds: [...labelIds] }
  return change === 'labelsAdded' ? { ...record, labelsAdded: [labels] } : { ...record, labelsRemoved: [labels] }
}
