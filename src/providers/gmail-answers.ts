import type { gmail_v1 } from '@googleapis/gmail'
import type { Label } from '../../schema/mailbox-events.ts'
import type { ListedMessage, MessageChange } from '../../schema/sync-events.ts'
import { normalizeEmail } from '../platform/email-address.ts'
import { malformed } from './google-faults.ts'
import { type ChangePage, type FetchedMessage, MessageUnreadable, type Page } from './mailbox.ts'

/** What Gmail's answers (https://developers.google.com/workspace/gmail/api/reference/rest) say in the words of mailbox.ts. */

const instant = (milliseconds: string | null | undefined): string | undefined => {
  const at = /^-?\d{1,15}$/.test(milliseconds ?? '') ? new Date(Number(milliseconds)) : null
  return at && !Number.isNaN(at.getTime()) ? at.toISOString() : undefined
}

/** Another's page in the place of Gmail's answer is no empty list. */
export function whole<T>(data: T): T {
  if (typeof data !== 'object' || data === null || data instanceof Blob) throw malformed()
  return data
}

const listed = (message: gmail_v1.Schema$Message | undefined): ListedMessage[] =>
  message?.id ? [{ id: message.id, ...(message.threadId && { threadId: message.threadId }) }] : []

export function toProfile({ emailAddress, historyId, messagesTotal }: gmail_v1.Schema$Profile) {
  const address = normalizeEmail(emailAddress ?? '')
  if (!address || !historyId) throw malformed()
  return { address, cursor: historyId, messages: messagesTotal ?? 0 }
}

/** Those that Gmail has made sure of; one that is still to be confirmed may be anybody's. */
export function toAliases({ sendAs }: gmail_v1.Schema$ListSendAsResponse): string[] {
  const others = (sendAs ?? []).filter(({ isPrimary, verificationStatus }) => !isPrimary && verificationStatus !== 'pending')
  return [...new Set(others.flatMap(({ sendAsEmail }) => normalizeEmail(sendAsEmail ?? '') ?? []))].sort()
}

export const toLabels = ({ labels }: gmail_v1.Schema$ListLabelsResponse): Label[] =>
  (labels ?? []).flatMap(({ id, name }) => (id ? [{ id, name: name || id }] : [])).sort((a, b) => (a.id < b.id ? -1 : 1))

export const toPage = ({ messages, nextPageToken, resultSizeEstimate }: gmail_v1.Schema$ListMessagesResponse): Page => ({
  messages: (messages ?? []).flatMap(listed),
  ...(nextPageToken && { next: nextPageToken }),
  ...(typeof resultSizeEstimate === 'number' && { estimate: resultSizeEstimate }),
})

/**
 * What a page of the history says. Of each message what came last counts. Records may carry only `messages`: something happened to those, so they are
 * given as added and as changed, without labels, and have to be looked at.
 * @param cursor as it was before the first page was listed; unless given, this is the first
 */
export function toChanges({ history, historyId, nextPageToken }: gmail_v1.Schema$ListHistoryResponse, cursor?: string): ChangePage {
  const added = new Map<string, ListedMessage>()
  const changes = new Map<string, MessageChange>()
  const relabelled = (message: gmail_v1.Schema$Message | undefined) => {
    for (const { id } of listed(message)) changes.set(id, { id, ...(message?.labelIds && { labels: message.labelIds }) })
  }
  for (const { messagesAdded, messagesDeleted, labelsAdded, labelsRemoved, messages } of history ?? []) {
    for (const { message } of messagesAdded ?? []) for (const one of listed(message)) added.set(one.id, one)
    for (const { message } of labelsAdded ?? []) relabelled(message)
    for (const { message } of labelsRemoved ?? []) relabelled(message)
    for (const { message } of messagesDeleted ?? []) for (const { id } of listed(message)) changes.set(id, { id, deleted: true })
    if (messagesAdded || messagesDeleted || labelsAdded || labelsRemoved) continue
    for (const message of messages ?? []) {
      for (const one of listed(message)) added.set(one.id, one)
      relabelled(message)
    }
  }
  const from = cursor ?? historyId
  if (!from) throw malformed()
  return {
    added: [...added.values()],
    changes: [...changes.values()],
    // The history goes on while it is paged through: what comes meanwhile is after the first page's cursor, and so that is what all pages give.
    ...(nextPageToken && { next: `${from}:${nextPageToken}` }),
    cursor: from,
  }
}

/** The two parts of `next` as `toChanges` makes it. */
export function changesPlace(next: string | undefined): { cursor?: string; pageToken?: string } {
  const [, cursor, pageToken] = /^(\d+):(.+)$/s.exec(next ?? '') ?? []
  return cursor && pageToken ? { cursor, pageToken } : {}
}

/** @throws MessageUnreadable where Gmail gives no content */
export function toMessage({ id, raw, labelIds, threadId, internalDate }: gmail_v1.Schema$Message): FetchedMessage {
  if (!id) throw malformed()
  if (!raw) throw new MessageUnreadable('no-content', 'Gmail gives this message without its content.')
  const receivedAt = instant(internalDate)
  return {
    id,
    raw: Buffer.from(raw, 'base64url'),
    labels: labelIds ?? [],
    ...(threadId && { threadId }),
    ...(receivedAt && { receivedAt }),
  }
}

/** @returns until when notices come, an instant */
export function toExpiration({ expiration }: gmail_v1.Schema$WatchResponse): string {
  const until = instant(expiration)
  if (!until) throw malformed()
  return until
}
