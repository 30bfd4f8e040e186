import { createRandom } from '../soak/random.ts'
import type { Clock } from './clock.ts'
import { notFound } from './errors.ts'
import { headerOf, headersOf } from './payload.ts'

/** A message to put into a mailbox. */
export type NewMessage = {
  /** The whole message, or what makes it whenever it is asked for: so 10,000 of them cost next to nothing. It has to give the same each time. */
  raw: Buffer | (() => Buffer)
  /** Unless given, it lies unread in the inbox. */
  labelIds?: readonly string[]
  /** Milliseconds since 1970. Unless given, now. */
  internalDate?: number
  /** Messages with the same one are a thread. Unless given, what `References` says of messages that are there. */
  thread?: string
  /** Its Message-ID, so that later ones find its thread. Unless given, it is read out of `raw`. */
  messageId?: string | undefined
}

export type Stored = {
  readonly id: string
  readonly threadId: string
  readonly internalDate: number
  labelIds: readonly string[]
  historyId: number
  readonly raw: () => Buffer
}

export type Change = 'messagesAdded' | 'messagesDeleted' | 'labelsAdded' | 'labelsRemoved'

/** A change, as it was when it happened. */
export type HistoryEntry = {
  id: number
  at: number
  change: Change
  message: { id: string; threadId: string; labelIds: readonly string[] }
  /** Those added or removed. */
  labelIds: readonly string[]
  /** Gmail tells some changes by no more than the message that they were made to. */
  onlyMessages: boolean
}

export type MailboxOptions = {
  /** How long changes can be asked for. */
  historyDays?: number
  /** The share of changes that are told by the message only. */
  onlyMessagesShare?: number
  seed?: number
}

export type Mailbox = ReturnType<typeof createMailbox>

const dayMs = 86_400_000

/** What one account holds: its messages, newest first, and the changes of them. */
export function createMailbox(clock: Clock, { historyDays = 7, onlyMessagesShare = 0, seed = 1 }: MailboxOptions = {}) {
  const random = createRandom(seed)
  const byId = new Map<string, Stored>()
  const threads = new Map<string, string>()
  const threadOfMessage = new Map<string, string>()
  let sorted: Stored[] | undefined
  let entries: HistoryEntry[] = []
  let historyId = 1_000
  let expiredTo = 0
  let count = 0

  /** Ids increase, with gaps. */
  const nextHistoryId = () => {
    historyId += 1 + Math.floor(random.next() * 40)
    return historyId
  }
  const enter = (change: Change, message: Stored, labelIds: readonly string[]) => {
    const id = nextHistoryId()
    message.historyId = id
    const { threadId } = message
    const onlyMessages = random.chance(onlyMessagesShare)
    entries.push({ id, at: clock.now(), change, message: { id: message.id, threadId, labelIds: message.labelIds }, labelIds, onlyMessages })
  }
  const found = (id: string) => {
    const message = byId.get(id)
    if (!message) throw notFound()
    return message
  }
  /** By the thread that was given, or what it answers; else one of its own. */
  const threadIdOf = (id: string, { raw, thread, messageId }: NewMessage) => {
    const headers = messageId === undefined && Buffer.isBuffer(raw) ? headersOf(raw) : []
    const answers = `${headerOf(headers, 'references') ?? ''} ${headerOf(headers, 'in-reply-to') ?? ''}`.match(/<[^<>]+>/g) ?? []
    const known = thread === undefined ? answers.map((other) => threadOfMessage.get(other)).find(Boolean) : threads.get(thread)
    const threadId = known ?? id
    if (thread !== undefined) threads.set(thread, threadId)
    const own = messageId ?? headerOf(headers, 'message-id')
    if (own !== undefined) threadOfMessage.set(own, threadId)
    return threadId
  }
  const put = (message: NewMessage): Stored => {
    const { raw, labelIds = ['INBOX', 'UNREAD'], internalDate = Math.floor(clock.now()) } = message
    count += 1
    // As Gmail's are: by time first.
    const id = internalDate.toString(16).padStart(11, '0') + count.toString(16).padStart(5, '0')
    const stored: Stored = {
      id,
      threadId: threadIdOf(id, message),
      internalDate,
      labelIds: [...labelIds],
      historyId,
      raw: Buffer.isBuffer(raw) ? () => raw : raw,
    }
    byId.set(id, stored)
    sorted = undefined
    return stored
  }

  return {
    /** What was there before anybody looked, of which there is no history. Oldest first, as far as threads are to be found by themselves. */
    load(messages: Iterable<NewMessage>): Stored[] {
      const loaded = [...messages].map((message) => {
        const stored = put(message)
        stored.historyId = nextHistoryId()
        return stored
      })
      if (entries.length === 0) expiredTo = historyId
      return loaded
    },
    add(message: NewMessage): Stored {
      const stored = put(message)
      enter('messagesAdded', stored, [])
      return stored
    },
    /** For good, not into the trash. */
    delete(id: string): void {
      const message = found(id)
      enter('messagesDeleted', message, [])
      byId.delete(id)
      sorted = undefined
    },
    relabel(id: string, { add = [], remove = [] }: { add?: readonly string[]; remove?: readonly string[] }): void {
      const message = found(id)
      const added = add.filter((label) => !message.labelIds.includes(label))
      const removed = remove.filter((label) => message.labelIds.includes(label))
      message.labelIds = [...message.labelIds.filter((label) => !removed.includes(label)), ...added]
      if (added.length > 0) enter('labelsAdded', message, added)
      if (removed.length > 0) enter('labelsRemoved', message, removed)
    },
    get: found,
    has: (id: string): boolean => byId.has(id),
    /** Newest first. */
    all(): readonly Stored[] {
      sorted ??= [...byId.values()].sort((a, b) => b.internalDate - a.internalDate || (a.id < b.id ? 1 : -1))
      return sorted
    },
    thread: (threadId: string): Stored[] =>
      [...byId.values()].filter((message) => message.threadId === threadId).sort((a, b) => a.internalDate - b.internalDate),
    historyId: (): number => historyId,
    /** The changes after an id. @throws GoogleError 404 when they are no longer known */
    historyAfter(id: number): readonly HistoryEntry[] {
      const oldest = clock.now() - historyDays * dayMs
      const kept = entries.findIndex(({ at }) => at >= oldest)
      const expired = kept === -1 ? entries : entries.slice(0, kept)
      expiredTo = expired.at(-1)?.id ?? expiredTo
      entries = entries.slice(expired.length)
      if (id < expiredTo) throw notFound()
      return entries.filter((entry) => entry.id > id)
    },
    /** As if the time had passed after which Gmail forgets changes: no id that was given out so far is good for anything. */
    expireHistory(): void {
      entries = []
      nextHistoryId()
      expiredTo = historyId
    },
    setOnlyMessagesShare(share: number): void {
      onlyMessagesShare = share
    },
  }
}
